#include "provider/local_summary.hpp"

#include "provider/local_words.hpp"
#include "text/tokens.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>

namespace millrace::provider {

namespace {

constexpr std::size_t kSummarySentencesMax = 4;
constexpr std::size_t kKeyPointsMax = 5;
constexpr std::size_t kCandidatesMax = 48;
constexpr std::size_t kSentencesPerPick = 5;   ///< a summary is about a fifth of a short text
constexpr std::size_t kTermsMin = 4;           ///< shorter sentences say little by themselves
constexpr std::size_t kTermsMax = 40;
constexpr double kFirstBonus = 0.35;
constexpr double kOpeningBonus = 0.08;
constexpr double kRepeatPenalty = 0.8;
constexpr std::size_t kBytesPerToken = 3;

/// A sentence as a set of weighted terms.
struct Scored {
    std::vector<std::uint32_t> terms;   ///< distinct, ascending
    double length = 0;                  ///< of the weighted vector
    double score = 0;
};

class Ranking {
  public:
    explicit Ranking(std::string_view text) : sentences(sentences_of(text)), scored_(sentences.size()) {
        count_terms();
        weigh_terms();
        for (std::size_t i = 0; i < scored_.size(); ++i) scored_[i].score = score_of(i);
    }

    /// Sentences by what each adds to those before it, best first, at most `count`.
    std::vector<std::size_t> pick(std::size_t count) const {
        std::vector<std::size_t> left = candidates();
        std::vector<std::size_t> picked;
        std::vector<double> repeats(left.size());
        while (picked.size() < count && !left.empty()) {
            std::size_t best = 0;
            for (std::size_t i = 1; i < left.size(); ++i) {
                if (gain(left[i], repeats[i]) > gain(left[best], repeats[best])) best = i;
            }
            const std::size_t one = left[best];
            picked.push_back(one);
            left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
            repeats.erase(repeats.begin() + static_cast<std::ptrdiff_t>(best));
            for (std::size_t i = 0; i < left.size(); ++i)
                repeats[i] = std::max(repeats[i], closeness(scored_[left[i]], scored_[one]));
        }
        return picked;
    }

    std::vector<Sentence> sentences;

  private:
    void count_terms() {
        std::unordered_map<std::string, std::uint32_t> ids;
        for (std::size_t i = 0; i < sentences.size(); ++i) {
            auto& terms = scored_[i].terms;
            for_each_term(sentences[i].text, [&](std::string_view term) {
                terms.push_back(ids.try_emplace(std::string(term), ids.size()).first->second);
            });
            std::ranges::sort(terms);
            terms.erase(std::ranges::unique(terms).begin(), terms.end());
        }
        weights_.resize(ids.size());
    }

    void weigh_terms() {
        std::vector<double> holders(weights_.size());
        for (const Scored& one : scored_)
            for (const std::uint32_t term : one.terms) holders[term] += 1;
        const double all = static_cast<double>(scored_.size());
        centre_.resize(weights_.size());
        double square = 0;
        for (std::size_t term = 0; term < weights_.size(); ++term) {
            weights_[term] = std::log(1 + all / holders[term]);
            centre_[term] = holders[term] * weights_[term];
            square += centre_[term] * centre_[term];
        }
        centre_length_ = std::sqrt(square);
        for (Scored& one : scored_) {
            double sum = 0;
            for (const std::uint32_t term : one.terms) sum += weights_[term] * weights_[term];
            one.length = std::sqrt(sum);
        }
    }

    double score_of(std::size_t index) const {
        const Scored& one = scored_[index];
        if (one.terms.empty() || centre_length_ == 0) return 0;
        double product = 0;
        for (const std::uint32_t term : one.terms) product += weights_[term] * centre_[term];
        double score = product / (one.length * centre_length_);
        score *= 1 + kFirstBonus / static_cast<double>(1 + index);
        if (sentences[index].opens_paragraph) score *= 1 + kOpeningBonus;
        if (one.terms.size() < kTermsMin) score *= 0.4;
        if (one.terms.size() > kTermsMax) score *= 0.7;
        // Headings and list items stop without a stop.
        const char last = sentences[index].text.back();
        const bool stops = static_cast<signed char>(last) < 0 ||
                           std::string_view(".!?\")'").find(last) != std::string_view::npos;
        return stops ? score : score * 0.6;
    }

    std::vector<std::size_t> candidates() const {
        std::vector<std::size_t> all(scored_.size());
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
        const auto better = [&](std::size_t a, std::size_t b) {
            return scored_[a].score != scored_[b].score ? scored_[a].score > scored_[b].score : a < b;
        };
        const std::size_t count = std::min(all.size(), kCandidatesMax);
        std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(), better);
        all.resize(count);
        return all;
    }

    double gain(std::size_t index, double repeat) const {
        return scored_[index].score * (1 - kRepeatPenalty * repeat);
    }

    double closeness(const Scored& a, const Scored& b) const {
        if (a.length == 0 || b.length == 0) return 0;
        double product = 0;
        for (auto i = a.terms.begin(), j = b.terms.begin(); i != a.terms.end() && j != b.terms.end();) {
            if (*i == *j) product += weights_[*i] * weights_[*i];
            const bool left = *i <= *j;
            const bool right = *j <= *i;
            i += left;
            j += right;
        }
        return product / (a.length * b.length);
    }

    std::vector<Scored> scored_;
    std::vector<double> weights_;
    std::vector<double> centre_;
    double centre_length_ = 0;
};

}  // namespace

ExtractedSummary extract_summary(std::string_view text, std::size_t tokens_max) {
    const Ranking ranking(text);
    const std::size_t count = ranking.sentences.size();
    const std::size_t wanted = std::clamp((count + kSentencesPerPick - 1) / kSentencesPerPick,
                                          std::min<std::size_t>(count, 2), kSummarySentencesMax);
    const std::vector<std::size_t> picked = ranking.pick(std::max(wanted, kKeyPointsMax));
    std::vector<std::size_t> of_summary;
    std::size_t tokens = 0;
    for (const std::size_t index : picked) {
        if (of_summary.size() == wanted) break;
        tokens += text::estimate_tokens(ranking.sentences[index].text) + 1;
        if (tokens_max > 0 && tokens > tokens_max && !of_summary.empty()) break;
        of_summary.push_back(index);
    }
    std::ranges::sort(of_summary);
    ExtractedSummary result;
    for (const std::size_t index : of_summary) {
        if (!result.summary.empty()) result.summary += ' ';
        result.summary += one_spaced(ranking.sentences[index].text);
    }
    if (tokens_max > 0 && text::estimate_tokens(result.summary) > tokens_max)
        result.summary.resize(text::floor_utf8(result.summary, tokens_max * kBytesPerToken));
    std::vector<std::size_t> points(
        picked.begin(), picked.begin() + static_cast<std::ptrdiff_t>(std::min(picked.size(), kKeyPointsMax)));
    std::ranges::sort(points);
    for (const std::size_t index : points)
        result.key_points.push_back(one_spaced(ranking.sentences[index].text));
    return result;
}

}  // namespace millrace::provider
