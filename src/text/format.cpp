// Which format a document is in.
#include "text/extract.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace millrace::text {
namespace {

struct Named {
    std::string_view name;
    Format format;
};

constexpr std::array kMediaTypes = {
    Named{"text/plain", Format::text},
    Named{"text/markdown", Format::markdown},
    Named{"text/x-markdown", Format::markdown},
    Named{"text/html", Format::html},
    Named{"application/xhtml+xml", Format::html},
    Named{"application/pdf", Format::pdf},
    Named{"application/x-pdf", Format::pdf},
    Named{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", Format::docx},
    Named{"application/vnd.ms-word.document.macroenabled.12", Format::docx},
    Named{"application/json", Format::text},
    Named{"application/x-ndjson", Format::text},
    Named{"application/xml", Format::text},
    Named{"application/yaml", Format::text},
    Named{"application/toml", Format::text},
    Named{"application/javascript", Format::text},
    Named{"application/sql", Format::text},
    Named{"message/rfc822", Format::text},
};

constexpr std::array kExtensions = {
    Named{"txt", Format::text},     Named{"text", Format::text},         Named{"log", Format::text},
    Named{"rst", Format::text},     Named{"adoc", Format::text},         Named{"org", Format::text},
    Named{"csv", Format::text},     Named{"tsv", Format::text},          Named{"json", Format::text},
    Named{"jsonl", Format::text},   Named{"xml", Format::text},          Named{"yaml", Format::text},
    Named{"yml", Format::text},     Named{"toml", Format::text},         Named{"eml", Format::text},
    Named{"md", Format::markdown},  Named{"markdown", Format::markdown}, Named{"mdown", Format::markdown},
    Named{"mkd", Format::markdown}, Named{"mdx", Format::markdown},      Named{"html", Format::html},
    Named{"htm", Format::html},     Named{"xhtml", Format::html},        Named{"pdf", Format::pdf},
    Named{"docx", Format::docx},    Named{"docm", Format::docx},
};

struct Signature {
    std::string_view bytes;
    std::string_view what;
};
/// Formats that people send and that are not read here.
constexpr std::array kOthers = {
    Signature{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Office file (or an encrypted new one)"},
    Signature{"{\\rtf", "RTF"},
    Signature{"\x89PNG", "a PNG image"},
    Signature{"\xFF\xD8\xFF", "a JPEG image"},
    Signature{"GIF8", "a GIF image"},
    Signature{"\x1F\x8B", "gzip"},
    Signature{"7z\xBC\xAF", "7-Zip"},
    Signature{"\x7F\x45LF", "a program"},
    Signature{"%!PS", "PostScript"},
};

constexpr std::string_view kReadable = "; text, Markdown, HTML, PDF and DOCX are";

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

template <std::size_t N>
std::optional<Format> look_up(const std::array<Named, N>& table, std::string_view name) {
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const Named& row) { return row.name == name; });
    if (found == table.end()) return std::nullopt;
    return found->format;
}

std::string extension_of(std::string_view file_name) {
    const std::size_t dot = file_name.rfind('.');
    const std::size_t slash = file_name.find_last_of("/\\");
    if (dot == std::string_view::npos || (slash != std::string_view::npos && slash > dot)) return {};
    return lower(file_name.substr(dot + 1, 16));
}

/// PDF readers accept the signature anywhere in the first kilobyte (ISO 32000-1, annex H, note 13), text
/// before it included; here only white space may stand there, so that a text about PDF stays a text.
bool is_pdf(std::string_view head) { return trim(head.substr(0, 1024)).starts_with("%PDF-"); }

bool is_html(std::string_view head) {
    std::string_view begin = trim(head.substr(0, 1024));
    if (begin.starts_with("\xEF\xBB\xBF")) begin = trim(begin.substr(3));
    const std::string text = lower(begin);
    if (text.starts_with("<?xml")) return text.find("<html") != std::string::npos;
    return text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head") ||
           text.starts_with("<body");
}

Error unreadable(std::string_view what) {
    return {Errc::invalid_input,
            "the format is not read here: " + std::string(what) + std::string(kReadable)};
}

std::string media_type_of(std::string_view content_type) {
    return lower(trim(content_type.substr(0, content_type.find(';'))));
}

/// The media types that say nothing: what clients send when they don't know.
bool is_unspecific(std::string_view media_type) {
    return media_type.empty() || media_type == "application/octet-stream" ||
           media_type == "binary/octet-stream" || media_type == "application/x-www-form-urlencoded" ||
           media_type == "application/zip" || media_type == "application/x-zip-compressed" ||
           media_type == "text/plain";
}

}  // namespace

std::string_view to_string(Format format) noexcept {
    switch (format) {
        case Format::text: return "text";
        case Format::markdown: return "markdown";
        case Format::html: return "html";
        case Format::pdf: return "pdf";
        case Format::docx: return "docx";
    }
    return "unknown";
}

Result<Format> detect_format(std::string_view content_type, std::string_view file_name,
                             std::string_view head) {
    if (is_pdf(head)) return Format::pdf;
    if (head.starts_with("PK\x03\x04")) return Format::docx;
    for (const Signature& other : kOthers) {
        if (head.starts_with(other.bytes)) return unreadable(other.what);
    }
    const std::string media_type = media_type_of(content_type);
    if (!is_unspecific(media_type)) {
        if (const auto format = look_up(kMediaTypes, media_type)) return *format;
        if (media_type.starts_with("text/")) return Format::text;
        return unreadable(prefix_utf8(media_type, 100));
    }
    if (const auto format = look_up(kExtensions, extension_of(file_name))) return *format;
    if (media_type == "text/plain") return Format::text;
    if (is_html(head)) return Format::html;
    return Format::text;
}

std::string_view charset_of(std::string_view content_type) noexcept {
    for (std::size_t at = content_type.find(';'); at != std::string_view::npos;
         at = content_type.find(';', at)) {
        const std::size_t end = std::min(content_type.find(';', ++at), content_type.size());
        const std::string_view parameter = trim(content_type.substr(at, end - at));
        const std::size_t equals = parameter.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string_view name = trim(parameter.substr(0, equals));
        constexpr std::string_view kName = "charset";
        const bool matches = std::equal(name.begin(), name.end(), kName.begin(), kName.end(),
                                        [](char a, char b) { return (a | 0x20) == b; });
        if (!matches) continue;
        std::string_view value = trim(parameter.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
            value = value.substr(1, value.size() - 2);
        return value;
    }
    return {};
}

}  // namespace millrace::text
