// Whatever a client sends, and however the network cuts it: the same answer, within the limits.
#include "base/utf8.hpp"
#include "fuzz/fuzz.hpp"
#include "http/server_request.hpp"
#include "http/server_target.hpp"

#include <optional>

namespace millrace::fuzz {
namespace {

constexpr std::size_t kHeaderBytesMax = 8192;
constexpr std::size_t kBodyBytesMax = 4096;

/// What came of the first request in some bytes.
struct Reading {
    bool done = false;
    unsigned refused = 0;
    std::string target;
    std::string body;

    bool operator==(const Reading&) const = default;
};

Reading read(std::string_view input, std::size_t step) {
    http::RequestReader reader(kHeaderBytesMax, kBodyBytesMax);
    std::size_t begin = 0, end = 0;
    while (!reader.is_done() && !reader.refusal() && end < input.size()) {
        end = std::min(end + step, input.size());
        while (!reader.is_done() && !reader.refusal()) {
            const std::size_t taken = reader.feed(input.substr(begin, end - begin));
            require(taken <= end - begin, "no more is taken than was given");
            begin += taken;
            if (taken == 0 || begin == end) break;
        }
    }
    Reading reading{.done = reader.is_done() && !reader.refusal()};
    if (reader.refusal()) reading.refused = reader.refusal()->status;
    if (!reading.done) return reading;
    const http::Request request = reader.take();
    require(request.body.size() <= kBodyBytesMax, "a body is within its limit");
    return {.done = true, .refused = 0, .target = request.path, .body = request.body};
}

/// However the network cuts the bytes, they are the same request or none. When the refusal comes may differ.
void require_same(const Reading& one, const Reading& other) {
    if (one.done || other.done)
        require(one == other, "bytes that come in parts are read as bytes that come at once");
}

}  // namespace

std::vector<std::string> seeds() {
    return {
        "GET /v1/documents/a%20b?after=x&status=failed HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
        "POST /v1/search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
        "13\r\n\r\n{\"query\":\"x\"}",
        "POST /v1/documents HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n4;x=y\r\nabcd\r\n3\r\nefg\r\n0\r\nA: b\r\n\r\n",
        "PUT / HTTP/1.0\r\nContent-Length: 0\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nGET / "
        "HTTP/1.1\r\n\r\n",
        "/v1/documents/a%2Fb?x=%C3%A9&y",
        "http://127.0.0.1:8080/v1/operations/1?wait=30",
    };
}

void check(std::string_view input) {
    const Reading whole = read(input, input.size() + 1);
    for (const std::size_t step : {1, 7, 100}) require_same(whole, read(input, step));
    const auto target = http::parse_target(input);
    if (!target) return;
    require(is_utf8(target->path), "a path is UTF-8");
    for (const auto& segment : target->segments) require(is_utf8(segment), "a segment is UTF-8");
}

}  // namespace millrace::fuzz
