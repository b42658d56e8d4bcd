// How a command that serves begins and ends: signals, and what systemd wants to know.
#pragma once

#include "base/async.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <string_view>

namespace millrace::app {

/// Catches SIGINT and SIGTERM from its making on. On the I/O thread.
class StopSignal {
  public:
    explicit StopSignal(const asio::any_io_executor& io) : signals_(io, SIGINT, SIGTERM) {}

    /// True once one has come; from then on a second one ends the process at once. False after `cancel`.
    asio::awaitable<bool> wait();
    void cancel() { signals_.cancel(); }

  private:
    asio::signal_set signals_;
};

/// From here on a write past the file size limit of the process (LimitFSIZE= of systemd, ulimit -f) fails
/// like one to a full disk, instead of ending the process.
void survive_file_size_limit() noexcept;

/// Tells the service manager (sd_notify(3)) `state`, e.g. "READY=1"; nothing without NOTIFY_SOCKET.
void notify_manager(std::string_view state);

}  // namespace millrace::app
