#include "provider/local_classify.hpp"

#include "provider/local_sentiment.hpp"
#include "provider/local_words.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace millrace::provider {

namespace {

constexpr std::size_t kPartsMax = 4;
constexpr std::size_t kPartBytes = 480;
constexpr double kWordsWeight = 0.35;
constexpr double kMoodWeight = 0.4;
constexpr double kTemperature = 0.08;   ///< how much better a label has to be to win clearly

double closeness(const std::vector<float>& a, const std::vector<float>& b) {
    double product = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        product += static_cast<double>(a[i]) * b[i];
    return product;
}

/// Half of the best part, half of all: a text is about what one of its parts is about, and its whole.
double closeness_to_parts(std::span<const std::vector<float>> parts, const std::vector<float>& label) {
    if (parts.empty()) return 0;
    double best = -1, sum = 0;
    for (const auto& part : parts) {
        const double one = closeness(part, label);
        best = std::max(best, one);
        sum += one;
    }
    return (best + sum / static_cast<double>(parts.size())) / 2;
}

/// The share of the label's words that the text holds.
double shared_words(const std::unordered_set<std::string>& terms, const std::string& label) {
    std::size_t all = 0, shared = 0;
    for_each_term(label, [&](std::string_view term) {
        all += 1;
        shared += terms.contains(std::string(term));
    });
    return all == 0 ? 0 : static_cast<double>(shared) / static_cast<double>(all);
}

/// -1 to 1: the mood that the label itself names.
double mood_of_label(const std::string& label) {
    if (label == "negative") return -1;
    if (label == "positive") return 1;
    double mood = 0;
    for_each_term(label, [&](std::string_view term) { mood += mood_of_word(term); });
    return std::clamp(mood / 4, -1.0, 1.0);
}

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

}  // namespace

std::vector<std::string> parts_to_embed(std::string_view text) {
    std::vector<std::string> parts;
    const std::size_t count = std::clamp<std::size_t>(text.size() / kPartBytes, 1, kPartsMax);
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t begin = text::floor_utf8(text, i * (text.size() / count));
        std::string part = one_spaced(text::prefix_utf8(text.substr(begin), kPartBytes));
        if (!part.empty()) parts.push_back(std::move(part));
    }
    return parts;
}

std::string label_as_words(std::string_view label) {
    std::string words;
    for (std::size_t i = 0; i < label.size(); ++i) {
        const char c = label[i];
        if (i > 0 && is_upper(c) && is_lower(label[i - 1])) words += ' ';
        words += c == '_' || c == '-' || c == '/' ? ' ' : is_upper(c) ? static_cast<char>(c + 32) : c;
    }
    words = one_spaced(words);
    return words.empty() ? std::string(label) : words;
}

std::vector<LabelScore> score_labels(std::string_view text, std::span<const std::string> labels,
                                     std::span<const std::vector<float>> part_vectors,
                                     std::span<const std::vector<float>> label_vectors) {
    std::unordered_set<std::string> terms;
    for_each_term(text, [&](std::string_view term) { terms.emplace(term); });
    const double mood = judge_sentiment(text).score;
    std::vector<LabelScore> scores;
    double best = -1e9;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const std::string words = label_as_words(labels[i]);
        double score = i < label_vectors.size() ? closeness_to_parts(part_vectors, label_vectors[i]) : 0;
        score += kWordsWeight * shared_words(terms, words) + kMoodWeight * mood * mood_of_label(words);
        scores.push_back({labels[i], score});
        best = std::max(best, score);
    }
    double sum = 0;
    for (LabelScore& one : scores) sum += one.score = std::exp((one.score - best) / kTemperature);
    for (LabelScore& one : scores) one.score = std::round(one.score / sum * 1e4) / 1e4;
    std::ranges::stable_sort(scores, std::ranges::greater(), &LabelScore::score);
    return scores;
}

}  // namespace millrace::provider
