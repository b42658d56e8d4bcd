// Documents in, plain text out: formats, limits and what is kept of the structure.
#pragma once

#include "base/error.hpp"
#include "base/limits.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::text {

enum class Format { text, markdown, html, pdf, docx };

/// "text", "markdown", "html", "pdf" or "docx".
std::string_view to_string(Format format) noexcept;

/// Finds the format of a document from what is known of it; each argument may be empty.
/// `content_type` is a media type with or without parameters, `file_name` a name or path, `head` the first
/// bytes (1 KiB is enough). The bytes win where they are beyond doubt (PDF, ZIP), then the media type, then
/// the name, then a guess from the bytes. invalid_input: a format that isn't read here; `detail` names it.
Result<Format> detect_format(std::string_view content_type, std::string_view file_name,
                             std::string_view head);

/// The value of `charset` in a media type, e.g. "utf-8"; empty if there is none.
std::string_view charset_of(std::string_view content_type) noexcept;

/// A part of a text under one heading, up to the next section.
struct Section {
    std::size_t offset;   ///< bytes into the text, where the line of the heading begins
    std::string heading;  ///< with those above it: "Storage > WAL"; at most 512 bytes
    int level;            ///< 1 is the highest
};

/// What a document says. The text is well-formed UTF-8 without control characters but '\n' and '\t', lines
/// end with
/// '\n', paragraphs are set apart by an empty line, cells of a table by " | ", list items begin with "- " or
/// a number.
struct ExtractedText {
    std::string text;
    std::string title;  ///< as the document gives it; empty if it does not; at most 1 KiB
    std::vector<Section> sections;  ///< by offset
    std::vector<std::size_t>
        page_offsets;  ///< where each page begins in `text`; empty if the format has no pages
};

/// What one document may cost. Each is checked while the work goes on, not after it.
struct ExtractLimits {
    std::size_t bytes_max = limits::http_body_bytes_max;
    std::size_t text_bytes_max = limits::text_bytes_max;
    std::size_t pages_max = limits::document_pages_max;
    Duration time_max = limits::extract_time_max;
    std::size_t memory_bytes_max = limits::extract_memory_bytes_max;
    std::size_t unpacked_bytes_max = limits::unpacked_bytes_max;
    std::size_t archive_entries_max = limits::archive_entries_max;
    std::size_t nesting_max = limits::markup_nesting_max;
};

/// Reads a document of `format`. `charset` is what the sender said of text, Markdown and HTML (may be empty,
/// wrong or unknown: the bytes are asked too). Blocks for as long as it takes; any thread, several at once.
/// PDF is read by the program `pdftotext` in a process of its own.
///
/// Errors, and the dead letter a caller makes of each:
/// * over_limit (`InputTooLarge`): more bytes, text, pages, time, memory or nesting than `limits` allow.
/// * corrupt (`MalformedPayload`): the bytes break their format, are cut off, encrypted, of no known charset,
/// or a PDF
///   holds only images.
/// * invalid_input (`MalformedPayload`): a sound document that holds no text, or no bytes.
/// * unavailable (not the document's fault; try again once it is mended): `pdftotext` is not installed or
/// can't start. Never throws for what a document holds; std::bad_alloc and MachineError mean that the machine
/// is short of something.
Result<ExtractedText> extract(std::string_view bytes, Format format, const ExtractLimits& limits = {},
                              std::string_view charset = {});

}  // namespace millrace::text
