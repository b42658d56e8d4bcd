// Calls to a deployment that is down or throttles wait before they are made, not after they have failed.
#pragma once

#include "base/async.hpp"
#include "provider/provider.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <random>

namespace millrace::provider {

/// Passes calls on to `inner` while that answers. Once `kFailuresToOpen` calls in a row have failed for a
/// transient reason, or one was throttled, all calls wait: for as long as the provider asked, else for a
/// doubling, jittered time of at most a minute. Then one call goes ahead as a probe; its success lets all go.
///
/// It also tells whose fault a transient failure is. While other calls succeed it stays `transient`; if none
/// did in the last minute nor since the call began, it becomes `unavailable`: the service is down, the input
/// is not to blame. All calls on the I/O thread.
class CircuitBreaker final : public Provider {
  public:
    static constexpr int kFailuresToOpen = 5;
    static constexpr Duration kPauseMax = std::chrono::minutes(1);
    /// A success this long ago still proves that the service is up.
    static constexpr Duration kProof = std::chrono::minutes(1);

    /// `inner` and `clock` outlive it.
    CircuitBreaker(asio::any_io_executor io, Provider& inner, Clock& clock);

    const ModelInfo& model() const noexcept override { return inner_.model(); }
    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs, CallContext context) override;
    asio::awaitable<Outcome<Completion>> complete(CompletionRequest request, CallContext context) override;
    asio::awaitable<Outcome<RawAnswer>> call(RawRequest request, CallContext context) override;

    /// True while calls wait, and until a probe has succeeded.
    bool open() const noexcept { return open_; }
    /// True while no call may go, not even as a probe: `open`, and it is too early or another one probes.
    bool holds() const noexcept { return open_ && (stopped_ || must_wait()); }
    /// How many calls wait now.
    std::size_t waiting() const noexcept { return waiting_; }

    /// Calls that wait, or would have to, fail at once as `throttled`; others go on.
    void stop();

  private:
    class Probe;

    template <class T>
    asio::awaitable<Outcome<T>> guard(std::function<asio::awaitable<Outcome<T>>()> ask);
    asio::awaitable<void> wait_for_turn();
    bool must_wait() const noexcept;
    /// `failure`: none for a success.
    void note(const std::optional<Failure>& failure, bool probe);
    void hold(std::optional<Duration> asked, bool probe);

    asio::any_io_executor io_;
    Provider& inner_;
    Clock& clock_;
    Signal changed_;
    std::minstd_rand random_{std::random_device{}()};
    bool open_ = false;
    bool probing_ = false;
    bool stopped_ = false;
    TimePoint open_until_{};  ///< while open: when a probe may go
    TimePoint last_success_{};  ///< the epoch: none yet
    std::uint64_t successes_ = 0;
    int failures_ = 0;  ///< in a row
    int holds_ = 0;  ///< in a row: how often the pause was doubled
    std::size_t waiting_ = 0;
};

/// The same deployment for callers that somebody waits for, such as searches: a call is never held back. It
/// fails at once as `unavailable` while the breaker holds calls, and after `time_max`. Where the next call is
/// the breaker's probe, it is that. For remote deployments: local work can't be called off.
class FailFast final : public Provider {
  public:
    /// `breaker` and `inner`, the provider behind it, outlive it.
    FailFast(CircuitBreaker& breaker, Provider& inner, Duration time_max)
        : breaker_(breaker), inner_(inner), time_max_(time_max) {}

    const ModelInfo& model() const noexcept override { return inner_.model(); }
    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs, CallContext context) override;
    asio::awaitable<Outcome<Completion>> complete(CompletionRequest request, CallContext context) override;
    asio::awaitable<Outcome<RawAnswer>> call(RawRequest request, CallContext context) override;

  private:
    template <class T>
    asio::awaitable<Outcome<T>> in_time(std::function<asio::awaitable<Outcome<T>>(Provider&)> ask);

    CircuitBreaker& breaker_;
    Provider& inner_;
    Duration time_max_;
};

}  // namespace millrace::provider
