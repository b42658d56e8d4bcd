// From what a person typed to a full-text query that cannot be malformed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::index {

/// Words of one query that are looked up at most: each costs time by the number of passages that have it.
inline constexpr std::size_t kQueryWordsMax = 32;

/// The distinct words of `query` that carry meaning, in order, ASCII in lower case: runs of ASCII letters,
/// digits and non-ASCII bytes. English stop words are dropped unless there is nothing else, and of too many
/// the shortest, for long words are the rarer ones. Takes any bytes.
std::vector<std::string> query_words(std::string_view query);

/// An FTS5 expression, in quotes where needed, that matches rows with all (`all`) or any of `words`; empty
/// for none.
std::string match_expression(const std::vector<std::string>& words, bool all);

}  // namespace millrace::index
