// Loops that run beside the requests until the server stops.
#pragma once

#include "base/task_group.hpp"

#include <functional>
#include <string>

namespace millrace::app {

/// Runs loops and other tasks, and ends them together. On the I/O thread; stopped before it is destroyed.
class Background {
  public:
    explicit Background(asio::any_io_executor io);

    /// Runs what `make` gives until it ends or is cancelled by `stop`. An exception that leaves it is
    /// logged under `name`, and it is made anew after five seconds.
    void start(std::string name, std::function<asio::awaitable<void>()> make);

    /// For tasks that run once.
    TaskGroup& tasks() noexcept { return tasks_; }

    /// Cancels everything and waits until it has ended. A second stop is harmless.
    asio::awaitable<void> stop() { return tasks_.stop(); }

  private:
    asio::awaitable<void> repeat(std::string name, std::function<asio::awaitable<void>()> make);

    asio::any_io_executor io_;
    TaskGroup tasks_;
};

}  // namespace millrace::app
