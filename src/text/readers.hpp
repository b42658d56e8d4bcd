// One reader per format, behind `extract`.
#pragma once

#include "text/builder.hpp"
#include "text/extract.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace millrace::text {

/// What the work on one document may still take.
class Budget {
  public:
    explicit Budget(const ExtractLimits& limits)
        : limits_(limits), deadline_(std::chrono::steady_clock::now() + limits.time_max) {}

    const ExtractLimits& limits() const { return limits_; }
    bool is_late() const { return std::chrono::steady_clock::now() >= deadline_; }
    std::chrono::steady_clock::time_point deadline() const { return deadline_; }

    Error too_late() const {
        return {Errc::over_limit,
                "reading the document took longer than " + std::to_string(limits_.time_max.count()) + " ms"};
    }
    Error too_much_text() const {
        return {Errc::over_limit,
                "the document holds more than " + std::to_string(limits_.text_bytes_max) + " bytes of text"};
    }
    Error too_much_memory() const {
        return {Errc::over_limit, "reading the document needs more than " +
                                      std::to_string(limits_.memory_bytes_max >> 20) + " MiB of memory"};
    }
    Error too_deep() const {
        return {Errc::over_limit,
                "the document nests elements deeper than " + std::to_string(limits_.nesting_max)};
    }

  private:
    ExtractLimits limits_;
    std::chrono::steady_clock::time_point deadline_;
};

/// These take well-formed UTF-8; the last two take the file. Errors as `extract` gives them.
Result<ExtractedText> read_text(std::string_view text, const Budget& budget);
Result<ExtractedText> read_markdown(std::string_view text, const Budget& budget);
Result<ExtractedText> read_html(std::string_view text, const Budget& budget);
Result<ExtractedText> read_docx(std::string_view bytes, const Budget& budget);
Result<ExtractedText> read_pdf(std::string_view bytes, const Budget& budget);

/// The programs of poppler-utils that read PDF.
struct PdfPrograms {
    std::string info = "pdfinfo";
    std::string text = "pdftotext";
};
Result<ExtractedText> read_pdf_by(const PdfPrograms& programs, std::string_view bytes, const Budget& budget);

/// Adds the text of a piece of HTML, e.g. of a block within Markdown, to `builder`. False if the piece costs
/// too much; then nothing or a part was added.
bool add_html(std::string_view html, TextBuilder& builder, const Budget& budget);

}  // namespace millrace::text
