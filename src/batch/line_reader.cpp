#include "batch/line_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::batch {

namespace {

constexpr std::size_t kPieceBytes = 256 * limits::kKiB;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Result<std::unique_ptr<LineReader>> LineReader::open(const std::filesystem::path& path,
                                                     std::size_t line_bytes_max) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return Error{Errc::not_found, path.string() + ": " + std::strerror(errno)};
    std::unique_ptr<LineReader> reader(new LineReader(descriptor, line_bytes_max));
    struct stat facts{};
    if (::fstat(descriptor, &facts) != 0 || S_ISDIR(facts.st_mode))
        return Error{Errc::not_found, path.string() + " is not a file"};
    reader->size_ = static_cast<std::uint64_t>(facts.st_size);
    return reader;
}

LineReader::~LineReader() { ::close(descriptor_); }

bool LineReader::fill() {
    piece_.resize(kPieceBytes);
    at_ = 0;
    for (;;) {
        const ssize_t count = ::read(descriptor_, piece_.data(), piece_.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0)
            throw MachineError(std::string("cannot read a file of lines: ") + std::strerror(errno));
        piece_.resize(static_cast<std::size_t>(count));
        return count > 0;
    }
}

/// The next line, blank or not.
bool LineReader::take_line(Line& line) {
    line.text.clear();
    line.too_long = false;
    bool any = false;
    for (;;) {
        if (at_ == piece_.size() && !fill()) {
            unended_ = any;
            break;
        }
        any = true;
        const auto end = piece_.find('\n', at_);
        const std::size_t count = (end == std::string::npos ? piece_.size() : end) - at_;
        if (line.text.size() + count > line_bytes_max_) line.too_long = true;
        if (!line.too_long) line.text.append(piece_, at_, count);
        at_ += count;
        offset_ += count;
        if (end == std::string::npos) continue;
        at_ += 1;
        offset_ += 1;
        break;
    }
    if (line.too_long) line.text.clear();
    if (any) number_ += 1;
    return any;
}

bool LineReader::next(Line& line) {
    while (take_line(line)) {
        if (number_ == 1 && line.text.starts_with(kByteOrderMark)) line.text.erase(0, kByteOrderMark.size());
        if (line.text.ends_with('\r')) line.text.pop_back();
        line.number = number_;
        if (line.too_long || line.text.find_first_not_of(" \t") != std::string::npos) return true;
    }
    return false;
}

}  // namespace millrace::batch
