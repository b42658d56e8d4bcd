// What was charged in the last minute, whatever the alignment of that minute.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <deque>

namespace millrace::quota {

/// Tokens and requests of the calls that were sent in the last 60 s, in slots of 200 ms. A slot counts until
/// 60.2 s after its end: that long a request may be on its way, and no window of 60 s at the provider holds
/// more than this window does here. Times must not go back.
class Window {
  public:
    static constexpr Duration kSlot{200};
    static constexpr Duration kLength{60'000};
    static constexpr Duration kSlack{200};
    /// More than any limit.
    static constexpr std::int64_t kTokensMax = std::int64_t{1} << 40;

    struct Slot {
        std::int64_t number = 0;  ///< time / kSlot
        std::int64_t tokens = 0;
        std::int64_t requests = 0;
    };

    /// Forgets what is older than the window at `now`.
    void advance(TimePoint now);
    void charge(TimePoint now, std::int64_t tokens, std::int64_t requests);
    /// Takes back `tokens` and `requests` of what was charged at `at`, if that is still in the window.
    void refund(TimePoint at, std::int64_t tokens, std::int64_t requests);

    /// One request and its `tokens`, which were charged at `from`, count from `to` on; also if they have left
    /// the window since.
    void move(TimePoint from, TimePoint to, std::int64_t tokens);

    std::int64_t tokens() const noexcept { return tokens_; }
    std::int64_t requests() const noexcept { return requests_; }
    /// All that it holds is taken to be charged at `now`, which may lie before.
    void restart(TimePoint now);

    /// What was charged in the slot of `at` and the next one.
    std::int64_t tokens_around(TimePoint at) const noexcept;
    /// When at least `tokens` and `requests` of what is charged now have left; the epoch if that is now.
    TimePoint when_free(std::int64_t tokens, std::int64_t requests) const noexcept;

    const std::deque<Slot>& slots() const noexcept { return slots_; }
    /// Puts a slot behind the others, as read from the store.
    void restore(Slot slot);

  private:
    std::deque<Slot>::iterator slot_at(std::int64_t number);

    std::deque<Slot> slots_;
    std::int64_t tokens_ = 0;
    std::int64_t requests_ = 0;
};

}  // namespace millrace::quota
