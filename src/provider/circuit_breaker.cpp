#include "provider/circuit_breaker.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

namespace millrace::provider {

namespace {

constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr int kDoublingsMax = 6;

}  // namespace

/// Makes the breaker's next call the only one; a call that ends without an answer lets another one try.
class CircuitBreaker::Probe {
  public:
    explicit Probe(CircuitBreaker& breaker) : breaker_(breaker), probes_(breaker.open_) {
        if (probes_) breaker_.probing_ = true;
    }
    Probe(const Probe&) = delete;
    ~Probe() {
        if (!probes_) return;
        breaker_.probing_ = false;
        breaker_.changed_.notify();
    }
    bool is_probe() const noexcept { return probes_; }

  private:
    CircuitBreaker& breaker_;
    bool probes_;
};

CircuitBreaker::CircuitBreaker(asio::any_io_executor io, Provider& inner, Clock& clock)
    : io_(std::move(io)), inner_(inner), clock_(clock), changed_(io_) {}

bool CircuitBreaker::must_wait() const noexcept {
    return open_ && !stopped_ && (probing_ || clock_.now() < open_until_);
}

asio::awaitable<void> CircuitBreaker::wait_for_turn() {
    using namespace asio::experimental::awaitable_operators;
    while (must_wait()) {
        auto due = clock_.sleep_until(probing_ ? kNever : open_until_);
        auto changed = changed_.wait();
        auto first = std::move(due) || std::move(changed);
        co_await std::move(first);
    }
}

asio::awaitable<Outcome<Embeddings>> CircuitBreaker::embed(std::vector<std::string> inputs,
                                                           CallContext context) {
    auto ask = [&] { return inner_.embed(std::move(inputs), std::move(context)); };
    auto guarded = guard<Embeddings>(ask);
    co_return co_await std::move(guarded);
}

asio::awaitable<Outcome<Completion>> CircuitBreaker::complete(CompletionRequest request,
                                                              CallContext context) {
    auto ask = [&] { return inner_.complete(std::move(request), std::move(context)); };
    auto guarded = guard<Completion>(ask);
    co_return co_await std::move(guarded);
}

asio::awaitable<Outcome<RawAnswer>> CircuitBreaker::call(RawRequest request, CallContext context) {
    auto ask = [&] { return inner_.call(std::move(request), std::move(context)); };
    auto guarded = guard<RawAnswer>(ask);
    co_return co_await std::move(guarded);
}

template <class T>
asio::awaitable<Outcome<T>> CircuitBreaker::guard(std::function<asio::awaitable<Outcome<T>>()> ask) {
    if (must_wait()) {
        waiting_ += 1;
        const std::shared_ptr<void> waited(nullptr, [this](void*) { waiting_ -= 1; });
        co_await wait_for_turn();
    }
    // A millisecond: the message is there when the next server starts.
    if (stopped_ && open_) {
        co_return Failure{FailureKind::throttled, 0, "the model is down and the server is being stopped",
                          Duration(1)};
    }
    const Probe probe(*this);
    const std::uint64_t successes_before = successes_;
    auto asked = ask();
    auto outcome = co_await std::move(asked);
    note(failure_of(outcome), probe.is_probe());
    if (!outcome && outcome.error().kind == FailureKind::transient) {
        const bool proven =
            successes_ != successes_before || (successes_ > 0 && clock_.now() - last_success_ <= kProof);
        if (!proven) {
            Failure failure = outcome.error();
            failure.kind = FailureKind::unavailable;
            co_return failure;
        }
    }
    co_return outcome;
}

void CircuitBreaker::note(const std::optional<Failure>& failure, bool probe) {
    if (failure && failure->kind == FailureKind::held) return;  // the provider was not asked
    const bool throttled = failure && failure->kind == FailureKind::throttled;
    const bool transient = failure && failure->kind == FailureKind::transient;
    if (!throttled && !transient) {
        // A refusal is an answer: the service is up.
        failures_ = 0;
        if (!failure) {
            successes_ += 1;
            last_success_ = clock_.now();
        }
        // A call from before the hold says nothing about what was asked for since.
        if (open_ && !probe) return;
        holds_ = 0;
        open_ = false;
        changed_.notify();
        return;
    }
    failures_ += 1;
    if (throttled || failures_ >= kFailuresToOpen) hold(failure->retry_after, probe);
}

void CircuitBreaker::hold(std::optional<Duration> asked, bool probe) {
    const TimePoint now = clock_.now();
    // Calls that were under way together fail together: they are one failure.
    const bool again = !open_ || probe;
    if (again) holds_ = std::min(holds_ + 1, kDoublingsMax + 1);
    const Duration bound = std::min<Duration>(kFirstPause * (1 << (holds_ - 1)), kPauseMax);
    const double jitter = std::uniform_real_distribution<double>(0.5, 1)(random_);
    const Duration own(static_cast<std::int64_t>(static_cast<double>(bound.count()) * jitter));
    // Some servers say "0 seconds" and mean that they do not know.
    const TimePoint until = now + (asked && *asked > Duration(0) ? *asked : own);
    if (again || asked) open_until_ = std::max(open_until_, until);
    open_ = true;
    changed_.notify();
}

void CircuitBreaker::stop() {
    stopped_ = true;
    changed_.notify();
}

asio::awaitable<Outcome<Embeddings>> FailFast::embed(std::vector<std::string> inputs, CallContext context) {
    auto ask = [&](Provider& provider) { return provider.embed(std::move(inputs), std::move(context)); };
    auto limited = in_time<Embeddings>(ask);
    co_return co_await std::move(limited);
}

asio::awaitable<Outcome<Completion>> FailFast::complete(CompletionRequest request, CallContext context) {
    auto ask = [&](Provider& provider) { return provider.complete(std::move(request), std::move(context)); };
    auto limited = in_time<Completion>(ask);
    co_return co_await std::move(limited);
}

asio::awaitable<Outcome<RawAnswer>> FailFast::call(RawRequest request, CallContext context) {
    auto ask = [&](Provider& provider) { return provider.call(std::move(request), std::move(context)); };
    auto limited = in_time<RawAnswer>(ask);
    co_return co_await std::move(limited);
}

template <class T>
asio::awaitable<Outcome<T>> FailFast::in_time(std::function<asio::awaitable<Outcome<T>>(Provider&)> ask) {
    if (breaker_.holds()) {
        co_return Failure{
            FailureKind::unavailable, 0, "the model's service is down or throttles; asked again soon", {}};
    }
    Outcome<T> outcome =
        Failure{FailureKind::unavailable,
                0,
                "no answer within " + std::to_string(time_max_ / std::chrono::seconds(1)) + " seconds",
                {}};
    // After the pause somebody has to find out whether the service is back, and there may be no other work.
    Provider& provider = breaker_.open() ? static_cast<Provider&>(breaker_) : inner_;
    auto call = [&ask, &outcome, &provider]() -> asio::awaitable<void> {
        auto asked = ask(provider);
        outcome = co_await std::move(asked);
    };
    auto running = call();
    co_await with_deadline(std::move(running), time_max_);
    co_return outcome;
}

}  // namespace millrace::provider
