#include "provider/remembered.hpp"

#include "tests/support/counting_provider.hpp"
#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

namespace millrace::provider {
namespace {

using Texts = std::vector<std::string>;

class RememberedTest : public testing::TestWithParam<test::Engine> {
  protected:
    RememberedTest() { database = std::move(*place.open(io.get_executor())); }
    ~RememberedTest() override { database->stop(); }

    Outcome<Embeddings> embed(Provider& inner, Texts inputs) {
        Remembered remembered(inner, *database, clock);
        return test::run(io, remembered.embed(std::move(inputs), CallContext()));
    }

    std::vector<bool> known(Provider& inner, Texts inputs) {
        Remembered remembered(inner, *database, clock);
        return test::run(io, remembered.known(std::move(inputs)));
    }

    boost::asio::io_context io;
    ManualClock clock;
    test::DatabasePlace place{GetParam()};
    std::unique_ptr<store::Database> database;
    test::CountingProvider first, second;
};

TEST_P(RememberedTest, WhatOneProcessHasPaidForNoOtherPaysForAgain) {
    const Texts texts = {"one", "two", "three"};
    const auto paid = embed(first, texts);
    ASSERT_TRUE(paid);
    EXPECT_GT(paid->usage.prompt_tokens, 0);
    const auto free = embed(second, texts);
    ASSERT_TRUE(free);
    EXPECT_EQ(free->vectors, paid->vectors);
    EXPECT_EQ(free->usage, Usage());
    EXPECT_EQ(second.calls, 0u);
}

TEST_P(RememberedTest, AsksOnlyForTheTextsItDoesNotKnowAndKeepsTheirOrder) {
    Texts texts;
    for (int i = 0; i < 30; ++i) texts.push_back("text " + std::to_string(i));
    ASSERT_TRUE(embed(first, {texts[3], texts[17], texts[29]}));
    const auto all = embed(second, texts);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->vectors.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i)
        EXPECT_EQ(all->vectors[i], test::CountingProvider::vector_of(texts[i])) << i;
    EXPECT_EQ(second.texts.size(), 27u);
}

TEST_P(RememberedTest, OfFewerVectorsThanInputsItAnswersTheFirstOnesAndRemembersThem) {
    ASSERT_TRUE(embed(first, {"b"}));
    second.answers_max = 1;
    const auto part = embed(second, {"a", "b", "c"});
    ASSERT_TRUE(part);
    EXPECT_EQ(part->vectors.size(), 2u);
    const auto rest = embed(second, {"a", "b", "c"});
    ASSERT_TRUE(rest);
    EXPECT_EQ(rest->vectors.size(), 3u);
    EXPECT_EQ(second.texts, (Texts{"a", "c"}));
}

TEST_P(RememberedTest, AFailureIsPassedOnAndNothingIsRemembered) {
    first.failures.push_back({FailureKind::rejected, 400, "no"});
    const auto failed = embed(first, {"a"});
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().status, 400);
    ASSERT_TRUE(embed(first, {"a"}));
    EXPECT_EQ(first.calls, 2u);
}

TEST_P(RememberedTest, VectorsOfAnotherModelOrLengthAreOthers) {
    ASSERT_TRUE(embed(first, {"a"}));
    second.info().name = "another";
    ASSERT_TRUE(embed(second, {"a"}));
    second.info().dimensions = 32;
    ASSERT_TRUE(embed(second, {"a"}));
    EXPECT_EQ(second.calls, 2u);
}

TEST_P(RememberedTest, WithoutItsDatabaseEverythingIsAskedFor) {
    ASSERT_TRUE(embed(first, {"a"}));
    database->stop();
    const auto asked = embed(second, {"a"});
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->vectors.size(), 1u);
    EXPECT_EQ(second.calls, 1u);
}

TEST_P(RememberedTest, TellsWhatItKnowsWithoutACall) {
    Texts texts;
    for (int i = 0; i < 200; ++i) texts.push_back("text " + std::to_string(i));
    EXPECT_EQ(known(second, texts), std::vector<bool>(200, false));
    ASSERT_TRUE(embed(first, {texts[3], texts[63], texts[64], texts[199]}));
    std::vector<bool> expected(200, false);
    for (const std::size_t i : {3, 63, 64, 199}) expected[i] = true;
    EXPECT_EQ(known(second, texts), expected);
    EXPECT_EQ(known(second, {}), std::vector<bool>());
    second.info().name = "another";
    EXPECT_EQ(known(second, texts), std::vector<bool>(200, false));
    EXPECT_EQ(second.calls, 0u);
}

TEST_P(RememberedTest, WithoutItsDatabaseItKnowsNothing) {
    ASSERT_TRUE(embed(first, {"a"}));
    database->stop();
    EXPECT_EQ(known(second, {"a", "b"}), std::vector<bool>(2, false));
}

TEST_P(RememberedTest, ForgetsWhatIsOld) {
    ASSERT_TRUE(embed(first, {"old"}));
    clock.advance(Duration(1000));
    ASSERT_TRUE(embed(first, {"new"}));
    EXPECT_EQ(test::run(io, Remembered::prune(*database, clock.now())), 1);
    ASSERT_TRUE(embed(second, {"old", "new"}));
    EXPECT_EQ(second.texts, (Texts{"old"}));
}

MILLRACE_ON_EVERY_ENGINE(RememberedTest);

}  // namespace
}  // namespace millrace::provider
