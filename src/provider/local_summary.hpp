// A summary out of a text's own sentences.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

struct ExtractedSummary {
    std::string summary;                  ///< up to four sentences, as written, in the text's order
    std::vector<std::string> key_points;  ///< up to five, in the text's order
};

/// Picks the sentences that share most with the rest of well-formed `text` (cosine to its centre, words
/// weighted by how many sentences hold them), preferring openings and leaving out what repeats what is picked
/// (maximal marginal relevance: Carbonell and Goldstein 1998). The summary has at most about `tokens_max`
/// tokens; 0: no bound. Linear in the text; the same text gives the same summary.
ExtractedSummary extract_summary(std::string_view text, std::size_t tokens_max = 0);

}  // namespace millrace::provider
