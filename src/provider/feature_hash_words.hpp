// The words of a text, as the feature hash sees them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace millrace::provider {

/// Writes `text` to `folded` in lower case with compatible characters unified (Unicode NFKC_Casefold). Bytes
/// that are no UTF-8 become U+FFFD. Throws std::runtime_error if ICU's data is missing.
void fold_case(std::string_view text, std::string& folded);

/// True for the words of English that tell nothing about a text. `word` is in lower case.
bool is_stop_word(std::string_view word);

/// Called with a word and whether its script writes no spaces between words, so that it may be a whole
/// sentence.
using WordVisitor = std::function<void(std::string_view word, bool ideographic)>;

/// Calls `visit` with every longest run of letters, marks and digits in `folded`. A change between a script
/// without spaces (Han, Kana, Thai, …) and another ends a word.
void for_each_word(std::string_view folded, const WordVisitor& visit);

}  // namespace millrace::provider
