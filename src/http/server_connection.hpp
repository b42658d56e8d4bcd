// One connection of the HTTP server: requests in, answers out, one after the other.
#pragma once

#include "http/server.hpp"
#include "http/server_answer.hpp"
#include "http/server_request.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <chrono>
#include <memory>
#include <span>
#include <string>

namespace millrace::http {

/// What all connections of a server share.
struct Service {
    ServerOptions options;
    Handler handler;
    SystemClock clock;
    HttpDate http_date;
    bool stopping = false;  ///< every answer closes its connection

    std::string_view date() { return http_date.at(clock.now()); }
};

/// Owns its socket. Times are checked from outside by `sweep`, which costs no timer per read.
class Connection {
  public:
    using Instant = std::chrono::steady_clock::time_point;

    Connection(asio::ip::tcp::socket socket, std::shared_ptr<Service> service, std::string remote);

    /// Serves requests until the peer or the server ends it. Keep the object alive until then.
    asio::awaitable<void> run();

    /// Interrupts the read or write under way if its time has run out.
    void sweep(Instant now);
    /// Ends the connection if it waits for a request and has nothing of it.
    void close_if_idle();
    /// Ends the connection now; a handler at work is cancelled.
    void abort();

    asio::cancellation_slot cancellation_slot() noexcept { return cancellation_.slot(); }

  private:
    enum class Phase { idle, reading, handling, writing };
    enum class Read { whole, refused, gone };

    asio::awaitable<bool> shake_hands();
    asio::awaitable<void> say_goodbye();
    asio::awaitable<bool> serve_one();
    asio::awaitable<Read> read_request(RequestReader& reader);
    RequestReader make_reader() const;
    asio::awaitable<void> spool(RequestReader& reader);
    asio::awaitable<bool> read_some(std::size_t bytes_max);
    asio::awaitable<bool> write(std::string_view bytes);
    asio::awaitable<bool> write(std::span<const asio::const_buffer> buffers);
    asio::awaitable<void> refuse(Refusal refusal);
    asio::awaitable<Response> answer(Request request);
    asio::awaitable<void> pause(Duration time);

    struct Form {
        bool head_only = false;
        HeadOptions head;
    };
    asio::awaitable<bool> send(Response response, Form form);
    asio::awaitable<bool> send_whole(const Response& response, std::string head, bool head_only);
    asio::awaitable<bool> send_file(std::shared_ptr<const BodyFile> file, std::string head);
    asio::awaitable<bool> send_slowly(const Response& response, std::string head);
    asio::awaitable<void> send_half(const Response& response, std::string head);
    asio::awaitable<void> wait_for_end(std::size_t bytes_max);
    void report(const std::string& where, const std::string& why) const;
    void reset();
    void close();
    void enter(Phase phase, Duration time_max);

    asio::ip::tcp::socket socket_;
    std::unique_ptr<asio::ssl::stream<asio::ip::tcp::socket&>> tls_;  ///< null: plain
    std::shared_ptr<Service> service_;
    std::string remote_;
    boost::beast::flat_buffer buffer_;
    std::shared_ptr<BodyFile> body_file_;  ///< of the request that is being read
    asio::cancellation_signal cancellation_;
    Phase phase_ = Phase::idle;
    Instant deadline_ = Instant::max();
    bool timed_out_ = false;
    bool aborted_ = false;
};

}  // namespace millrace::http
