// UTF-8 as this layer needs it: decode, validate, encode, find borders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::text {

/// One code point of a text; `valid` is false for a byte that begins no well-formed sequence (then `length`
/// is 1).
struct CodePoint {
    std::uint32_t value;
    std::uint8_t length;  ///< bytes
    bool valid;
};

/// Decodes the code point that begins at `text[at]`; `at < text.size()`. Follows Unicode 15, table 3-7: no
/// overlong forms, no surrogates, nothing above U+10FFFF.
CodePoint decode_utf8(std::string_view text, std::size_t at) noexcept;

/// The offset of the first byte that is not part of well-formed UTF-8, or `npos`.
std::size_t find_invalid_utf8(std::string_view text) noexcept;
inline bool is_valid_utf8(std::string_view text) noexcept {
    return find_invalid_utf8(text) == std::string_view::npos;
}

/// Appends `code_point` (a Unicode scalar value) to `out`.
void append_utf8(std::string& out, std::uint32_t code_point);

/// The largest offset that is ≤ `at` and does not lie inside a code point.
std::size_t floor_utf8(std::string_view text, std::size_t at) noexcept;

/// At most `bytes_max` bytes of `text`, cut between code points.
inline std::string_view prefix_utf8(std::string_view text, std::size_t bytes_max) noexcept {
    return text.substr(0, floor_utf8(text, bytes_max));
}

/// `text` without the ASCII white space at both ends.
std::string_view trim(std::string_view text) noexcept;

inline bool is_ascii_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace millrace::text
