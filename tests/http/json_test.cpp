#include "http/json_fields.hpp"
#include "http/json_text.hpp"
#include "http/multipart.hpp"
#include "http/views.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <array>

namespace millrace::http {
namespace {

using testing::HasSubstr;

TEST(JsonText, WritesNumbersAsShortAsTheyReadBack) {
    const std::string text = R"({"a":20.81,"b":[1,-2,0.02,1e+300],"c":"x\"y","d":null,"e":true,"f":{}})";
    EXPECT_EQ(json_text(boost::json::parse(text)), text);
    EXPECT_EQ(json_text(boost::json::value(1.0)), "1");
    EXPECT_EQ(json_text(boost::json::value(std::numeric_limits<double>::infinity())), "null");
}

TEST(JsonFields, SaysWhereTheTextIsBroken) {
    struct {
        const char* text;
        const char* words;
    } cases[] = {
        {"{\n  \"a\": 1,\n  b\n}", "line 3, column 3"},
        {"{\"a\": 01}", "line 1, column 8"},
        {"[1,]", "line 1, column 4"},
        {"\"a", "ends in the middle"},
        {"1 2", "text after the end"},
        {"\"\\ud800\"", "malformed JSON"},
    };
    for (const auto& [text, words] : cases) {
        const auto parsed = parse_json(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().status, 400u);
        EXPECT_THAT(parsed.error().detail, HasSubstr(words)) << text;
    }
}

TEST(JsonFields, JsonIsToldByItsMediaType) {
    for (const char* type : {"application/json", "Application/JSON ; charset=utf-8"})
        EXPECT_TRUE(is_json({.headers = {{"content-type", type}}})) << type;
    for (const char* type : {"", "text/json", "application/jsonx", "application/x-ndjson"})
        EXPECT_FALSE(is_json({.headers = {{"content-type", type}}})) << type;
}

TEST(JsonFields, KeepTheFirstProblem) {
    const auto value = boost::json::parse(R"({"a":1,"b":2,"n":1.5})");
    constexpr std::array<std::string_view, 4> known = {"a", "b", "n", "missing"};
    JsonFields fields(value.get_object(), known, "here: ");
    EXPECT_EQ(fields.text("missing", 10), "");
    EXPECT_FALSE(fields.rejection());
    EXPECT_EQ(fields.number("n", 0, 2), 1.5);
    EXPECT_EQ(fields.integer("a", 0, 5), 1);
    EXPECT_EQ(fields.text("a", 10), "");
    EXPECT_EQ(fields.text("b", 10), "");
    ASSERT_TRUE(fields.rejection());
    EXPECT_EQ(fields.rejection()->detail, "here: a: expected text, found a number");
}

TEST(Multipart, ParametersAreUnquoted) {
    struct {
        const char* header;
        const char* name;
        const char* value;
    } cases[] = {
        {"form-data; name=\"a b\"; filename=\"x;y.txt\"", "filename", "x;y.txt"},
        {"form-data; name=plain ; filename = z", "name", "plain"},
        {"form-data; name=plain ; filename = z", "filename", "z"},
        {R"(form-data; filename="say \"hi\".txt")", "filename", "say \"hi\".txt"},
        {R"(form-data; filename="C:\dir\x.txt")", "filename", R"(C:\dir\x.txt)"},
        {"multipart/form-data; Boundary=abc", "boundary", "abc"},
        {"multipart/form-data", "boundary", ""},
        {"form-data; name=\"open", "name", "open"},
        {"form-data; name", "name", ""},
        {";;;=;", "name", ""},
    };
    for (const auto& [header, name, value] : cases)
        EXPECT_EQ(header_parameter(header, name), value) << header;
}

TEST(Multipart, KeepsBytesAndBorders) {
    const std::string body =
        "preamble\r\n--x  \r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--x\r\n"
        "content-type: text/plain\r\ncontent-disposition: form-data; name=\"b\"; "
        "filename=\"f%22.txt\"\r\n\r\n"
        "--xy\r\n--\r\n\r\n--x--\r\nepilogue";
    const auto parts = parse_multipart("multipart/form-data; boundary=x", body, 10);
    ASSERT_TRUE(parts) << parts.error().detail;
    ASSERT_EQ(parts->size(), 2u);
    EXPECT_EQ((*parts)[0].content, "");
    EXPECT_FALSE((*parts)[0].is_file);
    EXPECT_EQ((*parts)[1].file_name, "f\".txt");
    EXPECT_EQ((*parts)[1].content_type, "text/plain");
    EXPECT_EQ((*parts)[1].content, "--xy\r\n--\r\n");
    EXPECT_EQ(parse_multipart("multipart/form-data; boundary=x", body, 1).error().status, 413u);
}

TEST(Multipart, BrokenBodiesAreRefusedAndNeverReadBeyondTheirEnd) {
    const std::string whole =
        "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nhello\r\n--x--\r\n";
    ASSERT_TRUE(parse_multipart("multipart/form-data; boundary=x", whole, 10));
    for (std::size_t length = 0; length + 4 < whole.size(); ++length) {
        const std::string cut = whole.substr(0, length);
        EXPECT_FALSE(parse_multipart("multipart/form-data; boundary=x", cut, 10)) << length;
    }
}

TEST(Views, TheBaseUrlComesFromASaneHostOnly) {
    EXPECT_EQ(base_url("127.0.0.1:8080", "http"), "http://127.0.0.1:8080");
    EXPECT_EQ(base_url("[::1]:8080", "https"), "https://[::1]:8080");
    EXPECT_EQ(base_url("evil\"><script>", "http"), "");
    EXPECT_EQ(base_url("a b", "http"), "");
    EXPECT_EQ(percent_encoded("a/b ü"), "a%2Fb%20%C3%BC");
}

}  // namespace
}  // namespace millrace::http
