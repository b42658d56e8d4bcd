#include "work/processor.hpp"

#include "base/async.hpp"
#include "base/limits.hpp"
#include "base/utf8.hpp"
#include "telemetry/log.hpp"
#include "work/trace.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <new>
#include <random>

namespace millrace::work {

namespace {

using broker::Delivery;
using broker::LockRef;

constexpr Duration kMachineRetry = std::chrono::seconds(5);
constexpr Duration kReceiveRetry = std::chrono::seconds(1);
constexpr Duration kSettleRetry = std::chrono::seconds(30);
constexpr Duration kRenewRetryFirst = std::chrono::milliseconds(100);
constexpr Duration kRenewRetryMax = std::chrono::seconds(5);
constexpr int kHoldDoublingsMax = 8;

/// How long a message is held that a queue counts a delivery for: at least 1, 2, 4 … 256 s.
Duration hold_time(Duration asked, int delivery_count) {
    const int doublings = std::clamp(delivery_count, 0, kHoldDoublingsMax);
    return std::max<Duration>(asked, Duration(std::chrono::seconds(1)) * (1 << doublings));
}

/// `text` without line breaks and not too long, for a dead letter's description.
std::string one_line(std::string text) {
    std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    text.resize(first_characters(text, limits::dead_letter_text_chars_max).size());
    return text;
}

/// How logs name a delivery.
struct Subject {
    std::string queue;
    std::string message_id;
    std::string trace_id;  ///< "" where the message belongs to no trace
};

Subject subject_of(const std::string& queue, const broker::Message& message) {
    const auto trace = trace_of(message);
    return {queue, message.message_id, trace ? std::string(trace->trace_id()) : std::string()};
}

void log_about(telemetry::Level level, std::string_view what, const Subject& subject, std::string_view why) {
    const telemetry::Field at("at", subject.queue), message("message", subject.message_id);
    const telemetry::Field trace("trace_id", subject.trace_id), reason("why", why);
    if (subject.trace_id.empty())
        telemetry::log(level, what, {at, message, reason});
    else
        telemetry::log(level, what, {at, message, trace, reason});
}

void log_failure(const Outcome& outcome, const Subject& subject) {
    if (const auto* dead = std::get_if<DeadLetter>(&outcome))
        log_about(telemetry::Level::warning, "dead letter", subject, dead->reason);
    else if (const auto* retry = std::get_if<RetryAfter>(&outcome))
        log_about(telemetry::Level::debug, "retry", subject, retry->why);
}

}  // namespace

/// Shared with the coroutines it starts, so that one that outlives `stop` still finds it.
class Processor::Loop : public std::enable_shared_from_this<Processor::Loop> {
  public:
    Loop(asio::any_io_executor io, broker::MessageSource& source, Clock& clock, Complete complete,
         ProcessorOptions options, Handler handler)
        : io_(io),
          source_(source),
          clock_(clock),
          complete_(std::move(complete)),
          options_(std::move(options)),
          handler_(std::move(handler)),
          slot_free_(io),
          stopped_(io),
          cancelled_(io),
          random_(std::random_device{}()) {}

    void start() {
        if (options_.sessions) {
            for (std::size_t i = 0; i < options_.concurrency; ++i)
                start(receive_sessions(shared_from_this()));
        } else if (options_.lanes) {
            start(receive(shared_from_this(), interactive_));
            start(receive(shared_from_this(), batch_));
        } else {
            start(receive(shared_from_this(), all_));
        }
    }

    void close() {
        stopping_ = true;
        slot_free_.notify();
        stopped_.notify();
    }

    asio::awaitable<void> stop(Duration drain) {
        close();
        const TimePoint deadline = clock_.now() + drain;
        while (stats_.running > 0 && clock_.now() < deadline) {
            using namespace asio::experimental::awaitable_operators;
            auto freed = slot_free_.wait();
            auto late = clock_.sleep_until(deadline);
            auto first = std::move(freed) || std::move(late);
            co_await std::move(first);
        }
        cancelling_ = true;
        cancelled_.notify();
        while (stats_.running > 0 || loops_ > 0) co_await slot_free_.wait();
    }

    const ProcessorOptions& options() const noexcept { return options_; }
    const ProcessorStats& stats() const noexcept { return stats_; }

  private:
    /// The places of those who take messages of one kind.
    struct Places {
        broker::LaneKind lanes;
        std::size_t taken = 0;
    };

    void start(asio::awaitable<void> loop) {
        loops_ += 1;
        spawn(io_, std::move(loop));
    }

    static asio::awaitable<void> receive(std::shared_ptr<Loop> self, Places& places) {
        while (!self->stopping_) {
            while (places.taken >= self->options_.concurrency && !self->stopping_) {
                co_await self->slot_free_.wait();
            }
            if (self->stopping_) break;
            broker::ReceiveOptions options;
            options.messages_max = self->options_.concurrency - places.taken;
            options.wait = self->options_.receive_wait;
            options.lanes = places.lanes;
            auto received = co_await self->receive_or_stop(options);
            for (auto& delivery : received) {
                self->stats_.running += 1;
                places.taken += 1;
                spawn(self->io_, run_and_release(self, std::move(delivery), places));
            }
        }
        self->end_loop();
    }

    static asio::awaitable<void> receive_sessions(std::shared_ptr<Loop> self) {
        while (!self->stopping_) {
            auto session = co_await self->accept_or_stop();
            if (session) co_await self->serve_session(*session);
        }
        self->end_loop();
    }

    /// The lock is kept while a message runs and while the next one is waited for.
    asio::awaitable<void> serve_session(broker::SessionLock session) {
        using namespace asio::experimental::awaitable_operators;
        bool lost = false;
        auto work = run_session(session, lost);
        auto renewal = keep_session(session, lost);
        auto both = std::move(work) || std::move(renewal);
        co_await std::move(both);
        co_await source_.release_session(session);
    }

    /// One message after the other until none comes for a while.
    asio::awaitable<void> run_session(broker::SessionLock session, const bool& lost) {
        while (!stopping_ && !lost) {
            broker::ReceiveOptions options;
            options.wait = options_.session_idle;
            options.session = session.token;
            auto received = co_await receive_or_stop(options);
            if (received.empty()) break;
            stats_.running += 1;
            co_await run(shared_from_this(), std::move(received.front()), false);
            release();
        }
    }

    // `a || b` waits for the first that ends without an exception: a call that throws would wait for the
    // other one.
    template <class T>
    static asio::awaitable<Result<T>> unbroken(asio::awaitable<Result<T>> call) {
        std::string why;
        try {
            auto answer = co_await std::move(call);
            co_return answer;
        } catch (const std::exception& broken) {
            why = broken.what();
        }
        co_return Error{Errc::corrupt, why};
    }

    /// Messages, or none when stopping or when the engine is out of reach (then after a pause).
    asio::awaitable<std::vector<Delivery>> receive_or_stop(broker::ReceiveOptions options) {
        using namespace asio::experimental::awaitable_operators;
        auto receiving = source_.receive(options_.queue, options);
        auto answered = unbroken(std::move(receiving));
        auto stopping = stopped_.wait();
        auto first = std::move(answered) || std::move(stopping);
        auto winner = co_await std::move(first);
        if (winner.index() == 1) co_return std::vector<Delivery>{};
        Result<std::vector<Delivery>> received = std::move(std::get<0>(winner));
        if (received) {
            stats_.received += received->size();
            co_return std::move(*received);
        }
        if (!stopping_) telemetry::log_warning("receive", options_.queue, received.error().detail);
        co_await pause();
        co_return std::vector<Delivery>{};
    }

    asio::awaitable<std::optional<broker::SessionLock>> accept_or_stop() {
        using namespace asio::experimental::awaitable_operators;
        const std::optional<std::string> next;
        const TimePoint asked = clock_.now();
        auto accepting = source_.accept_session(options_.queue, next, options_.receive_wait);
        auto answered = unbroken(std::move(accepting));
        auto stopping = stopped_.wait();
        auto first = std::move(answered) || std::move(stopping);
        auto winner = co_await std::move(first);
        if (winner.index() == 1) co_return std::nullopt;
        Result<broker::SessionLock> accepted = std::move(std::get<0>(winner));
        if (accepted) co_return std::move(*accepted);
        // That none was free after the wait is no trouble; an answer that comes early is.
        const bool early = clock_.now() - asked < options_.receive_wait / 2;
        if (early || accepted.error().code != Errc::unavailable) {
            if (!stopping_) telemetry::log_warning("accept session", options_.queue, accepted.error().detail);
            co_await pause();
        }
        co_return std::nullopt;
    }

    asio::awaitable<void> pause() {
        using namespace asio::experimental::awaitable_operators;
        if (stopping_) co_return;
        auto sleep = clock_.sleep_for(kReceiveRetry);
        auto stopping = stopped_.wait();
        auto first = std::move(sleep) || std::move(stopping);
        co_await std::move(first);
    }

    static asio::awaitable<void> run_and_release(std::shared_ptr<Loop> self, Delivery delivery,
                                                 Places& places) {
        const Duration held = co_await run(self, std::move(delivery), true);
        if (held > Duration::zero())
            self->hold_place(held, places);
        else
            places.taken -= 1;
        self->release();
    }

    /// Answers for how long its place stays taken.
    static asio::awaitable<Duration> run(std::shared_ptr<Loop> self, Delivery delivery, bool renew) {
        using namespace asio::experimental::awaitable_operators;
        const LockRef lock{delivery.entity, delivery.lock_token};
        const Subject subject = subject_of(self->options_.queue, delivery.message);
        const int count = delivery.delivery_count;
        const TimePoint locked_until = delivery.locked_until;
        std::optional<Outcome> outcome;
        auto work = self->call_handler(std::move(delivery), subject, outcome);
        auto renewal = renew ? self->keep_lock(lock, locked_until) : self->clock_.sleep_until(kNever);
        auto cancelled = self->cancelled();
        auto first = std::move(work) || std::move(renewal) || std::move(cancelled);
        co_await std::move(first);
        // What a cancelled handler answers says nothing about its message, unless the work was done.
        const bool counts = outcome && (!self->cancelling_ || std::holds_alternative<Done>(*outcome));
        if (!counts) outcome.emplace(RetryAfter{Duration::zero(), "the server was stopped", false});
        log_failure(*outcome, subject);
        auto* const retry = std::get_if<RetryAfter>(&*outcome);
        if (retry != nullptr && self->options_.holds_postponed && retry->delay > Duration::zero())
            retry->delay = hold_time(retry->delay, count);
        const Duration held = retry != nullptr ? retry->delay : Duration::zero();
        const bool settled = co_await self->settle(lock, std::move(*outcome), subject);
        co_return settled && self->options_.holds_postponed ? held : Duration::zero();
    }

    /// A place stays taken for `time`.
    void hold_place(Duration time, Places& places) {
        spawn(io_, give_place_back(shared_from_this(), clock_.now() + time, places));
    }

    static asio::awaitable<void> give_place_back(std::shared_ptr<Loop> self, TimePoint when, Places& places) {
        using namespace asio::experimental::awaitable_operators;
        if (!self->stopping_) {
            auto sleep = self->clock_.sleep_until(when);
            auto stopping = self->stopped_.wait();
            auto first = std::move(sleep) || std::move(stopping);
            co_await std::move(first);
        }
        places.taken -= 1;
        self->slot_free_.notify();
    }

    asio::awaitable<void> call_handler(Delivery delivery, const Subject& subject,
                                       std::optional<Outcome>& outcome) {
        const int count = delivery.delivery_count;
        try {
            Outcome answer = co_await handler_(std::move(delivery));
            outcome.emplace(std::move(answer));
        } catch (const boost::system::system_error& error) {
            // What a cancelled handler threw says nothing about its message.
            if (cancelling_) co_return;
            outcome.emplace(DeadLetter{reason::unexpected_exception, one_line(error.what())});
        } catch (const MachineError& broken) {
            outcome.emplace(RetryAfter{kMachineRetry, broken.what(), false});
            log_about(telemetry::Level::error, "handler", subject, broken.what());
        } catch (const std::bad_alloc&) {
            outcome.emplace(RetryAfter{backoff(count + 1, jitter()), "out of memory", true});
        } catch (const std::exception& error) {
            outcome.emplace(DeadLetter{reason::unexpected_exception, one_line(error.what())});
        }
    }

    /// Ends when running handlers are to be cancelled.
    asio::awaitable<void> cancelled() {
        while (!cancelling_) co_await cancelled_.wait();
    }

    /// Renews at half of what is left, for ever; ends by cancellation, or when the lock is lost.
    asio::awaitable<void> keep_lock(LockRef lock, TimePoint locked_until) {
        int failures = 0;
        while (true) {
            co_await sleep_to_half(locked_until, failures);
            auto renewal = source_.renew(lock);
            auto renewed = co_await unbroken(std::move(renewal));
            if (renewed) {
                locked_until = *renewed;
            } else if (renewed.error().code == Errc::conflict) {
                break;
            }
            note_renewal(renewed, failures);
        }
        co_await clock_.sleep_until(kNever);
    }

    asio::awaitable<void> keep_session(broker::SessionLock session, bool& lost) {
        int failures = 0;
        while (true) {
            co_await sleep_to_half(session.locked_until, failures);
            auto renewal = source_.renew_session(session);
            auto renewed = co_await unbroken(std::move(renewal));
            if (renewed) {
                session.locked_until = *renewed;
            } else if (renewed.error().code == Errc::conflict) {
                lost = true;
                break;
            }
            note_renewal(renewed, failures);
        }
        co_await clock_.sleep_until(kNever);
    }

    /// The first of several failures is logged.
    void note_renewal(const Result<TimePoint>& renewed, int& failures) {
        if (!renewed && failures == 0)
            telemetry::log_warning("renew", options_.queue, renewed.error().detail);
        failures = renewed ? 0 : failures + 1;
    }

    /// Half of the time to `end`; after `failures`, no less than a pause that grows with them.
    asio::awaitable<void> sleep_to_half(TimePoint end, int failures) {
        const TimePoint now = clock_.now();
        const Duration half = end > now ? (end - now) / 2 : Duration(0);
        const Duration pause =
            std::min<Duration>(kRenewRetryFirst * (1 << std::min(failures, 10)), kRenewRetryMax);
        co_await clock_.sleep_for(std::max(half, pause));
    }

    /// True if it was done.
    asio::awaitable<bool> settle(LockRef lock, Outcome outcome, const Subject& subject) {
        Result<void> settled;
        bool broke = false;
        try {
            settled = co_await settle_as(lock, std::move(outcome), subject);
        } catch (const std::exception& broken) {
            log_about(telemetry::Level::error, "settle", subject, broken.what());
            settled = Error{Errc::unavailable, broken.what()};
            broke = true;
        }
        if (settled) co_return true;
        if (!broke) log_about(telemetry::Level::warning, "settle", subject, settled.error().detail);
        if (settled.error().code == Errc::conflict)
            stats_.locks_lost += 1;
        else
            co_await give_back(lock);
        co_return false;
    }

    /// Nobody else settles the message: where a lock does not run out, it would stay with its link for ever.
    /// If this fails too, the lock runs out or the link ends, and the message comes again.
    asio::awaitable<void> give_back(LockRef lock) {
        auto postponing = source_.postpone(std::move(lock), kSettleRetry, true);
        const auto postponed = co_await unbroken(std::move(postponing));
        if (!postponed) telemetry::log_debug("give back", options_.queue, postponed.error().detail);
    }

    asio::awaitable<Result<void>> settle_as(LockRef lock, Outcome outcome, const Subject& subject) {
        if (auto* done = std::get_if<Done>(&outcome)) {
            stats_.done += 1;
            auto then = std::move(done->then);
            auto completed = co_await complete_(lock, std::move(*done));
            if (completed && then) then();
            if (!completed) co_return co_await settle_undone(lock, completed.error(), subject);
            co_return completed;
        }
        if (auto* retry = std::get_if<RetryAfter>(&outcome)) {
            stats_.retried += 1;
            co_return co_await source_.postpone(lock, retry->delay, retry->spends_delivery);
        }
        auto& dead = std::get<DeadLetter>(outcome);
        stats_.dead_lettered += 1;
        broker::Properties none;
        std::string description = one_line(std::move(dead.description));
        co_return co_await source_.dead_letter(lock, std::move(dead.reason), std::move(description), none);
    }

    /// What followed from finished work could not be stored: later if a queue is full or the engine is away,
    /// never if it is refused as written. A lost lock stays lost.
    asio::awaitable<Result<void>> settle_undone(LockRef lock, Error error, const Subject& subject) {
        if (error.code == Errc::over_limit || error.code == Errc::unavailable) {
            log_about(telemetry::Level::warning, "complete", subject, error.detail);
            co_return co_await source_.postpone(lock, kReceiveRetry, false);
        }
        if (error.code != Errc::invalid_input && error.code != Errc::not_found) co_return error;
        const std::string why = reason::unexpected_exception;
        const broker::Properties none;
        co_return co_await source_.dead_letter(lock, why, one_line(error.detail), none);
    }

    void release() {
        stats_.running -= 1;
        slot_free_.notify();
    }

    void end_loop() {
        loops_ -= 1;
        slot_free_.notify();
    }

    double jitter() { return std::uniform_real_distribution<double>(0, 1)(random_); }

    asio::any_io_executor io_;
    broker::MessageSource& source_;
    Clock& clock_;
    Complete complete_;
    ProcessorOptions options_;
    Handler handler_;
    Signal slot_free_;
    Signal stopped_;
    Signal cancelled_;
    std::mt19937 random_;
    ProcessorStats stats_;
    Places all_{broker::LaneKind::all};
    Places interactive_{broker::LaneKind::interactive};
    Places batch_{broker::LaneKind::batch};
    std::size_t loops_ = 0;
    bool stopping_ = false;
    bool cancelling_ = false;
};

Processor::Processor(asio::any_io_executor io, broker::MessageSource& source, Clock& clock, Complete complete,
                     ProcessorOptions options, Handler handler)
    : loop_(std::make_shared<Loop>(std::move(io), source, clock, std::move(complete), std::move(options),
                                   std::move(handler))) {}

Processor::~Processor() = default;

void Processor::start() { loop_->start(); }

void Processor::close() { loop_->close(); }

asio::awaitable<void> Processor::stop(Duration drain) { return loop_->stop(drain); }

ProcessorStats Processor::stats() const noexcept { return loop_->stats(); }

const ProcessorOptions& Processor::options() const noexcept { return loop_->options(); }

}  // namespace millrace::work
