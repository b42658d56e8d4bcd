// The streams that a transport can stand on; for the transport's own source files.
#pragma once

#include "amqp/transport.hpp"

#include <boost/asio/ssl/stream.hpp>

namespace millrace::amqp {

using TcpStream = asio::ip::tcp::socket;
using TlsStream = asio::ssl::stream<asio::ip::tcp::socket>;
using Opened = Result<std::unique_ptr<Transport>>;

/// Why a read or write ended.
Error stream_error(const boost::system::error_code& error);

/// The server's side of a WebSocket: `begun` is what of its request was read.
asio::awaitable<Opened> accept_websocket(TcpStream stream, std::string begun, Pages pages);
asio::awaitable<Opened> accept_websocket(TlsStream stream, std::string begun, Pages pages);

/// The client's side, on a stream that is connected.
asio::awaitable<Opened> open_websocket(TcpStream stream, Endpoint endpoint);
asio::awaitable<Opened> open_websocket(TlsStream stream, Endpoint endpoint);

}  // namespace millrace::amqp
