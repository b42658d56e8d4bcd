// How a command that serves begins and ends: signals, and what systemd wants to know.
#pragma once

#include "app/commands.hpp"
#include "app/configuration.hpp"
#include "app/run_to_end.hpp"
#include "base/async.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <string>
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

/// The log of the process as `settings`, checked ones, want it.
void configure_log(const TelemetrySettings& settings);

/// Tells on standard output and in the log that a service has begun; answers what the log calls it.
template <class Service>
using Announce = std::string (*)(const Service& service, const Configuration& configuration);

/// Waits for a signal; tells the service manager that what is `status` ("serving") begins and that it ends,
/// and the log that `name` ends.
asio::awaitable<void> serve_until(StopSignal& stop, std::string_view status, const std::string& name);

/// Runs a service, `Server` or `Worker`, on `io` until a signal; `exit_code` becomes 1 if it doesn't start.
template <class Service>
asio::awaitable<void> run_until_signal(asio::io_context& io, const Configuration& configuration,
                                       std::string_view status, Announce<Service> announce, int& exit_code) {
    StopSignal stop(io.get_executor());
    SystemClock clock;
    Service service(io.get_executor(), clock, configuration);
    auto started = co_await service.start();
    if (!started) {
        exit_code = fail(started.error().detail);
        co_return;
    }
    for (const std::string& notice : service.notices()) telemetry::log(telemetry::Level::warning, notice);
    const std::string name = announce(service, configuration);
    co_await serve_until(stop, status, name);
    co_await service.stop();
    telemetry::log_info("stopped", name, "");
}

/// The whole of a command that runs a service; answers its exit code.
template <class Service>
int run_service(const Configuration& configuration, std::string_view status, Announce<Service> announce) {
    survive_file_size_limit();
    asio::io_context io(1);
    int exit_code = 0;
    run_to_end(io, run_until_signal<Service>(io, configuration, status, announce, exit_code));
    return exit_code;
}

}  // namespace millrace::app
