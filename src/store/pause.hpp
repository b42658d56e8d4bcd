// How long a thread waits before it tries an unreachable database again.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace millrace::store {

/// Grows with every failure in a row, from 50 ms to 2 s; ends at once when the database is stopped.
class Pause {
  public:
    explicit Pause(std::stop_token stopped) : stopped_(std::move(stopped)) {}

    bool stopped() const noexcept { return stopped_.stop_requested(); }
    void succeeded() noexcept { next_ = std::chrono::milliseconds(0); }
    void failed() noexcept {
        using std::chrono::milliseconds;
        until_ = std::chrono::steady_clock::now() + next_;
        next_ = std::clamp(next_ * 2, milliseconds(50), milliseconds(2000));
    }
    /// Waits for what is left of the pause after the last failure.
    void wait() {
        std::mutex alone;
        std::unique_lock guard(alone);
        std::condition_variable_any never;
        never.wait_until(guard, stopped_, until_, [] { return false; });
    }

  private:
    std::stop_token stopped_;
    std::chrono::milliseconds next_{0};
    std::chrono::steady_clock::time_point until_{};
};

}  // namespace millrace::store
