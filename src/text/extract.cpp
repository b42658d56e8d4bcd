#include "text/extract.hpp"

#include "text/charset.hpp"
#include "text/readers.hpp"
#include "text/utf8.hpp"

namespace millrace::text {
namespace {

using Reader = Result<ExtractedText> (*)(std::string_view, const Budget&);

struct FormatRow {
    Format format;
    Reader read;
    bool is_text;  ///< needs its charset found first
};
constexpr FormatRow kFormats[] = {
    {Format::text, read_text, true}, {Format::markdown, read_markdown, true}, {Format::html, read_html, true},
    {Format::pdf, read_pdf, false},  {Format::docx, read_docx, false},
};

Result<ExtractedText> read(std::string_view bytes, const FormatRow& row, const Budget& budget,
                           std::string_view charset) {
    if (!row.is_text) return row.read(bytes, budget);
    if (charset.empty() && row.format == Format::html) charset = declared_in_html(bytes);
    const auto text = to_utf8(bytes, charset);
    if (!text) return text.error();
    return row.read(*text, budget);
}

}  // namespace

Result<ExtractedText> extract(std::string_view bytes, Format format, const ExtractLimits& limits,
                              std::string_view charset) {
    const Budget budget(limits);
    if (bytes.empty()) return Error{Errc::invalid_input, "the document is empty"};
    if (bytes.size() > limits.bytes_max) {
        return Error{Errc::over_limit,
                     "the document is larger than " + std::to_string(limits.bytes_max) + " bytes"};
    }
    for (const FormatRow& row : kFormats) {
        if (row.format != format) continue;
        auto extracted = read(bytes, row, budget, charset);
        if (extracted && extracted->text.empty())
            return Error{Errc::invalid_input, "the document holds no text"};
        return extracted;
    }
    return Error{Errc::invalid_input, "unknown format"};
}

}  // namespace millrace::text
