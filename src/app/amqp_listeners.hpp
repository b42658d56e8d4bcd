// The AMQP servers of one process: plain and over TLS.
#pragma once

#include "amqp/server.hpp"
#include "app/configuration.hpp"
#include "telemetry/metrics.hpp"

#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

namespace asio = boost::asio;

class AmqpListeners {
  public:
    /// Begins to serve `broker` where `settings` say. A default address that is in use is a notice, since
    /// nobody asked for it; one that was configured is an error. `broker` and `clock` outlive this.
    static Result<AmqpListeners> open(asio::any_io_executor io, broker::Broker& broker, Clock& clock,
                                      const AccessKeys& keys, std::shared_ptr<asio::ssl::context> tls,
                                      const ServerSettings& settings, std::vector<std::string>& notices);

    /// "amqp://127.0.0.1:5672" and "amqps://…", those that are served.
    const std::vector<std::string>& urls() const noexcept { return urls_; }
    void collect(telemetry::Metrics& metrics) const;
    /// As `amqp::Server::stop`, of all.
    asio::awaitable<void> stop(Duration drain);

  private:
    std::vector<std::unique_ptr<amqp::Server>> servers_;
    std::vector<std::string> urls_;
};

}  // namespace millrace::app
