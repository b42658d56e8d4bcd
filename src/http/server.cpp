#include "http/server.hpp"

#include "base/async.hpp"
#include "base/listen.hpp"
#include "http/server_connection.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <unordered_map>

namespace millrace::http {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr Duration kSweepTimeMax = std::chrono::seconds(1);
constexpr Duration kAcceptPause = std::chrono::milliseconds(50);
constexpr Duration kAbortTimeMax = std::chrono::seconds(2);

/// Times are checked often enough that one runs over by a quarter at most.
Duration sweep_time(const ServerOptions& options) {
    const Duration quarter = std::min(options.header_time_max, options.body_time_max) / 4;
    return std::clamp<Duration>(quarter, Duration(5), kSweepTimeMax);
}

}  // namespace

/// The accepting socket and the connections it gave. Lives until the last of its coroutines has ended.
class Server::Listener : public std::enable_shared_from_this<Server::Listener> {
  public:
    Listener(asio::any_io_executor io, ServerOptions options, Handler handler)
        : io_(io), acceptor_(io), sweeper_(io), ended_(io), service_(std::make_shared<Service>()) {
        service_->options = std::move(options);
        service_->handler = std::move(handler);
    }

    Result<void> open();
    void begin();
    void close();
    void abort();
    asio::awaitable<void> stop(Duration drain);

    unsigned short port() const noexcept { return port_; }
    std::size_t connections() const noexcept { return connections_.size(); }

  private:
    static asio::awaitable<void> accept(std::shared_ptr<Listener> self);
    static asio::awaitable<void> sweep(std::shared_ptr<Listener> self);
    void serve(tcp::socket socket);
    void turn_away(tcp::socket socket);
    asio::awaitable<void> wait_until_empty(Duration time_max);

    asio::any_io_executor io_;
    tcp::acceptor acceptor_;
    asio::steady_timer sweeper_;
    Signal ended_;
    std::shared_ptr<Service> service_;
    std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
    unsigned short port_ = 0;
};

Result<void> Server::Listener::open() {
    const auto port = listen_on(acceptor_, service_->options.address, service_->options.port);
    if (!port) return port.error();
    port_ = *port;
    return {};
}

void Server::Listener::begin() {
    spawn(io_, accept(shared_from_this()));
    spawn(io_, sweep(shared_from_this()));
}

asio::awaitable<void> Server::Listener::accept(std::shared_ptr<Listener> self) {
    while (self->acceptor_.is_open()) {
        auto [error, socket] = co_await self->acceptor_.async_accept(kToken);
        if (!self->acceptor_.is_open()) co_return;
        if (!error && self->connections_.size() < self->service_->options.connections_max) {
            self->serve(std::move(socket));
        } else if (!error) {
            self->turn_away(std::move(socket));
        } else if (error != asio::error::connection_aborted) {
            // Out of file descriptors or memory: what ends meanwhile gives some back.
            asio::steady_timer timer(self->io_, kAcceptPause);
            auto [ended] = co_await timer.async_wait(kToken);
            (void)ended;
        }
    }
}

asio::awaitable<void> Server::Listener::sweep(std::shared_ptr<Listener> self) {
    const Duration period = sweep_time(self->service_->options);
    while (self->acceptor_.is_open() || !self->connections_.empty()) {
        self->sweeper_.expires_after(period);
        auto [error] = co_await self->sweeper_.async_wait(kToken);
        (void)error;
        const auto now = std::chrono::steady_clock::now();
        for (auto& [key, connection] : self->connections_) connection->sweep(now);
    }
}

void Server::Listener::serve(tcp::socket socket) {
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    socket.set_option(tcp::no_delay(true), error);
    auto connection = std::make_shared<Connection>(std::move(socket), service_, peer.address().to_string());
    connections_.emplace(connection.get(), connection);
    auto on_end = [self = shared_from_this(), connection](std::exception_ptr) {
        self->connections_.erase(connection.get());
        if (self->connections_.empty()) self->ended_.notify();
    };
    auto token = asio::bind_cancellation_slot(connection->cancellation_slot(), std::move(on_end));
    asio::co_spawn(io_, connection->run(), std::move(token));
}

void Server::Listener::turn_away(tcp::socket socket) {
    // Over TLS only a handshake could lead to an answer, and that is what there is no room for.
    if (service_->options.tls) return;
    Response response = problem(503, "too many connections");
    response.headers.emplace_back("Retry-After", "1");
    HeadOptions options;
    options.keep_alive = false;
    options.date = service_->date();
    const std::string bytes = response_head(response, options) + response.body;
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(bytes), ignored);
}

void Server::Listener::close() {
    error_code ignored;
    acceptor_.close(ignored);
    service_->stopping = true;
    for (auto& [key, connection] : connections_) connection->close_if_idle();
    sweeper_.cancel();
}

void Server::Listener::abort() {
    close();
    // Aborting may end a connection at once and so change the map.
    const auto connections = connections_;
    for (const auto& [key, connection] : connections) connection->abort();
}

asio::awaitable<void> Server::Listener::wait_until_empty(Duration time_max) {
    if (connections_.empty()) co_return;
    auto wait = ended_.wait();
    co_await with_deadline(std::move(wait), time_max);
}

asio::awaitable<void> Server::Listener::stop(Duration drain) {
    const auto self = shared_from_this();
    close();
    co_await wait_until_empty(drain);
    abort();
    co_await wait_until_empty(kAbortTimeMax);
}

Server::Server(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}

Server::~Server() { listener_->abort(); }

Result<std::unique_ptr<Server>> Server::start(asio::any_io_executor io, ServerOptions options,
                                              Handler handler) {
    auto listener = std::make_shared<Listener>(io, std::move(options), std::move(handler));
    const auto opened = listener->open();
    if (!opened) return opened.error();
    listener->begin();
    return std::unique_ptr<Server>(new Server(std::move(listener)));
}

unsigned short Server::port() const noexcept { return listener_->port(); }

std::size_t Server::connections() const noexcept { return listener_->connections(); }

asio::awaitable<void> Server::stop(Duration drain) { return listener_->stop(drain); }

}  // namespace millrace::http
