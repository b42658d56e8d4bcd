#include "index/keyword.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <unordered_set>

namespace millrace::index {

namespace {

// Function words of English: articles, pronouns, prepositions, conjunctions, auxiliary verbs. Sorted.
constexpr auto kStopWords = std::to_array<std::string_view>({
    "a",      "about",   "above",  "after",  "again", "against", "all",     "also",   "am",      "an",
    "and",    "any",     "are",    "as",     "at",    "be",      "because", "been",   "before",  "being",
    "below",  "between", "both",   "but",    "by",    "can",     "cannot",  "could",  "did",     "do",
    "does",   "doing",   "down",   "during", "each",  "few",     "for",     "from",   "further", "had",
    "has",    "have",    "having", "he",     "her",   "here",    "hers",    "him",    "his",     "how",
    "i",      "if",      "in",     "into",   "is",    "it",      "its",     "itself", "just",    "me",
    "more",   "most",    "my",     "no",     "nor",   "not",     "of",      "off",    "on",      "once",
    "only",   "or",      "other",  "our",    "ours",  "out",     "over",    "own",    "same",    "she",
    "should", "so",      "some",   "such",   "than",  "that",    "the",     "their",  "theirs",  "them",
    "then",   "there",   "these",  "they",   "this",  "those",   "through", "to",     "too",     "under",
    "until",  "up",      "us",     "very",   "was",   "we",      "were",    "what",   "when",    "where",
    "which",  "while",   "who",    "whom",   "why",   "will",    "with",    "would",  "you",     "your",
    "yours",
});
static_assert(std::is_sorted(kStopWords.begin(), kStopWords.end()));

bool is_stop_word(std::string_view word) {
    return std::binary_search(kStopWords.begin(), kStopWords.end(), word);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool in_word(char c) {
    const char small = lower(c);
    return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') ||
           (static_cast<unsigned char>(c) >= 0x80);
}

/// The kQueryWordsMax longest of `words`, in their order.
std::vector<std::string> longest(std::vector<std::string> words) {
    if (words.size() <= kQueryWordsMax) return words;
    std::vector<std::size_t> lengths;
    for (const std::string& word : words) lengths.push_back(word.size());
    std::nth_element(lengths.begin(), lengths.begin() + (kQueryWordsMax - 1), lengths.end(),
                     std::greater<>());
    const std::size_t shortest = lengths[kQueryWordsMax - 1];
    const auto longer = static_cast<std::size_t>(std::count_if(
        words.begin(), words.end(), [&](const std::string& word) { return word.size() > shortest; }));
    std::size_t room = kQueryWordsMax - longer;
    std::erase_if(words, [&](const std::string& word) {
        if (word.size() != shortest) return word.size() < shortest;
        return room == 0 || room-- == 0;
    });
    return words;
}

}  // namespace

std::vector<std::string> query_words(std::string_view query) {
    std::vector<std::string> all;
    std::unordered_set<std::string> known;
    for (std::size_t at = 0; at < query.size();) {
        std::string word;
        while (at < query.size() && !in_word(query[at])) ++at;
        while (at < query.size() && in_word(query[at])) word += lower(query[at++]);
        if (!word.empty() && known.insert(word).second) all.push_back(std::move(word));
    }
    std::vector<std::string> kept;
    std::copy_if(all.begin(), all.end(), std::back_inserter(kept),
                 [](const std::string& word) { return !is_stop_word(word); });
    return longest(kept.empty() ? std::move(all) : std::move(kept));
}

std::string match_expression(const std::vector<std::string>& words, bool all) {
    std::string expression;
    for (const std::string& word : words) {
        if (!expression.empty()) expression += all ? " " : " OR ";
        expression.append("\"").append(word).append("\"");
    }
    return expression;
}

}  // namespace millrace::index
