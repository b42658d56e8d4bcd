#include "broker/body.hpp"

#include <gtest/gtest.h>

namespace millrace::broker {
namespace {

using namespace std::string_literals;

Message of_sections(std::string sections) {
    Message message;
    message.body_format = kAmqpSections;
    message.body = std::move(sections);
    return message;
}

const std::string kHeader = "\x00\x53\x70\xd0\0\0\0\x07\0\0\0\x02\x40\x50\x09"s;
const std::string kFields = "\x00\x53\x73\x45"s;
const std::string kAnnotations = "\x00\x53\x72\xc1\x05\x02\xa3\x01xA"s;
const std::string kFooter = "\x00\x53\x78\xc1\x01\0"s;

TEST(PlainBody, APlainBodyIsItself) {
    Message message;
    message.body = "\x00\x53\x75"s;
    EXPECT_EQ(*plain_body(message), message.body);
}

TEST(PlainBody, BytesAndTextsAreFoundAmongTheSections) {
    const std::string long_text(300, 'x');
    const std::pair<std::string, std::string> cases[] = {
        {"", ""},
        {kFields, ""},
        {"\x00\x53\x75\xa0\x02hi"s, "hi"},
        {kHeader + kAnnotations + kFields + "\x00\x53\x75\xa0\x02hi"s + kFooter, "hi"},
        {"\x00\x53\x75\xa0\x02hi\x00\x53\x75\xa0\0\x00\x53\x75\xb0\0\0\0\x01!"s, "hi!"},
        {"\x00\x53\x77\xa1\x02hi"s, "hi"},
        {"\x00\x53\x77\xb1\0\0\x01\x2c"s + long_text, long_text},
        {"\x00\x53\x77\xa0\x02hi"s, "hi"},
        {"\x00\x53\x77\x40"s, ""},
        {"\x00\x80\0\0\0\0\0\0\0\x75\xa0\x02hi"s, "hi"},
        {"\x00\xa3\x10"
         "amqp:data:binary\xa0\x02hi"s,
         "hi"},
        {"\x00\x53\x78\x00\xa3\x01x\x00\x53\x01\x45\x00\x53\x75\xa0\x02hi"s, "hi"},
    };
    for (const auto& [sections, content] : cases) {
        const auto found = plain_body(of_sections(sections));
        ASSERT_TRUE(found) << testing::PrintToString(sections) << ": " << found.error().detail;
        EXPECT_EQ(*found, content);
    }
}

TEST(PlainBody, OtherBodiesAreRefused) {
    const std::string cases[] = {
        "\x00\x53\x77\x54\x05"s,                  // a number
        "\x00\x53\x77\xa3\x01x"s,                 // a symbol
        "\x00\x53\x77\xc1\x01\0"s,                // a map
        "\x00\x53\x77\x00\x53\x01\xa1\x01x"s,     // a described text
        "\x00\x53\x76\xc0\x03\x01\xa1\0"s,        // a sequence
        "\x00\x53\x75\xa1\x01x"s,                 // a text where only bytes may be
    };
    for (const std::string& sections : cases) {
        const auto found = plain_body(of_sections(sections));
        ASSERT_FALSE(found) << testing::PrintToString(sections);
        EXPECT_EQ(found.error().code, Errc::invalid_input);
        EXPECT_FALSE(found.error().detail.empty());
    }
}

TEST(PlainBody, SectionsThatEndEarlyAreRefused) {
    const std::string whole = kHeader + "\x00\x53\x75\xb0\0\0\0\x02hi"s + kFooter;
    const std::size_t ends[] = {kHeader.size(), whole.size() - kFooter.size(), whole.size()};
    for (std::size_t length = 1; length <= whole.size(); ++length) {
        const bool fits = std::find(std::begin(ends), std::end(ends), length) != std::end(ends);
        EXPECT_EQ(plain_body(of_sections(whole.substr(0, length))).has_value(), fits) << length;
    }
    std::string nested;
    for (int i = 0; i < 100'000; ++i) nested += "\x00\x53\x01"s;
    EXPECT_FALSE(plain_body(of_sections("\x00\x53\x78"s + nested + "\x40")));
    EXPECT_FALSE(plain_body(of_sections("x")));
    EXPECT_FALSE(plain_body(of_sections("\x00\x53\x75\xb0\xff\xff\xff\xff"s)));
}

TEST(SectionsBeforeBody, AreThoseThatAreWholeAndNoPartOfIt) {
    const std::string front = kHeader + kAnnotations + kFields;
    const std::string named =
        "\x00\xa3\x10"
        "amqp:data:binary\xa0\x01x"s;
    for (const std::string& body :
         {"\x00\x53\x75\xa0\x01x"s, "\x00\x53\x76\x45"s, "\x00\x53\x77\x40"s, named, ""s}) {
        EXPECT_EQ(sections_before_body(front + body + kFooter), body.empty() ? front + kFooter : front);
    }
    EXPECT_EQ(sections_before_body(kHeader + kFields.substr(0, 2)), kHeader);
    EXPECT_EQ(sections_before_body("x"), "");
    EXPECT_EQ(sections_before_body(""), "");
}

}  // namespace
}  // namespace millrace::broker
