#include "text/chunk.hpp"

#include "text/sentences.hpp"
#include "text/utf8.hpp"

#include "tests/text/assets.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace millrace::text {
namespace {

/// One token per word: what the expectations below are easy to count in.
std::size_t count_words(std::string_view text) {
    std::size_t words = 0;
    bool inside = false;
    for (const char c : text) {
        const bool space = is_ascii_space(c);
        words += !space && !inside ? 1 : 0;
        inside = !space;
    }
    return words;
}

ChunkOptions words(std::size_t tokens_max, std::size_t overlap) { return {tokens_max, overlap, count_words}; }

ChunkOptions cl100k(std::size_t tokens_max, std::size_t overlap) {
    return {tokens_max, overlap, [](std::string_view text) { return counter("cl100k_base").count(text); }};
}

std::string sentences(int count, int words_each, const std::string& word = "w") {
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += (text.empty() ? "S" : " S") + std::to_string(i);
        for (int j = 2; j < words_each; ++j) text += " " + word;
        text += " end.";
    }
    return text;
}

/// What holds of every split: places, order, limits, nothing lost.
void check(const ExtractedText& document, const ChunkOptions& options, const std::vector<Chunk>& chunks) {
    std::size_t covered = 0, previous_begin = 0;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
        const Chunk& chunk = chunks[i];
        ASSERT_LT(chunk.begin, chunk.end);
        ASSERT_LE(chunk.end, document.text.size());
        ASSERT_EQ(chunk.text, document.text.substr(chunk.begin, chunk.end - chunk.begin));
        ASSERT_EQ(chunk.text, trim(chunk.text));
        ASSERT_EQ(chunk.tokens, options.count_tokens(chunk.text));
        ASSERT_LE(chunk.tokens, options.tokens_max) << i << " of " << chunks.size();
        ASSERT_TRUE(is_valid_utf8(chunk.text));
        ASSERT_TRUE(i == 0 || chunk.begin > previous_begin);
        ASSERT_GT(chunk.end, covered);
        if (chunk.begin > covered) {
            ASSERT_EQ(trim(std::string_view(document.text).substr(covered, chunk.begin - covered)), "") << i;
        }
        covered = chunk.end;
        previous_begin = chunk.begin;
    }
    ASSERT_EQ(trim(std::string_view(document.text).substr(covered)), "");
}

ExtractedText plain(std::string text) {
    ExtractedText document;
    document.text = std::move(text);
    return document;
}

std::vector<std::string> texts(const std::vector<Chunk>& chunks) {
    std::vector<std::string> result;
    for (const Chunk& chunk : chunks) result.push_back(chunk.text);
    return result;
}

TEST(Sentences, EndWhereAReaderWouldSay) {
    const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
        {"One. Two! Three? Four", {"One.", "Two!", "Three?", "Four"}},
        {"Dr. Smith met J. S. Bach, e.g. in Fig. 3 vs. others. Next",
         {"Dr. Smith met J. S. Bach, e.g. in Fig. 3 vs. others.", "Next"}},
        {"He said \"Stop.\" Then (it did.) End", {"He said \"Stop.\"", "Then (it did.)", "End"}},
        {"Version 3.14 of file.txt is out. Yes... but no",
         {"Version 3.14 of file.txt is out.", "Yes... but no"}},
        {"日本語です。次の文！「はい。」終わり", {"日本語です。", "次の文！", "「はい。」", "終わり"}},
        {"यह है। वह है।", {"यह है।", "वह है।"}},
        {"wrapped\nprose goes on. It ends", {"wrapped\nprose goes on.", "It ends"}},
        {"- one\n- two\n1. three", {"- one", "- two", "1. three"}},
        {"A | B\n1 | 2", {"A | B", "1 | 2"}},
        {"code();\nmore();\n}", {"code();", "more();", "}"}},
        {"", {}},
        {"...", {"..."}},
    };
    for (const auto& [text, expected] : cases) {
        std::vector<std::string> found;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = sentence_end(text, at);
            ASSERT_GT(end, at) << text;
            found.push_back(text.substr(at, end - at));
            at = end;
            while (at < text.size() && is_ascii_space(text[at])) ++at;
        }
        EXPECT_EQ(found, expected) << text;
    }
}

TEST(Chunk, AShortTextIsOne) {
    const auto document = plain("One short text. Two sentences.");
    const auto chunks = split(document, words(100, 10));
    ASSERT_EQ(chunks.size(), 1u);
    EXPECT_EQ(chunks[0].text, document.text);
    EXPECT_EQ(chunks[0].tokens, 5u);
    EXPECT_EQ(chunks[0].page, 0);
    EXPECT_TRUE(split(plain(""), words(100, 10)).empty());
    EXPECT_TRUE(split(plain(" \n\n "), words(100, 10)).empty());
}

TEST(Chunk, CutsBetweenSentencesAndRepeatsWholeOnes) {
    const auto document = plain(sentences(10, 5));
    const auto options = words(20, 7);
    const auto chunks = split(document, options);
    check(document, options, chunks);
    EXPECT_EQ(texts(chunks)[0], "S0 w w w end. S1 w w w end. S2 w w w end. S3 w w w end.");
    EXPECT_EQ(texts(chunks)[1], "S3 w w w end. S4 w w w end. S5 w w w end. S6 w w w end.");
    EXPECT_EQ(chunks.size(), 3u);
}

TEST(Chunk, WithoutOverlapNothingIsRepeated) {
    const auto document = plain(sentences(30, 7));
    const auto options = words(20, 0);
    const auto chunks = split(document, options);
    check(document, options, chunks);
    for (std::size_t i = 1; i < chunks.size(); ++i) EXPECT_GE(chunks[i].begin, chunks[i - 1].end);
}

TEST(Chunk, PrefersTheEndOfAParagraph) {
    // 12 words, then 5 + 5 + 5: the cut goes before the second paragraph though one of its sentences would
    // fit.
    const auto document = plain(sentences(2, 6) + "\n\n" + sentences(3, 5));
    const auto chunks = split(document, words(20, 0));
    ASSERT_EQ(chunks.size(), 2u);
    EXPECT_EQ(chunks[0].text, sentences(2, 6));
    EXPECT_EQ(chunks[1].text, sentences(3, 5));
}

ExtractedText two_sections(int first_words, int second_words) {
    ExtractedText document;
    document.text = "Head one\n\n" + sentences(1, first_words) + "\n\n";
    document.sections = {{0, "Top > Head one", 2}, {document.text.size(), "Top > Head two", 2}};
    document.text += "Head two\n\n" + sentences(1, second_words);
    return document;
}

TEST(Chunk, ANewSectionBeginsANewChunk) {
    const auto document = two_sections(10, 10);
    const auto chunks = split(document, words(40, 5));
    ASSERT_EQ(chunks.size(), 2u);
    EXPECT_EQ(chunks[0].heading, "Top > Head one");
    EXPECT_EQ(chunks[1].heading, "Top > Head two");
    EXPECT_TRUE(chunks[1].text.starts_with("Head two\n\n")) << "overlap must not reach over a heading";
}

TEST(Chunk, TinySectionsAreMergedUnderWhatTheirHeadingsShare) {
    const auto document = two_sections(3, 3);
    const auto chunks = split(document, words(40, 5));
    ASSERT_EQ(chunks.size(), 1u);
    EXPECT_EQ(chunks[0].heading, "Top");
}

TEST(Chunk, AHeadingIsNotLeftAtTheEnd) {
    ExtractedText document;
    document.text = sentences(1, 4) + "\n\n";
    document.sections = {{document.text.size(), "Heading", 1}};
    document.text += "Heading\n\n" + sentences(1, 18);
    const auto chunks = split(document, words(20, 0));
    ASSERT_EQ(chunks.size(), 2u);
    EXPECT_TRUE(chunks[1].text.starts_with("Heading\n\nS0"));
    EXPECT_EQ(chunks[1].heading, "Heading");
}

TEST(Chunk, KnowsItsPage) {
    ExtractedText document;
    for (int page = 0; page < 5; ++page) {
        document.page_offsets.push_back(document.text.size());
        document.text += sentences(2, 8) + "\n\n";
    }
    const auto chunks = split(document, words(16, 0));
    ASSERT_EQ(chunks.size(), 5u);
    for (int page = 0; page < 5; ++page) EXPECT_EQ(chunks[static_cast<std::size_t>(page)].page, page + 1);
}

TEST(Chunk, ALongSentenceIsCutBetweenLinesThenWordsThenCharacters) {
    std::string lines, one_line;
    for (int i = 0; i < 60; ++i) {
        lines += "word word word word\n";
        one_line += "word ";
    }
    for (const std::string& text : {lines, one_line}) {
        const auto document = plain(text);
        const auto options = words(16, 4);
        const auto chunks = split(document, options);
        check(document, options, chunks);
        for (const Chunk& chunk : chunks)
            EXPECT_EQ(chunk.text.find("wor", chunk.text.size() - 3), std::string::npos);
    }
    const auto document = plain(std::string(20'000, 'x'));
    const auto options = cl100k(50, 10);
    check(document, options, split(document, options));
}

TEST(Chunk, CharactersAreNotTornApart) {
    std::string family;
    for (int i = 0; i < 300; ++i) family += "👩‍👩‍👧‍👦e\u0301🇩🇪";
    const auto document = plain(family);
    const auto options = cl100k(64, 8);
    const auto chunks = split(document, options);
    check(document, options, chunks);
    for (const Chunk& chunk : chunks) {
        const std::uint32_t first = decode_utf8(chunk.text, 0).value;
        EXPECT_TRUE(first != 0x200D && first != 0x301) << std::hex << first;
    }
}

TEST(Chunk, TokensNeverPassTheLimitWhateverTheText) {
    const std::vector<std::string> atoms = {"word ",      "Internationalisation",
                                            " ",          "\n",
                                            "\n\n",       ". ",
                                            "日本語。",   "- item\n",
                                            "🎉",         "x",
                                            "0123456789", "    code();\n",
                                            "Dr. ",       "\t",
                                            "é",          "\"Quote.\" ",
                                            "a | b\n"};
    std::mt19937 random(3);
    for (int round = 0; round < 200; ++round) {
        ExtractedText document;
        for (int i = 0; i < 300; ++i) {
            if (random() % 40 == 0) {
                document.text += "\n\n";
                document.sections.push_back({document.text.size(), "H" + std::to_string(i), 1});
                document.text += "H" + std::to_string(i) + "\n\n";
            }
            document.text += atoms[random() % atoms.size()];
        }
        const auto options = cl100k(16 + random() % 80, random() % 30);
        const auto chunks = split(document, options);
        check(document, options, chunks);
        EXPECT_EQ(texts(chunks), texts(split(document, options)));
        if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(Chunk, TenMegabytesOnOneLineTakeSeconds) {
    std::string prose, blob;
    while (prose.size() < 10'000'000) prose += "A sentence of some length that is like the others. ";
    std::mt19937 random(4);
    while (blob.size() < 10'000'000) blob += static_cast<char>('a' + random() % 26);
    for (const std::string& text : {prose, blob}) {
        const auto document = plain(text);
        ChunkOptions options;
        const auto begin = std::chrono::steady_clock::now();
        const auto chunks = split(document, options);
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
        EXPECT_GT(chunks.size(), 3000u);
        check(document, options, chunks);
    }
    const auto document = plain(blob.substr(0, 1'000'000));
    const auto options = cl100k(512, 64);
    check(document, options, split(document, options));
}

TEST(Chunk, OddOptionsAreMadeSound) {
    const auto document = plain(sentences(20, 6));
    EXPECT_FALSE(split(document, words(0, 0)).empty());
    EXPECT_FALSE(split(document, words(1, 100)).empty());
    const auto estimated = split(document, {});
    EXPECT_EQ(estimated.size(), 1u);
}

}  // namespace
}  // namespace millrace::text
