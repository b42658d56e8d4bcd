#include "http/server_target.hpp"

#include "base/utf8.hpp"

#include <cstdint>

namespace millrace::http {

namespace {

int hex_value(char digit) noexcept {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

bool has_control(std::string_view text) noexcept {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return true;
    }
    return false;
}

/// Decodes percent-encoding; false if it is broken or the result isn't plain UTF-8 text.
bool decode(std::string_view text, bool plus_is_space, std::string& out) {
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            if (i + 2 >= text.size()) return false;
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0) return false;
            out.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        } else {
            out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
        }
    }
    return !has_control(out) && is_utf8(out);
}

bool decode_path(std::string_view path, Target& target) {
    target.path.reserve(path.size());
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::string_view raw = path.substr(0, path.find('/'));
        path.remove_prefix(raw.size());
        std::string segment;
        if (!decode(raw, false, segment)) return false;
        target.path.push_back('/');
        for (const char c : segment) {
            if (c == '/')
                target.path += "%2F";
            else
                target.path.push_back(c);
        }
        target.segments.push_back(std::move(segment));
    }
    if (target.segments.size() == 1 && target.segments.front().empty()) target.segments.clear();
    return true;
}

bool decode_query(std::string_view query, Fields& fields) {
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), pair.size() + 1));
        if (pair.empty()) continue;
        const std::size_t equals = std::min(pair.find('='), pair.size());
        std::pair<std::string, std::string> field;
        if (!decode(pair.substr(0, equals), true, field.first)) return false;
        if (equals < pair.size() && !decode(pair.substr(equals + 1), true, field.second)) return false;
        fields.push_back(std::move(field));
    }
    return true;
}

/// "http://host/path" without its origin: RFC 9112, 3.2.2 asks servers to take this form too.
std::string_view without_origin(std::string_view target) noexcept {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!target.starts_with(scheme)) continue;
        target.remove_prefix(scheme.size());
        const std::size_t slash = target.find('/');
        return slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    return target;
}

}  // namespace

Result<Target> parse_target(std::string_view text) {
    Target target;
    if (text == "*") {
        target.path = "*";
        return target;
    }
    text = without_origin(text);
    if (text.empty() || text.front() != '/')
        return Error{Errc::invalid_input, "the request target isn't a path"};
    const std::size_t question = std::min(text.find('?'), text.size());
    if (!decode_path(text.substr(0, question), target)) {
        return Error{Errc::invalid_input, "the path isn't percent-encoded UTF-8 text"};
    }
    if (question < text.size() && !decode_query(text.substr(question + 1), target.query)) {
        return Error{Errc::invalid_input, "the query isn't percent-encoded UTF-8 text"};
    }
    return target;
}

}  // namespace millrace::http
