// From bytes in any charset to UTF-8.
#pragma once

#include "base/error.hpp"

#include <string>
#include <string_view>

namespace millrace::text {

/// Decodes `bytes`. The charset is, in this order: that of a byte order mark; UTF-8 if the bytes are
/// well-formed UTF-8 beyond ASCII; `declared` (an IANA name, as a sender or the document gives it; may be
/// empty or wrong); UTF-16 without a mark; what uchardet makes of the first 64 KiB; windows-1252. corrupt:
/// the bytes hold NULs or many control characters (a binary file), or fit no charset.
Result<std::string> to_utf8(std::string_view bytes, std::string_view declared);

/// What an HTML document declares of itself near its beginning, by `<meta charset>`, `<meta http-equiv>` or
/// an XML declaration; empty if nothing (WHATWG HTML, 13.2.3.2, with a window of 4 KiB).
std::string_view declared_in_html(std::string_view bytes) noexcept;

}  // namespace millrace::text
