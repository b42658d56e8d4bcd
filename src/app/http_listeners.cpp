#include "app/http_listeners.hpp"

#include "telemetry/log.hpp"

#include <algorithm>

namespace millrace::app {

namespace {

std::string url_of(const char* scheme, const std::string& host, std::uint16_t port) {
    const bool v6 = host.find(':') != std::string::npos;
    const std::string shown = v6 ? "[" + host + "]" : host == "0.0.0.0" ? "127.0.0.1" : host;
    return scheme + shown + ":" + std::to_string(port);
}

/// A server for the setting `key` of [server], and its URL.
Result<std::unique_ptr<http::Server>> serve(asio::any_io_executor io, const std::string& key,
                                            const std::string& where, std::shared_ptr<asio::ssl::context> tls,
                                            const http::Spool& spool, const http::Handler& handler,
                                            std::string& url) {
    const char* const scheme = tls ? "https://" : "http://";
    const auto address = parse_address(where);
    if (!address) return address.error();
    http::ServerOptions options;
    options.address = address->host;
    options.port = address->port;
    options.tls = std::move(tls);
    options.spool = spool;
    options.on_fault = [](std::string_view why) { telemetry::log_error("request failed", "http", why); };
    auto server = http::Server::start(std::move(io), std::move(options), handler);
    if (!server) return Error{server.error().code, "server." + key + ": " + server.error().detail};
    url = url_of(scheme, address->host, (*server)->port());
    return server;
}

}  // namespace

Result<void> HttpListeners::open(asio::any_io_executor io, const ServerSettings& settings,
                                 std::shared_ptr<asio::ssl::context> tls, const http::Spool& spool,
                                 const http::Handler& handler) {
    auto plain = serve(io, "listen", settings.listen, nullptr, spool, handler, url_);
    if (!plain) return plain.error();
    plain_ = std::move(*plain);
    if (!tls || settings.https_listen.empty()) return {};
    auto secure = serve(std::move(io), "https_listen", settings.https_listen, std::move(tls), spool, handler,
                        https_url_);
    if (!secure) return secure.error();
    tls_ = std::move(*secure);
    return {};
}

std::size_t HttpListeners::connections() const {
    return (plain_ ? plain_->connections() : 0) + (tls_ ? tls_->connections() : 0);
}

asio::awaitable<void> HttpListeners::stop(Duration drain, Clock& clock) {
    const TimePoint deadline = clock.now() + drain;
    if (plain_) co_await plain_->stop(drain);
    const Duration left = std::max(deadline - clock.now(), Duration::zero());
    if (tls_) co_await tls_->stop(left);
}

}  // namespace millrace::app
