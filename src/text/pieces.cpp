#include "text/pieces.hpp"

#include "text/utf8.hpp"

#include <unicode/uchar.h>

#include <array>
#include <cstdint>

namespace millrace::text {
namespace {

enum Class : std::uint8_t {
    kUpper = 1,        ///< Lu Lt
    kLower = 2,        ///< Ll
    kOtherLetter = 4,  ///< Lm Lo
    kMark = 8,         ///< M
    kNumber = 16,      ///< N
    kSpace = 32,       ///< White_Space, line ends included
    kLineEnd = 64,     ///< CR, LF
};
constexpr std::uint8_t kLetter = kUpper | kLower | kOtherLetter;
constexpr std::uint8_t kWordHead = kUpper | kOtherLetter | kMark;  ///< U of the pattern
constexpr std::uint8_t kWordTail = kLower | kOtherLetter | kMark;  ///< L of the pattern

std::uint8_t classify(std::uint32_t code_point) {
    const std::uint32_t mask = U_MASK(u_charType(static_cast<UChar32>(code_point)));
    std::uint8_t result = 0;
    if (mask & (U_GC_LU_MASK | U_GC_LT_MASK)) result |= kUpper;
    if (mask & U_GC_LL_MASK) result |= kLower;
    if (mask & (U_GC_LM_MASK | U_GC_LO_MASK)) result |= kOtherLetter;
    if (mask & U_GC_M_MASK) result |= kMark;
    if (mask & U_GC_N_MASK) result |= kNumber;
    if (u_isUWhiteSpace(static_cast<UChar32>(code_point))) result |= kSpace;
    if (code_point == '\r' || code_point == '\n') result |= kLineEnd;
    return result;
}

std::array<std::uint8_t, 128> make_ascii_classes() {
    std::array<std::uint8_t, 128> classes{};
    for (std::uint32_t c = 0; c < classes.size(); ++c) classes[c] = classify(c);
    return classes;
}

const std::array<std::uint8_t, 128> kAscii = make_ascii_classes();

/// One character of the text, or, with `length` 0, its end.
struct Symbol {
    std::uint8_t classes = 0;
    std::uint8_t length = 0;
    bool is(std::uint8_t any_of) const { return (classes & any_of) != 0; }
    bool is_end() const { return length == 0; }
    /// `[^\s\p{L}\p{N}]`
    bool is_sign() const { return !is_end() && !is(kSpace | kLetter | kNumber); }
    /// `[^\r\n\p{L}\p{N}]`
    bool may_precede_word() const { return !is_end() && !is(kLineEnd | kLetter | kNumber); }
};

Symbol symbol_at(std::string_view text, std::size_t at) {
    if (at >= text.size()) return {};
    const auto first = static_cast<std::uint8_t>(text[at]);
    if (first < 0x80) return {kAscii[first], 1};
    const CodePoint point = decode_utf8(text, at);
    return {point.valid ? classify(point.value) : std::uint8_t{0}, point.length};
}

/// Skips what belongs to one of `classes`; not past `count_max` characters.
std::size_t skip(std::string_view text, std::size_t at, std::uint8_t classes,
                 std::size_t count_max = SIZE_MAX) {
    for (; count_max > 0; --count_max) {
        const Symbol symbol = symbol_at(text, at);
        if (!symbol.is(classes)) break;
        at += symbol.length;
    }
    return at;
}

/// `'(?i:s|t|re|ve|m|ll|d)` at `at`: its end, or `at` if it is not there.
std::size_t skip_contraction(std::string_view text, std::size_t at) {
    if (at + 1 >= text.size() || text[at] != '\'') return at;
    // U+017F, the long s, folds to s.
    if (text.substr(at + 1, 2) == "\u017F") return at + 3;
    const auto lower = [&](std::size_t i) {
        return i < text.size() ? static_cast<char>(text[i] | 0x20) : '\0';
    };
    const char a = lower(at + 1), b = lower(at + 2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    if ((a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e')) return at + 3;
    return at;
}

/// ` ?[^\s\p{L}\p{N}]+[\r\n]*`, or `[\r\n/]*` at its end: the end, or `begin` if it is not there.
std::size_t skip_signs(std::string_view text, std::size_t begin, bool slashes_follow) {
    std::size_t at = begin + (text[begin] == ' ' ? 1 : 0);
    Symbol symbol = symbol_at(text, at);
    if (!symbol.is_sign()) return begin;
    while (symbol.is_sign()) {
        at += symbol.length;
        symbol = symbol_at(text, at);
    }
    while (at < text.size() && (text[at] == '\r' || text[at] == '\n' || (slashes_follow && text[at] == '/')))
        ++at;
    return at;
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`; white space begins at `begin`.
std::size_t skip_spaces(std::string_view text, std::size_t begin) {
    std::size_t at = begin, last = begin, after_line_end = begin;
    for (Symbol symbol = symbol_at(text, at); symbol.is(kSpace); symbol = symbol_at(text, at)) {
        last = at;
        at += symbol.length;
        if (symbol.is(kLineEnd)) after_line_end = at;
    }
    if (after_line_end > begin) return after_line_end;
    if (at == text.size() || last == begin) return at;
    return last;  // the last space goes to the word after it
}

/// `U*L+` of o200k from `begin`: its end, or `begin`. A greedy U* takes the characters that are in both
/// classes and gives the last of them back when no L follows.
std::size_t skip_mixed_word(std::string_view text, std::size_t begin) {
    std::size_t at = begin, after_last_shared = begin;
    for (Symbol symbol = symbol_at(text, at); symbol.is(kWordHead); symbol = symbol_at(text, at)) {
        at += symbol.length;
        if (symbol.is(kWordTail)) after_last_shared = at;
    }
    const std::size_t end = skip(text, at, kWordTail);
    return end > at ? end : after_last_shared;
}

/// `U+L*` of o200k from `begin`: its end, or `begin`.
std::size_t skip_upper_word(std::string_view text, std::size_t begin) {
    const std::size_t at = skip(text, begin, kWordHead);
    return at == begin ? begin : skip(text, at, kWordTail);
}

/// Both alternatives for a word of o200k in the order of the pattern: each first with, then without the sign
/// before it.
std::size_t skip_o200k_word(std::string_view text, std::size_t begin, Symbol first) {
    const std::size_t after_sign = begin + first.length;
    for (const auto skip_word : {skip_mixed_word, skip_upper_word}) {
        if (first.may_precede_word()) {
            const std::size_t end = skip_word(text, after_sign);
            if (end > after_sign) return skip_contraction(text, end);
        }
        const std::size_t end = skip_word(text, begin);
        if (end > begin) return skip_contraction(text, end);
    }
    return begin;
}

}  // namespace

std::size_t scan_cl100k(std::string_view text, std::size_t begin) {
    if (const std::size_t end = skip_contraction(text, begin); end > begin) return end;
    const Symbol first = symbol_at(text, begin);
    if (first.is(kLetter)) return skip(text, begin, kLetter);
    const std::size_t next = begin + first.length;
    if (first.may_precede_word() && symbol_at(text, next).is(kLetter)) return skip(text, next, kLetter);
    if (first.is(kNumber)) return skip(text, begin, kNumber, 3);
    if (const std::size_t end = skip_signs(text, begin, false); end > begin) return end;
    return skip_spaces(text, begin);
}

std::size_t scan_o200k(std::string_view text, std::size_t begin) {
    const Symbol first = symbol_at(text, begin);
    if (const std::size_t end = skip_o200k_word(text, begin, first); end > begin) return end;
    if (first.is(kNumber)) return skip(text, begin, kNumber, 3);
    if (const std::size_t end = skip_signs(text, begin, true); end > begin) return end;
    return skip_spaces(text, begin);
}

}  // namespace millrace::text
