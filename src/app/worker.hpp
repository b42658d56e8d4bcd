// Workers without queues of their own: messages come from a remote queue, all else is in one data directory.
#pragma once

#include "amqp/remote_queue.hpp"
#include "app/configuration.hpp"
#include "telemetry/metrics.hpp"

#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

namespace asio = boost::asio;

/// The queue that [queue] names. invalid_input: the connection string or `ca_file` is wrong, in one line
/// without secrets.
Result<std::unique_ptr<amqp::RemoteQueue>> make_remote_queue(asio::any_io_executor io, Clock& clock,
                                                             const QueueEngineSettings& settings);

/// All calls on the I/O thread. Started at most once; stopped before it is destroyed.
class Worker {
  public:
    /// `io` and `clock` outlive the worker.
    Worker(asio::any_io_executor io, Clock& clock, Configuration configuration);
    ~Worker();
    Worker(const Worker&) = delete;

    /// Opens the data directory and begins to work; the queue may still be out of reach. The error is one
    /// line that says what to do; then nothing is left running.
    asio::awaitable<Result<void>> start();
    /// Takes no more messages, waits for those under way up to the configured drain time, then gives the rest
    /// back. A second stop is harmless.
    asio::awaitable<void> stop();

    std::string model() const;
    const std::vector<std::string>& queues() const noexcept;
    const std::vector<std::string>& notices() const noexcept;

  private:
    class Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace millrace::app
