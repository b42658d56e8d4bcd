// The AMQP server: what official clients of Azure Service Bus connect to.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/sas.hpp"
#include "broker/broker.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>

#include <memory>
#include <string>

namespace millrace::amqp {

namespace asio = boost::asio;

struct ServerOptions {
    std::string address = "127.0.0.1";
    unsigned short port = 5672;  ///< 0: a free one
    std::shared_ptr<asio::ssl::context> tls;  ///< none: plain
    Duration idle_time = limits::amqp_idle_time;
    /// Of all connections, for each of: deliveries not yet whole, messages being stored, output not read.
    std::size_t bytes_max = limits::amqp_server_bytes_max;
    Duration session_wait =
        std::chrono::seconds(60);  ///< for the next session, of a client that names no time
};

/// What a server has seen since its start.
struct ServerStats {
    std::size_t connections = 0;  ///< open now
    std::size_t links = 0;  ///< open now
    std::size_t work_bytes = 0;  ///< taken from clients and under way now
    std::uint64_t connections_total = 0;
    std::uint64_t received_total = 0;  ///< messages from clients
    std::uint64_t delivered_total = 0;  ///< messages to clients
};

/// Serves the entities of one broker to any number of connections. All calls on the I/O thread.
class Server {
  public:
    /// Binds and begins to accept. invalid_input: `address` is no IP literal and not "localhost";
    /// unavailable: the address is in use or not of this machine. `broker` and `clock` outlive the server,
    /// which is stopped before it is destroyed.
    static Result<std::unique_ptr<Server>> start(asio::any_io_executor io, broker::Broker& broker,
                                                 Clock& clock, std::shared_ptr<const AccessKeys> keys,
                                                 ServerOptions options);
    ~Server();

    unsigned short port() const noexcept;
    ServerStats stats() const noexcept;

    /// Stops accepting, tells every client that it is closed, waits up to `drain` until what is under way has
    /// ended, then cuts the rest off. A second stop is harmless.
    asio::awaitable<void> stop(Duration drain);

  private:
    class Listener;
    explicit Server(std::shared_ptr<Listener> listener);
    std::shared_ptr<Listener> listener_;
};

}  // namespace millrace::amqp
