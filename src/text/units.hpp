// The smallest parts that chunks are put together from.
#pragma once

#include "text/chunk.hpp"

#include <cstddef>
#include <string_view>
#include <vector>

namespace millrace::text {

/// What a cut before a unit goes through; the higher the better the cut.
enum class Border { word, line, sentence, paragraph, section };

/// A sentence, or a part of one that is too long for a chunk. Units follow each other without a gap: white
/// space belongs to the unit behind it, as it does with tokens, so that counts add up.
struct Unit {
    std::size_t begin;  ///< where the white space before it begins
    std::size_t start;  ///< where its text begins
    std::size_t end;
    std::size_t tokens;
    Border before;
    bool is_heading;
};

/// Cuts all of the document's text into units of at most `options.tokens_max` tokens.
std::vector<Unit> find_units(const ExtractedText& document, const ChunkOptions& options);

/// The longest beginning of `text` that has at most `tokens_max` tokens and ends at a good place: a line end,
/// a space, or else between characters; at least one character. `tokens` is how many `text` has in all (to
/// guess from).
std::size_t fitting_prefix(std::string_view text, std::size_t tokens, std::size_t tokens_max,
                           const ChunkOptions& options);

/// Where a suffix of `text` begins that has at most `tokens_max` tokens and begins a word; `text.size()` if
/// none does.
std::size_t fitting_suffix(std::string_view text, std::size_t tokens, std::size_t tokens_max,
                           const ChunkOptions& options);

}  // namespace millrace::text
