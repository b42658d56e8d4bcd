// What every Provider promises, as one suite. A world for an implementation has `io` (an asio::io_context)
// and `provider()`; instantiate with INSTANTIATE_TYPED_TEST_SUITE_P(Name, ProviderContract, World).
#pragma once

#include "provider/provider.hpp"
#include "tests/provider/run.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace millrace::provider {

template <class World>
class ProviderContract : public testing::Test {
  protected:
    Outcome<Embeddings> embed(std::vector<std::string> inputs) {
        return run(world.io, world.provider().embed(std::move(inputs)));
    }
    std::vector<float> vector_of(const std::string& text) {
        const auto result = embed({text});
        if (!result) throw std::runtime_error(result.error().detail);
        return result->vectors.at(0);
    }
    World world;
};

inline double dot_product(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b.at(i);
    return sum;
}

TYPED_TEST_SUITE_P(ProviderContract);

TYPED_TEST_P(ProviderContract, GivesOneUnitVectorOfTheModelsLengthPerInput) {
    const auto result = this->embed({"one text", "another", "\xC3\x84rger mit Umlauten", "1", " ", "!?"});
    ASSERT_TRUE(result) << result.error().detail;
    ASSERT_EQ(result->vectors.size(), 6u);
    const std::size_t dimensions = this->world.provider().model().dimensions;
    EXPECT_GT(dimensions, 0u);
    for (const auto& vector : result->vectors) {
        EXPECT_EQ(vector.size(), dimensions);
        EXPECT_NEAR(dot_product(vector, vector), 1, 1e-4);
    }
    EXPECT_GT(result->usage.prompt_tokens, 0);
}

TYPED_TEST_P(ProviderContract, KeepsTheOrderOfTheInputsWhateverElseIsInTheBatch) {
    const std::vector<std::string> texts = {
        "the first passage", "a rather different second one, somewhat longer", "3", "the first passage"};
    const auto together = this->embed(texts);
    ASSERT_TRUE(together) << together.error().detail;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        EXPECT_NEAR(dot_product(together->vectors[i], this->vector_of(texts[i])), 1, 1e-4) << texts[i];
    }
    EXPECT_LT(dot_product(together->vectors[0], together->vectors[1]), 0.99);
}

TYPED_TEST_P(ProviderContract, GivesTheSameVectorForTheSameText) {
    EXPECT_EQ(this->vector_of("again and again"), this->vector_of("again and again"));
}

TYPED_TEST_P(ProviderContract, PutsTextsOfTheSameWordsNearEachOther) {
    const auto cat = this->vector_of("the cat sat on the mat by the door");
    const auto also = this->vector_of("a cat sat on a mat near the door");
    const auto money = this->vector_of("quarterly revenue of the chemical industry declined");
    EXPECT_GT(dot_product(cat, also), dot_product(cat, money) + 0.1);
}

TYPED_TEST_P(ProviderContract, RefusesNothingAndEmptyTexts) {
    const std::vector<std::vector<std::string>> cases = {{}, {""}, {"a", "", "b"}};
    for (const auto& inputs : cases) {
        const auto result = this->embed(inputs);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().kind, FailureKind::rejected);
        EXPECT_FALSE(result.error().detail.empty());
    }
}

TYPED_TEST_P(ProviderContract, TakesAsManyInputsAsItSaysAndNoMore) {
    const std::size_t most = this->world.provider().model().inputs_per_request_max;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < most; ++i) texts.push_back("text number " + std::to_string(i));
    const auto result = this->embed(texts);
    ASSERT_TRUE(result) << result.error().detail;
    ASSERT_EQ(result->vectors.size(), most);
    EXPECT_NEAR(dot_product(result->vectors[most / 2], this->vector_of(texts[most / 2])), 1, 1e-4);
    texts.push_back("one too many");
    const auto refused = this->embed(texts);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, FailureKind::rejected);
}

TYPED_TEST_P(ProviderContract, TakesALongText) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += "word" + std::to_string(i) + " ";
    const auto vector = this->vector_of(text);
    EXPECT_NEAR(dot_product(vector, vector), 1, 1e-4);
}

TYPED_TEST_P(ProviderContract, MayBeAskedWithoutAContextAndAwaitedAtOnce) {
    Provider& provider = this->world.provider();
    const auto ask = [&provider]() -> asio::awaitable<bool> {
        std::vector<std::string> inputs = {"text"};
        const auto embeddings = co_await provider.embed(std::move(inputs));
        CompletionRequest request;
        request.task = "summarize";
        request.input = "One sentence.";
        const auto completion = co_await provider.complete(std::move(request));
        RawRequest nothing;
        const auto passed_on = co_await provider.call(std::move(nothing));
        const bool refused = !passed_on || passed_on->status >= 400;
        co_return embeddings.has_value() && refused;
    };
    EXPECT_TRUE(run(this->world.io, ask()));
}

REGISTER_TYPED_TEST_SUITE_P(ProviderContract, GivesOneUnitVectorOfTheModelsLengthPerInput,
                            KeepsTheOrderOfTheInputsWhateverElseIsInTheBatch,
                            GivesTheSameVectorForTheSameText, PutsTextsOfTheSameWordsNearEachOther,
                            RefusesNothingAndEmptyTexts, TakesAsManyInputsAsItSaysAndNoMore, TakesALongText,
                            MayBeAskedWithoutAContextAndAwaitedAtOnce);

}  // namespace millrace::provider
