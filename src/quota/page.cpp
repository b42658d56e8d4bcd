#include "quota/page.hpp"

#include <algorithm>

namespace millrace::quota {

namespace {

using Kind = Verdict::Kind;

constexpr Duration kMinute{60'000};
constexpr std::int64_t kCallsShared = 4;  // fewer at once are not shared out between the urgencies
constexpr Duration kCallsPoll{200};     // another process tells nobody that its call has ended
constexpr Duration kClaimKept{1'000};   // beyond the moment at which its holder was to ask again
constexpr Duration kClockStep{600'000};  // hosts whose clocks differ by less go by the one that is ahead
constexpr Duration kPauseFirst{1'000};
constexpr Duration kComparison{10'000};  // time over which a foreign consumer's rate is taken
constexpr Duration kLowPeriod{35'000};
constexpr Duration kPeakPeriod{30'000};
constexpr Duration kRegrowth{30'000};
constexpr double kForeignMargin = 0.005;  // of the limit; both compete for what has just become free
constexpr double kForeignWeightMax = 60 * 60;  // squared seconds: a rate taken over a minute replaces all
constexpr Duration kForeignLead{1'000};  // how old a provider's count is when it is used

constexpr std::string_view kTokens = "tokens";

/// The time in which a limit of `per_minute` earns `amount`.
Duration time_of(std::int64_t amount, std::int64_t per_minute) {
    return Duration(amount * kMinute.count() / std::max<std::int64_t>(per_minute, 1));
}

/// The lesser of two limits of which 0 is none.
std::int64_t lesser(std::int64_t a, std::int64_t b) {
    if (a == 0 || b == 0) return std::max(a, b);
    return std::min(a, b);
}

Verdict wait(TimePoint again, std::string_view why) {
    Verdict verdict;
    verdict.again = again;
    verdict.why = why;
    return verdict;
}

/// Requests that the shortest window takes.
std::int64_t requests_in(Duration window, std::int64_t per_minute) {
    return std::max<std::int64_t>(1, per_minute * window.count() / kMinute.count());
}

}  // namespace

void Page::advance(TimePoint now) {
    if (now_ - now > kClockStep) go_back(now);
    now_ = std::max(now_, now);
    window_.advance(now_);
    std::erase_if(holders_, [&](const Holder& one) { return one.lease <= now_; });
    if (now_ - compared_at_ > kMinute) foreign_per_second_ = 0;
    if (now_ - low_since_ > 2 * kLowPeriod) low_now_ = low_before_ = 0;
    if (now_ - peak_since_ > kPeakPeriod) {
        peak_before_ = now_ - peak_since_ > 2 * kPeakPeriod ? 0 : peak_now_;
        peak_now_ = running().interactive;
        peak_since_ = now_;
    }
}

/// The clock was set back: what lies in the future by the new time is taken to be of this moment, so that
/// nothing waits for the old time to come again.
void Page::go_back(TimePoint now) {
    now_ = now;
    window_.restart(now);
    tokens_paced_ = std::min(tokens_paced_, now + 2 * kBurst);
    request_next_ = std::min(request_next_, now + kMinute);
    frozen_until_ = std::min(frozen_until_, now + kMinute);
    told_at_ = learned_at_ = compared_at_ = low_since_ = peak_since_ = now;
    anchor_ = last_ = {};
    for (Holder& one : holders_) {
        one.lease = std::min(one.lease, now + kLease);
        one.claim = std::min(one.claim, now);
        one.claim_until = std::min(one.claim_until, now + kMinute);
    }
}

Running Page::running() const noexcept {
    Running all;
    for (const Holder& one : holders_) {
        all.calls += one.running.calls;
        all.interactive += one.running.interactive;
        all.tokens += one.running.tokens;
    }
    return all;
}

std::int64_t Page::token_limit(const Limits& limits) const noexcept {
    const std::int64_t base = lesser(limits.tokens_per_minute, told_tokens_);
    if (base == 0) return learned_tokens_;
    std::int64_t limit = lesser(base, learned_tokens_);
    const auto noise = static_cast<std::int64_t>(static_cast<double>(base) * kNoise);
    if (const std::int64_t low = lesser(low_now_, low_before_); low > 0)
        limit = std::min(limit, std::max<std::int64_t>(1, low - noise));
    const double seconds = static_cast<double>((kMinute + kForeignLead).count()) / 1000;
    double foreign = foreign_per_second_ * seconds;
    const double margin = static_cast<double>(base) * kForeignMargin;
    foreign = foreign < static_cast<double>(base) * kNoise ? 0 : foreign + margin;
    return std::max<std::int64_t>(1, std::min(limit, base - static_cast<std::int64_t>(foreign)));
}

std::int64_t Page::request_limit(const Limits& limits) const noexcept {
    return lesser(limits.requests_per_minute, told_requests_);
}

Holder& Page::holder(std::string_view id, TimePoint now) {
    auto found =
        std::find_if(holders_.begin(), holders_.end(), [&](const Holder& one) { return one.id == id; });
    if (found == holders_.end()) found = holders_.insert(holders_.end(), Holder{std::string(id)});
    found->lease = std::max(found->lease, now + kLease);
    return *found;
}

void Page::renew(TimePoint now, const Holder& waiting, const std::optional<Running>& running) {
    advance(now);
    Holder& mine = holder(waiting.id, now_);
    mine.waiting_calls = waiting.waiting_calls;
    mine.waiting_tokens = waiting.waiting_tokens;
    if (waiting.waiting_calls == 0) mine.claim_until = {};
    if (running) mine.running = *running;
}

void Page::leave(std::string_view id) {
    std::erase_if(holders_, [&](const Holder& one) { return one.id == id; });
}

Verdict Page::admit(const Limits& limits, TimePoint now, const Ask& ask, std::string_view id) {
    advance(now);
    const std::int64_t base = lesser(limits.tokens_per_minute, told_tokens_);
    const std::int64_t first = ask.parts.front();
    if (base > 0 && first > base) {
        Verdict verdict;
        verdict.kind = Kind::too_large;
        return verdict;
    }
    Holder& mine = holder(id, now_);
    std::optional<std::size_t> smaller;
    auto must = must_wait(limits, now_, ask, id);
    if (must && must->why == kTokens && ask.since + kAging > now_) smaller = fitting(limits, ask);
    if (must && !smaller) {
        mine.claim = ask.since;
        mine.claim_urgency = ask.urgency;
        mine.claim_until = must->again + kClaimKept;
        return *must;
    }
    Verdict verdict;
    verdict.kind = Kind::granted;
    std::int64_t tokens = smaller ? ask.smaller[*smaller] : 0;
    if (smaller) verdict.smaller = *smaller;
    const std::int64_t room = std::min(token_limit(limits) - window_.tokens(), pack_tokens(limits));
    const bool limited = token_limit(limits) > 0;
    for (const std::int64_t part : ask.parts) {
        if (smaller || (verdict.parts > 0 && limited && tokens + part > room)) break;
        tokens += part;
        verdict.parts += 1;
    }
    charge(limits, now_, tokens);
    verdict.reservation = {now_, tokens, charged_, window_.tokens(), ask.urgency};
    mine.running.calls += 1;
    mine.running.interactive += verdict.reservation.interactive();
    mine.running.tokens += tokens;
    peak_now_ = std::max(peak_now_, running().interactive);
    if (!smaller) mine.claim_until = {};
    return verdict;
}

/// Tokens of a request that is shared: an even pace needs requests that are small beside the quota, but not
/// so small that they use up the requests first.
std::int64_t Page::pack_tokens(const Limits& limits) const noexcept {
    const std::int64_t limit = token_limit(limits);
    const std::int64_t requests = request_limit(limits);
    const std::int64_t share = requests > 0 ? (limit + requests - 1) / requests : 0;
    return std::max(limit * kPack.count() / kMinute.count(), share);
}

/// Tokens that the window may hold with a call of `tokens` in it.
std::int64_t Page::allowed(const Limits& limits, Urgency urgency, std::int64_t tokens) const noexcept {
    const std::int64_t limit = token_limit(limits);
    if (urgency == Urgency::interactive) return limit;
    const auto share = static_cast<std::int64_t>(static_cast<double>(limit) * kInteractiveShare);
    return std::max(limit - share, std::min(limit, tokens));
}

/// The first of the smaller calls for which the window has room.
std::optional<std::size_t> Page::fitting(const Limits& limits, const Ask& ask) const {
    for (std::size_t i = 0; i < ask.smaller.size(); ++i)
        if (window_.tokens() + ask.smaller[i] <= allowed(limits, ask.urgency, ask.smaller[i])) return i;
    return std::nullopt;
}

std::optional<Verdict> Page::must_wait(const Limits& limits, TimePoint now, const Ask& ask,
                                       std::string_view id) const {
    if (frozen_until_ > now) return wait(frozen_until_, "throttled");
    for (const Holder& other : holders_) {
        if (other.id == id || other.claim_until <= now) continue;
        const bool aged = other.claim + kAging <= now && other.claim < ask.since;
        const bool equal = other.claim_urgency == ask.urgency;
        if ((equal && aged) || other.claim_urgency < ask.urgency) return wait(now + kCallsPoll, "turn");
    }
    if (!takes_call(limits, ask.urgency)) return wait(now + kCallsPoll, "calls");
    const TimePoint when = when_requests_fit(limits, now);
    if (when > now) return wait(when, "requests");
    if (token_limit(limits) > 0 && window_.tokens() > 0) {
        const Duration burst = ask.urgency == Urgency::batch ? kBatchBurst : kBurst;
        if (tokens_paced_ > now + burst) return wait(tokens_paced_ - burst, "pacing");
        const std::int64_t tokens = ask.parts.front();
        const std::int64_t missing = window_.tokens() + tokens - allowed(limits, ask.urgency, tokens);
        if (missing > 0) {
            const TimePoint free = window_.when_free(std::min(missing, window_.tokens()), 0);
            return wait(std::max(free, now + Duration(1)), kTokens);
        }
    }
    return std::nullopt;
}

/// Batch calls that began together end together: interactive work does not wait for them as long as one more
/// than it took at once within the last minute is kept for it, half of them all at most.
bool Page::takes_call(const Limits& limits, Urgency urgency) const noexcept {
    const std::int64_t limit = limits.calls_at_once;
    if (limit == 0) return true;
    const Running all = running();
    if (urgency == Urgency::interactive || limit < kCallsShared) return all.calls < limit;
    const std::int64_t kept = std::min(std::max(peak_now_, peak_before_) + 1, limit / 2);
    return all.calls < limit - 1 && all.calls - all.interactive < limit - kept;
}

TimePoint Page::when_requests_fit(const Limits& limits, TimePoint now) const noexcept {
    const std::int64_t limit = request_limit(limits);
    if (limit == 0) return now;
    const std::int64_t over = window_.requests() + 1 - limit;
    const TimePoint minute = over > 0 ? window_.when_free(0, over) : now;
    if (limits.request_window >= kMinute) return minute;
    return std::max(minute, request_next_);
}

void Page::charge(const Limits& limits, TimePoint now, std::int64_t tokens) {
    window_.charge(now, tokens, 1);
    charged_ += tokens;
    // A call of more than the burst holds others up for no longer than the burst.
    if (const std::int64_t limit = token_limit(limits); limit > 0)
        tokens_paced_ = std::min(std::max(tokens_paced_, now) + time_of(tokens, limit), now + 2 * kBurst);
    if (const std::int64_t limit = request_limit(limits); limit > 0 && limits.request_window < kMinute) {
        const std::int64_t at_once = requests_in(limits.request_window, limit);
        request_next_ = std::max(request_next_, now) + (limits.request_window + kJitter) / at_once;
    }
}

void Page::settle(const Limits& limits, TimePoint now, const Reservation& reservation, const Ending& ending,
                  std::string_view id) {
    advance(now);
    Holder& mine = holder(id, now_);
    mine.running.calls = std::max<std::int64_t>(0, mine.running.calls - 1);
    mine.running.interactive =
        std::max<std::int64_t>(0, mine.running.interactive - reservation.interactive());
    mine.running.tokens = std::max<std::int64_t>(0, mine.running.tokens - reservation.tokens);
    std::int64_t back = 0;
    if (ending.kind == Ending::Kind::unsent) {
        back = reservation.tokens;
    } else if (limits.counting == Counting::usage && ending.used) {
        back = reservation.tokens - *ending.used;
    }
    const TimePoint at = ending.told && ending.sent_at ? *ending.sent_at : reservation.at;
    if (back > 0) {
        window_.refund(at, back, ending.kind == Ending::Kind::unsent ? 1 : 0);
        const std::int64_t limit = token_limit(limits);
        if (limit > 0) tokens_paced_ = std::max(now_, tokens_paced_ - time_of(back, limit));
    } else if (back < 0) {
        window_.charge(now_, -back, 0);
    }
    charged_ -= back;
    Report report = ending.report;
    if (reservation.at > now_) report.limit_tokens = report.remaining_tokens = std::nullopt;  // see `go_back`
    // What was sent between its admission and its sending is in the provider's count, but not in ours.
    if (ending.sent_at && *ending.sent_at - reservation.at >= 2 * Window::kSlot)
        report.remaining_tokens.reset();
    learn(limits, reservation, report);
    // It reached the provider no earlier than it was sent, and stays in its window for so much longer.
    if (ending.sent_at && !ending.told && ending.kind == Ending::Kind::answered)
        window_.move(reservation.at, std::min(*ending.sent_at, now_),
                     reservation.tokens - std::max<std::int64_t>(back, 0));
}

void Page::sent(TimePoint now, const Reservation& reservation, TimePoint at) {
    advance(now);
    window_.move(reservation.at, std::min(at, now_), reservation.tokens);
}

void Page::learn(const Limits& limits, const Reservation& reservation, const Report& report) {
    if (report.limit_tokens && *report.limit_tokens > 0 && reservation.at >= told_at_) {
        if (told_tokens_ != *report.limit_tokens) forget();
        told_tokens_ = *report.limit_tokens;
        told_at_ = reservation.at;
    }
    // Where requests are checked over short windows, the limit that is told may be that of such a window.
    if (report.limit_requests && *report.limit_requests > 0 && limits.request_window >= kMinute)
        told_requests_ = *report.limit_requests;
    if (report.throttled) return freeze(limits, report);
    throttles_ = 0;
    const std::int64_t base = lesser(limits.tokens_per_minute, told_tokens_);
    if (report.remaining_tokens && base > 0) compare(limits, reservation, *report.remaining_tokens);
    if (learned_tokens_ > 0 && now_ - learned_at_ >= kRegrowth) {
        const bool ample = report.remaining_tokens && *report.remaining_tokens > base * 3 / 10;
        learned_tokens_ += std::max<std::int64_t>(1, learned_tokens_ / (ample ? 10 : 100));
        learned_at_ = now_;
        if (base > 0 && learned_tokens_ >= base) learned_tokens_ = 0;
    }
}

/// A limit that changes makes what was learned about the old one worthless.
void Page::forget() {
    learned_tokens_ = low_now_ = low_before_ = 0;
    anchor_ = last_ = {};
    foreign_per_second_ = 0;
}

/// The provider's count beside ours: what is missing, somebody else has taken.
void Page::compare(const Limits& limits, const Reservation& reservation, std::int64_t remaining) {
    const std::int64_t base = lesser(limits.tokens_per_minute, told_tokens_);
    if (now_ - low_since_ >= kLowPeriod) {
        low_before_ = low_now_;
        low_now_ = 0;
        low_since_ = now_;
    }
    // Requests overtake each other on their way, and some providers count when they answer: what was admitted
    // about the same time or since may be in the provider's count.
    const std::int64_t beside =
        std::max(window_.tokens_around(reservation.at) - reservation.tokens, charged_ - reservation.charged);
    const std::int64_t capacity = reservation.in_window + beside + remaining;
    const auto noise = static_cast<std::int64_t>(static_cast<double>(base) * kNoise);
    if (capacity < base - noise) low_now_ = lesser(low_now_, std::max<std::int64_t>(capacity, 1));

    if (reservation.at <= last_.at) return;  // overtaken by a later one
    const bool filled_up = remaining > last_.remaining + beside + last_.beside;
    last_ = {reservation.at, reservation.charged, remaining, beside};
    if (filled_up || reservation.at - anchor_.at > kMinute) {
        anchor_ = last_;
        return;
    }
    const Duration time = reservation.at - anchor_.at;
    // Nobody overtook the first one of a quiet moment: it is the better one to begin with.
    if (beside < anchor_.beside && time < kComparison) anchor_ = last_;
    const bool clear = beside <= noise / 4 || now_ - compared_at_ > kComparison;
    if (time < kComparison || !clear) return;
    const std::int64_t missing = anchor_.remaining - remaining - (reservation.charged - anchor_.charged);
    const bool certain = missing > beside + anchor_.beside + noise / 4;
    const double seconds = static_cast<double>(time.count()) / 1000;
    const double rate = static_cast<double>(std::max<std::int64_t>(missing, 0)) / seconds;
    compared_at_ = now_;
    if (foreign_per_second_ == 0) foreign_weight_ = 0;
    if (!certain && foreign_per_second_ == 0) return;
    // The noise of a rate falls with the time over which it was taken: its square is what the rate weighs.
    const double weight = seconds * seconds;
    foreign_weight_ = std::min(foreign_weight_ + weight, kForeignWeightMax);
    foreign_per_second_ += (rate - foreign_per_second_) * std::min(1.0, weight / foreign_weight_);
}

void Page::freeze(const Limits& limits, const Report& report) {
    throttled_total_ += 1;
    const bool first = frozen_until_ <= now_;
    const std::int64_t base = lesser(limits.tokens_per_minute, told_tokens_);
    const bool for_tokens = !report.remaining_tokens || *report.remaining_tokens <= base / 10;
    if (first && for_tokens && window_.tokens() > 0) {
        const std::int64_t limit = token_limit(limits);
        const auto seen = static_cast<std::int64_t>(static_cast<double>(window_.tokens()) * 0.98);
        learned_tokens_ = std::max({seen, limit / 4, std::int64_t{1}});
        if (limit > 0) learned_tokens_ = std::min(learned_tokens_, limit);
        learned_at_ = now_;
    }
    if (first) throttles_ = std::min<std::int64_t>(throttles_ + 1, 7);
    const Duration own = std::min<Duration>(kPauseFirst * (1 << (throttles_ - 1)), kMinute);
    const Duration pause = report.retry_after.value_or(own);
    frozen_until_ = std::max(frozen_until_, now_ + std::max(pause, Duration(1)));
}

}  // namespace millrace::quota
