#include "text/tokens.hpp"

#include "tests/text/assets.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <sstream>

namespace millrace::text {
namespace {

using Ids = std::vector<std::uint32_t>;

std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        switch (text[++i]) {
            case 'n': out += '\n'; break;
            case 'r': out += '\r'; break;
            case 't': out += '\t'; break;
            case '0': out += '\0'; break;
            case '1': out += '\1'; break;
            default: out += text[i];
        }
    }
    return out;
}

Ids parse_ids(std::string text) {
    for (char& c : text) {
        if (c == ',' || c == '[' || c == ']') c = ' ';
    }
    std::istringstream in(text);
    return {std::istream_iterator<std::uint32_t>(in), {}};
}

/// The conformance plans of the .NET tokenizer: three lines each, an empty line between.
std::size_t check_plans(const std::string& encoding) {
    std::istringstream plans(read_file(std::filesystem::path(MILLRACE_ASSETS) / "TestPlans.txt"));
    const std::string name = "EncodingName: ", sample = "Sample: ", encoded = "Encoded: ";
    std::size_t checked = 0;
    for (std::string a, b, c, empty;
         std::getline(plans, a) && std::getline(plans, b) && std::getline(plans, c);) {
        std::getline(plans, empty);
        if (a != name + encoding) continue;
        const std::string text = b.substr(sample.size());
        EXPECT_EQ(counter(encoding).encode(text), parse_ids(c.substr(encoded.size()))) << text;
        ++checked;
    }
    return checked;
}

TEST(Tokens, EqualThePublishedPlansForCl100k) { EXPECT_EQ(check_plans("cl100k_base"), 64u); }

TEST(Tokens, EqualThePublishedPlansForO200k) { EXPECT_EQ(check_plans("o200k_base"), 57u); }

// fixtures/tokens.tsv: encoding, escaped text, ids; written by js-tiktoken 1.0.21 with special tokens
// disabled.
TEST(Tokens, EqualJsTiktokenOnTrickyTexts) {
    std::istringstream lines(fixture("tokens.tsv"));
    std::size_t checked = 0;
    for (std::string line; std::getline(lines, line); ++checked) {
        const std::size_t first = line.find('\t'), last = line.rfind('\t');
        const std::string text = unescape(std::string_view(line).substr(first + 1, last - first - 1));
        const TokenCounter& counter = text::counter(line.substr(0, first));
        const Ids expected = parse_ids(line.substr(last + 1));
        EXPECT_EQ(counter.encode(text), expected) << counter.encoding() << ": " << text;
        EXPECT_EQ(counter.count(text), expected.size());
    }
    EXPECT_EQ(checked, 88u);
}

TEST(Tokens, EndsCoverTheTextInOrder) {
    const std::string text = "One token’s end – 日本語 👍🏽 is\n\n another's begin." + std::string(300, 'q');
    for (const std::string encoding : {"cl100k_base", "o200k_base"}) {
        const auto ends = counter(encoding).token_ends(text);
        ASSERT_EQ(ends.size(), counter(encoding).count(text));
        EXPECT_TRUE(std::is_sorted(ends.begin(), ends.end()));
        EXPECT_EQ(ends.back(), text.size());
    }
}

TEST(Tokens, BytesThatAreNotUtf8AreEncodedAsTheyAre) {
    const std::string text = "ok \xFF\xC3( \xED\xA0\x80 \xF4\x90\x80\x80 end\xE2\x82";
    for (const std::string encoding : {"cl100k_base", "o200k_base"}) {
        const auto ends = counter(encoding).token_ends(text);
        EXPECT_EQ(ends.back(), text.size());
        EXPECT_GT(ends.size(), 10u);
    }
}

TEST(Tokens, AnEmptyTextHasNone) {
    EXPECT_EQ(counter("cl100k_base").count(""), 0u);
    EXPECT_TRUE(counter("o200k_base").encode("").empty());
}

// A quadratic merge of these would take hours; the bound is loose enough for a sanitizer build on a busy
// machine.
TEST(Tokens, MegabytesWithoutABreakTakeSeconds) {
    const std::size_t size = 2'000'000;
    std::string alternating(size, 'a');
    for (std::size_t i = 0; i < size; i += 3) alternating[i] = 'B';
    const std::array texts = {std::string(size, 'a'), std::string(size, ' '), std::string(size, '\n'),
                              std::string(size, '-'), alternating};
    for (const std::string& text : texts) {
        const auto begin = std::chrono::steady_clock::now();
        const std::size_t count = counter("o200k_base").count(text);
        EXPECT_GT(count, size / 200);
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60)) << text.substr(0, 3);
    }
}

struct LoadCase {
    std::string encoding, file;
    Errc code;
    std::string says;
};

TEST(Tokens, ABadRankFileIsAClearError) {
    const auto folder = std::filesystem::path(testing::TempDir()) / ("ranks" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    const std::string good = read_file(std::filesystem::path(MILLRACE_ASSETS) / "cl100k_base.tiktoken");
    const std::vector<LoadCase> cases = {
        {"p50k_base", good, Errc::invalid_input, "unknown token encoding"},
        {"cl100k_base", "", Errc::corrupt, "single byte"},
        {"cl100k_base", "hello", Errc::corrupt, "line 1: no space"},
        {"cl100k_base", "IQ== 0\n!!!! 1\n", Errc::corrupt, "line 2: the token is not base64"},
        {"cl100k_base", "IQ== 0\nIg== x\n", Errc::corrupt, "line 2: the rank"},
        {"cl100k_base", "IQ== 0\nIQ== 1\n", Errc::corrupt, "line 2: comes twice"},
        {"cl100k_base", "IQ== 0\nIg== 0\n", Errc::corrupt, "line 2: comes twice"},
        {"cl100k_base", good.substr(0, 800'000), Errc::corrupt, ""},
        {"o200k_base", good, Errc::corrupt, "holds 100256 tokens"},
    };
    for (const LoadCase& test : cases) {
        const auto path = folder / "ranks.tiktoken";
        std::ofstream(path, std::ios::binary) << test.file;
        const auto loaded = TokenCounter::load(test.encoding, path);
        ASSERT_TRUE(loaded.has_error()) << test.says;
        EXPECT_EQ(loaded.error().code, test.code) << test.says;
        EXPECT_THAT(loaded.error().detail, testing::HasSubstr(test.says));
    }
    std::filesystem::remove_all(folder);
    EXPECT_EQ(TokenCounter::load("cl100k_base", folder / "none").error().code, Errc::not_found);
}

TEST(Tokens, ModelsCountByTheirEncoding) {
    const std::vector<std::pair<std::string_view, std::string_view>> cases = {
        {"text-embedding-3-small", "cl100k_base"},
        {"text-embedding-3-large", "cl100k_base"},
        {"text-embedding-ada-002", "cl100k_base"},
        {"gpt-4", "cl100k_base"},
        {"gpt-4-turbo", "cl100k_base"},
        {"gpt-3.5-turbo", "cl100k_base"},
        {"gpt-4o", "o200k_base"},
        {"gpt-4o-mini-2024-07-18", "o200k_base"},
        {"gpt-4.1-nano", "o200k_base"},
        {"gpt-5-mini", "o200k_base"},
        {"o1", "o200k_base"},
        {"o3-mini", "o200k_base"},
        {"o4-mini", "o200k_base"},
        {"nomic-embed-text", "cl100k_base"},
        {"", "cl100k_base"},
    };
    for (const auto& [model, encoding] : cases) EXPECT_EQ(encoding_for_model(model), encoding) << model;
}

TEST(Tokens, TheEstimateRoundsUpAndCountsEachCjkCharacter) {
    EXPECT_EQ(estimate_tokens(""), 0u);
    EXPECT_EQ(estimate_tokens("a"), 1u);
    EXPECT_EQ(estimate_tokens("abcd"), 1u);
    EXPECT_EQ(estimate_tokens("abcde"), 2u);
    EXPECT_EQ(estimate_tokens("日本語"), 3u);
    EXPECT_EQ(estimate_tokens("日本語 text"), 5u);
    EXPECT_EQ(estimate_tokens("мир"), 2u);
}

}  // namespace
}  // namespace millrace::text
