// The second half of byte-pair encoding: merging the bytes of one piece into tokens.
#pragma once

#include "text/ranks.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace::text {

/// A token of a piece.
struct Token {
    std::uint32_t rank;
    std::uint32_t end;  ///< bytes from the beginning of the piece
};

/// Room that is used again from piece to piece; one per call of the counter.
struct MergeBuffers {
    struct Node {
        std::uint32_t begin, next, previous;
    };
    struct Candidate {
        std::uint32_t rank, left, end;
    };
    std::vector<Token> parts;
    std::vector<Node> nodes;
    std::vector<Candidate> heap;
    std::vector<Token> tokens;  ///< the result
};

/// Merges, lowest rank first and leftmost first among equals, until no two neighbours form a token of
/// `table`. `piece` is not empty and below 4 GiB. The tokens are in `buffers.tokens`.
void merge_piece(const RankTable& table, std::string_view piece, MergeBuffers& buffers);

}  // namespace millrace::text
