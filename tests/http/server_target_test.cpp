#include "http/server_target.hpp"

#include "base/utf8.hpp"

#include "base/utf8.hpp"
#include "http/server_answer.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

TEST(Target, IsTakenApartIntoSegmentsAndQuery) {
    struct Case {
        std::string target, path;
        std::vector<std::string> segments;
        Fields query;
    };
    const Case cases[] = {
        {"/", "/", {}, {}},
        {"*", "*", {}, {}},
        {"/v1/documents/a%20b", "/v1/documents/a b", {"v1", "documents", "a b"}, {}},
        {"/d/a%2Fb", "/d/a%2Fb", {"d", "a/b"}, {}},
        {"/d/a%2fb/", "/d/a%2Fb/", {"d", "a/b", ""}, {}},
        {"/d/a%252Fb", "/d/a%2Fb", {"d", "a%2Fb"}, {}},
        {"//x", "//x", {"", "x"}, {}},
        {"/%E2%82%AC?q=%C3%A4+b&q=c&empty=&bare&&=v",
         "/\xE2\x82\xAC",
         {"\xE2\x82\xAC"},
         {{"q", "\xC3\xA4 b"}, {"q", "c"}, {"empty", ""}, {"bare", ""}, {"", "v"}}},
        {"/a+b?c=d=e?f", "/a+b", {"a+b"}, {{"c", "d=e?f"}}},
        {"http://host:80/p?q=1", "/p", {"p"}, {{"q", "1"}}},
        {"https://host", "/", {}, {}},
    };
    for (const Case& c : cases) {
        const auto target = parse_target(c.target);
        ASSERT_TRUE(target) << c.target;
        EXPECT_EQ(target->path, c.path) << c.target;
        EXPECT_EQ(target->segments, c.segments) << c.target;
        EXPECT_EQ(target->query, c.query) << c.target;
    }
}

TEST(Target, IsRefusedWhenBroken) {
    for (const char* target : {"", "a", "host:443", "/%", "/%2", "/%G0", "/%0A", "/%7F", "/%C3", "/%C0%80",
                               "/?%ZZ", "/?a=%80", "/%ED%A0%80", "ftp://x/"}) {
        EXPECT_FALSE(parse_target(target)) << target;
    }
}

TEST(Utf8, IsToldFromWhatLooksLikeIt) {
    const std::pair<std::string_view, bool> cases[] = {
        {"", true},
        {"plain", true},
        {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", true},
        {"\xEF\xBF\xBF", true},
        {"\xF4\x8F\xBF\xBF", true},
        {"\x80", false},
        {"\xC3", false},
        {"\xC0\xAF", false},
        {"\xC1\xBF", false},
        {"\xE0\x9F\xBF", false},
        {"\xED\xA0\x80", false},
        {"\xF0\x8F\xBF\xBF", false},
        {"\xF4\x90\x80\x80", false},
        {"\xF5\x80\x80\x80", false},
        {"\xE2\x82", false},
        {"\xE2\x28\xA1", false},
    };
    for (const auto& [text, valid] : cases) EXPECT_EQ(is_utf8(text), valid) << testing::PrintToString(text);
}

TEST(Answer, NamesEveryStatusThatAnErrorMapsTo) {
    const std::pair<Errc, unsigned> cases[] = {
        {Errc::invalid_input, 400}, {Errc::not_found, 404},   {Errc::conflict, 409},
        {Errc::over_limit, 429},    {Errc::unavailable, 503}, {Errc::corrupt, 400},
    };
    for (const auto& [code, status] : cases) {
        EXPECT_EQ(status_for(code), status);
        EXPECT_NE(status_title(status), "Unknown");
    }
    EXPECT_EQ(status_title(299), "Unknown");
}

TEST(Answer, PutsAProblemIntoOneLineOfUtf8) {
    const Response response = problem(400, "two\nlines \xFF");
    EXPECT_EQ(response.body,
              R"({"type":"about:blank","title":"Bad Request","status":400,"detail":"two lines ?"})");
}

TEST(Answer, DatesAreThoseOfHttp) {
    HttpDate date;
    EXPECT_EQ(date.at(from_millis(784'111'777'999)), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(date.at(from_millis(784'111'777'000)), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(date.at(from_millis(1'800'000'000'000)), "Fri, 15 Jan 2027 08:00:00 GMT");
}

TEST(Answer, HasNoLengthWhereThereIsNoContent) {
    Response response;
    response.status = 204;
    HeadOptions options;
    options.date = "now";
    EXPECT_EQ(response_head(response, options), "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n");
}

}  // namespace
}  // namespace millrace::http
