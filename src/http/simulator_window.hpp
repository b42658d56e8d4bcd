// A quota as a sliding window: what was used in the last minute.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <deque>

namespace millrace::http {

/// Counts use over the last `kWindow`. Limit 0: unlimited.
class SlidingWindow {
  public:
    static constexpr Duration kWindow = std::chrono::minutes(1);

    explicit SlidingWindow(std::int64_t limit) : limit_(limit) {}

    /// How long until `amount` fits; 0 if it does now. An amount above the limit waits for an empty window.
    Duration wait_for(std::int64_t amount, TimePoint now);
    void use(std::int64_t amount, TimePoint now);

    std::int64_t limit() const noexcept { return limit_; }
    std::int64_t remaining(TimePoint now);
    /// How long until nothing is used any more.
    Duration reset(TimePoint now);

  private:
    struct Use {
        TimePoint when;
        std::int64_t amount;
    };
    void forget(TimePoint now);

    std::int64_t limit_;
    std::int64_t used_ = 0;
    std::deque<Use> uses_;
};

}  // namespace millrace::http
