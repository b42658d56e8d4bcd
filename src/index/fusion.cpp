#include "index/fusion.hpp"

#include <algorithm>
#include <unordered_map>

namespace millrace::index {

namespace {

using Scores = std::unordered_map<std::int64_t, double>;

void add_scores(Scores& sum, std::span<const Ranked> ranking, double weight) {
    if (ranking.empty()) return;
    const double least = ranking.back().score;
    const double range = ranking.front().score - least;
    for (const Ranked& hit : ranking) sum[hit.id] += weight * (range > 0 ? (hit.score - least) / range : 1);
}

void add_ranks(Scores& sum, std::span<const Ranked> ranking, double weight) {
    constexpr double kConstant = 60;
    double place = 1;
    for (const Ranked& hit : ranking) sum[hit.id] += weight / (kConstant + place++);
}

std::vector<Ranked> sorted(const Scores& sum) {
    std::vector<Ranked> fused;
    fused.reserve(sum.size());
    for (const auto& [id, score] : sum) fused.push_back({id, score});
    std::sort(fused.begin(), fused.end(), [](const Ranked& a, const Ranked& b) {
        return a.score != b.score ? a.score > b.score : a.id < b.id;
    });
    return fused;
}

}  // namespace

std::vector<Ranked> fuse_scores(std::span<const Ranked> keyword, std::span<const Ranked> vector,
                                double keyword_weight, std::size_t depth) {
    Scores sum;
    add_scores(sum, keyword.first(std::min(depth, keyword.size())), keyword_weight);
    add_scores(sum, vector.first(std::min(depth, vector.size())), 1 - keyword_weight);
    return sorted(sum);
}

std::vector<Ranked> fuse_ranks(std::span<const Ranked> keyword, std::span<const Ranked> vector,
                               double keyword_weight, std::size_t depth) {
    Scores sum;
    add_ranks(sum, keyword.first(std::min(depth, keyword.size())), keyword_weight);
    add_ranks(sum, vector.first(std::min(depth, vector.size())), 1 - keyword_weight);
    return sorted(sum);
}

std::vector<Ranked> add_document_scores(std::span<const Ranked> passages, std::span<const Ranked> documents,
                                        const std::unordered_map<std::int64_t, std::int64_t>& version_of,
                                        double share) {
    Scores of_passages;
    Scores of_documents;
    add_scores(of_passages, passages, 1 - share);
    add_scores(of_documents, documents, share);
    for (auto& [passage, score] : of_passages) {
        const auto document = of_documents.find(version_of.at(passage));
        if (document != of_documents.end()) score += document->second;
    }
    return sorted(of_passages);
}

}  // namespace millrace::index
