// How a keyword ranking and a vector ranking become one. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace millrace::index {

/// Hits of a ranking that take part in a fusion.
inline constexpr std::size_t kFusionDepth = 100;

/// One place of a ranking; `id` names the passage.
struct Ranked {
    std::int64_t id = 0;
    double score = 0;
};

/// Weighted sum of both rankings' scores, each brought to 0…1 by its own least and greatest score among its
/// first `depth` (1 where all are equal); a passage that a ranking lacks has 0 there. `keyword_weight` from 0
/// to 1; the vector ranking has the rest. Both are given best first. Answers best first, equal scores by id.
std::vector<Ranked> fuse_scores(std::span<const Ranked> keyword, std::span<const Ranked> vector,
                                double keyword_weight, std::size_t depth = kFusionDepth);

/// Weighted reciprocal rank fusion: a passage at place r (from 1) of a ranking gains weight / (60 + r). The
/// constant 60 is that of Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion", SIGIR 2009. Otherwise as
/// above.
std::vector<Ranked> fuse_ranks(std::span<const Ranked> keyword, std::span<const Ranked> vector,
                               double keyword_weight, std::size_t depth = kFusionDepth);

/// The ranking of passages with the scores of their documents taken in: (1 − share) · passage + share ·
/// document, each brought to 0…1 as above, where a document that isn't among `documents` (ids: versions) has
/// 0. `version_of` has every passage.
std::vector<Ranked> add_document_scores(std::span<const Ranked> passages, std::span<const Ranked> documents,
                                        const std::unordered_map<std::int64_t, std::int64_t>& version_of,
                                        double share);

}  // namespace millrace::index
