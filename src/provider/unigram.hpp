// A unigram tokenizer in the manner of SentencePiece: the most probable cut of a text into pieces of a
// vocabulary. T. Kudo, "Subword Regularization", ACL 2018. Equal, quirks included, to the tokenizer that
// ships with Universal Sentence Encoder Lite (npm @energetic-ai/embeddings 0.2.0).
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// Immutable once loaded: safe to share between threads.
class Unigram {
  public:
    static constexpr std::int32_t kUnknown = 0;

    /// Reads a vocabulary: one piece a line, score, tab, piece (docs/local-model.md). The line number, from
    /// 0, is the piece's id; ids below 6 are reserved and never found in text. not_found: no such file;
    /// corrupt: a line is malformed, or there are fewer than 7 or more than 32,767.
    static Result<Unigram> load(const std::filesystem::path& path);

    /// The number of ids.
    std::size_t size() const noexcept { return scores_.size(); }

    /// The ids of the pieces of `text`, UTF-8; empty only for an empty text. What no piece covers is
    /// `kUnknown`, a run of it once; so are bytes that are no UTF-8. Time and memory are linear in the text.
    std::vector<std::int32_t> encode(std::string_view text) const;

  private:
    /// A prefix of a piece. Its children are a run of `edges_`, in the order of their bytes.
    struct Node {
        std::uint32_t edges_begin = 0;
        std::uint32_t edges_end = 0;
        std::int32_t piece = -1;  ///< the piece that ends here
    };
    struct Edge {
        unsigned char byte;
        std::uint32_t node;
    };
    /// The best way to reach a place in the text.
    struct Arrival {
        double score = 0;  ///< 0 also where nothing arrives
        std::uint32_t start = 0;
        std::int32_t piece = kUnknown;
    };
    struct Entry {
        std::string piece;
        std::int32_t id;
    };

    void build(std::vector<Entry> entries);
    const Edge* edge(const Node& node, unsigned char byte) const noexcept;
    void leave(std::string_view text, std::size_t start, std::size_t next,
               std::vector<Arrival>& arrivals) const;

    std::vector<Node> nodes_;
    std::vector<Edge> edges_;
    std::vector<double> scores_;
};

}  // namespace millrace::provider
