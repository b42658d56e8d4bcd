// The sentiment of a text by a lexicon of words with a mood.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

struct SentenceSentiment {
    std::string text;
    std::string_view sentiment;  ///< "positive", "neutral" or "negative"
    double score = 0;            ///< -1 to 1
};

struct TextSentiment {
    std::string_view sentiment = "neutral";  ///< or "positive", "negative", "mixed"
    double score = 0;                        ///< -1 to 1: the mean of the sentences that have a mood
    std::vector<SentenceSentiment> sentences;  ///< the strongest, at most 20, in the text's order
};

/// Judges well-formed `text` by English words with some of German, French and Spanish, negation, words that
/// strengthen or weaken, "but", exclamation marks and emoticons. Blind to irony. Linear; the same text is
/// always judged the same.
TextSentiment judge_sentiment(std::string_view text);

/// The mood of one folded word: -4 to 4, 0 for none.
double mood_of_word(std::string_view folded);

}  // namespace millrace::provider
