// One client connection, plain or TLS, with a deadline.
#pragma once

#include "provider/http_client.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <chrono>
#include <memory>

namespace millrace::provider {

/// What came of one request on a connection.
struct Exchange {
    Result<HttpAnswer> answer;
    bool silent = false;   ///< it failed before any byte of the answer, and not for lack of time
};

class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
  public:
    using Instant = std::chrono::steady_clock::time_point;

    explicit ClientConnection(const asio::any_io_executor& io) : socket_(io), resolver_(io), timer_(io) {}

    /// Resolves, connects and, for TLS, shakes hands and checks the certificate against the host.
    /// unavailable.
    asio::awaitable<Result<void>> connect(const HttpUrl& url, asio::ssl::context& tls, Instant deadline);
    /// Writes head and body, calls `on_sent` unless it is empty, reads the answer. Arguments live until it
    /// returns.
    asio::awaitable<Exchange> exchange(const std::string& head, const std::string& body, Instant deadline,
                                       std::size_t answer_bytes_max, const std::function<void()>& on_sent);

    /// True if the next exchange may be tried: alive as far as can be seen, with nothing unread.
    bool is_usable();
    /// True if the last answer allows another request.
    bool keep_alive() const noexcept { return keep_alive_; }
    void close();

    Instant idle_since{};

  private:
    using Error_code = boost::system::error_code;
    struct Progress {
        Error_code error;
        std::size_t bytes = 0;
    };

    asio::awaitable<Error_code> connect_socket(const HttpUrl& url);
    asio::awaitable<Error_code> shake_hands(const HttpUrl& url, asio::ssl::context& tls);
    asio::awaitable<Error_code> write(const std::string& head, const std::string& body);
    asio::awaitable<Progress> read_some();
    asio::awaitable<Result<HttpAnswer>> read_answer(std::size_t answer_bytes_max);
    void expire_at(Instant deadline);
    Error lost(const Error_code& error) const;

    asio::ip::tcp::socket socket_;
    asio::ip::tcp::resolver resolver_;
    std::unique_ptr<asio::ssl::stream<asio::ip::tcp::socket&>> tls_;
    asio::steady_timer timer_;
    boost::beast::flat_buffer buffer_;
    Instant deadline_ = Instant::max();
    bool timed_out_ = false;
    bool closed_ = false;
    bool heard_ = false;  ///< bytes of the answer have come
    bool keep_alive_ = false;
};

}  // namespace millrace::provider
