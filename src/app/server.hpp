// Everything in one process, wired together.
#pragma once

#include "app/configuration.hpp"
#include "base/error.hpp"
#include "broker/broker.hpp"
#include "handlers/services.hpp"
#include "index/index.hpp"
#include "telemetry/metrics.hpp"
#include "work/documents.hpp"
#include "work/processor.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

/// A running server. All calls on the I/O thread.
class Server {
  public:
    /// Opens the data directory, starts the workers and then listens. Errors, each one line: a data directory that is
    /// in use, not writable or of a newer version; an address in use; a deployment that can't be. `io` outlives it.
    static asio::awaitable<Result<std::unique_ptr<Server>>> start(asio::any_io_executor io,
                                                                  Configuration configuration);
    ~Server();

    /// Stops listening, lets requests and handlers under way end for up to `drain`, then closes the database. A second
    /// stop is harmless.
    asio::awaitable<void> stop(Duration drain);

    unsigned short port() const noexcept;
    /// "http://127.0.0.1:8080".
    std::string url() const;
    /// Lines an operator should see once, e.g. that weights are missing.
    const std::vector<std::string>& notices() const noexcept;

    broker::Broker& broker() noexcept;
    work::Documents& documents() noexcept;
    work::Operations& operations() noexcept;
    index::Index& index() noexcept;
    provider::Provider& provider() noexcept;
    telemetry::Metrics& metrics() noexcept;
    store::Database& database() noexcept;

  private:
    struct Parts;
    explicit Server(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace millrace::app
