#include "work/steps.hpp"

#include "work/tasks.hpp"

#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>
#include <boost/asio/detached.hpp>

namespace millrace::work {
namespace {

class StepsTest : public testing::TestWithParam<test::Engine> {
  protected:
    void SetUp() override { database_ = std::move(*place_.open(io_.get_executor())); }
    void TearDown() override { database_->stop(); }

    asio::io_context io_;
    test::DatabasePlace place_{GetParam()};
    ManualClock clock_;
    std::unique_ptr<store::Database> database_;
};

TEST_P(StepsTest, AStepRunsOncePerMessageForEver) {
    int calls = 0;
    auto expensive = [&calls]() -> asio::awaitable<Result<std::string>> {
        calls += 1;
        co_return std::string("result") + '\0' + "bytes";
    };
    for (int delivery = 0; delivery < 3; ++delivery) {
        Steps steps(*database_, clock_, "message-1");
        auto result = test::run(io_, steps.run("summary", expensive));
        ASSERT_TRUE(result);
        EXPECT_EQ(*result, std::string("result") + '\0' + "bytes");
    }
    EXPECT_EQ(calls, 1);
    Steps other(*database_, clock_, "message-2");
    EXPECT_TRUE(test::run(io_, other.run("summary", expensive)));
    EXPECT_EQ(calls, 2);
}

TEST_P(StepsTest, AFailedStepIsNotRemembered) {
    int calls = 0;
    auto flaky = [&calls]() -> asio::awaitable<Result<std::string>> {
        calls += 1;
        if (calls == 1) co_return Error{Errc::unavailable, "down"};
        co_return std::string("up");
    };
    Steps steps(*database_, clock_, "message-1");
    EXPECT_FALSE(test::run(io_, steps.run("call", flaky)));
    EXPECT_EQ(*test::run(io_, steps.run("call", flaky)), "up");
    EXPECT_EQ(*test::run(io_, steps.run("call", flaky)), "up");
    EXPECT_EQ(calls, 2);
}

TEST_P(StepsTest, APaidResultIsHeldUntilTheStoreIsBack) {
    const auto change = [this](std::string sql) {
        auto work = [sql = std::move(sql)](store::Connection& connection) -> Result<void> {
            connection.prepare(sql).run();
            return {};
        };
        return database_->write(std::move(work));
    };
    int calls = 0;
    auto paid = [&]() -> asio::awaitable<Result<std::string>> {
        calls += 1;
        auto changed = co_await change("ALTER TABLE step RENAME TO away");
        EXPECT_TRUE(changed);
        co_return std::string("answer");
    };
    Steps steps(*database_, clock_, "message-1");
    std::optional<Result<std::string>> result;
    auto running = [&]() -> asio::awaitable<void> {
        auto run = steps.run("call", paid);
        result = co_await std::move(run);
    };
    asio::co_spawn(io_, running(), asio::detached);
    test::run_until(io_, [&] { return clock_.sleepers() == 1; });
    ASSERT_TRUE(test::run(io_, change("ALTER TABLE away RENAME TO step")));
    clock_.advance(std::chrono::seconds(1));
    test::run_until(io_, [&] { return result.has_value(); });
    EXPECT_EQ(**result, "answer");
    EXPECT_EQ(*test::run(io_, steps.run("call", paid)), "answer");
    EXPECT_EQ(calls, 1);
}

TEST_P(StepsTest, StepsArePrunedByAge) {
    auto work = []() -> asio::awaitable<Result<std::string>> { co_return std::string("x"); };
    Steps steps(*database_, clock_, "message-1");
    ASSERT_TRUE(test::run(io_, steps.run("old", work)));
    clock_.advance(std::chrono::hours(2));
    ASSERT_TRUE(test::run(io_, steps.run("new", work)));
    EXPECT_EQ(*test::run(io_, Steps::prune(*database_, clock_.now() - std::chrono::hours(1))), 1);
}

TEST_P(StepsTest, AStepThatIsStillUsedIsNotPrunedNorIsOneOfATask) {
    int calls = 0;
    auto work = [&calls]() -> asio::awaitable<Result<std::string>> {
        calls += 1;
        co_return std::string("x");
    };
    Steps sleeping(*database_, clock_, "message-1");
    Steps task(*database_, clock_, task_owner("t1"));
    Steps forgotten(*database_, clock_, "message-2");
    for (Steps* steps : {&sleeping, &task, &forgotten}) ASSERT_TRUE(test::run(io_, steps->run("step", work)));
    for (int day = 0; day < 40; ++day) {
        clock_.advance(std::chrono::hours(24));
        ASSERT_TRUE(test::run(io_, sleeping.run("step", work)));
    }
    EXPECT_EQ(*test::run(io_, Steps::prune(*database_, clock_.now() - std::chrono::hours(24 * 30))), 1);
    ASSERT_TRUE(test::run(io_, sleeping.run("step", work)));
    ASSERT_TRUE(test::run(io_, task.run("step", work)));
    EXPECT_EQ(calls, 3);
}

TEST(SharedSteps, WhatOneProcessHasRunIsFoundByTheOther) {
    asio::io_context io;
    const test::DatabasePlace place(test::Engine::postgres);
    ManualClock clock;
    auto one = std::move(*place.open(io.get_executor()));
    auto other = std::move(*place.open(io.get_executor()));
    int calls = 0;
    auto expensive = [&calls]() -> asio::awaitable<Result<std::string>> {
        calls += 1;
        co_return "result " + std::to_string(calls);
    };
    Steps first(*one, clock, "message-1");
    Steps second(*other, clock, "message-1");
    EXPECT_EQ(*test::run(io, first.run("summary", expensive)), "result 1");
    EXPECT_EQ(*test::run(io, second.run("summary", expensive)), "result 1");
    EXPECT_EQ(calls, 1);
}

MILLRACE_ON_EVERY_ENGINE(StepsTest);

}  // namespace
}  // namespace millrace::work
