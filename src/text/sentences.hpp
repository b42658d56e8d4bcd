// Where sentences end.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace::text {

/// The end of the sentence of `paragraph` that begins at `from`: behind its full stop and closing quotes,
/// before the white space after it; `paragraph.size()` if no other follows. A line end ends a sentence where
/// the layout says so (list items, table rows, code, a colon), not where prose is merely wrapped. Knows the
/// marks of Latin, Greek, Cyrillic, Arabic, Armenian, Devanagari, Ethiopic, Chinese and Japanese; a few
/// frequent English abbreviations, initials and numbers are not taken for ends. Linear: reads up to the end
/// it returns and a little beyond.
std::size_t sentence_end(std::string_view paragraph, std::size_t from) noexcept;

}  // namespace millrace::text
