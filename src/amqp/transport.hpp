// A stream of bytes between two peers of AMQP: TCP, TLS over it, or a WebSocket over either.
#pragma once

#include "base/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace millrace::amqp {

namespace asio = boost::asio;

/// One open stream. On the I/O thread; at most one read and one write at a time.
class Transport {
  public:
    virtual ~Transport() = default;
    /// At least one byte into `room`. unavailable: the peer has ended the stream, or it broke.
    virtual asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer room) = 0;
    /// All of `bytes`, which stay valid until it answers. unavailable: the stream broke.
    virtual asio::awaitable<Result<void>> write(std::string_view bytes) = 0;
    /// Says that no more will be written; what the peer still sends can be read.
    virtual asio::awaitable<void> shut_down() = 0;
    /// Ends everything at once; a read or write under way answers unavailable.
    virtual void close() noexcept = 0;
};

/// Where a WebSocket of AMQP is asked for, and its subprotocol.
inline constexpr char kWebSocketPath[] = "/$servicebus/websocket";
inline constexpr char kWebSocketProtocol[] = "AMQPWSB10";

/// Whose pages a browser may connect from: each names its site, and the server's own is the one that the
/// request is sent to.
enum class Pages {
    of_its_site,
    /// Of its site where no name service can have led there: a page of a name that is made to mean this
    /// machine (DNS rebinding) is of its site as well. For servers that ask for no key.
    of_localhost_or_an_address,
};

/// The server's side of `socket`: with `tls`, after its handshake; a peer whose first bytes are an HTTP
/// request is answered as a WebSocket (400 or 404 if it is not the one above, 403 if a page asks that is not
/// one of `pages`). unavailable: it broke off or spoke something else. `tls` must outlive the transport. The
/// caller bounds the time: `close_now` of the socket by cancelling this coroutine ends it.
asio::awaitable<Result<std::unique_ptr<Transport>>> accept_transport(asio::ip::tcp::socket socket,
                                                                     asio::ssl::context* tls, Pages pages);

struct Endpoint {
    std::string host;  ///< a name or an address; also what TLS checks the certificate for
    unsigned short port = 5671;
    bool tls = true;
    bool websocket = false;
};

/// Connects. `tls` must outlive the transport; null where `endpoint.tls` is false. unavailable: no address,
/// nobody there, or the certificate is not trusted: the detail says which. Cancelling ends it.
asio::awaitable<Result<std::unique_ptr<Transport>>> connect_transport(asio::any_io_executor io,
                                                                      Endpoint endpoint,
                                                                      asio::ssl::context* tls);

}  // namespace millrace::amqp
