#include "base/clock.hpp"

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
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                  parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<int>(millis % 1000));
    return text;
}

TimePoint SystemClock::now() const noexcept {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

asio::awaitable<void> SystemClock::sleep_until(TimePoint when) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (when > now()) {
        timer.expires_after(std::min<Duration>(when - now(), std::chrono::hours(24)));
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
