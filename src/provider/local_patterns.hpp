// Parts of a text that are known by their form alone: addresses, dates, amounts.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// A part of a text. `type`: "email", "url", "date" or "money".
struct PatternMatch {
    std::size_t begin = 0;   ///< in bytes
    std::size_t end = 0;
    std::string_view type;
};

/// The e-mail addresses, URLs, dates (ISO 8601; day and month in digits or words; English, German, French,
/// Spanish, Chinese and Japanese forms) and amounts of money in `text`, in order, none within another.
/// Linear.
std::vector<PatternMatch> find_patterns(std::string_view text);

}  // namespace millrace::provider
