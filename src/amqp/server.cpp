#include "amqp/server.hpp"

#include "amqp/server_connection.hpp"
#include "amqp/server_links.hpp"
#include "base/listen.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <unordered_map>

namespace millrace::amqp {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr Duration kAcceptPause = std::chrono::milliseconds(50);

}  // namespace

/// The accepting socket and the connections it gave.
class Server::Listener : public std::enable_shared_from_this<Server::Listener> {
  public:
    explicit Listener(std::shared_ptr<ServerContext> context)
        : context_(std::move(context)), acceptor_(context_->io) {}

    Result<void> open() {
        const auto port = listen_on(acceptor_, context_->options.address, context_->options.port);
        if (!port) return port.error();
        port_ = *port;
        return {};
    }

    void begin() {
        context_->relieve = [self = weak_from_this()] {
            if (const auto listener = self.lock()) listener->relieve_soon();
        };
        spawn(context_->io, accept(shared_from_this()));
    }

    asio::awaitable<void> stop(Duration drain) {
        error_code ignored;
        acceptor_.close(ignored);
        for (const auto& connection : all()) connection->close_gently();
        const bool ended = co_await until_empty(drain);
        if (ended) co_return;
        for (const auto& connection : all()) connection->abort();
        co_await until_empty(drain);
    }

    unsigned short port() const noexcept { return port_; }
    ServerStats stats() const noexcept {
        ServerStats stats = context_->stats;
        stats.work_bytes = context_->bytes.storing;
        return stats;
    }

  private:
    static asio::awaitable<void> accept(std::shared_ptr<Listener> self) {
        while (self->acceptor_.is_open()) {
            auto [error, socket] = co_await self->acceptor_.async_accept(kToken);
            if (!self->acceptor_.is_open()) co_return;
            if (!error) {
                self->serve(std::move(socket));
                continue;
            }
            telemetry::log_warning("amqp server", "accept", error.message());
            asio::steady_timer pause(self->context_->io, kAcceptPause);
            co_await pause.async_wait(kToken);
        }
    }

    void serve(tcp::socket socket) {
        error_code error;
        const auto remote = socket.remote_endpoint(error);
        if (error) return;
        socket.set_option(tcp::no_delay(true), error);
        auto connection = std::make_shared<ServerConnection>(
            context_, remote.address().to_string() + ":" + std::to_string(remote.port()));
        connections_.emplace(connection.get(), connection);
        context_->stats.connections += 1;
        context_->stats.connections_total += 1;
        spawn(context_->io, serve_one(shared_from_this(), std::move(connection), std::move(socket)));
    }

    static asio::awaitable<void> serve_one(std::shared_ptr<Listener> self,
                                           std::shared_ptr<ServerConnection> connection, tcp::socket socket) {
        co_await ServerConnection::run(connection, std::move(socket));
        self->connections_.erase(connection.get());
        self->context_->stats.connections -= 1;
        self->context_->ended.notify();
    }

    std::vector<std::shared_ptr<ServerConnection>> all() const {
        std::vector<std::shared_ptr<ServerConnection>> connections;
        for (const auto& [key, connection] : connections_) connections.push_back(connection);
        return connections;
    }

    /// Not at once: who asks may be in the midst of a connection that is cut off.
    void relieve_soon() {
        if (std::exchange(relieving_, true)) return;
        asio::post(context_->io, [self = shared_from_this()] {
            self->relieving_ = false;
            if (self->context_->bytes.partial > self->context_->options.bytes_max) self->cut_off_largest();
        });
    }

    void cut_off_largest() {
        const auto held = [](const auto& one) { return one.second->bytes().partial; };
        const auto largest = std::max_element(
            connections_.begin(), connections_.end(),
            [held](const auto& left, const auto& right) { return held(left) < held(right); });
        if (largest == connections_.end()) return;
        const auto connection = largest->second;
        telemetry::log_warning("amqp server", connection->peer(),
                               "cut off: it holds " + std::to_string(connection->bytes().partial) +
                                   " bytes of messages that it has begun and not ended");
        connection->abort();
    }

    asio::awaitable<bool> until_empty(Duration time) {
        auto empty = [](Listener& self) -> asio::awaitable<void> {
            while (!self.connections_.empty() || self.context_->tasks > 0)
                co_await self.context_->ended.wait();
        };
        auto waiting = empty(*this);
        co_return co_await with_deadline(std::move(waiting), time);
    }

    std::shared_ptr<ServerContext> context_;
    tcp::acceptor acceptor_;
    std::unordered_map<ServerConnection*, std::shared_ptr<ServerConnection>> connections_;
    unsigned short port_ = 0;
    bool relieving_ = false;  ///< `cut_off_largest` comes soon
};

Server::Server(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(asio::any_io_executor io, broker::Broker& broker, Clock& clock,
                                              std::shared_ptr<const AccessKeys> keys, ServerOptions options) {
    auto context = std::make_shared<ServerContext>(
        ServerContext{io, broker, clock, std::move(keys), std::move(options), {}, 0, Signal(io), {}, {}});
    auto listener = std::make_shared<Listener>(std::move(context));
    auto opened = listener->open();
    if (!opened) return opened.error();
    listener->begin();
    return std::unique_ptr<Server>(new Server(std::move(listener)));
}

unsigned short Server::port() const noexcept { return listener_->port(); }
ServerStats Server::stats() const noexcept { return listener_->stats(); }
asio::awaitable<void> Server::stop(Duration drain) { return listener_->stop(drain); }

}  // namespace millrace::amqp
