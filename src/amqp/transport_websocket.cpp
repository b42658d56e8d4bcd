#include "amqp/transport_stream.hpp"
#include "base/async.hpp"
#include "base/host_name.hpp"
#include "base/limits.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <cstring>

namespace millrace::amqp {

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using boost::system::error_code;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kHeadBytesMax = 16 * limits::kKiB;
constexpr std::size_t kWriteBytes = 64 * limits::kKiB;
constexpr Duration kGoodbyeTimeMax = std::chrono::milliseconds(250);

/// AMQP counts its own bytes and knows its own heartbeats; messages are only pieces of its stream.
template <class Stream>
void set_up(websocket::stream<Stream>& stream) {
    stream.binary(true);
    stream.auto_fragment(false);
    stream.write_buffer_bytes(kWriteBytes);
    stream.read_message_max(limits::amqp_websocket_message_bytes_max);
}

template <class Stream>
class WebSocketTransport final : public Transport {
  public:
    using Shared = std::shared_ptr<websocket::stream<Stream>>;

    explicit WebSocketTransport(Shared stream) : stream_(std::move(stream)) {}
    ~WebSocketTransport() override { close(); }

    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer room) override {
        return read(stream_, room);
    }
    asio::awaitable<Result<void>> write(std::string_view bytes) override { return write(stream_, bytes); }
    asio::awaitable<void> shut_down() override { return shut_down(stream_); }
    void close() noexcept override {
        error_code ignored;
        stream_->next_layer().lowest_layer().close(ignored);
    }

  private:
    static asio::awaitable<Result<std::size_t>> read(Shared stream, asio::mutable_buffer room) {
        for (;;) {
            auto [error, size] = co_await stream->async_read_some(room, kToken);
            if (size > 0 && !stream->got_binary())
                co_return Error{Errc::unavailable, "the peer sent text over the WebSocket"};
            if (size > 0) co_return size;
            if (error == websocket::error::closed)
                co_return Error{Errc::unavailable, "the peer has ended the connection"};
            if (error) co_return stream_error(error);
        }
    }

    static asio::awaitable<Result<void>> write(Shared stream, std::string_view bytes) {
        const asio::const_buffer buffer(bytes.data(), bytes.size());
        auto [error, size] = co_await stream->async_write(buffer, kToken);
        (void)size;
        if (error) co_return stream_error(error);
        co_return Result<void>();
    }

    static asio::awaitable<void> shut_down(Shared stream) {
        auto goodbye = say_goodbye(stream);
        co_await with_deadline(std::move(goodbye), kGoodbyeTimeMax);
    }

    static asio::awaitable<void> say_goodbye(Shared stream) {
        const websocket::close_reason reason(websocket::close_code::normal);
        auto [error] = co_await stream->async_close(reason, kToken);
        (void)error;
    }

    Shared stream_;
};

template <class Stream>
std::unique_ptr<Transport> make_transport(std::shared_ptr<websocket::stream<Stream>> stream) {
    set_up(*stream);
    return std::make_unique<WebSocketTransport<Stream>>(std::move(stream));
}

/// True for the path that SDKs ask for: .NET ends it with a slash, some write '$' as "%24".
bool is_our_path(std::string_view target) {
    target = target.substr(0, target.find('?'));
    if (target.size() > 1 && target.ends_with('/')) target.remove_suffix(1);
    return target == kWebSocketPath || target == "/%24servicebus/websocket";
}

bool offers_our_protocol(std::string_view list) {
    for (const auto& offered : http::token_list(beast::string_view(list.data(), list.size()))) {
        if (beast::iequals(offered, kWebSocketProtocol)) return true;
    }
    return false;
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

struct Refusal {
    http::status status;
    std::string why;
};

/// Browsers name the page that asks; what it may read is not for every page of the web.
bool may_connect(const http::request<http::empty_body>& request, Pages pages) {
    const std::string_view origin = view(request[http::field::origin]);
    if (origin.empty()) return true;
    const std::string_view host = view(request[http::field::host]);
    return is_of_site(origin, host) && (pages == Pages::of_its_site || is_localhost_or_address(host));
}

std::optional<Refusal> refusal_of(const http::request<http::empty_body>& request, bool more, Pages pages) {
    if (!is_our_path(view(request.target())))
        return Refusal{http::status::not_found, std::string("AMQP is at ") + kWebSocketPath};
    if (!websocket::is_upgrade(request) || more)
        return Refusal{http::status::bad_request, "only a WebSocket is served here"};
    if (!may_connect(request, pages))
        return Refusal{http::status::forbidden, "a page of another site may not connect"};
    if (!offers_our_protocol(view(request[http::field::sec_websocket_protocol])))
        return Refusal{http::status::bad_request,
                       std::string("the WebSocket's subprotocol must be ") + kWebSocketProtocol};
    return std::nullopt;
}

template <class Stream>
asio::awaitable<void> refuse(Stream& stream, const Refusal& refusal) {
    http::response<http::string_body> response(refusal.status, 11);
    response.set(http::field::content_type, "text/plain");
    response.keep_alive(false);
    response.body() = refusal.why + "\n";
    response.prepare_payload();
    auto [error, size] = co_await http::async_write(stream, response, kToken);
    (void)error;
    (void)size;
}

template <class Stream>
asio::awaitable<Opened> accept(Stream stream, std::string begun, Pages pages) {
    beast::flat_buffer buffer(kHeadBytesMax);
    const std::size_t copied = asio::buffer_copy(buffer.prepare(begun.size()), asio::buffer(begun));
    buffer.commit(copied);
    http::request_parser<http::empty_body> parser;
    parser.header_limit(kHeadBytesMax);
    auto [broken, read] = co_await http::async_read_header(stream, buffer, parser, kToken);
    (void)read;
    if (broken) co_return Error{Errc::unavailable, "not a WebSocket: " + broken.message()};
    const auto request = parser.release();
    if (const auto refusal = refusal_of(request, buffer.size() > 0, pages)) {
        co_await refuse(stream, *refusal);
        co_return Error{Errc::unavailable, "refused a WebSocket: " + refusal->why};
    }
    const auto upgraded = std::make_shared<websocket::stream<Stream>>(std::move(stream));
    const auto answer = [](websocket::response_type& response) {
        response.set(http::field::sec_websocket_protocol, kWebSocketProtocol);
        response.set(http::field::server, "millrace");
    };
    upgraded->set_option(websocket::stream_base::decorator(answer));
    auto [error] = co_await upgraded->async_accept(request, kToken);
    if (error) co_return Error{Errc::unavailable, "WebSocket: " + error.message()};
    co_return make_transport(upgraded);
}

template <class Stream>
asio::awaitable<Opened> open(Stream stream, Endpoint endpoint) {
    const auto upgraded = std::make_shared<websocket::stream<Stream>>(std::move(stream));
    const auto ask = [](websocket::request_type& request) {
        request.set(http::field::sec_websocket_protocol, kWebSocketProtocol);
        request.set(http::field::user_agent, "millrace");
    };
    upgraded->set_option(websocket::stream_base::decorator(ask));
    std::string host = endpoint.host;
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    if (endpoint.port != (endpoint.tls ? 443 : 80)) host += ":" + std::to_string(endpoint.port);
    websocket::response_type response;
    auto [error] = co_await upgraded->async_handshake(response, host, kWebSocketPath, kToken);
    const auto status = std::to_string(response.result_int());
    if (error == websocket::error::upgrade_declined)
        co_return Error{Errc::unavailable, host + " refused the WebSocket with status " + status};
    if (error) co_return Error{Errc::unavailable, "WebSocket with " + host + ": " + error.message()};
    if (!beast::iequals(response[http::field::sec_websocket_protocol], kWebSocketProtocol))
        co_return Error{Errc::unavailable, host + " speaks another protocol over its WebSocket than AMQP"};
    co_return make_transport(upgraded);
}

}  // namespace

asio::awaitable<Opened> accept_websocket(TcpStream stream, std::string begun, Pages pages) {
    return accept(std::move(stream), std::move(begun), pages);
}

asio::awaitable<Opened> accept_websocket(TlsStream stream, std::string begun, Pages pages) {
    return accept(std::move(stream), std::move(begun), pages);
}

asio::awaitable<Opened> open_websocket(TcpStream stream, Endpoint endpoint) {
    return open(std::move(stream), std::move(endpoint));
}

asio::awaitable<Opened> open_websocket(TlsStream stream, Endpoint endpoint) {
    return open(std::move(stream), std::move(endpoint));
}

}  // namespace millrace::amqp
