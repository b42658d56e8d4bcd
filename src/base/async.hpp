// Helpers for coroutines on the one I/O thread and for work on the CPU pool.
// GCC 12 destroys temporaries inside a co_await expression twice: pass only named arguments to these.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace millrace {

namespace asio = boost::asio;

/// Threads for work that takes longer than about a millisecond: extract, chunk, embed locally, scan vectors.
class CpuPool {
  public:
    /// Starts `threads` threads (at least 1).
    explicit CpuPool(unsigned threads) : threads_(threads == 0 ? 1 : threads), pool_(threads_) {}
    ~CpuPool() { stop(); }
    CpuPool(const CpuPool&) = delete;

    unsigned threads() const noexcept { return threads_; }

    /// Runs `work()` on a thread of the pool and resumes the caller on its own executor with what it returned
    /// or threw. `work` is copied into the task and destroyed before the caller goes on. T must be
    /// default-constructible or void. A caller that is cancelled is told when `work` has ended.
    template <class F>
    asio::awaitable<std::invoke_result_t<F&>> run(F work) {
        using T = std::invoke_result_t<F&>;
        auto task = [work = std::move(work)]() mutable -> asio::awaitable<T> {
            auto held = std::move(work);  // Asio destroys the lambda late, when the caller may have gone on
            co_return held();
        };
        // Without a slot: a cancellation would reach the task on another thread of the pool than the one it
        // runs on.
        auto token = asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable);
        co_return co_await asio::co_spawn(pool_, std::move(task), std::move(token));
    }

    /// Waits until running work has ended; waiting work is dropped. A second stop is harmless.
    void stop() {
        pool_.stop();
        pool_.join();
    }

  private:
    unsigned threads_;
    asio::thread_pool pool_;
};

/// A condition that coroutines of the I/O thread wait for. Not for use across threads.
class Signal {
  public:
    explicit Signal(const asio::any_io_executor& executor)
        : timer_(executor, asio::steady_timer::time_point::max()) {}

    /// Wakes every coroutine that waits now; those that come later wait for the next call.
    void notify() { timer_.cancel(); }

    /// Returns after the next `notify`, or when the waiting coroutine is cancelled.
    asio::awaitable<void> wait();

  private:
    asio::steady_timer timer_;
};

/// Runs `work`; cancels it at `seconds` from now. True if it ended by itself. Rethrows what `work` throws.
asio::awaitable<bool> with_deadline(asio::awaitable<void> work, std::chrono::steady_clock::duration time);

/// Starts `work` on `executor` without waiting for it; an exception that escapes ends the process with its
/// text, as an exception that leaves a thread does.
void spawn(const asio::any_io_executor& executor, asio::awaitable<void> work);

}  // namespace millrace
