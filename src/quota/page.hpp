// The ledger's page of one deployment: numbers in, a decision out. No clock, no store, no threads.
#pragma once

#include "quota/limits.hpp"
#include "quota/window.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::quota {

/// What a provider's answer says about the quota; all of it optional.
struct Report {
    std::optional<std::int64_t> limit_tokens;
    std::optional<std::int64_t> limit_requests;
    std::optional<std::int64_t> remaining_tokens;
    bool throttled = false;  ///< 429
    std::optional<Duration> retry_after;
};

/// A call's share of the quota, from its admission to its end.
struct Reservation {
    TimePoint at{};               ///< when it was charged
    std::int64_t tokens = 0;      ///< what was charged
    std::int64_t charged = 0;     ///< all tokens that were ever charged when it was, its own included
    std::int64_t in_window = 0;   ///< tokens in the window at that moment, its own included
    Urgency urgency = Urgency::interactive;

    /// 1 if the call is an interactive one.
    std::int64_t interactive() const noexcept { return urgency == Urgency::interactive ? 1 : 0; }
};

/// What is asked for: one request that takes the first n of `parts` (tokens each), at least the first one. If
/// that one does not fit the tokens that are left, and has not waited for long, the first of `smaller` that
/// does goes instead of it.
struct Ask {
    std::span<const std::int64_t> parts;
    std::span<const std::int64_t> smaller;
    Urgency urgency = Urgency::interactive;
    TimePoint since{};  ///< since when the first part waits
};

struct Verdict {
    enum class Kind { granted, wait, too_large };
    Kind kind = Kind::wait;
    std::size_t parts = 0;  ///< granted: how many of them; 0: one of `smaller`
    std::size_t smaller = 0;  ///< granted, and no parts: which of them
    Reservation reservation;  ///< granted
    TimePoint again{};  ///< wait: when to ask again; earlier if a call ends
    std::string_view why;  ///< wait: "tokens", "requests", "calls", "throttled", "pacing" or "turn"
};

/// How a call ended.
struct Ending {
    enum class Kind {
        answered,  ///< it was answered, well or not; `used` tells what it cost if that is known
        unsent,  ///< the provider never saw it: all is given back
    };
    Kind kind = Kind::answered;
    std::optional<std::int64_t> used;
    std::optional<TimePoint> sent_at{};  ///< when it was on its way, if that is known
    bool told = false;  ///< the page knows `sent_at` from `sent`
    Report report;
};

/// Calls that run, and what they have reserved.
struct Running {
    std::int64_t calls = 0;
    std::int64_t interactive = 0;  ///< of the calls
    std::int64_t tokens = 0;
};

/// A process that uses the deployment. What it holds ends with its lease.
struct Holder {
    std::string id;
    TimePoint lease{};  ///< until when it is taken for alive
    Running running;
    std::int64_t waiting_calls = 0;
    std::int64_t waiting_tokens = 0;
    /// Since when its first call waits, which was told to wait; it counts until `claim_until`.
    TimePoint claim{};
    TimePoint claim_until{};
    Urgency claim_urgency = Urgency::batch;
};

/// The provider's count beside ours at the admission of one call.
struct Comparison {
    TimePoint at{};
    std::int64_t charged = 0;  ///< all tokens that were ever charged
    std::int64_t remaining = 0;  ///< as the provider told
    std::int64_t beside = 0;  ///< tokens of calls that may have overtaken it
};

/// Admission to one deployment. Rules, in this order: nothing while the provider has asked for a pause; a
/// call that has waited for `kAging` goes before others; calls at once, of which batch work leaves
/// interactive work one more than it lately took; the window of 60 s never holds more than the limit;
/// requests keep their distance where the provider checks short windows; and tokens are paced evenly, with at
/// most `kBurst` worth of them at once.
class Page {
  public:
    static constexpr Duration kLease{15'000};
    static constexpr Duration kAging{5'000};
    static constexpr Duration kBurst{5'000};  ///< interactive work
    static constexpr Duration kBatchBurst{1'000};
    static constexpr Duration kPack{1'000};  ///< worth of tokens in a request that is shared
    /// Share of the tokens that batch work leaves for interactive work.
    static constexpr double kInteractiveShare = 0.015;
    /// Room in a short request window for requests that meet on their way.
    static constexpr Duration kJitter{60};
    /// Less than this share of the tokens missing is taken for noise, not for somebody else's use.
    static constexpr double kNoise = 0.01;

    /// Moves the page's time on and forgets what has ended: the window's end, dead holders. Back only if the
    /// clock was set back by more than ten minutes.
    void advance(TimePoint now);

    Verdict admit(const Limits& limits, TimePoint now, const Ask& ask, std::string_view holder);
    void settle(const Limits& limits, TimePoint now, const Reservation& reservation, const Ending& ending,
                std::string_view holder);
    /// The call is on its way since `at`: it counts from then on. For calls that were sent late and may take
    /// longer than the window is; for others `Ending::sent_at` says so in time.
    void sent(TimePoint now, const Reservation& reservation, TimePoint at);
    /// The holder is alive and has these calls waiting; `running` corrects what of it is taken to run.
    void renew(TimePoint now, const Holder& waiting, const std::optional<Running>& running = std::nullopt);
    /// The holder has ended in order.
    void leave(std::string_view holder);

    /// The limit that holds now: the configured one, or less where the provider has shown that it is less.
    std::int64_t token_limit(const Limits& limits) const noexcept;
    std::int64_t request_limit(const Limits& limits) const noexcept;

    const Window& window() const noexcept { return window_; }
    const std::vector<Holder>& holders() const noexcept { return holders_; }
    TimePoint frozen_until() const noexcept { return frozen_until_; }
    /// Of all holders.
    Running running() const noexcept;
    std::int64_t calls() const noexcept { return running().calls; }
    std::int64_t reserved() const noexcept { return running().tokens; }
    std::int64_t throttled_total() const noexcept { return throttled_total_; }

    /// One line of JSON; `parse` answers an empty page for anything it does not understand.
    std::string text() const;
    static Page parse(std::string_view text);

  private:
    void go_back(TimePoint now);
    Holder& holder(std::string_view id, TimePoint now);
    std::optional<std::size_t> fitting(const Limits& limits, const Ask& ask) const;
    std::int64_t pack_tokens(const Limits& limits) const noexcept;
    bool takes_call(const Limits& limits, Urgency urgency) const noexcept;
    std::int64_t allowed(const Limits& limits, Urgency urgency, std::int64_t tokens) const noexcept;
    std::optional<Verdict> must_wait(const Limits& limits, TimePoint now, const Ask& ask,
                                     std::string_view holder) const;
    TimePoint when_requests_fit(const Limits& limits, TimePoint now) const noexcept;
    void charge(const Limits& limits, TimePoint now, std::int64_t tokens);
    void learn(const Limits& limits, const Reservation& reservation, const Report& report);
    void compare(const Limits& limits, const Reservation& reservation, std::int64_t remaining);
    void forget();
    void freeze(const Limits& limits, const Report& report);

    TimePoint now_{};
    Window window_;
    std::vector<Holder> holders_;
    TimePoint tokens_paced_{};  ///< when the tokens charged so far have been earned at an even pace
    TimePoint request_next_{};  ///< short windows: not before
    TimePoint frozen_until_{};
    std::int64_t throttles_ = 0;  ///< in a row
    std::int64_t throttled_total_ = 0;
    std::int64_t charged_ = 0;  ///< tokens ever charged
    std::int64_t told_tokens_ = 0;  ///< limits that the provider tells; 0: none
    std::int64_t told_requests_ = 0;
    TimePoint told_at_{};  ///< by the answer to a call of then
    std::int64_t learned_tokens_ = 0;  ///< learned from a 429 that told no limit; 0: none
    TimePoint learned_at_{};
    Comparison anchor_;
    Comparison last_;
    TimePoint compared_at_{};
    double foreign_per_second_ = 0;  ///< tokens that somebody else takes of the same quota
    double foreign_weight_ = 0;  ///< of what it was taken from, in squared seconds
    std::int64_t low_now_ = 0,
                 low_before_ = 0;  ///< least capacity seen in this half minute and the one before
    TimePoint low_since_{};
    std::int64_t peak_now_ = 0,
                 peak_before_ = 0;  ///< most interactive calls at once in this half minute and the one before
    TimePoint peak_since_{};
};

}  // namespace millrace::quota
