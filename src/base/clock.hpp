// Time as the product sees it: wall-clock milliseconds, and a way to sleep that a test can turn by hand.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace millrace {

using Duration = std::chrono::milliseconds;
/// Milliseconds since 1970-01-01 UTC.
using TimePoint = std::chrono::sys_time<Duration>;

/// Later than every real moment: "never".
inline constexpr TimePoint kNever = TimePoint::max();

/// Milliseconds since 1970 of `when`, as databases and messages hold it.
constexpr std::int64_t to_millis(TimePoint when) { return when.time_since_epoch().count(); }
constexpr TimePoint from_millis(std::int64_t millis) { return TimePoint(Duration(millis)); }

/// `when` as RFC 3339 UTC with milliseconds, e.g. "2026-11-21T08:15:30.250Z".
std::string to_rfc3339(TimePoint when);

/// Where time comes from. `now` may be called on any thread; `sleep_until` only on the I/O thread.
class Clock {
  public:
    virtual ~Clock() = default;
    virtual TimePoint now() const noexcept = 0;
    /// Returns once `now() >= when`; returns earlier when the waiting coroutine is cancelled.
    virtual boost::asio::awaitable<void> sleep_until(TimePoint when) = 0;
    boost::asio::awaitable<void> sleep_for(Duration time) { return sleep_until(now() + time); }
};

/// The machine's clock.
class SystemClock final : public Clock {
  public:
    TimePoint now() const noexcept override;
    boost::asio::awaitable<void> sleep_until(TimePoint when) override;
};

/// A clock that stands still until a test turns it. `advance` wakes every sleeper whose time has come; the
/// sleepers run when their executor runs next. All but `now` only on the I/O thread.
class ManualClock final : public Clock {
  public:
    explicit ManualClock(TimePoint start = from_millis(1'800'000'000'000)) : now_(to_millis(start)) {}
    TimePoint now() const noexcept override { return from_millis(now_.load()); }
    boost::asio::awaitable<void> sleep_until(TimePoint when) override;
    void advance(Duration time);
    /// How many coroutines sleep now: what a test waits for before it turns the clock.
    std::size_t sleepers() const noexcept { return timers_.size(); }

  private:
    std::atomic<std::int64_t> now_;
    std::multimap<TimePoint, boost::asio::steady_timer*> timers_;
};

}  // namespace millrace
