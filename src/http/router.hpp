// Which route a request means.
#pragma once

#include "http/server.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// A pattern is a path whose segments are text, "{name}" (one segment), "{name}:verb" (one segment with that
/// ending) or, last, "{name...}" (one or more segments, joined by '/').
struct Pattern {
    std::string_view method;
    std::string_view path;
};

/// The arguments of `pattern` in `segments`, in order; false if it does not fit.
bool match(std::string_view pattern, const std::vector<std::string>& segments,
           std::vector<std::string>& arguments);

/// What a request means among `patterns`: the first that fits path and method.
struct Match {
    std::size_t row = npos;               ///< npos: none
    std::vector<std::string> arguments;
    std::string allowed;  ///< methods that the path has, e.g. "GET, DELETE"; "" if it has none

    static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};
Match find_route(std::span<const Pattern> patterns, const Request& request);

}  // namespace millrace::http
