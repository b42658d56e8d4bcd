// Is it UTF-8?
#pragma once

#include <string_view>

namespace millrace {

/// True if `text` is well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing cut off. Linear.
bool is_utf8(std::string_view text) noexcept;

}  // namespace millrace
