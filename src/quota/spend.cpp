#include "quota/spend.hpp"

#include <cmath>

namespace millrace::quota {

namespace {

using Days = std::chrono::sys_days;

std::chrono::year_month_day date_of(TimePoint when) { return std::chrono::floor<std::chrono::days>(when); }

std::string text_of(std::chrono::year_month_day date) {
    return to_rfc3339(TimePoint(Days(date))).substr(0, 10);
}

}  // namespace

std::int64_t Price::micros(std::int64_t prompt_tokens, std::int64_t completion_tokens,
                           std::int64_t cached_tokens) const noexcept {
    // A price for a million tokens is a number of millionths for one token.
    const double cached = cached_prompt > 0 ? cached_prompt : prompt;
    const double sum = static_cast<double>(prompt_tokens - cached_tokens) * prompt +
                       static_cast<double>(cached_tokens) * cached +
                       static_cast<double>(completion_tokens) * completion;
    return static_cast<std::int64_t>(std::ceil(sum));
}

std::string day_of(TimePoint when) { return text_of(date_of(when)); }

std::string first_day_of(Cap::Period period, TimePoint when) {
    const auto date = date_of(when);
    return period == Cap::Period::day ? text_of(date)
                                      : text_of(date.year() / date.month() / std::chrono::day(1));
}

TimePoint next_period(Cap::Period period, TimePoint when) {
    const auto date = date_of(when);
    if (period == Cap::Period::day) return TimePoint(Days(date) + std::chrono::days(1));
    return TimePoint(Days((date.year() / date.month() / std::chrono::day(1)) + std::chrono::months(1)));
}

}  // namespace millrace::quota
