#include "http/upload.hpp"

#include "base/limits.hpp"

#include <algorithm>

namespace millrace::http {

namespace {

constexpr std::size_t kPieceBytes = 1 * limits::kMiB;
constexpr std::size_t kPartHeaderBytesMax = 8 * limits::kKiB;
constexpr std::size_t kFieldBytesMax = 64 * limits::kKiB;
constexpr std::size_t kPaddingMax = 64;  ///< white space behind a delimiter (RFC 2046, 5.1.1)
constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

/// A delimiter in the body: where it begins, and where what is behind its line does.
struct Border {
    std::uint64_t begin = kNowhere;
    std::uint64_t end = kNowhere;
    bool last = false;
};

/// Looks at a file through a window that slides over it.
class Scanner {
  public:
    Scanner(const BodyFile& body, std::string delimiter) : body_(body), delimiter_(std::move(delimiter)) {}

    /// The next delimiter at or behind `from`: a line of its own. The first may lack the CR LF before it.
    Border next(std::uint64_t from) {
        if (from == 0) {
            const std::string start = body_.read(0, delimiter_.size() - 2);
            if (start == std::string_view(delimiter_).substr(2)) return border_at(0, delimiter_.size() - 2);
        }
        for (std::uint64_t at = from; at < body_.size();) {
            const std::string piece = body_.read(at, kPieceBytes + delimiter_.size());
            const auto found = piece.find(delimiter_);
            if (found == std::string::npos) {
                at += kPieceBytes;
                continue;
            }
            const Border border = border_at(at + found, delimiter_.size());
            if (border.end != kNowhere) return border;
            at += found + 1;
        }
        return {};
    }

  private:
    Border border_at(std::uint64_t begin, std::size_t size) const {
        const std::string tail = body_.read(begin + size, kPaddingMax);
        if (tail.starts_with("--")) return {begin, begin + size + 2, true};
        const auto line_end = tail.find_first_not_of(" \t");
        if (line_end == std::string::npos || tail.compare(line_end, 2, "\r\n") != 0) return {};
        return {begin, begin + size + line_end + 2, false};
    }

    const BodyFile& body_;
    std::string delimiter_;
};

Checked<UploadedPart> part_between(const BodyFile& body, const Border& before, const Border& behind,
                                   std::size_t number) {
    // The blank line's own CR LF may belong to the delimiter where the content is empty.
    const auto head_bytes = std::min<std::uint64_t>(kPartHeaderBytesMax, behind.begin + 2 - before.end);
    const std::string head = body.read(before.end, static_cast<std::size_t>(head_bytes));
    const auto blank = head.starts_with("\r\n") ? 0 : head.find("\r\n\r\n");
    if (blank == std::string::npos)
        return Rejection{400, "a part of the multipart body has no end of its headers"};
    const std::size_t head_end = head.starts_with("\r\n") ? 2 : blank + 4;
    const auto parsed = parse_part(std::string_view(head).substr(0, blank), {}, number);
    if (!parsed) return parsed.error();
    UploadedPart part;
    part.name = parsed->name;
    part.file_name = parsed->file_name;
    part.is_file = parsed->is_file;
    part.offset = before.end + head_end;
    part.size = behind.begin > part.offset ? behind.begin - part.offset : 0;
    if (part.is_file) return part;
    if (part.size > kFieldBytesMax)
        return Rejection{413, "the field \"" + part.name + "\" of the multipart body is too long"};
    part.text = body.read(part.offset, static_cast<std::size_t>(part.size));
    return part;
}

}  // namespace

Checked<std::vector<UploadedPart>> read_parts(const BodyFile& body, std::string_view content_type,
                                              std::size_t parts_max) {
    const auto boundary = multipart_boundary(content_type);
    if (!boundary) return boundary.error();
    Scanner scanner(body, "\r\n--" + *boundary);
    Border before = scanner.next(0);
    if (before.end == kNowhere) return Rejection{400, "the multipart body does not hold its boundary"};
    std::vector<UploadedPart> parts;
    while (!before.last) {
        const Border behind = scanner.next(before.end - 2);
        if (behind.end == kNowhere)
            return Rejection{400, "the multipart body ends before its closing delimiter"};
        if (parts.size() == parts_max)
            return Rejection{413, "more than " + std::to_string(parts_max) + " parts"};
        auto part = part_between(body, before, behind, parts.size() + 1);
        if (!part) return part.error();
        parts.push_back(std::move(*part));
        before = behind;
    }
    return parts;
}

}  // namespace millrace::http
