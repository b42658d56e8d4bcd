#include "index/fusion.hpp"

#include <gtest/gtest.h>

namespace millrace::index {
namespace {

struct Case {
    const char* name;
    std::vector<Ranked> keyword;
    std::vector<Ranked> vector;
    double keyword_weight;
    std::vector<Ranked> expected;
};

void expect_same(const std::vector<Ranked>& actual, const Case& test) {
    ASSERT_EQ(actual.size(), test.expected.size()) << test.name;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        EXPECT_EQ(actual[i].id, test.expected[i].id) << test.name << " at " << i;
        EXPECT_NEAR(actual[i].score, test.expected[i].score, 1e-12) << test.name << " at " << i;
    }
}

TEST(FuseScores, WeighsEachRankingBroughtToZeroToOne) {
    const std::vector<Case> cases = {
        {"nothing", {}, {}, 0.7, {}},
        {"one ranking", {{1, 9}, {2, 5}, {3, 1}}, {}, 0.7, {{1, 0.7}, {2, 0.35}, {3, 0}}},
        {"both", {{1, 9}, {2, 5}, {3, 1}}, {{3, 0.9}, {1, 0.1}}, 0.7, {{1, 0.7}, {2, 0.35}, {3, 0.3}}},
        {"negative scores", {}, {{1, -0.1}, {2, -0.3}}, 0.5, {{1, 0.5}, {2, 0}}},
        {"all equal", {{5, 2}, {4, 2}}, {}, 0.6, {{4, 0.6}, {5, 0.6}}},
        {"a single hit", {{7, 3}}, {{8, 0.2}}, 0.25, {{8, 0.75}, {7, 0.25}}},
        {"words alone", {{1, 2}, {2, 1}}, {{2, 1}, {3, 0}}, 1, {{1, 1}, {2, 0}, {3, 0}}},
    };
    for (const Case& test : cases)
        expect_same(fuse_scores(test.keyword, test.vector, test.keyword_weight), test);
}

TEST(FuseRanks, AddsReciprocalRanks) {
    const std::vector<Case> cases = {
        {"nothing", {}, {}, 0.5, {}},
        {"both agree", {{1, 9}, {2, 1}}, {{1, 3}, {2, 2}}, 0.5, {{1, 1.0 / 61}, {2, 1.0 / 62}}},
        {"a tie goes by id",
         {{2, 9}, {1, 1}},
         {{1, 3}, {2, 2}},
         0.5,
         {{1, 0.5 / 61 + 0.5 / 62}, {2, 0.5 / 61 + 0.5 / 62}}},
        {"weights decide", {{2, 9}}, {{1, 3}}, 0.75, {{2, 0.75 / 61}, {1, 0.25 / 61}}},
    };
    for (const Case& test : cases)
        expect_same(fuse_ranks(test.keyword, test.vector, test.keyword_weight), test);
}

TEST(Fusion, LooksNoDeeperThanAsked) {
    const std::vector<Ranked> keyword = {{1, 10}, {2, 9}, {3, 0}};
    EXPECT_EQ(fuse_scores(keyword, {}, 1, 2).size(), 2u);
    EXPECT_EQ(fuse_scores(keyword, {}, 1, 2).back().score, 0)
        << "the least score is that of the last one taken";
    EXPECT_EQ(fuse_ranks(keyword, keyword, 0.5, 1).size(), 1u);
}

TEST(AddDocumentScores, TakesTheDocumentIntoEachOfItsPassages) {
    const std::unordered_map<std::int64_t, std::int64_t> version_of = {{1, 10}, {2, 20}, {3, 10}, {4, 30}};
    const std::vector<Ranked> passages = {{1, 8}, {2, 6}, {3, 4}, {4, 0}};
    const Case plain = {"no documents", {}, {}, 0, {{1, 0.5}, {2, 0.375}, {3, 0.25}, {4, 0}}};
    expect_same(add_document_scores(passages, {}, version_of, 0.5), plain);
    const std::vector<Ranked> documents = {{20, 5}, {10, 3}, {99, 1}};
    const Case both = {"both", {}, {}, 0, {{2, 0.875}, {1, 0.75}, {3, 0.5}, {4, 0}}};
    expect_same(add_document_scores(passages, documents, version_of, 0.5), both);
    EXPECT_TRUE(add_document_scores({}, documents, version_of, 0.5).empty());
}

}  // namespace
}  // namespace millrace::index
