#include "provider/local_sentiment.hpp"

#include "provider/feature_hash_words.hpp"
#include "provider/local_lexicons.hpp"
#include "provider/local_words.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

namespace millrace::provider {

namespace {

constexpr std::size_t kSentencesMax = 20;
constexpr std::size_t kNegationReach = 3;   ///< words behind a negation that it turns
constexpr double kTurn = -0.74;             ///< "not good" is less bad than "bad"
constexpr double kNormaliser = 15;          ///< score = s / sqrt(s² + 15), as lexicon methods squeeze sums
constexpr double kNeutralBelow = 0.1;
constexpr double kMixedShare = 0.25;
constexpr double kMixedBelow = 0.35;
constexpr double kBeforeBut = 0.5;
constexpr double kAfterBut = 1.3;

std::string_view name_of(double score) {
    if (score >= kNeutralBelow) return "positive";
    return score <= -kNeutralBelow ? "negative" : "neutral";
}

double rounded(double score) { return std::round(score * 1e4) / 1e4; }

/// Reads one sentence word by word.
class Mood {
  public:
    void read(std::string_view word) {
        since_negation_ += 1;
        if (is_contrast(word)) {
            sum_ *= kBeforeBut;
            factor_ = kAfterBut;
        }
        // "can't" and "isn't" arrive as "can", "t"; some write them in one.
        if (is_negation(word) || (word == "t" && previous_.ends_with('n') && previous_ != "in")) {
            since_negation_ = 0;
            previous_ = word;
            return;
        }
        const double strength = strength_of_word(word);
        if (strength != 0) {
            strength_ = strength;
            previous_ = word;
            return;
        }
        double mood = mood_of_word(word);
        if (mood != 0) {
            mood *= strength_ * factor_;
            if (since_negation_ <= kNegationReach) mood *= kTurn;
            sum_ += mood;
        }
        strength_ = 1;
        previous_ = word;
    }

    void add(double mood) { sum_ += mood; }

    double score(std::size_t exclamations) const {
        if (sum_ == 0) return 0;
        const double shouted = 0.3 * static_cast<double>(std::min<std::size_t>(exclamations, 3));
        const double sum = sum_ + (sum_ > 0 ? shouted : -shouted);
        return sum / std::sqrt(sum * sum + kNormaliser);
    }

  private:
    double sum_ = 0;
    double factor_ = 1;
    double strength_ = 1;
    std::size_t since_negation_ = kNegationReach + 1;
    std::string previous_;
};

double score_of(std::string_view sentence) {
    std::string folded;
    fold_case(sentence, folded);
    Mood mood;
    for_each_word(folded, [&](std::string_view word, bool) { mood.read(word); });
    for (const auto& [sign, value] : signs_with_mood()) {
        for (std::size_t at = sentence.find(sign); at != std::string_view::npos;
             at = sentence.find(sign, at + sign.size()))
            mood.add(value);
    }
    return mood.score(static_cast<std::size_t>(std::ranges::count(sentence, '!')));
}

/// Leaves the `count` strongest, in their order.
void keep_strongest(std::vector<SentenceSentiment>& sentences, std::size_t count) {
    if (sentences.size() <= count) return;
    std::vector<double> strengths;
    for (const SentenceSentiment& one : sentences) strengths.push_back(std::abs(one.score));
    const auto nth = strengths.begin() + static_cast<std::ptrdiff_t>(count - 1);
    std::nth_element(strengths.begin(), nth, strengths.end(), std::greater<>());
    const double border = *nth;
    auto above = static_cast<std::size_t>(std::ranges::count_if(
        sentences, [&](const SentenceSentiment& one) { return std::abs(one.score) > border; }));
    std::erase_if(sentences, [&](const SentenceSentiment& one) {
        if (std::abs(one.score) > border) return false;
        return std::abs(one.score) < border || above++ >= count;
    });
}

}  // namespace

TextSentiment judge_sentiment(std::string_view text) {
    TextSentiment result;
    double sum = 0;
    double positive = 0, negative = 0;
    std::vector<SentenceSentiment> sentences;
    for (const Sentence& sentence : sentences_of(text)) {
        const double score = rounded(score_of(sentence.text));
        (score > 0 ? positive : negative) += std::abs(score) >= kNeutralBelow ? 1 : 0;
        sum += score;
        sentences.push_back({std::string(sentence.text), name_of(score), score});
        // Memory stays small, whatever the text's length.
        if (sentences.size() >= 64 * kSentencesMax) keep_strongest(sentences, kSentencesMax);
    }
    keep_strongest(sentences, kSentencesMax);
    for (SentenceSentiment& one : sentences) one.text = one_spaced(one.text);
    result.sentences = std::move(sentences);
    const double moody = positive + negative;
    if (moody == 0) return result;
    result.score = rounded(std::clamp(sum / moody, -1.0, 1.0));
    const bool both = std::min(positive, negative) / moody >= kMixedShare;
    result.sentiment = both && std::abs(result.score) < kMixedBelow ? "mixed" : name_of(result.score);
    return result;
}

}  // namespace millrace::provider
