#include "http/multipart.hpp"

#include "base/utf8.hpp"

#include "http/server_target.hpp"

#include <algorithm>

namespace millrace::http {

namespace {

constexpr std::size_t kBoundaryBytesMax = 70;       // RFC 2046, 5.1.1
constexpr std::size_t kPartHeaderBytesMax = 8192;

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// The next "; name=value" of `rest`, quotes and backslashes resolved; false at the end.
bool next_parameter(std::string_view& rest, std::string& name, std::string& value) {
    const auto semicolon = rest.find(';');
    if (semicolon == std::string_view::npos) return false;
    rest.remove_prefix(semicolon + 1);
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos) return false;
    name = lower(trimmed(rest.substr(0, equals)));
    rest = trimmed(rest.substr(equals + 1));
    value.clear();
    if (!rest.starts_with('"')) {
        const auto end = std::min(rest.find(';'), rest.size());
        value = trimmed(rest.substr(0, end));
        rest.remove_prefix(end);
        return true;
    }
    std::size_t at = 1;
    for (; at < rest.size() && rest[at] != '"'; ++at) {
        // Browsers of old send Windows paths unescaped: only \" and \\ are escapes.
        const bool escape =
            rest[at] == '\\' && at + 1 < rest.size() && (rest[at + 1] == '"' || rest[at + 1] == '\\');
        if (escape) ++at;
        value += rest[at];
    }
    rest.remove_prefix(std::min(at + 1, rest.size()));
    return true;
}

std::string base_name(const std::string& path) {
    const auto slash = path.find_last_of("/\\");
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// Browsers write '"', CR and LF in names as %22, %0D and %0A (WHATWG HTML, multipart/form-data encoding).
std::string without_escapes(std::string text) {
    const std::pair<std::string_view, char> escapes[] = {{"%22", '"'}, {"%0D", ' '}, {"%0A", ' '}};
    for (const auto& [code, plain] : escapes)
        for (auto at = text.find(code); at != std::string::npos; at = text.find(code, at))
            text.replace(at, code.size(), 1, plain);
    return text;
}

/// The next delimiter from `at` on: a line of its own, so that "--xy" is no border where the boundary is "x".
std::size_t find_delimiter(std::string_view body, std::string_view delimiter, std::size_t at) {
    for (at = body.find(delimiter, at); at != std::string_view::npos; at = body.find(delimiter, at + 1)) {
        std::string_view rest = body.substr(at + delimiter.size());
        if (rest.starts_with("--")) return at;
        rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
        if (rest.starts_with("\r\n")) return at;
    }
    return at;
}

}  // namespace

Checked<Part> parse_part(std::string_view headers, std::string_view content, std::size_t number) {
    Part part;
    part.content = content;
    const std::string place = "part " + std::to_string(number) + " of the multipart body ";
    bool has_disposition = false;
    while (!headers.empty()) {
        const auto end = std::min(headers.find("\r\n"), headers.size());
        const std::string_view line = headers.substr(0, end);
        headers.remove_prefix(std::min(end + 2, headers.size()));
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) return Rejection{400, place + "has a broken header"};
        const std::string name = lower(trimmed(line.substr(0, colon)));
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (name == "content-type") part.content_type = value;
        if (name != "content-disposition") continue;
        has_disposition = lower(value).starts_with("form-data");
        part.name = without_escapes(header_parameter(value, "name"));
        part.file_name = base_name(without_escapes(header_parameter(value, "filename")));
        part.is_file = lower(value).find("filename=") != std::string::npos;
    }
    if (!has_disposition || part.name.empty())
        return Rejection{400, place + "has no Content-Disposition with a name"};
    if (!is_utf8(part.name) || !is_utf8(part.file_name))
        return Rejection{400, place + "has a name that isn't UTF-8"};
    return part;
}

std::string header_parameter(std::string_view header, std::string_view name) {
    std::string found, value;
    while (next_parameter(header, found, value))
        if (found == name) return value;
    return {};
}

Checked<std::string> multipart_boundary(std::string_view content_type) {
    std::string boundary = header_parameter(content_type, "boundary");
    if (boundary.empty() || boundary.size() > kBoundaryBytesMax)
        return Rejection{400,
                         "multipart/form-data needs a boundary of 1 to 70 characters in its Content-Type"};
    return boundary;
}

Checked<std::vector<Part>> parse_multipart(std::string_view content_type, std::string_view body,
                                           std::size_t parts_max) {
    const auto boundary = multipart_boundary(content_type);
    if (!boundary) return boundary.error();
    const std::string delimiter = "\r\n--" + *boundary;
    const Rejection open{400, "the multipart body ends before its closing delimiter"};

    std::vector<Part> parts;
    std::size_t at =
        body.starts_with(std::string_view(delimiter).substr(2)) ? 0 : find_delimiter(body, delimiter, 0);
    if (at == std::string_view::npos) return Rejection{400, "the multipart body does not hold its boundary"};
    at += at == 0 ? delimiter.size() - 2 : delimiter.size();
    while (true) {
        if (body.substr(at).starts_with("--")) return parts;
        const auto line_end = body.find("\r\n", at);
        if (line_end == std::string_view::npos) return open;
        const auto header_start = line_end + 2;
        const bool no_headers = body.substr(header_start).starts_with("\r\n");
        const auto blank = no_headers ? header_start - 2 : body.find("\r\n\r\n", header_start);
        if (blank == std::string_view::npos || blank - line_end > kPartHeaderBytesMax)
            return Rejection{400, "a part of the multipart body has no end of its headers"};
        const auto content_start = blank + 4;
        // The delimiter's own CRLF may be the last of the blank line when the content is empty.
        const auto next = find_delimiter(body, delimiter, content_start - 2);
        if (next == std::string_view::npos) return open;
        const std::string_view content =
            next < content_start ? std::string_view() : body.substr(content_start, next - content_start);
        if (parts.size() == parts_max)
            return Rejection{
                413, "more than " + std::to_string(parts_max) + " parts; send them in several requests"};
        const std::string_view headers =
            no_headers ? std::string_view() : body.substr(header_start, blank - header_start);
        auto part = parse_part(headers, content, parts.size() + 1);
        if (!part) return part.error();
        parts.push_back(std::move(*part));
        at = next + delimiter.size();
    }
}

}  // namespace millrace::http
