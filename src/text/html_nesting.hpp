// How deep the elements of an HTML document nest, before it is parsed.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace::text {

/// About how deep the elements of `html` nest, from a look at its tags alone; linear. Elements that the next
/// of their kind ends (p, li, td, …) and void ones count for nothing, so a page that leaves them open is not
/// refused; in SVG and MathML, an element that closes itself counts for nothing. Meant to tell a hostile page
/// at once; the parser's own bounds hold for those that get by.
std::size_t nesting_of(std::string_view html) noexcept;

}  // namespace millrace::text
