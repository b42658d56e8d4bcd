// Search results for the eye: the part of a passage that answers, with the words of the query marked.
#pragma once

#include "app/terminal.hpp"

#include <boost/json/value.hpp>

#include <string>
#include <string_view>

namespace millrace::app {

/// A window of `text` of about `bytes_max` bytes that holds the most different words of `query`, on word
/// borders.
std::string snippet(std::string_view text, std::string_view query, std::size_t bytes_max, bool utf8 = true);

/// `text` with words that share their stem with a word of `query` in bold.
std::string highlighted(std::string_view text, std::string_view query, const Terminal& terminal);

/// The answer of POST /v1/search as aligned lines: place, title, source, passage.
std::string search_text(const boost::json::value& answer, std::string_view query, const Terminal& terminal);

}  // namespace millrace::app
