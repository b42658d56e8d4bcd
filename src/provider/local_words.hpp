// A text as the local tasks see it: well-formed, in sentences, in words.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// `text` with every byte that is no UTF-8 replaced by U+FFFD.
std::string well_formed(std::string_view text);

/// `text` with every run of white space as one space, and none at its ends.
std::string one_spaced(std::string_view text);

struct Sentence {
    std::string_view text;      ///< trimmed, not empty; points into the text given
    bool opens_paragraph = false;
};

/// The sentences of well-formed `text`. What goes on without an end is cut every few hundred bytes, between
/// words where there are any. Linear.
std::vector<Sentence> sentences_of(std::string_view text);

/// Calls `visit` with each word of `text` that tells something, folded: no stop words, no single letters,
/// English plurals as their singular; of a script without spaces every two neighbouring characters.
void for_each_term(std::string_view text, const std::function<void(std::string_view term)>& visit);

}  // namespace millrace::provider
