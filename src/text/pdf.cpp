// PDF, read by poppler's programs in processes of their own.
#include "text/readers.hpp"
#include "text/subprocess.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <string>
#include <vector>

namespace millrace::text {
namespace {

constexpr std::size_t kInfoBytesMax = 64 * 1024;

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// The line that says most: the last, as the first are often mere warnings.
std::string last_line(std::string_view text) {
    text = trim(text);
    const std::size_t newline = text.rfind('\n');
    if (newline != std::string_view::npos) text.remove_prefix(newline + 1);
    const std::size_t bad = find_invalid_utf8(text);
    return one_line(text.substr(0, bad), 200);
}

bool has_end_marker(std::string_view bytes) {
    const std::size_t tail = std::min<std::size_t>(bytes.size(), 4096);
    return contains(bytes.substr(bytes.size() - tail), "%%EOF");
}

/// The dots that lead the eye from an entry of a table of contents to its page: each would cost a token.
std::string without_leaders(std::string_view text) {
    constexpr std::size_t kDotsMin = 5;
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at, dots = 0;
        while (end < text.size() && (text[end] == '.' || (dots > 0 && text[end] == ' ')))
            dots += text[end++] == '.';
        if (dots >= kDotsMin) {
            result += "... ";
        } else {
            end = std::max(end, at + 1);
            result += text.substr(at, end - at);
        }
        at = end;
    }
    return result;
}

class PdfReader {
  public:
    PdfReader(const PdfPrograms& programs, std::string_view bytes, const Budget& budget)
        : programs_(programs), bytes_(bytes), budget_(budget), file_(memory_file(bytes)) {}

    Result<ExtractedText> read() {
        const auto info = run({programs_.info, "-enc", "UTF-8", "-"}, kInfoBytesMax);
        if (!info) return info.error();
        const std::string_view pages = field(*info, "Pages:");
        std::size_t page_count = 0;
        std::from_chars(pages.data(), pages.data() + pages.size(), page_count);
        if (page_count > budget_.limits().pages_max) return too_many_pages();
        const auto text =
            run({programs_.text, "-enc", "UTF-8", "-eol", "unix", "-", "-"}, output_bytes_max());
        if (!text) return text.error();
        return build(*text, field(*info, "Title:"));
    }

  private:
    /// Text, with room for what the builder leaves out.
    std::size_t output_bytes_max() const {
        const auto& limits = budget_.limits();
        return limits.text_bytes_max + limits.text_bytes_max / 4 + limits.pages_max;
    }

    Result<std::string> run(const std::vector<std::string>& arguments, std::size_t output_bytes_max) {
        auto result = run_process(arguments, file_,
                                  {budget_.deadline(), budget_.limits().memory_bytes_max, output_bytes_max});
        if (!result) {
            return Error{Errc::unavailable, result.error().detail + "; PDF needs the package poppler-utils"};
        }
        if (result->stopped == ProcessResult::Stop::late || result->signal == SIGXCPU)
            return budget_.too_late();
        if (result->stopped == ProcessResult::Stop::too_much_output) return budget_.too_much_text();
        const std::string_view error = result->error;
        if (contains(error, "Incorrect password") || contains(error, "password protected")) {
            return Error{Errc::corrupt, "the PDF is encrypted: remove its password and send it again"};
        }
        if (contains(error, "bad_alloc") || contains(error, "Out of memory"))
            return budget_.too_much_memory();
        if (contains(error, "while loading shared libraries")) {
            return Error{Errc::unavailable, "cannot start " + arguments[0] + ": " + last_line(error)};
        }
        if (result->signal != 0) {
            return Error{Errc::corrupt, "the PDF is damaged: " + arguments[0] + " was ended by signal " +
                                            std::to_string(result->signal)};
        }
        // Poppler mends a file whose end is missing, and says so; then an unknown part of it is gone.
        if (result->exit_code != 0 || (contains(error, "Syntax Error") && !has_end_marker(bytes_))) {
            return Error{Errc::corrupt,
                         std::string(has_end_marker(bytes_) ? "the PDF is damaged: "
                                                            : "the PDF is cut off or damaged: ") +
                             last_line(error)};
        }
        return std::move(result->output);
    }

    Error too_many_pages() const {
        return {Errc::over_limit,
                "the PDF has more than " + std::to_string(budget_.limits().pages_max) + " pages"};
    }

    static std::string_view field(std::string_view info, std::string_view name) {
        while (!info.empty()) {
            const std::string_view line = info.substr(0, info.find('\n'));
            info.remove_prefix(std::min(info.size(), line.size() + 1));
            if (line.starts_with(name)) return trim(line.substr(name.size()));
        }
        return {};
    }

    Result<ExtractedText> build(std::string_view text, std::string_view title) const {
        if (!is_valid_utf8(text)) return Error{Errc::corrupt, "the PDF is damaged: its text is not UTF-8"};
        TextBuilder builder(budget_.limits().text_bytes_max);
        std::size_t pages = 0;
        while (!text.empty()) {
            if (++pages > budget_.limits().pages_max) return too_many_pages();
            const std::string_view page = text.substr(0, text.find('\f'));
            text.remove_prefix(std::min(text.size(), page.size() + 1));
            builder.paragraph();
            builder.page();
            builder.verbatim(without_leaders(page));
        }
        if (builder.is_full()) return budget_.too_much_text();
        if (builder.size() == 0) {
            return Error{Errc::corrupt, "PDF without text: it holds only images; run OCR first"};
        }
        return builder.take(is_valid_utf8(title) ? std::string(title) : std::string());
    }

    const PdfPrograms& programs_;
    std::string_view bytes_;
    const Budget& budget_;
    Descriptor file_;
};

}  // namespace

Result<ExtractedText> read_pdf_by(const PdfPrograms& programs, std::string_view bytes, const Budget& budget) {
    if (!contains(bytes.substr(0, 1024), "%PDF-")) {
        return Error{Errc::corrupt, "the bytes are not a PDF: they do not begin with %PDF-"};
    }
    return PdfReader(programs, bytes, budget).read();
}

Result<ExtractedText> read_pdf(std::string_view bytes, const Budget& budget) {
    return read_pdf_by({}, bytes, budget);
}

}  // namespace millrace::text
