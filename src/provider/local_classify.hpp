// The label that fits a text best, by the nearness of their vectors and the words they share.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

struct LabelScore {
    std::string label;
    double score = 0;   ///< 0 to 1; all together 1
};

/// The parts of well-formed `text` whose vectors stand for it: at most four, spread over it, each about as
/// long as a local model reads.
std::vector<std::string> parts_to_embed(std::string_view text);
/// `label` as words: "billing_issue" and "BillingIssue" are "billing issue".
std::string label_as_words(std::string_view label);

/// The labels, best first, equal ones as given. `part_vectors` are those of the parts of `text`,
/// `label_vectors` those of the labels as words, unit vectors all.
std::vector<LabelScore> score_labels(std::string_view text, std::span<const std::string> labels,
                                     std::span<const std::vector<float>> part_vectors,
                                     std::span<const std::vector<float>> label_vectors);

}  // namespace millrace::provider
