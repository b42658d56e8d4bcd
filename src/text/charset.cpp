#include "text/charset.hpp"

#include "text/utf8.hpp"

#include <uchardet/uchardet.h>
#include <unicode/ucnv.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

namespace millrace::text {
namespace {

constexpr std::size_t kDetectBytes = 64 * 1024;
constexpr std::size_t kNameBytesMax = 64;

struct Mark {
    std::string_view bytes;
    const char* charset;
};
/// UTF-32LE before UTF-16LE, whose mark is the beginning of its own.
constexpr std::array kMarks = {
    Mark{{"\xEF\xBB\xBF", 3}, "UTF-8"},    Mark{{"\xFF\xFE\0\0", 4}, "UTF-32LE"},
    Mark{{"\0\0\xFE\xFF", 4}, "UTF-32BE"}, Mark{{"\xFF\xFE", 2}, "UTF-16LE"},
    Mark{{"\xFE\xFF", 2}, "UTF-16BE"},
};

struct Alias {
    std::string_view name;
    const char* means;
};
/// What senders call Latin-1 or ASCII is the superset windows-1252 (WHATWG Encoding, 4.2); the others are
/// names of uchardet that ICU does not know.
constexpr std::array kAliases = {
    Alias{"iso-8859-1", "windows-1252"},     Alias{"latin1", "windows-1252"},
    Alias{"us-ascii", "windows-1252"},       Alias{"ascii", "windows-1252"},
    Alias{"iso-8859-9", "windows-1254"},     Alias{"uhc", "windows-949"},
    Alias{"mac-cyrillic", "x-mac-cyrillic"}, Alias{"mac-centraleurope", "x-mac-centraleurroman"},
    Alias{"shift_jis", "windows-31j"},       Alias{"tis-620", "windows-874"},
};

struct CloseConverter {
    void operator()(UConverter* converter) const { ucnv_close(converter); }
};
struct CloseDetector {
    void operator()(uchardet_t detector) const { uchardet_delete(detector); }
};

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

Error binary() {
    return {Errc::corrupt, "the bytes are not text: NUL or control characters (a binary file?)"};
}

/// True if decoded text is not what a person writes: a NUL, or more than 1 in 50 control characters.
bool looks_binary(std::string_view text) {
    std::size_t controls = 0;
    for (const char c : text) {
        if (c == '\0') return true;
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && !is_ascii_space(c) && c != 0x1B) || byte == 0x7F) ++controls;
    }
    return controls > text.size() / 50 + 2;
}

/// Decodes by ICU. corrupt: more than 1 in 100 characters are not of that charset; not_found: ICU has none of
/// the name.
Result<std::string> convert(std::string_view bytes, std::string_view charset) {
    std::string name = lower(charset.substr(0, kNameBytesMax));
    for (const Alias& alias : kAliases) {
        if (alias.name == name) name = alias.means;
    }
    UErrorCode failed = U_ZERO_ERROR;
    const std::unique_ptr<UConverter, CloseConverter> converter(ucnv_open(name.c_str(), &failed));
    if (name.empty() || U_FAILURE(failed)) return Error{Errc::not_found, "unknown charset"};
    const icu::UnicodeString decoded(bytes.data(), static_cast<std::int32_t>(bytes.size()), converter.get(),
                                     failed);
    std::int32_t replaced = 0;
    for (std::int32_t i = 0; i < decoded.length(); ++i) replaced += decoded.charAt(i) == 0xFFFD ? 1 : 0;
    if (U_FAILURE(failed) || replaced > decoded.length() / 100 + 1) {
        return Error{Errc::corrupt, "the bytes are not text in the charset " + name};
    }
    std::string text;
    text.reserve(bytes.size());
    decoded.toUTF8String(text);
    return text;
}

/// UTF-16 without a mark: nearly every other byte of a text in a Latin script is NUL.
const char* detect_utf16(std::string_view bytes) {
    const std::string_view head = bytes.substr(0, 4096);
    std::array<std::size_t, 2> nuls{};
    for (std::size_t i = 0; i < head.size(); ++i) nuls[i % 2] += head[i] == '\0' ? 1 : 0;
    const std::size_t many = head.size() / 5, few = head.size() / 50;
    if (head.size() < 4 || bytes.size() % 2 != 0) return nullptr;
    if (nuls[1] > many && nuls[0] <= few) return "UTF-16LE";
    return nuls[0] > many && nuls[1] <= few ? "UTF-16BE" : nullptr;
}

std::string detect(std::string_view bytes) {
    const std::unique_ptr<std::remove_pointer_t<uchardet_t>, CloseDetector> detector(uchardet_new());
    const std::string_view head = bytes.substr(0, kDetectBytes);
    if (uchardet_handle_data(detector.get(), head.data(), head.size()) != 0) return {};
    uchardet_data_end(detector.get());
    return uchardet_get_charset(detector.get());
}

/// Decodes what is not UTF-8.
Result<std::string> decode(std::string_view bytes, std::string_view declared) {
    if (const char* const utf16 = detect_utf16(bytes)) return convert(bytes, utf16);
    if (bytes.find('\0') != std::string_view::npos && !lower(declared).starts_with("utf-")) return binary();
    std::array<std::string, 3> candidates = {lower(declared), detect(bytes), "windows-1252"};
    if (candidates[0].starts_with("utf-8") || candidates[0] == "utf8") candidates[0].clear();
    for (const std::string& candidate : candidates) {
        if (candidate.empty()) continue;
        auto text = convert(bytes, candidate);
        if (text) return text;
    }
    return Error{Errc::corrupt, "the bytes are neither UTF-8 nor text in another known charset"};
}

bool is_ascii(std::string_view bytes) {
    return std::none_of(bytes.begin(), bytes.end(), [](char c) { return (c & 0x80) != 0; });
}

Result<std::string> to_utf8_unchecked(std::string_view bytes, std::string_view declared) {
    for (const Mark& mark : kMarks) {
        if (!bytes.starts_with(mark.bytes)) continue;
        const std::string_view rest = bytes.substr(mark.bytes.size());
        if (mark.charset == kMarks[0].charset && is_valid_utf8(rest)) return std::string(rest);
        return convert(rest, mark.charset);
    }
    if (!is_valid_utf8(bytes)) return decode(bytes, declared);
    if (!is_ascii(bytes)) return std::string(bytes);
    // ASCII bytes can still be UTF-16, or ISO-2022 with its escapes.
    if (const char* const utf16 = detect_utf16(bytes)) return convert(bytes, utf16);
    if (bytes.find('\x1B') == std::string_view::npos) return std::string(bytes);
    auto text = convert(bytes, declared.empty() ? std::string_view(detect(bytes)) : declared);
    return text ? std::move(*text) : std::string(bytes);
}

}  // namespace

Result<std::string> to_utf8(std::string_view bytes, std::string_view declared) {
    auto text = to_utf8_unchecked(bytes, declared);
    if (text && looks_binary(*text)) return binary();
    return text;
}

std::string_view declared_in_html(std::string_view bytes) noexcept {
    const std::string_view head = bytes.substr(0, 4096);
    const auto is_name = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == ':';
    };
    for (const std::string_view key : {std::string_view("charset"), std::string_view("encoding")}) {
        std::size_t at = 0;
        while ((at = head.find(key, at)) != std::string_view::npos) {
            at += key.size();
            std::size_t begin = at;
            while (begin < head.size() && is_ascii_space(head[begin])) ++begin;
            if (begin == head.size() || head[begin] != '=') continue;
            for (++begin; begin < head.size() &&
                          (is_ascii_space(head[begin]) || head[begin] == '"' || head[begin] == '\'');) {
                ++begin;
            }
            std::size_t end = begin;
            while (end < head.size() && is_name(head[end])) ++end;
            if (end > begin) return head.substr(begin, end - begin);
        }
    }
    return {};
}

}  // namespace millrace::text
