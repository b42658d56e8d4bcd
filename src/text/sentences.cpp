#include "text/sentences.hpp"

#include "text/utf8.hpp"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>

namespace millrace::text {
namespace {

/// Followed by white space it ends a sentence.
bool is_stop(std::uint32_t c) noexcept {
    return c == '.' || c == '!' || c == '?' || c == 0x2026 || c == 0x037E || c == 0x0589 || c == 0x061F ||
           c == 0x06D4 || c == 0x0964 || c == 0x0965 || c == 0x1362;
}

/// Ends a sentence by itself: scripts that set no spaces.
bool is_wide_stop(std::uint32_t c) noexcept {
    return c == 0x3002 || c == 0xFF01 || c == 0xFF1F || c == 0xFF61;
}

bool is_closer(std::uint32_t c) noexcept {
    return c == '"' || c == '\'' || c == ')' || c == ']' || c == '}' || c == 0xBB || c == 0x2019 ||
           c == 0x201D || c == 0x203A || c == 0x300D || c == 0x300F || c == 0xFF09 || c == 0x3011;
}

std::size_t skip_closers(std::string_view text, std::size_t at) noexcept {
    while (at < text.size()) {
        const CodePoint point = decode_utf8(text, at);
        if (!is_closer(point.value) && !is_stop(point.value) && !is_wide_stop(point.value)) break;
        at += point.length;
    }
    return at;
}

std::size_t skip_spaces(std::string_view text, std::size_t at) noexcept {
    while (at < text.size() && is_ascii_space(text[at])) ++at;
    return at;
}

bool is_abbreviation(std::string_view word) noexcept {
    static constexpr std::array<std::string_view, 32> kWords = {
        "Art", "Capt", "Col", "Dept", "Dr", "Eq",     "Eqs", "Fig", "Figs", "Gen",  "Gov",
        "Inc", "Jr",   "Lt",  "Ltd",  "Mr", "Mrs",    "Ms",  "No",  "Nos",  "Prof", "Rev",
        "Sec", "Sen",  "Sr",  "St",   "al", "approx", "cf",  "e.g", "i.e",  "vs"};
    static_assert(std::is_sorted(kWords.begin(), kWords.end()));
    return std::binary_search(kWords.begin(), kWords.end(), word);
}

/// True if the full stop at `stop` does not end the sentence that began at `from`.
bool is_inner_stop(std::string_view text, std::size_t from, std::size_t stop) noexcept {
    constexpr std::size_t kWordMax = 12;
    std::size_t begin = stop;
    while (begin > from && stop - begin < kWordMax && !is_ascii_space(text[begin - 1]) &&
           text[begin - 1] != '(')
        --begin;
    const std::string_view word = text.substr(begin, stop - begin);
    if (word.size() == 1 && word[0] >= 'A' && word[0] <= 'Z' && word[0] != 'I') return true;  // an initial
    const bool number = !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
    if (number && word.size() <= 3 && begin == skip_spaces(text, from)) return true;  // "12. An item"
    return is_abbreviation(word);
}

/// True if what follows a full stop may begin a sentence.
bool may_begin(std::string_view text, std::size_t at) noexcept {
    if (at >= text.size()) return true;
    return u_charType(static_cast<UChar32>(decode_utf8(text, at).value)) != U_LOWERCASE_LETTER;
}

bool begins_item(std::string_view line) noexcept {
    line = line.substr(std::min(skip_spaces(line, 0), line.size()));
    if (line.starts_with("- ") || line.starts_with("* ") || line.starts_with("+ ") ||
        line.starts_with("\u2022"))
        return true;
    const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
    return digits > 0 && digits <= 3 && digits + 1 < line.size() &&
           (line[digits] == '.' || line[digits] == ')') && line[digits + 1] == ' ';
}

/// True if the line end at `at` separates, false if it only wraps.
bool is_hard_line_end(std::string_view text, std::size_t from, std::size_t at) noexcept {
    constexpr std::size_t kLook = 300;
    if (at == 0 || at + 1 >= text.size()) return false;
    if (std::string_view(":;{}>").find(text[at - 1]) != std::string_view::npos) return true;
    const std::string_view below = text.substr(at + 1, kLook);
    const std::string_view next = below.substr(0, below.find('\n'));
    if (begins_item(next) || next.starts_with("    ") || next.starts_with('\t')) return true;
    const std::size_t begin = std::max(from, at > kLook ? at - kLook : 0);
    const std::size_t above = text.rfind('\n', at - 1);
    const std::size_t line_begin = above == std::string_view::npos ? begin : std::max(begin, above + 1);
    const std::string_view line = text.substr(line_begin, at - line_begin);
    return line.find(" | ") != std::string_view::npos || next.find(" | ") != std::string_view::npos;
}

}  // namespace

std::size_t sentence_end(std::string_view paragraph, std::size_t from) noexcept {
    for (std::size_t at = from; at < paragraph.size();) {
        const CodePoint point = decode_utf8(paragraph, at);
        const std::size_t next = at + point.length;
        if (point.value == '\n' && at > from && is_hard_line_end(paragraph, from, at)) return at;
        if (is_wide_stop(point.value)) return skip_closers(paragraph, next);
        if (is_stop(point.value)) {
            const std::size_t end = skip_closers(paragraph, next);
            const std::size_t after = skip_spaces(paragraph, end);
            const bool inner = point.value == '.' && end == next && is_inner_stop(paragraph, from, at);
            if (after > end && !inner && may_begin(paragraph, after)) return end;
            at = std::max(end, next);
            continue;
        }
        at = next;
    }
    return paragraph.size();
}

}  // namespace millrace::text
