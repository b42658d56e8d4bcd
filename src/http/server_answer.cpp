#include "http/server_answer.hpp"

#include "base/utf8.hpp"

#include "http/body_file.hpp"

#include "http/server_target.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace millrace::http {

namespace {

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

void append_number(std::string& out, std::size_t number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ");
    for (const char c : value) out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c);
    out.append("\r\n");
}

/// One line of UTF-8, whatever came in.
std::string one_line(std::string_view text) {
    std::string line(text);
    const bool valid = is_utf8(line);
    for (char& c : line) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7F) c = ' ';
        if (byte >= 0x80 && !valid) c = '?';
    }
    return line;
}

/// RFC 9110, 8.6: these answers have no content and no Content-Length.
bool has_no_content(unsigned status) noexcept { return status < 200 || status == 204 || status == 304; }

struct Title {
    unsigned status;
    std::string_view text;
};

constexpr Title kTitles[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {424, "Failed Dependency"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

}  // namespace

std::string_view find_field(const Fields& fields, std::string_view name) noexcept {
    for (const auto& [key, value] : fields) {
        if (equal_ignoring_case(key, name)) return value;
    }
    return {};
}

std::string_view status_title(unsigned status) noexcept {
    const auto title = std::ranges::lower_bound(kTitles, status, {}, &Title::status);
    return title != std::end(kTitles) && title->status == status ? title->text : "Unknown";
}

unsigned status_for(Errc code) noexcept {
    switch (code) {
        case Errc::invalid_input: return 400;
        case Errc::not_found: return 404;
        case Errc::conflict: return 409;
        case Errc::over_limit: return 429;
        case Errc::unavailable: return 503;
        case Errc::corrupt: return 400;
    }
    return 500;
}

unsigned status_of(const MachineError& broken) noexcept {
    if (dynamic_cast<const Unreachable*>(&broken) != nullptr) return 503;
    return broken.disk_full() ? 507 : 500;
}

Response problem(unsigned status, std::string_view detail) {
    const boost::json::value document = {
        {"type", "about:blank"},
        {"title", status_title(status)},
        {"status", status},
        {"detail", one_line(detail)},
    };
    Response response;
    response.status = status;
    response.headers.emplace_back("Content-Type", "application/problem+json");
    response.body = boost::json::serialize(document);
    return response;
}

Response json_answer(unsigned status, std::string json) {
    Response response;
    response.status = status;
    response.headers.emplace_back("Content-Type", "application/json");
    response.body = std::move(json);
    return response;
}

std::string response_head(const Response& response, const HeadOptions& options) {
    std::string out;
    out.reserve(256);
    out.append("HTTP/1.1 ");
    append_number(out, response.status);
    out.append(" ").append(status_title(response.status)).append("\r\n");
    if (!has_no_content(response.status)) {
        out.append("Content-Length: ");
        append_number(out, response.file ? response.file->size() : response.body.size());
        out.append("\r\n");
    }
    append_header(out, "Date", options.date);
    if (!options.keep_alive) append_header(out, "Connection", "close");
    if (options.keep_alive && options.version_1_0) append_header(out, "Connection", "keep-alive");
    for (const auto& [name, value] : response.headers) append_header(out, name, value);
    out.append("\r\n");
    return out;
}

std::string_view HttpDate::at(TimePoint now) {
    const std::time_t second = to_millis(now) / 1000;
    if (second == second_) return text_;
    second_ = second;
    std::tm parts{};
    gmtime_r(&second, &parts);
    constexpr std::string_view days = "SunMonTueWedThuFriSat";
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char rest[40];
    std::strftime(rest, sizeof rest, "%Y %H:%M:%S GMT", &parts);
    const auto day = static_cast<char>('0' + parts.tm_mday / 10);
    const auto unit = static_cast<char>('0' + parts.tm_mday % 10);
    text_.assign(days.substr(static_cast<std::size_t>(parts.tm_wday) * 3, 3)).append(", ");
    text_.append({day, unit, ' '}).append(months.substr(static_cast<std::size_t>(parts.tm_mon) * 3, 3));
    text_.append(" ").append(rest);
    return text_;
}

}  // namespace millrace::http
