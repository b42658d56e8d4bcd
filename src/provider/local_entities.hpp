// Names, dates, addresses and amounts in a text, by rules and small lexicons.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

struct FoundEntity {
    std::string text;
    std::string_view type;  ///< person, organization, location, date, email, url, money or other
    std::size_t count = 0;
};

/// The entities of well-formed `text`, most frequent first, at most 100. Names are sequences of capitalised
/// words; what kind they are is told by lexicons and by the words within and beside them, else they are
/// "other". A surname alone counts for its full name. Scripts without capitals give dates, addresses and
/// amounts only. Linear; the same text gives the same entities.
std::vector<FoundEntity> find_entities(std::string_view text);

}  // namespace millrace::provider
