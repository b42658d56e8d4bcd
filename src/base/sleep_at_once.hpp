// How long the machine's clock sleeps at a time.
#pragma once

#include "base/clock.hpp"

#include <algorithm>

namespace millrace {

/// The next sleep on the way to `when`, which is later than `now`. Timers of the system run on a clock that
/// knows neither a step of the wall clock nor a suspend: what is due by wall time is late by the rest of such
/// a sleep, 30 seconds at most. Thousands may sleep at once, one or more for each connection: shorter sleeps
/// would keep an idle machine busy. Who waits for `kNever` waits in one go.
constexpr Duration sleep_at_once(TimePoint now, TimePoint when) {
    if (when == kNever) return std::chrono::hours(24);
    return std::min<Duration>(when - now, std::chrono::seconds(30));
}

}  // namespace millrace
