#include "http/router.hpp"

namespace millrace::http {

namespace {

/// The next part of a pattern up to '/', taken off its front.
std::string_view next_part(std::string_view& pattern) {
    if (pattern.starts_with('/')) pattern.remove_prefix(1);
    const std::string_view part = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(part.size());
    return part;
}

std::string joined(const std::vector<std::string>& segments, std::size_t from) {
    std::string text;
    for (std::size_t i = from; i < segments.size(); ++i) {
        if (i > from) text += '/';
        text += segments[i];
    }
    return text;
}

}  // namespace

bool match(std::string_view pattern, const std::vector<std::string>& segments,
           std::vector<std::string>& arguments) {
    arguments.clear();
    if (pattern == "/") return segments.empty();
    for (std::size_t at = 0; !pattern.empty(); ++at) {
        const std::string_view part = next_part(pattern);
        if (at == segments.size()) return false;
        if (part.ends_with("...}")) {
            arguments.push_back(joined(segments, at));
            return !arguments.back().empty();
        }
        const std::string& segment = segments[at];
        const auto brace = part.find('}');
        if (brace == std::string_view::npos) {
            if (segment != part) return false;
        } else {
            const std::string_view ending = part.substr(brace + 1);
            if (!segment.ends_with(ending) || segment.size() == ending.size()) return false;
            arguments.push_back(segment.substr(0, segment.size() - ending.size()));
        }
        if (pattern.empty()) return at + 1 == segments.size();
    }
    return false;
}

Match find_route(std::span<const Pattern> patterns, const Request& request) {
    Match found;
    std::vector<std::string> arguments;
    for (std::size_t row = 0; row < patterns.size(); ++row) {
        if (!match(patterns[row].path, request.segments, arguments)) continue;
        if (patterns[row].method == request.method) {
            found.row = row;
            found.arguments = std::move(arguments);
            return found;
        }
        if (found.allowed.find(patterns[row].method) != std::string::npos) continue;
        if (!found.allowed.empty()) found.allowed += ", ";
        found.allowed += patterns[row].method;
    }
    return found;
}

}  // namespace millrace::http
