// A quota in a window of time: how much of it is used, and how long until more fits.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <deque>
#include <variant>

namespace millrace::http {

/// Counts use over the last `kWindow`, or another length. Limit 0: unlimited.
class SlidingWindow {
  public:
    static constexpr Duration kWindow = std::chrono::minutes(1);

    explicit SlidingWindow(std::int64_t limit, Duration length = kWindow) : limit_(limit), length_(length) {}

    /// How long until `amount` fits; 0 if it does now. An amount above the limit waits for an empty window.
    Duration wait_for(std::int64_t amount, TimePoint now);
    void use(std::int64_t amount, TimePoint now);

    std::int64_t limit() const noexcept { return limit_; }
    void set_limit(std::int64_t limit) noexcept { limit_ = limit; }
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
    Duration length_;
    std::int64_t used_ = 0;
    std::deque<Use> uses_;
};

/// Counts use since the last full minute of the clock. As SlidingWindow otherwise.
class FixedWindow {
  public:
    explicit FixedWindow(std::int64_t limit) : limit_(limit) {}

    Duration wait_for(std::int64_t amount, TimePoint now);
    void use(std::int64_t amount, TimePoint now);
    std::int64_t limit() const noexcept { return limit_; }
    void set_limit(std::int64_t limit) noexcept { limit_ = limit; }
    std::int64_t remaining(TimePoint now);
    Duration reset(TimePoint now);

  private:
    void turn(TimePoint now);

    std::int64_t limit_;
    std::int64_t minute_ = 0;  ///< of the clock, that `used_` belongs to
    std::int64_t used_ = 0;
};

/// Holds up to a minute's worth and is filled evenly, so that after a rest two minutes' worth pass within
/// one. As SlidingWindow otherwise.
class TokenBucket {
  public:
    explicit TokenBucket(std::int64_t limit) : limit_(limit), level_(static_cast<double>(limit)) {}

    Duration wait_for(std::int64_t amount, TimePoint now);
    void use(std::int64_t amount, TimePoint now);
    std::int64_t limit() const noexcept { return limit_; }
    void set_limit(std::int64_t limit) noexcept;
    std::int64_t remaining(TimePoint now);
    Duration reset(TimePoint now);

  private:
    void fill(TimePoint now);
    Duration time_for(double amount) const;

    std::int64_t limit_;
    double level_;  ///< below 0 where more was taken than there was
    TimePoint filled_{};
};

using Window = std::variant<SlidingWindow, FixedWindow, TokenBucket>;

}  // namespace millrace::http
