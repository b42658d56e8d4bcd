// A provider's admission rules and a worker that keeps to its page, in simulated time.
#pragma once

#include "quota/page.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <vector>

namespace millrace::quota::test {

/// Counts tokens as a provider does when it admits a call: in minutes by the clock, or over the last 60 s.
class ProviderModel {
  public:
    enum class Rule { fixed_minutes, sliding };
    struct Entry {
        TimePoint at;
        std::int64_t tokens;
        bool foreign;
    };

    ProviderModel(Rule rule, std::int64_t limit) : rule_(rule), limit_(limit) {}

    std::int64_t limit() const { return limit_; }
    void set_limit(std::int64_t limit) { limit_ = limit; }

    std::int64_t used(TimePoint now) const {
        std::int64_t sum = 0;
        const TimePoint since = rule_ == Rule::sliding ? now - Duration(60'000)
                                                       : from_millis(to_millis(now) / 60'000 * 60'000 - 1);
        for (auto one = log_.rbegin(); one != log_.rend() && one->at > since; ++one) sum += one->tokens;
        return sum;
    }

    /// What somebody else uses.
    void take(TimePoint now, std::int64_t tokens) { log_.push_back({now, tokens, true}); }

    /// What the answer's headers say, or the 429.
    Report admit(TimePoint now, std::int64_t tokens) {
        Report report;
        report.limit_tokens = limit_;
        if (used(now) + tokens > limit_) {
            report.throttled = true;
            report.remaining_tokens = std::max<std::int64_t>(0, limit_ - used(now));
            report.retry_after =
                rule_ == Rule::fixed_minutes ? Duration(60'000 - to_millis(now) % 60'000) : Duration(1'000);
            return report;
        }
        log_.push_back({now, tokens, false});
        report.remaining_tokens = std::max<std::int64_t>(0, limit_ - used(now));
        return report;
    }

    /// The most that any window of `length` holds.
    std::int64_t fullest(Duration length) const {
        std::int64_t most = 0;
        std::int64_t sum = 0;
        std::size_t first = 0;
        for (const Entry& one : log_) {
            sum += one.tokens;
            while (log_[first].at <= one.at - length) sum -= log_[first++].tokens;
            most = std::max(most, sum);
        }
        return most;
    }

    std::int64_t granted(TimePoint from, TimePoint to, bool foreign = false) const {
        std::int64_t sum = 0;
        for (const Entry& one : log_)
            if (one.at >= from && one.at < to && one.foreign == foreign) sum += one.tokens;
        return sum;
    }

    const std::vector<Entry>& log() const { return log_; }

  private:
    Rule rule_;
    std::int64_t limit_;
    std::vector<Entry> log_;
};

/// Work without end for one deployment, done by `holders` processes that share a page. A request needs up to
/// 50 ms to reach the provider and its answer takes `latency`.
class Simulation {
  public:
    struct Options {
        Limits limits;
        std::size_t holders = 1;
        std::int64_t calls_each = 64;
        /// Of each process, waiting or under way; they share requests. 0: without end, each alone.
        std::size_t pieces = 0;
        double overestimate = 1;  ///< tokens reserved / tokens that the provider counts
        std::int64_t tokens_min = 100;
        std::int64_t tokens_max = 4'000;
        Duration latency_min{200};
        Duration latency_max{2'000};
        double foreign_share = 0;  ///< of the limit, taken evenly by somebody else
        bool headers = true;
        Urgency urgency = Urgency::interactive;
        bool counts_late = false;  ///< headers are of the moment of the answer
        Duration way_max{50};  ///< of a request to the provider
        std::uint64_t seed = 7;
        std::function<void(TimePoint, ProviderModel&)> change;
    };

    Simulation(ProviderModel& provider, Options options) : provider_(provider), options_(std::move(options)) {
        for (std::size_t i = 0; i < options_.holders; ++i)
            processes_.push_back({"p" + std::to_string(i), start, {}, 0});
    }

    void run(Duration time) {
        const TimePoint end = now_ + time;
        while (now_ < end) {
            if (options_.change) options_.change(now_, provider_);
            if (options_.foreign_share > 0) take_foreign();
            deliver();
            for (Process& one : processes_) ask(one);
            step(end);
        }
    }

    static constexpr TimePoint start = from_millis(1'800'000'017'123);
    TimePoint now() const { return now_; }
    Page& page() { return page_; }
    std::int64_t throttles(TimePoint from) const {
        return std::count_if(throttled_.begin(), throttled_.end(), [&](TimePoint at) { return at >= from; });
    }
    Duration longest_wait() const { return longest_wait_; }

  private:
    struct Process {
        std::string id;
        TimePoint again;
        std::deque<std::pair<std::int64_t, TimePoint>> waiting;  // tokens, since when
        std::int64_t calls;
        std::size_t pieces = 0;  // under way
    };
    struct Flight {
        TimePoint at;
        bool arrived;
        std::size_t process;
        Reservation reservation;
        std::int64_t tokens;
        std::size_t pieces;
        Report report;
        std::uint64_t order;
        bool operator<(const Flight& other) const {
            return at != other.at ? at > other.at : order > other.order;
        }
    };

    std::int64_t next_tokens() {
        return std::uniform_int_distribution<std::int64_t>(options_.tokens_min, options_.tokens_max)(random_);
    }
    Duration within(Duration a, Duration b) {
        return Duration(std::uniform_int_distribution<std::int64_t>(a.count(), b.count())(random_));
    }

    void take_foreign() {
        while (foreign_at_ <= now_) {
            const auto tokens = static_cast<std::int64_t>(options_.foreign_share *
                                                          static_cast<double>(provider_.limit()) / 120);
            provider_.take(now_, tokens);
            foreign_at_ += Duration(500);
        }
    }

    void deliver() {
        while (!flights_.empty() && flights_.top().at <= now_) {
            Flight one = flights_.top();
            flights_.pop();
            if (!one.arrived) {
                one.report = provider_.admit(now_, one.tokens);
                if (one.report.throttled) throttled_.push_back(now_);
                one.arrived = true;
                const Duration answer{20};
                one.at = now_ +
                         (one.report.throttled ? answer : within(options_.latency_min, options_.latency_max));
                flights_.push(one);
                continue;
            }
            if (options_.counts_late && !one.report.throttled)
                one.report.remaining_tokens =
                    std::max<std::int64_t>(0, provider_.limit() - provider_.used(now_));
            Ending ending;
            ending.used = one.report.throttled ? 0 : one.tokens;
            if (options_.headers || one.report.throttled) ending.report = one.report;
            if (!options_.headers) ending.report.limit_tokens = ending.report.remaining_tokens = std::nullopt;
            Process& process = processes_[one.process];
            process.calls -= 1;
            process.pieces -= one.pieces;
            process.again = std::min(process.again, now_);
            page_.settle(options_.limits, now_, one.reservation, ending, process.id);
        }
    }

    void ask(Process& process) {
        const std::size_t most = options_.pieces > 0 ? options_.pieces : 8;
        while (process.calls < options_.calls_each && process.again <= now_) {
            while (process.waiting.size() + (options_.pieces > 0 ? process.pieces : 0) < most)
                process.waiting.emplace_back(next_tokens(), now_);
            if (process.waiting.empty()) return;
            std::vector<std::int64_t> tokens;
            for (const auto& one : process.waiting) tokens.push_back(one.first);
            const std::span<const std::int64_t> all(tokens);
            const Ask what{all.first(options_.pieces > 0 ? all.size() : 1), all.subspan(1), options_.urgency,
                           process.waiting.front().second};
            const Verdict verdict = page_.admit(options_.limits, now_, what, process.id);
            if (verdict.kind != Verdict::Kind::granted) {
                process.again = std::max(verdict.again, now_ + Duration(1));
                return;
            }
            send(process, verdict);
        }
    }

    void send(Process& process, const Verdict& verdict) {
        const std::size_t pieces = std::max<std::size_t>(verdict.parts, 1);
        for (std::size_t i = 0; i < pieces; ++i) {
            const auto taken = process.waiting.begin() +
                               static_cast<std::ptrdiff_t>(verdict.parts > 0 ? 0 : verdict.smaller + 1);
            longest_wait_ = std::max(longest_wait_, now_ - taken->second);
            process.waiting.erase(taken);
        }
        process.calls += 1;
        process.pieces += pieces;
        const double real = static_cast<double>(verdict.reservation.tokens) / options_.overestimate;
        flights_.push({now_ + within(Duration(1), options_.way_max),
                       false,
                       static_cast<std::size_t>(&process - processes_.data()),
                       verdict.reservation,
                       static_cast<std::int64_t>(real),
                       pieces,
                       {},
                       order_++});
    }

    void step(TimePoint end) {
        TimePoint next = std::min(end, now_ + Duration(500));
        if (!flights_.empty()) next = std::min(next, flights_.top().at);
        for (const Process& one : processes_)
            if (one.calls < options_.calls_each) next = std::min(next, one.again);
        now_ = std::max(next, now_ + Duration(1));
    }

    ProviderModel& provider_;
    Options options_;
    Page page_;
    std::vector<Process> processes_;
    std::priority_queue<Flight> flights_;
    std::vector<TimePoint> throttled_;
    std::mt19937_64 random_{options_.seed};
    TimePoint now_ = start;
    TimePoint foreign_at_ = start;
    std::uint64_t order_ = 0;
    Duration longest_wait_{};
};

}  // namespace millrace::quota::test
