#include "amqp/transport.hpp"

#include "amqp/transport_stream.hpp"
#include "base/async.hpp"
#include "base/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <openssl/x509v3.h>

#include <array>
#include <cstring>

namespace millrace::amqp {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kFirstBytes = 4096;
constexpr Duration kGoodbyeTimeMax = std::chrono::milliseconds(250);
constexpr char kTlsHandshake = 0x16;

/// A stream and what was read of it before it became a transport.
template <class Stream>
struct Open {
    Open(Stream opened, std::string read) : stream(std::move(opened)), ahead(std::move(read)) {}
    Stream stream;
    std::string ahead;
};

/// Coroutines share the stream, so that one that is under way may outlive its transport.
template <class Stream>
class StreamTransport final : public Transport {
  public:
    StreamTransport(Stream stream, std::string ahead)
        : open_(std::make_shared<Open<Stream>>(std::move(stream), std::move(ahead))) {}
    ~StreamTransport() override { close(); }

    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer room) override {
        return read(open_, room);
    }
    asio::awaitable<Result<void>> write(std::string_view bytes) override { return write(open_, bytes); }
    asio::awaitable<void> shut_down() override { return shut_down(open_); }
    void close() noexcept override {
        error_code ignored;
        open_->stream.lowest_layer().close(ignored);
    }

  private:
    using Shared = std::shared_ptr<Open<Stream>>;

    static asio::awaitable<Result<std::size_t>> read(Shared open, asio::mutable_buffer room) {
        if (!open->ahead.empty()) {
            const std::size_t size = std::min(room.size(), open->ahead.size());
            std::memcpy(room.data(), open->ahead.data(), size);
            open->ahead.erase(0, size);
            co_return size;
        }
        auto [error, size] = co_await open->stream.async_read_some(room, kToken);
        if (size == 0) co_return stream_error(error);
        co_return size;
    }

    static asio::awaitable<Result<void>> write(Shared open, std::string_view bytes) {
        const asio::const_buffer buffer(bytes.data(), bytes.size());
        auto [error, size] = co_await asio::async_write(open->stream, buffer, kToken);
        (void)size;
        if (error) co_return stream_error(error);
        co_return Result<void>();
    }

    static asio::awaitable<void> shut_down(Shared open) {
        if constexpr (std::is_same_v<Stream, TlsStream>) {
            // Waits for the peer's goodbye too, which need not come.
            auto goodbye = say_goodbye(open);
            co_await with_deadline(std::move(goodbye), kGoodbyeTimeMax);
        }
        error_code ignored;
        open->stream.lowest_layer().shutdown(tcp::socket::shutdown_send, ignored);
    }

    static asio::awaitable<void> say_goodbye(Shared open) {
        auto [error] = co_await open->stream.async_shutdown(kToken);
        (void)error;
    }

    Shared open_;
};

template <class Stream>
std::unique_ptr<Transport> make_transport(Stream stream, std::string ahead) {
    return std::make_unique<StreamTransport<Stream>>(std::move(stream), std::move(ahead));
}

/// The first byte tells what the peer speaks: AMQP and its SASL begin with 'A', a WebSocket with 'G'.
template <class Stream>
asio::awaitable<Opened> accept_stream(Stream stream, Pages pages) {
    std::string begun(kFirstBytes, '\0');
    const auto room = asio::buffer(begun);
    auto [error, size] = co_await stream.async_read_some(room, kToken);
    if (size == 0) co_return stream_error(error);
    begun.resize(size);
    if (begun.front() == 'A') co_return make_transport(std::move(stream), std::move(begun));
    if (begun.front() >= 'B' && begun.front() <= 'Z') {
        auto accepting = accept_websocket(std::move(stream), std::move(begun), pages);
        Opened accepted = co_await std::move(accepting);
        co_return accepted;
    }
    const bool tls = begun.front() == kTlsHandshake;
    co_return Error{Errc::unavailable, tls ? "the peer speaks TLS, this port does not"
                                           : "the peer speaks neither AMQP nor WebSocket"};
}

void set_up(tcp::socket& socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
}

/// A name service can't be interrupted: who is cancelled goes on, and the answer finds nobody.
struct Lookup {
    explicit Lookup(const asio::any_io_executor& io) : resolver(io), answered(io) {}
    tcp::resolver resolver;
    Signal answered;
    error_code error = asio::error::operation_aborted;
    tcp::resolver::results_type found;
    bool done = false;
};

asio::awaitable<Result<std::vector<tcp::endpoint>>> addresses_of(asio::any_io_executor io, std::string host,
                                                                 unsigned short port) {
    error_code error;
    const auto address = asio::ip::make_address(host, error);
    if (!error) co_return std::vector<tcp::endpoint>{tcp::endpoint(address, port)};
    if (host == "localhost") {
        // RFC 6761, section 6.3: always this machine, whether a name service knows it or not.
        co_return std::vector<tcp::endpoint>{tcp::endpoint(asio::ip::address_v4::loopback(), port),
                                             tcp::endpoint(asio::ip::address_v6::loopback(), port)};
    }
    const auto lookup = std::make_shared<Lookup>(io);
    auto on_answer = [lookup](error_code failed, tcp::resolver::results_type found) {
        lookup->error = failed;
        lookup->found = std::move(found);
        lookup->done = true;
        lookup->answered.notify();
    };
    lookup->resolver.async_resolve(host, std::to_string(port), std::move(on_answer));
    if (!lookup->done) co_await lookup->answered.wait();
    if (!lookup->done) lookup->resolver.cancel();
    if (lookup->error)
        co_return Error{Errc::unavailable, "no address for " + host + ": " + lookup->error.message()};
    co_return std::vector<tcp::endpoint>(lookup->found.begin(), lookup->found.end());
}

/// Tells OpenSSL whom to expect. RFC 6066, section 3: a server name is never an address.
void expect_host(TlsStream& stream, const std::string& host) {
    SSL* const native = stream.native_handle();
    error_code not_an_address;
    asio::ip::make_address(host, not_an_address);
    if (not_an_address) {
        SSL_set_tlsext_host_name(native, host.c_str());
        SSL_set1_host(native, host.c_str());
    } else {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(native), host.c_str());
    }
}

Error handshake_error(TlsStream& stream, const error_code& error, const std::string& host) {
    const long verified = SSL_get_verify_result(stream.native_handle());
    if (verified == X509_V_OK) return Error{Errc::unavailable, "TLS with " + host + ": " + error.message()};
    return Error{Errc::unavailable, "the certificate of " + host +
                                        " is not trusted: " + X509_verify_cert_error_string(verified)};
}

asio::awaitable<Result<tcp::socket>> connect_socket(asio::any_io_executor io, std::string host,
                                                    unsigned short port) {
    auto looking = addresses_of(io, host, port);
    auto found = co_await std::move(looking);
    if (!found) co_return found.error();
    tcp::socket socket(io);
    auto [error, endpoint] = co_await asio::async_connect(socket, *found, kToken);
    (void)endpoint;
    if (error) {
        co_return Error{Errc::unavailable,
                        "can't connect to " + host + ":" + std::to_string(port) + ": " + error.message()};
    }
    set_up(socket);
    co_return Result<tcp::socket>(std::move(socket));
}

/// What is above TCP or TLS.
template <class Stream>
asio::awaitable<Opened> finish_connect(Stream stream, Endpoint endpoint) {
    if (!endpoint.websocket) co_return make_transport(std::move(stream), std::string());
    auto opening = open_websocket(std::move(stream), std::move(endpoint));
    Opened opened = co_await std::move(opening);
    co_return opened;
}

}  // namespace

Error stream_error(const error_code& error) {
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated)
        return Error{Errc::unavailable, "the peer has ended the connection"};
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
        return Error{Errc::unavailable, "the connection was closed"};
    return Error{Errc::unavailable, error.message()};
}

asio::awaitable<Opened> accept_transport(tcp::socket socket, asio::ssl::context* tls, Pages pages) {
    set_up(socket);
    if (tls == nullptr) {
        auto accepting = accept_stream(std::move(socket), pages);
        Opened accepted = co_await std::move(accepting);
        co_return accepted;
    }
    TlsStream stream(std::move(socket), *tls);
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kToken);
    if (error) co_return Error{Errc::unavailable, "TLS: " + error.message()};
    auto accepting = accept_stream(std::move(stream), pages);
    Opened accepted = co_await std::move(accepting);
    co_return accepted;
}

asio::awaitable<Opened> connect_transport(asio::any_io_executor io, Endpoint endpoint,
                                          asio::ssl::context* tls) {
    auto connecting = connect_socket(io, endpoint.host, endpoint.port);
    auto socket = co_await std::move(connecting);
    if (!socket) co_return socket.error();
    if (!endpoint.tls) {
        auto finishing = finish_connect(std::move(*socket), std::move(endpoint));
        Opened opened = co_await std::move(finishing);
        co_return opened;
    }
    TlsStream stream(std::move(*socket), *tls);
    expect_host(stream, endpoint.host);
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::client, kToken);
    if (error) co_return handshake_error(stream, error, endpoint.host);
    auto finishing = finish_connect(std::move(stream), std::move(endpoint));
    Opened opened = co_await std::move(finishing);
    co_return opened;
}

}  // namespace millrace::amqp
