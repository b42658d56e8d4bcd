// Is it UTF-8? And its first characters.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace {

/// True if `text` is well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing cut off. Linear.
bool is_utf8(std::string_view text) noexcept;

/// The first `characters_max` characters (code points) of `text`, never a part of one; all of `text` if it
/// has no more. Linear.
std::string_view first_characters(std::string_view text, std::size_t characters_max) noexcept;

}  // namespace millrace
