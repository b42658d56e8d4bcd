#include "text/charset.hpp"

#include "text/extract.hpp"

#include <gtest/gtest.h>

#include <random>

namespace millrace::text {
namespace {

using namespace std::string_literals;

std::string utf16(std::u16string_view text, bool big_endian, bool mark) {
    std::string bytes;
    const auto put = [&](char16_t unit) {
        const char low = static_cast<char>(unit & 0xFF), high = static_cast<char>(unit >> 8);
        bytes += big_endian ? high : low;
        bytes += big_endian ? low : high;
    };
    if (mark) put(0xFEFF);
    for (const char16_t unit : text) put(unit);
    return bytes;
}

struct Case {
    std::string name;
    std::string bytes;
    std::string declared;
    std::string text;
};

TEST(Charset, IsFoundFromMarkDeclarationAndBytes) {
    const std::u16string_view wide = u"Ein Text – мир.";
    const std::string wide_utf8 = "Ein Text – мир.";
    // "日本語の文章です。これは試験です。" in Shift-JIS and EUC-JP.
    const std::string sjis =
        "\x93\xFA\x96\x7B\x8C\xEA\x82\xCC\x95\xB6\x8F\xCD\x82\xC5\x82\xB7\x81\x42\x82\xB1\x82\xEA\x82\xCD\x8E"
        "\x8E\x8C\xB1\x82\xC5\x82\xB7\x81\x42";
    const std::string eucjp =
        "\xC6\xFC\xCB\xDC\xB8\xEC\xA4\xCE\xCA\xB8\xBE\xCF\xA4\xC7\xA4\xB9\xA1\xA3\xA4\xB3\xA4\xEC\xA4\xCF\xBB"
        "\xEE\xB8\xB3\xA4\xC7\xA4\xB9\xA1\xA3";
    const std::string japanese = "日本語の文章です。これは試験です。";
    const std::string koi8 =
        "\xF0\xD2\xC9\xD7\xC5\xD4, \xCD\xC9\xD2! \xFC\xD4\xCF \xD4\xC5\xCB\xD3\xD4 \xCE\xC1 "
        "\xD2\xD5\xD3\xD3\xCB\xCF\xCD "
        "\xD1\xDA\xD9\xCB\xC5.";
    const std::vector<Case> cases = {
        {"ASCII", "plain", "", "plain"},
        {"UTF-8", "naïve 日本", "", "naïve 日本"},
        {"UTF-8 with a mark", "\xEF\xBB\xBFtext", "", "text"},
        {"UTF-8 declared as Latin-1", "naïve", "iso-8859-1", "naïve"},
        {"UTF-16LE with a mark", utf16(wide, false, true), "", wide_utf8},
        {"UTF-16BE with a mark", utf16(wide, true, true), "", wide_utf8},
        {"UTF-16LE without a mark", utf16(u"plain old text", false, false), "", "plain old text"},
        {"UTF-16BE without a mark", utf16(u"plain old text", true, false), "", "plain old text"},
        {"UTF-32LE", "\xFF\xFE\0\0a\0\0\0\xE9\0\0\0"s, "", "aé"},
        {"Latin-1 declared", "caf\xE9 \xA9", "ISO-8859-1", "café ©"},
        {"windows-1252 declared as Latin-1", "\x93quoted\x94", "latin1", "“quoted”"},
        {"Latin-1 found",
         "Le caf\xE9 est tr\xE8s bon, \xE0 la fa\xE7on d'un \xE9t\xE9 pass\xE9 \xE0 No\xEBl.", "",
         "Le café est très bon, à la façon d'un été passé à Noël."},
        {"Latin-1 declared as UTF-8",
         "Le caf\xE9 est tr\xE8s bon, \xE0 la fa\xE7on d'un \xE9t\xE9 pass\xE9 \xE0 No\xEBl.", "utf-8",
         "Le café est très bon, à la façon d'un été passé à Noël."},
        {"Shift-JIS found", sjis, "", japanese},
        {"Shift-JIS declared", sjis, "Shift_JIS", japanese},
        {"EUC-JP found", eucjp, "", japanese},
        {"KOI8-R found", koi8, "", "Привет, мир! Это текст на русском языке."},
        {"an unknown name", "caf\xE9 cr\xE8me", "x-nothing-of-the-kind", "café crème"},
        {"ISO-2022-JP declared", "\x1B$B$3$s\x1B(B", "iso-2022-jp", "こん"},
        {"ASCII with an escape", "a \x1B[1mbold\x1B[0m", "", "a \x1B[1mbold\x1B[0m"},
        {"nothing", "", "", ""},
    };
    for (const Case& test : cases) {
        const auto text = to_utf8(test.bytes, test.declared);
        ASSERT_TRUE(text) << test.name << ": " << text.error().detail;
        EXPECT_EQ(*text, test.text) << test.name;
    }
}

TEST(Charset, BinaryIsRefused) {
    std::string random_bytes;
    std::mt19937 random(5);
    for (int i = 0; i < 4000; ++i) random_bytes += static_cast<char>(random());
    std::string controls;
    for (int i = 0; i < 1000; ++i) controls += static_cast<char>(i % 32 + 1);
    for (const std::string& bytes :
         {"text with a \0 in it"s, random_bytes, controls, "\x89PNG\r\n\x1A\n\0\0\0\rIHDR"s}) {
        for (const char* const declared : {"", "utf-8", "windows-1252"}) {
            const auto text = to_utf8(bytes, declared);
            ASSERT_TRUE(text.has_error());
            EXPECT_EQ(text.error().code, Errc::corrupt);
        }
    }
    EXPECT_THAT(extract("a\0b"s, Format::text).error().detail, testing::HasSubstr("not text"));
}

TEST(Charset, HtmlDeclaresItself) {
    const std::vector<std::pair<std::string_view, std::string_view>> cases = {
        {"<meta charset=utf-8>", "utf-8"},
        {"<meta charset = \"Shift_JIS\">", "Shift_JIS"},
        {"<meta http-equiv='Content-Type' content='text/html; charset=ISO-8859-1'>", "ISO-8859-1"},
        {"<?xml version=\"1.0\" encoding='windows-1251'?><html>", "windows-1251"},
        {"<p>charset</p>", ""},
        {"<meta charset=", ""},
        {"", ""},
    };
    for (const auto& [html, charset] : cases) EXPECT_EQ(declared_in_html(html), charset) << html;
    const auto page = extract("<meta charset=windows-1251><p>\xCF\xF0\xE8\xE2\xE5\xF2", Format::html);
    ASSERT_TRUE(page);
    EXPECT_EQ(page->text, "Привет");
}

TEST(Charset, TheSenderWinsOverTheDocument) {
    const auto page =
        extract("<meta charset=windows-1252><p>\xCF\xF0\xE8\xE2\xE5\xF2", Format::html, {}, "windows-1251");
    ASSERT_TRUE(page);
    EXPECT_EQ(page->text, "Привет");
}

}  // namespace
}  // namespace millrace::text
