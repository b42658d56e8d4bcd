#include "text/extract.hpp"

#include <gtest/gtest.h>

namespace millrace::text {
namespace {

struct Case {
    std::string_view content_type, file_name, head;
    Format format;
};

TEST(Format, IsFoundFromBytesThenTypeThenName) {
    const std::vector<Case> cases = {
        {"", "", "%PDF-1.7", Format::pdf},
        {"text/plain", "a.txt", "%PDF-1.7", Format::pdf},
        {"", "", "PK\x03\x04", Format::docx},
        {"application/octet-stream", "a.docx", "", Format::docx},
        {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "", "", Format::docx},
        {"text/html; charset=utf-8", "x.txt", "", Format::html},
        {"TEXT/HTML", "", "", Format::html},
        {"text/plain", "README.md", "", Format::markdown},
        {"text/markdown", "", "", Format::markdown},
        {"", "folder.pdf/README", "text", Format::text},
        {"", "Report.PDF", "", Format::pdf},
        {"", "page.HTM", "", Format::html},
        {"", "", "\n <!DOCTYPE HTML><p>", Format::html},
        {"", "", "\xEF\xBB\xBF<html>", Format::html},
        {"", "", "<?xml version='1.0'?><html xmlns=''>", Format::html},
        {"text/plain", "", "<html>", Format::text},
        {"text/x-rst", "", "", Format::text},
        {"application/json", "", "{}", Format::text},
        {"", "", "", Format::text},
        {"", "a.unknown", "hello", Format::text},
        {"", "", "How %PDF- begins", Format::text},
    };
    for (const Case& test : cases) {
        const auto format = detect_format(test.content_type, test.file_name, test.head);
        ASSERT_TRUE(format) << test.content_type << test.file_name << test.head;
        EXPECT_EQ(to_string(*format), to_string(test.format))
            << test.content_type << test.file_name << test.head;
    }
}

TEST(Format, WhatIsNotReadIsNamed) {
    const std::vector<std::array<std::string_view, 4>> cases = {
        {"image/png", "", "", "image/png"},
        {"", "a.png", "\x89PNG\r\n", "a PNG image"},
        {"application/msword", "", "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Office file"},
        {"", "", "{\\rtf1", "RTF"},
        {"application/vnd.ms-excel", "", "", "application/vnd.ms-excel"},
        {"text/plain", "",
         "\x7F"
         "ELF",
         "a program"},
    };
    for (const auto& [content_type, file_name, head, what] : cases) {
        const auto format = detect_format(content_type, file_name, head);
        ASSERT_TRUE(format.has_error()) << what;
        EXPECT_EQ(format.error().code, Errc::invalid_input);
        EXPECT_THAT(format.error().detail, testing::HasSubstr(std::string(what)));
    }
}

TEST(Format, TheCharsetIsTakenFromTheMediaType) {
    EXPECT_EQ(charset_of("text/html; charset=utf-8"), "utf-8");
    EXPECT_EQ(charset_of("text/html; x=1; Charset = \"ISO-8859-1\" ; y"), "ISO-8859-1");
    EXPECT_EQ(charset_of("text/html; charset"), "");
    EXPECT_EQ(charset_of("text/html"), "");
    EXPECT_EQ(charset_of(";;;="), "");
}

TEST(PlainText, KeepsItsLayoutAndLosesItsNoise) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"a\r\nb\rc\n", "a\nb\nc"},
        {"\n\n  first\n\tsecond  \n\n\n\n\nthird", "first\n\tsecond\n\n\nthird"},
        {"page\fnext", "page\nnext"},
        {"bell\x07 nbsp\xC2\xA0 end", "bell nbsp  end"},
        {"\xE2\x80\xA8line separator", "line separator"},
    };
    for (const auto& [bytes, text] : cases) EXPECT_EQ(extract(bytes, Format::text)->text, text);
}

TEST(PlainText, HeadingsAreFoundByTheirRulesAndCapitals) {
    const std::string text =
        "=====\nTitle\n=====\n\nintro\n\nPart one\n--------\n\ntext\n\nDeeper\n~~~~~~\n\nmore\n\nPart "
        "two\n--------\n\n"
        "not a heading\n=\n\na table row\n----- -----\n";
    const auto extracted = extract(text, Format::text);
    ASSERT_TRUE(extracted);
    std::vector<std::string> paths;
    for (const Section& section : extracted->sections) paths.push_back(section.heading);
    EXPECT_EQ(paths, (std::vector<std::string>{"Title", "Title > Part one", "Title > Part one > Deeper",
                                               "Title > Part two"}));
    EXPECT_EQ(extracted->title, "Title");
    EXPECT_THAT(extracted->text, testing::HasSubstr("Part one\n\ntext"));

    const auto manual = extract("LS(1)\n\nNAME\n       ls - list\n\nSEE ALSO\n       dir\n", Format::text);
    ASSERT_EQ(manual->sections.size(), 2u);
    EXPECT_EQ(manual->sections[1].heading, "SEE ALSO");
}

TEST(PlainText, TheTitleIsAFirstLineThatStandsAlone) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"The Constitution of the United States\n\n\nPreamble\n\nWe the People",
         "The Constitution of the United States"},
        {"\n\n   Minutes of 3 May\r\n \r\nPresent: all", "Minutes of 3 May"},
        {"\xC3\x9C"
         "bersicht\n\nText",
         "\xC3\x9C"
         "bersicht"},
        {"A name\n\nPart\n----\n\ntext", "A name"},
        {"Part\n----\n\ntext", "Part"},
        {"Two lines\nare a paragraph\n\nText", ""},
        {"A whole sentence.\n\nText", ""},
        {"Dear Anna,\n\nText", ""},
        {"Steps:\n\nText", ""},
        {"The only line", ""},
        {"The only line\n\n\n", ""},
        {"#!/bin/sh\n\nls", ""},
        {"- an item\n\n- another", ""},
        {"int main() {\n\n}", ""},
        {"key = value\n\nother = value", ""},
        {".. directive::\n\ntext", ""},
    };
    for (const auto& [text, title] : cases) EXPECT_EQ(extract(text, Format::text)->title, title) << text;
    std::string long_line(101, 'x');
    long_line += "\n\nText";
    EXPECT_EQ(extract(long_line, Format::text)->title, "");
}

TEST(PlainText, LimitsHold) {
    ExtractLimits limits;
    limits.bytes_max = 10;
    EXPECT_EQ(extract("12345678901", Format::text, limits).error().code, Errc::over_limit);
    limits = {};
    limits.text_bytes_max = 10;
    EXPECT_EQ(extract("12345678901", Format::text, limits).error().code, Errc::over_limit);
    EXPECT_TRUE(extract("1234567", Format::text, limits));
    const std::string long_line(10'000'000, 'x');
    EXPECT_EQ(extract(long_line, Format::text)->text, long_line);
}

}  // namespace
}  // namespace millrace::text
