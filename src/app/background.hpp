// Coroutines that run beside the requests until the server stops.
#pragma once

#include "base/async.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <functional>
#include <list>
#include <string>

namespace millrace::app {

/// Runs loops and ends them together. On the I/O thread; stopped before it is destroyed.
class Background {
  public:
    explicit Background(asio::any_io_executor io) : io_(std::move(io)), ended_(io_) {}
    Background(const Background&) = delete;

    /// Runs what `make` gives until it ends or is cancelled by `stop`. A MachineError that leaves it is
    /// logged under `name`, and it is made anew after five seconds.
    void start(std::string name, std::function<asio::awaitable<void>()> make);

    /// Cancels everything and waits until it has ended. A second stop is harmless.
    asio::awaitable<void> stop();

  private:
    asio::awaitable<void> repeat(std::string name, std::function<asio::awaitable<void>()> make);

    asio::any_io_executor io_;
    std::list<asio::cancellation_signal> signals_;
    std::size_t running_ = 0;
    bool stopping_ = false;
    Signal ended_;
};

}  // namespace millrace::app
