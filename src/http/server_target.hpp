// The request target of RFC 9112, section 3.2, taken apart. No sockets.
#pragma once

#include "base/error.hpp"
#include "http/server.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// A target's parts, as `Request` describes them.
struct Target {
    std::string path;
    std::vector<std::string> segments;
    Fields query;
};

/// Takes apart "/path?query", "http://host/path?query" or "*". invalid_input: a broken percent-encoding, a
/// control character, text that is not UTF-8, or another form.
Result<Target> parse_target(std::string_view target);

}  // namespace millrace::http
