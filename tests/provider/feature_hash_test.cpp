#include "provider/feature_hash.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace millrace::provider {
namespace {

using ::testing::Each;
using ::testing::Lt;

std::vector<float> hash_of(std::string_view text, std::size_t dimensions = 512) {
    FeatureHash hash(dimensions);
    std::vector<float> vector(dimensions);
    hash.embed(text, vector);
    return vector;
}

float dot(const std::vector<float>& a, const std::vector<float>& b) {
    float sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

/// A number that any change of any bit of `vector` changes.
std::uint64_t fingerprint(const std::vector<float>& vector) {
    std::uint64_t print = 1469598103934665603u;
    for (const float x : vector) print = (print ^ std::bit_cast<std::uint32_t>(x)) * 1099511628211u;
    return print;
}

TEST(FeatureHash, GivesTheSameBitsOnEveryMachine) {
    struct Case {
        const char* text;
        std::size_t dimensions;
        std::uint64_t print;
    };
    const Case cases[] = {
        {"The quick brown fox jumps over the lazy dog.", 512, 12370374240101501537u},
        {"The quick brown fox jumps over the lazy dog.", 1024, 6419270943948830977u},
        {"Grüße aus Köln: 12 µm, ﬁnance, ÉCOLE, Привет, 日本語のテキスト", 512, 7000184107578000869u},
        {"to be or not to be", 512, 12872734902143784127u},
        {"?!", 1024, 10125845595322752827u},
    };
    for (const Case& c : cases) EXPECT_EQ(fingerprint(hash_of(c.text, c.dimensions)), c.print) << c.text;
}

TEST(FeatureHash, EveryTextGetsAUnitVector) {
    const std::string texts[] = {
        "a",
        " ",
        "?",
        "the",
        "queue",
        "to be or not to be",
        "\xff\xfe\x80",
        std::string(3, '\0'),
        "日",
        "é",
        std::string(100'000, 'x'),
        "tab\tnew\nline",
        "\xe2\x80",
        "١٢٣ الصف",
        "🙂",
    };
    for (const std::string& text : texts) {
        for (const std::size_t dimensions : {64u, 512u, 1024u}) {
            const auto vector = hash_of(text, dimensions);
            EXPECT_NEAR(dot(vector, vector), 1.0f, 1e-5f) << text.substr(0, 20);
        }
    }
}

TEST(FeatureHash, TextsWithoutWordsDiffer) {
    EXPECT_LT(dot(hash_of("?!"), hash_of("%&")), 0.5f);
    EXPECT_LT(dot(hash_of("the"), hash_of("of")), 0.5f);
}

TEST(FeatureHash, AnObjectRemembersNothingOfTheTextBefore) {
    FeatureHash used(512);
    std::vector<float> vector(512);
    std::string long_text;
    for (int i = 0; i < 5000; ++i) long_text += "word" + std::to_string(i) + " ";
    for (const char* text : {"first text", long_text.c_str(), "second text"}) used.embed(text, vector);
    EXPECT_EQ(vector, hash_of("second text"));
}

TEST(FeatureHash, CaseStopWordsEndingsAndPunctuationMatterLittle) {
    const auto query = hash_of("connecting to the database server");
    EXPECT_GT(dot(query, hash_of("Connect: DATABASE-SERVERS!")), 0.6f);
    EXPECT_LT(dot(query, hash_of("a recipe for apple pie with cinnamon")), 0.15f);
    EXPECT_EQ(hash_of("naïve ﬁnance ＡＢＣ"), hash_of("NAÏVE FINANCE abc"));
}

TEST(FeatureHash, FindsPartsOfWords) {
    const auto query = hash_of("authentication");
    EXPECT_GT(dot(query, hash_of("authenticator")), dot(query, hash_of("communication")) + 0.1f);
}

TEST(FeatureHash, FindsWordsInScriptsWithoutSpaces) {
    const auto query = hash_of("検索");
    EXPECT_GT(dot(query, hash_of("全文検索を使う")), dot(query, hash_of("今日は天気がいい")) + 0.2f);
}

TEST(FeatureHash, CountsWords) {
    FeatureHash hash(512);
    std::vector<float> vector(512);
    EXPECT_EQ(hash.embed("The lock, once lost, is lost.", vector), 6u);
    EXPECT_EQ(hash.embed("to be or not to be", vector), 6u);
    EXPECT_EQ(hash.embed(" -- ", vector), 0u);
}

}  // namespace
}  // namespace millrace::provider
