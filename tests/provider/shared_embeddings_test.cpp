#include "provider/shared_embeddings.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <numeric>

namespace millrace::provider {
namespace {

std::optional<EmbeddingsRequest> read(std::string_view text) {
    return read_embeddings_request(boost::json::parse({text.data(), text.size()}).as_object());
}

TEST(SharedEmbeddingsTest, ARequestIsItsInputsAndTheRest) {
    const auto one = read(R"({"input":"a \"b\"","model":"m","user":"u"})");
    ASSERT_TRUE(one);
    EXPECT_EQ(one->rest, R"({"user":"u"})");
    EXPECT_EQ(one->inputs, std::vector<std::string>{R"("a \"b\"")"});
    EXPECT_EQ(read(R"({"input":["a","b"]})")->inputs.size(), 2u);
    EXPECT_EQ(read(R"({"input":[1,2,3]})")->inputs, std::vector<std::string>{"[1,2,3]"});
    EXPECT_EQ(read(R"({"input":[[1],[2,3]]})")->inputs, (std::vector<std::string>{"[1]", "[2,3]"}));
    EXPECT_NE(read(R"({"input":[[1]]})")->rest, read(R"({"input":["1"]})")->rest);
}

TEST(SharedEmbeddingsTest, WhatHasOtherInputsIsLeftToTheProvider) {
    for (const char* text :
         {R"({})", R"({"input":[]})", R"({"input":null})", R"({"input":5})", R"({"input":["a",1]})",
          R"({"input":[[1],"a"]})", R"({"input":[[]]})", R"({"input":[1.5]})", R"({"input":{"text":"a"}})"})
        EXPECT_FALSE(read(text)) << text;
}

TEST(SharedEmbeddingsTest, JoinedRequestsHoldAllInputsInOrder) {
    const auto a = read(R"({"input":[[1],[2]],"dimensions":8})");
    const auto b = read(R"({"input":[3],"dimensions":8})");
    const std::vector<const EmbeddingsRequest*> both{&*a, &*b};
    EXPECT_EQ(join_requests(both), R"({"input":[[1],[2],[3]],"dimensions":8})");
}

TEST(SharedEmbeddingsTest, VectorsStandAsTheProviderWroteThem) {
    const std::string answer =
        "{ \"data\" : [ {\"index\":1, \"embedding\":\"QUJD\\\"]}\"} , {\"embedding\": [ -0.1, 2E-3 ],\n"
        "\"more\": {\"a\": [\"}\", null]}, \"index\":0} ],\n \"model\":\"m]\\\\\", \"usage\": {} }";
    const std::vector<EmbeddingsShare> shares{{1, 4}, {1, 5}};
    const auto answers = split_answer(answer, shares);
    ASSERT_TRUE(answers);
    EXPECT_EQ(answers->at(0),
              R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[ -0.1, 2E-3 ]}],)"
              R"("model":"m]\\","usage":{"prompt_tokens":4,"total_tokens":4}})");
    EXPECT_EQ(answers->at(1),
              R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":"QUJD\"]}"}],)"
              R"("model":"m]\\","usage":{"prompt_tokens":5,"total_tokens":5}})");
}

TEST(SharedEmbeddingsTest, AnAnswerWithoutOneVectorForEachInputIsNotDivided) {
    const std::vector<EmbeddingsShare> two{{1, 1}, {1, 1}};
    for (
        const char* answer :
        {"{}", "[]", "", "null", R"({"data":[]})", R"({"data":{}})", R"({"data":[{"embedding":[1]}]})",
         R"({"data":[{"embedding":[1],"index":0},{"embedding":[2],"index":0}]})",
         R"({"data":[{"embedding":[1],"index":0},{"embedding":[2],"index":2}]})",
         R"({"data":[{"embedding":[1],"index":0},{"embedding":[2],"index":-1}]})",
         R"({"data":[{"embedding":[1],"index":0},{"index":1}]})",
         R"({"data":[{"embedding":[1],"index":0},{"embedding":[2]}]})",
         R"({"data":[{"embedding":[1],"index":0},{"embedding":[2],"index":1},{"embedding":[3],"index":2}]})"})
        EXPECT_FALSE(split_answer(answer, two)) << answer;
}

TEST(SharedEmbeddingsTest, TextThatBreaksOffIsReadNoFurtherThanItsEnd) {
    const std::string answer =
        R"({"data":[{"embedding":[1,"\\\""],"index":0},{"embedding":"AA==","index":1}],"model":"m"})";
    const std::vector<EmbeddingsShare> two{{1, 1}, {1, 1}};
    EXPECT_TRUE(split_answer(answer, two));
    for (std::size_t size = 0; size < answer.find("1}]"); ++size) {
        const std::vector<char> exact(answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(split_answer({exact.data(), exact.size()}, two)) << size;
    }
}

TEST(SharedEmbeddingsTest, TokensAreDividedWithoutOneMoreOrLess) {
    const std::vector<std::int64_t> weights{1, 1, 1, 0, 1000};
    for (const std::int64_t tokens : {0, 1, 2, 3, 999, 1'000'000'007}) {
        const auto parts = divide(tokens, weights);
        EXPECT_EQ(std::accumulate(parts.begin(), parts.end(), std::int64_t{0}), tokens);
        EXPECT_TRUE(std::ranges::all_of(parts, [](std::int64_t part) { return part >= 0; }));
    }
}

}  // namespace
}  // namespace millrace::provider
