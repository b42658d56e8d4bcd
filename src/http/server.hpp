// An HTTP/1.1 server on the I/O thread: connections, limits and timeouts. What it answers is a function's
// business.
#pragma once

#include "base/error.hpp"
#include "base/limits.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace boost::asio::ssl {
class context;
}

namespace millrace {
class CpuPool;
}

namespace millrace::http {

class BodyFile;

namespace asio = boost::asio;

/// Header or query fields, in the order received.
using Fields = std::vector<std::pair<std::string, std::string>>;

/// The value of the first field called `name` (case-insensitive), or "".
std::string_view find_field(const Fields& fields, std::string_view name) noexcept;

/// One request, whole. Path and query are valid UTF-8 without control characters; headers and body are as
/// received. HEAD arrives as GET; its answer leaves without a body.
struct Request {
    std::string method;
    std::string target;   ///< as received
    std::string path;     ///< percent-decoded, except that "%2F" stays "%2F"
    std::vector<std::string>
        segments;  ///< the path split at '/', each part decoded: "/a/b%2Fc" is {"a", "b/c"}
    Fields query;         ///< decoded, '+' as a space
    Fields headers;
    std::string body;
    std::shared_ptr<const BodyFile> file;  ///< holds the body where `ServerOptions::spool` says so
    std::string remote;   ///< address of the peer, without its port
    bool over_tls = false;

    std::string_view header(std::string_view name) const noexcept { return find_field(headers, name); }
    std::string_view parameter(std::string_view name) const noexcept { return find_field(query, name); }
    /// "https" or "http": what a proxy in front says (X-Forwarded-Proto), else how it came here.
    std::string_view scheme() const noexcept {
        const std::string_view told = header("X-Forwarded-Proto");
        const bool known = told == "https" || told == "http";
        return (known ? told == "https" : over_tls) ? "https" : "http";
    }
};

/// How an answer leaves: as it should, or broken on purpose (the provider simulator's faults).
enum class Delivery {
    whole,
    slow,       ///< a byte at a time with `pause` between pieces
    cut,        ///< headers and half of the body, then the connection ends
    reset,      ///< the connection is reset before any byte
    never,      ///< no answer until the peer gives up
};

struct Response {
    unsigned status = 200;
    Fields headers;       ///< Content-Length, Date and Connection are added
    std::string body;
    std::shared_ptr<const BodyFile> file;  ///< if set, sent instead of `body`; needs `ServerOptions::spool`
    Delivery delivery = Delivery::whole;
    Duration pause{};  ///< before the first byte (whole) or between pieces (slow)
};

/// RFC 9457: `{type, title, status, detail}` as application/problem+json; `detail` is one line.
Response problem(unsigned status, std::string_view detail);
/// What a request is answered that `broken` has ended: 507, 503 or 500.
unsigned status_of(const MachineError& broken) noexcept;
/// `json` as application/json.
Response json_answer(unsigned status, std::string json);
/// The status for an error: invalid_input 400, not_found 404, conflict 409, over_limit 429, unavailable 503,
/// corrupt 400.
unsigned status_for(Errc code) noexcept;

/// Answers one request. What it throws becomes 500 (507 for a full disk) and goes to
/// `ServerOptions::on_fault`.
using Handler = std::function<asio::awaitable<Response>(Request)>;

/// Bodies that go to a file as they come, so that memory holds a piece of each at a time.
struct Spool {
    CpuPool* pool;  ///< reads and writes files; outlives the server
    std::filesystem::path folder;  ///< of the files; exists
    /// Told the head of each request: the largest body it may have in a file, or nothing for one that stays
    /// in memory within `body_bytes_max`.
    std::function<std::optional<std::size_t>(const Request&)> bytes_max;
};

struct ServerOptions {
    std::string address = "127.0.0.1";
    unsigned short port = 8080;  ///< 0: a free one
    std::size_t body_bytes_max = limits::http_body_bytes_max;
    std::size_t connections_max = limits::http_connections_max;
    Duration header_time_max = limits::http_header_time_max;
    Duration body_time_max = limits::http_body_time_max;  ///< also for sending an answer
    std::optional<Spool> spool;  ///< none: no body goes to a file
    /// HTTPS if set; a handshake has `header_time_max`.
    std::shared_ptr<asio::ssl::context> tls;
    std::function<void(std::string_view)>
        on_fault;  ///< told in one line what a handler threw; empty: the log
};

/// Accepts connections and gives every request to the handler. All calls on the I/O thread.
class Server {
  public:
    /// Binds and begins to accept, HTTPS if `options.tls` is set. invalid_input: `address` is no IP literal
    /// and not "localhost"; unavailable: the address is in use or not of this machine. Destroy it before the
    /// context of `io`.
    static Result<std::unique_ptr<Server>> start(asio::any_io_executor io, ServerOptions options,
                                                 Handler handler);
    ~Server();

    unsigned short port() const noexcept;
    std::size_t connections() const noexcept;

    /// Stops accepting, lets requests under way end for up to `drain`, closes the rest. A second stop is
    /// harmless.
    asio::awaitable<void> stop(Duration drain);

  private:
    class Listener;
    explicit Server(std::shared_ptr<Listener> listener);
    std::shared_ptr<Listener> listener_;
};

}  // namespace millrace::http
