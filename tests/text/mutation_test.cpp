// Real documents, broken at random but the same way in each run: nothing crashes, and every promise of the
// result holds.
#include "text/chunk.hpp"
#include "text/extract.hpp"
#include "text/utf8.hpp"

#include "tests/text/assets.hpp"
#include "tests/text/samples.hpp"

#include <gtest/gtest.h>

#include <random>

namespace millrace::text {
namespace {

class Mutator {
  public:
    explicit Mutator(std::uint32_t seed) : random_(seed) {}

    std::string operator()(std::string bytes) {
        for (std::size_t n = 1 + below(6); n > 0 && !bytes.empty(); --n) mutate(bytes);
        return bytes;
    }

  private:
    std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

    void mutate(std::string& bytes) {
        static const std::vector<std::string> kTokens = {"<",          ">",           "</",
                                                         "<p>",        "<table>",     "</table>",
                                                         "<h1>",       "</h1>",       "<li>",
                                                         "<pre>",      "<svg>",       "<math>",
                                                         "<select>",   "<template>",  "<frameset>",
                                                         "<!--",       "-->",         "<![CDATA[",
                                                         "&#x0;",      "&#99999999;", "&",
                                                         "\"",         "'",           "=",
                                                         "[",          "](",          "```",
                                                         "|",          "\n\n",        "- ",
                                                         "> ",         "# ",          std::string(1, '\0'),
                                                         "\xFF",       "\xE2\x82",    "\xED\xA0\x80",
                                                         "\r",         "\t",          "PK\x01\x02",
                                                         "PK\x05\x06", "<w:p>",       "</w:p>"};
        const std::size_t at = below(bytes.size()),
                          length = 1 + below(std::min<std::size_t>(bytes.size() - at, 64));
        switch (below(6)) {
            case 0: bytes[at] = static_cast<char>(random_()); break;
            case 1: bytes.erase(at, length); break;
            case 2: bytes.insert(below(bytes.size()), bytes.substr(at, length)); break;
            case 3: bytes.insert(at, kTokens[below(kTokens.size())]); break;
            case 4: bytes.resize(at); break;
            default: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
        }
    }

    std::mt19937 random_;
};

const char* const kHtml =
    "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>Write-ahead log</title><style>p { margin: "
    "0 }</style></head>"
    "<body><nav><a href=/>Home</a></nav><main><h1>Write-ahead log</h1><p>Changes are <em>appended</em> to a "
    "log first.</p>"
    "<h2>Checkpoint</h2><ul><li>passive<li>full<ol><li>restart</ol></"
    "ul><table><tr><th>mode<th>waits<tr><td>passive<td>no"
    "</table><pre>PRAGMA wal_checkpoint;\n  -- done</pre><svg><text>x</text></svg><p>Über &amp; naïve "
    "&hellip; 日本語"
    "<select><option>a</select><form><input name=q></form></main><script>if (a < b) "
    "{}</script></body></html>";
const char* const kMarkdown =
    "---\ntitle: Notes\n---\n# Notes\n\nSome *emphasis*, `code` and a [link](http://example.org "
    "\"title\").\n\n"
    "- one\n- two\n  1. nested\n\n| A | B |\n|---|---|\n| 1 | 2 |\n\n```sh\nls "
    "-l\n```\n\n<div><b>HTML</b></div>\n\n> quote &amp; more\n\n"
    "Setext\n------\n\n[ref]: http://example.org\nText with [ref] and ![image](x.png). Ünïcödé 日本語.\n";
const char* const kText =
    "Title\n=====\n\nA paragraph of text that is wrapped\nover lines. Another sentence.\n\n  "
    "indented\n\nNAME\n    something\n\n"
    "Grüße aus München, naïve café, 日本語の文。次の文。\n";

std::string docx_sample() {
    const std::string notes =
        "<w:footnotes><w:footnote>" + word_paragraph("A note.") + "</w:footnote></w:footnotes>";
    const std::string styles =
        "<w:styles><w:style w:styleId=\"Heading1\"><w:name w:val=\"heading 1\"/></w:style></w:styles>";
    return make_docx(word_paragraph("Title", "Heading1") + word_paragraph("Some text &amp; more.") +
                         "<w:tbl><w:tr><w:tc>" + word_paragraph("cell") + "</w:tc></w:tr></w:tbl>",
                     {{"word/footnotes.xml", notes}, {"word/styles.xml", styles}});
}

void check(const ExtractedText& extracted, const ExtractLimits& limits) {
    ASSERT_FALSE(extracted.text.empty());
    ASSERT_LE(extracted.text.size(), limits.text_bytes_max);
    ASSERT_TRUE(is_valid_utf8(extracted.text));
    ASSERT_TRUE(is_valid_utf8(extracted.title));
    for (const char c : extracted.text)
        ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t');
    std::size_t previous = 0;
    for (const Section& section : extracted.sections) {
        ASSERT_GE(section.offset, previous);
        ASSERT_LT(section.offset, extracted.text.size());
        ASSERT_TRUE(is_valid_utf8(section.heading));
        previous = section.offset;
    }
    ChunkOptions options;
    options.tokens_max = 24;
    options.overlap_tokens = 6;
    for (const Chunk& chunk : split(extracted, options)) {
        ASSERT_LE(chunk.tokens, options.tokens_max);
        ASSERT_EQ(chunk.text, extracted.text.substr(chunk.begin, chunk.end - chunk.begin));
        ASSERT_TRUE(is_valid_utf8(chunk.text));
    }
}

void check_mutations(Format format, const std::string& sample, int read_min) {
    Mutator mutate(42);
    ExtractLimits limits;
    limits.text_bytes_max = 4000;
    limits.time_max = std::chrono::seconds(5);
    int read = 0;
    for (int round = 0; round < 2000; ++round) {
        const std::string bytes = mutate(sample);
        const auto extracted = extract(bytes, format, limits);
        if (extracted) {
            ++read;
            check(*extracted, limits);
        } else {
            ASSERT_FALSE(extracted.error().detail.empty());
            ASSERT_TRUE(is_valid_utf8(extracted.error().detail)) << extracted.error().detail;
            ASSERT_EQ(extracted.error().detail.find('\n'), std::string::npos);
        }
        if (testing::Test::HasFatalFailure()) {
            ADD_FAILURE() << "round " << round << " of " << to_string(format);
            return;
        }
    }
    EXPECT_GT(read, read_min) << "the mutations of " << to_string(format) << " break everything";
}

TEST(Mutations, OfTextKeepEveryPromise) { check_mutations(Format::text, kText, 1000); }
TEST(Mutations, OfMarkdownKeepEveryPromise) { check_mutations(Format::markdown, kMarkdown, 1000); }
TEST(Mutations, OfHtmlKeepEveryPromise) { check_mutations(Format::html, kHtml, 1000); }
TEST(Mutations, OfDocxKeepEveryPromise) { check_mutations(Format::docx, docx_sample(), 20); }

// Mutated XML inside a sound archive reaches what a mutated archive hides.
TEST(Mutations, OfTheXmlInADocxKeepEveryPromise) {
    Mutator mutate(43);
    const std::string part =
        word_part(word_paragraph("Title", "Heading1") + word_paragraph("Text.") + "<w:tbl><w:tr><w:tc>" +
                  word_paragraph("cell") + "</w:tc></w:tr></w:tbl>");
    const ExtractLimits limits;
    for (int round = 0; round < 2000; ++round) {
        const auto extracted = extract(make_zip({{"word/document.xml", mutate(part)}}), Format::docx, limits);
        if (extracted) check(*extracted, limits);
        if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(Mutations, OfPdfKeepEveryPromise) {
    Mutator mutate(44);
    const std::string sample = make_pdf({"First page of text.", "Second page."}, "Title");
    const ExtractLimits limits;
    for (int round = 0; round < 60; ++round) {
        const auto extracted = extract(mutate(sample), Format::pdf, limits);
        if (extracted) check(*extracted, limits);
        if (testing::Test::HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace millrace::text
