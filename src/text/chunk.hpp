// Cutting a text into passages that are embedded and searched one by one.
#pragma once

#include "text/extract.hpp"
#include "text/tokens.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::text {

/// A passage, and its place in the document.
struct Chunk {
    std::string text;     ///< bytes `begin` to `end` of the document's text
    std::size_t begin;
    std::size_t end;
    std::size_t tokens;   ///< of `text`
    std::string heading;  ///< that of its section; of several sections, what their headings have in common
    int page;             ///< on which it begins, from 1; 0 if the document has no pages
};

struct ChunkOptions {
    std::size_t tokens_max = 512;     ///< at least `kChunkTokensMin`; less is taken as that
    std::size_t overlap_tokens = 64;  ///< repeated from the chunk before; at most half of `tokens_max`
    /// Counts the tokens of any part of the text; called on the calling thread, several times over the text.
    std::function<std::size_t(std::string_view)> count_tokens = [](std::string_view text) {
        return estimate_tokens(text);
    };
};
inline constexpr std::size_t kChunkTokensMin = 16;

/// Options that count by `counter`, and keep it alive.
ChunkOptions chunk_options(std::shared_ptr<const TokenCounter> counter, std::size_t tokens_max,
                           std::size_t overlap_tokens);

/// Cuts `document` into chunks that together hold all of its text but white space, in order. No chunk has
/// more than `tokens_max` tokens (unless `count_tokens` finds more than that in a single character). Cuts are
/// made, by preference, before a heading, between paragraphs, sentences, lines, words, and else between
/// characters; a new section begins a new chunk unless the present one is tiny (under a quarter of
/// `tokens_max`). Overlap is of whole sentences where one fits, and never reaches over a heading. The same
/// input gives the same chunks. Linear in the text. Any thread.
std::vector<Chunk> split(const ExtractedText& document, const ChunkOptions& options);

}  // namespace millrace::text
