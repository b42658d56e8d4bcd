// The whole of Millrace in one process: what is built, in which order, and how it ends.
#pragma once

#include "app/configuration.hpp"
#include "base/clock.hpp"
#include "telemetry/metrics.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

namespace asio = boost::asio;

/// A server on one data directory. All calls on the I/O thread. Started at most once; stopped before it is
/// destroyed.
class Server {
  public:
    /// `io` and `clock` outlive the server.
    Server(asio::any_io_executor io, Clock& clock, Configuration configuration);
    ~Server();
    Server(const Server&) = delete;

    /// Opens the data directory, brings queues to their options, begins to work and to answer. The error is
    /// one line that says what to do; then nothing is left running. Throws MachineError where the disk fails.
    asio::awaitable<Result<void>> start();

    /// Takes nothing more, waits for requests and work under way up to the configured drain time, then ends
    /// the rest. Work that did not end is done again after the next start. A second stop is harmless.
    asio::awaitable<void> stop();

    /// "http://127.0.0.1:8080": where it answers.
    std::string url() const;
    /// "https://127.0.0.1:8443", or "" without a certificate.
    std::string https_url() const;
    /// "amqp://127.0.0.1:5672" and "amqps://…", those that are served.
    const std::vector<std::string>& amqp_urls() const noexcept;
    /// Name of the model that embeds.
    std::string model() const;
    /// What an operator should know about this start, one line each.
    const std::vector<std::string>& notices() const noexcept;
    telemetry::Metrics& metrics() noexcept;

  private:
    class Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace millrace::app
