#include "base/task_group.hpp"

#include "tests/support/run.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

class AsyncTest : public testing::Test {
  protected:
    asio::awaitable<void> wait_for_ever() {
        asio::steady_timer timer(io_, asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
    }
    static asio::awaitable<void> fail() {
        throw std::runtime_error("broken");
        co_return;
    }
    void turn() {
        io_.restart();
        io_.poll();
    }

    asio::io_context io_;
    std::vector<std::string> failures_;
    TaskGroup tasks_{io_.get_executor(), [this](const std::string& name, const char* what) {
                         failures_.push_back(name + ": " + what);
                     }};
};

TEST_F(AsyncTest, ATaskThatEndsLeavesTheGroup) {
    auto nothing = []() -> asio::awaitable<void> { co_return; };
    tasks_.start("short", nothing());
    tasks_.start("long", wait_for_ever());
    EXPECT_EQ(tasks_.running(), 2u);
    turn();
    EXPECT_EQ(tasks_.running(), 1u);
    test::run(io_, tasks_.stop());
}

TEST_F(AsyncTest, AnExceptionIsToldUnderTheNameOfItsTask) {
    tasks_.start("bad", fail());
    turn();
    EXPECT_EQ(failures_, std::vector<std::string>{"bad: broken"});
    EXPECT_EQ(tasks_.running(), 0u);
}

TEST_F(AsyncTest, AStopEndsWhatRunsAndKeepsLaterTasksFromRunning) {
    tasks_.start("one", wait_for_ever());
    tasks_.start("two", wait_for_ever());
    turn();
    test::run(io_, tasks_.stop());
    EXPECT_EQ(tasks_.running(), 0u);
    tasks_.start("late", fail());
    turn();
    test::run(io_, tasks_.stop());
    EXPECT_TRUE(failures_.empty());
}

TEST_F(AsyncTest, ADeadlineEndsWhatIsLateAndPassesOnWhatIsThrown) {
    using std::chrono::milliseconds;
    EXPECT_FALSE(test::run(io_, with_deadline(wait_for_ever(), milliseconds(1))));
    EXPECT_THROW(test::run(io_, with_deadline(fail(), std::chrono::hours(1))), std::runtime_error);
    auto nothing = []() -> asio::awaitable<void> { co_return; };
    EXPECT_TRUE(test::run(io_, with_deadline(nothing(), std::chrono::hours(1))));
}

}  // namespace
}  // namespace millrace
