#include "base/clock.hpp"

#include "base/sleep_at_once.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdio>
#include <ctime>

namespace millrace {

namespace asio = boost::asio;

std::string to_rfc3339(TimePoint when) {
    const std::int64_t millis = to_millis(when);
    const auto seconds = static_cast<std::time_t>(millis / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[40];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    char fraction[8];
    std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(millis % 1000));
    return std::string(text) + fraction;
}

TimePoint SystemClock::now() const noexcept {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

asio::awaitable<void> SystemClock::sleep_until(TimePoint when) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (when > now()) {
        timer.expires_after(sleep_at_once(now(), when));
        constexpr auto token = asio::as_tuple(asio::use_awaitable);
        auto [error] = co_await timer.async_wait(token);
        if (error) co_return;
    }
}

asio::awaitable<void> ManualClock::sleep_until(TimePoint when) {
    if (when <= now()) co_return;
    asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    const auto entry = timers_.emplace(when, &timer);
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await timer.async_wait(token);
    (void)error;
    timers_.erase(entry);
}

void ManualClock::advance(Duration time) {
    now_ += time.count();
    for (auto& [when, timer] : timers_) {
        if (when <= now()) timer->cancel();
    }
}

}  // namespace millrace
