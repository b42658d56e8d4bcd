// What a search reads from the database: hits of the words, exact scores of the vectors, the passages to
// show.
#pragma once

#include "index/fusion.hpp"
#include "index/index.hpp"
#include "index/vector_table.hpp"
#include "index/versions.hpp"
#include "store/connection.hpp"

#include <string>
#include <unordered_map>
#include <vector>

namespace millrace::index {

/// The state of the index in the connection's snapshot.
Stamp read_stamp(store::Connection& database);

/// Live passages that match the words of `query`, best first, at most `count`: those with all the words, or
/// if these are fewer than `enough` those with any. The score, 0 to 1, is half that of the passage and half
/// that of its document as a whole, both by BM25: a passage says what is where, the document what it is
/// about.
std::vector<Ranked> keyword_ranking(store::Connection& database, const std::string& query,
                                    const std::string& category, std::size_t count, std::size_t enough);

/// `candidates` ranked anew by the inner product of `vector` and their stored vectors in full precision.
std::vector<Ranked> exact_ranking(store::Connection& database, const std::vector<Candidate>& candidates,
                                  const std::vector<float>& vector);

/// A version that is live at the start.
struct LiveVersion {
    std::int64_t id = 0;
    std::string model;
    std::string category;
    std::size_t chunks = 0;
};
std::vector<LiveVersion> read_live_versions(store::Connection& database);

/// Vectors of `version` from passage `first` on, at most `count`, quantised.
QuantizedRows read_vectors(store::Connection& database, std::int64_t version, std::size_t first,
                           std::size_t count);

/// The first `top` of `ranking` with their texts; of one document at most `chunks_per_document_max` (0: no
/// bound). Equal scores are ordered by document id and place in it.
std::vector<SearchHit> read_hits(store::Connection& database, const std::vector<Ranked>& ranking,
                                 std::size_t top, std::size_t chunks_per_document_max);

}  // namespace millrace::index
