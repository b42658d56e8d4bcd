#include "base/sleep_at_once.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(Clock, WritesTimeAsRfc3339InUtc) {
    EXPECT_EQ(to_rfc3339(from_millis(0)), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_rfc3339(from_millis(1'763'712'930'250)), "2025-11-21T08:15:30.250Z");
}

TEST(Clock, SleepsLongTimesInPiecesSoThatAStepOfTheWallClockIsSeenSoon) {
    constexpr TimePoint now = from_millis(1'763'712'930'250);
    EXPECT_EQ(sleep_at_once(now, now + Duration(1)), Duration(1));
    EXPECT_EQ(sleep_at_once(now, now + std::chrono::seconds(30)), std::chrono::seconds(30));
    EXPECT_EQ(sleep_at_once(now, now + std::chrono::hours(20)), std::chrono::seconds(30));
    EXPECT_EQ(sleep_at_once(now, kNever), std::chrono::hours(24)) << "no step of the clock reaches it";
}

TEST(Clock, WakesOnlySleepersWhoseTimeHasCome) {
    boost::asio::io_context io;
    ManualClock clock;
    std::vector<int> woken;
    auto sleeper = [&](int id, Duration time) -> boost::asio::awaitable<void> {
        co_await clock.sleep_for(time);
        woken.push_back(id);
    };
    boost::asio::co_spawn(io, sleeper(1, Duration(100)), [](std::exception_ptr) {});
    boost::asio::co_spawn(io, sleeper(2, Duration(200)), [](std::exception_ptr) {});
    io.poll();
    EXPECT_EQ(clock.sleepers(), 2u);
    clock.advance(Duration(100));
    io.poll();
    EXPECT_EQ(woken, std::vector<int>{1});
    clock.advance(Duration(100));
    io.poll();
    EXPECT_EQ(woken, (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace millrace
