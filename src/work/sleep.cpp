#include "work/steps.hpp"

#include <charconv>

namespace millrace::work {

namespace {

/// A message is looked at at least this often: a queue of another maker may keep none back for longer.
constexpr Duration kLongestPause = std::chrono::hours(24);

}  // namespace

asio::awaitable<std::optional<Outcome>> Steps::sleep_for(std::string name, Duration time) {
    const std::string wake_at = std::to_string(to_millis(clock_.now() + time));
    Work decide = [&wake_at]() -> asio::awaitable<Result<std::string>> { co_return wake_at; };
    std::string step = "sleep/" + name;
    const auto decided = co_await run(std::move(step), std::move(decide));
    if (!decided) co_return RetryAfter{std::chrono::seconds(1), decided.error().detail, false};
    std::int64_t when = 0;
    std::from_chars(decided->data(), decided->data() + decided->size(), when);
    const Duration left = from_millis(when) - clock_.now();
    if (left <= Duration::zero()) co_return std::nullopt;
    co_return RetryAfter{std::min(left, kLongestPause), "sleeps until " + to_rfc3339(from_millis(when)),
                         false};
}

}  // namespace millrace::work
