// Coroutines that run beside the requests and end together.
#pragma once

#include "base/async.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <functional>
#include <list>
#include <string>

namespace millrace {

/// Starts coroutines, and cancels and awaits them all at its end. On the I/O thread; stopped before it is
/// destroyed.
class TaskGroup {
  public:
    /// Told of an exception that left a task; not of one that followed from `stop`.
    using OnFailure = std::function<void(const std::string& name, const char* what)>;

    TaskGroup(asio::any_io_executor io, OnFailure on_failure)
        : io_(std::move(io)), ended_(io_), on_failure_(std::move(on_failure)) {}
    TaskGroup(const TaskGroup&) = delete;

    /// Runs `task` to its end, or until `stop` cancels it. After `stop` it is dropped unrun.
    void start(std::string name, asio::awaitable<void> task);

    std::size_t running() const noexcept { return signals_.size(); }

    /// Cancels every task and returns when all have ended. A second stop is harmless.
    asio::awaitable<void> stop();

  private:
    asio::any_io_executor io_;
    std::list<asio::cancellation_signal> signals_;  ///< one for each task that runs
    bool stopping_ = false;
    Signal ended_;
    OnFailure on_failure_;
};

}  // namespace millrace
