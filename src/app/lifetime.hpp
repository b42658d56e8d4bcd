// How a command that serves begins and ends: signals, and what systemd wants to know.
#pragma once

#include "base/async.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <string_view>

namespace millrace::app {

/// Returns after SIGINT or SIGTERM. From then on a second one ends the process at once.
asio::awaitable<void> wait_for_signal();

/// Tells the service manager (sd_notify(3)) `state`, e.g. "READY=1"; nothing without NOTIFY_SOCKET.
void notify_manager(std::string_view state);

}  // namespace millrace::app
