// An HTTP/1.1 client for providers: keep-alive connections per origin, TLS, limits and timeouts.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::provider {

namespace asio = boost::asio;

/// Header fields, in order.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

/// The value of the first field called `name` (case-insensitive), or "".
std::string_view find_field(const HttpFields& fields, std::string_view name) noexcept;

/// Where a request goes. `target` is the path with its query, percent-encoded, never empty.
struct HttpUrl {
    bool tls = false;
    std::string host;            ///< without the brackets of an IPv6 address
    unsigned short port = 0;
    std::string target;

    /// "https://host:port": what messages may show. Never holds a query, which may be secret.
    std::string origin() const;
};

/// Parses an absolute http or https URL; its fragment is dropped. invalid_input: another scheme, no host, a
/// name or password in it (which would end up in logs), a malformed URL. The detail doesn't repeat the URL.
Result<HttpUrl> parse_url(std::string_view text);

struct HttpRequest {
    std::string method = "POST";
    HttpUrl url;
    HttpFields headers;          ///< Host, Content-Length and User-Agent are added
    std::string body;
    Duration time_max = std::chrono::seconds(60);  ///< from here to the last byte of the answer
    bool repeatable = false;     ///< may be sent again if a kept connection turns out to be dead
    std::function<void()> on_sent;  ///< called once it is written, each time it is; may be empty
};

struct HttpAnswer {
    int status = 0;
    HttpFields headers;
    std::string body;
};

struct HttpClientOptions {
    std::size_t idle_per_origin_max = 16;
    std::size_t connections_per_origin_max = 64;   ///< further requests wait for one of them
    Duration idle_time_max = std::chrono::seconds(20);  ///< below what servers allow, so that few die in use
    Duration connect_time_max = std::chrono::seconds(10);  ///< name, connection and TLS handshake
    std::size_t answer_bytes_max = limits::provider_answer_bytes_max;
    std::string ca_file;  ///< PEM file of the only authorities to trust; empty: those of the system
};

static_assert(HttpClientOptions{}.idle_time_max < limits::http_header_time_max);

/// Sends requests over pooled connections. All calls on the I/O thread; outlives its sends and is destroyed
/// before its executor's context.
class HttpClient {
  public:
    /// invalid_input: the CA file can't be read.
    static Result<std::unique_ptr<HttpClient>> make(asio::any_io_executor io, HttpClientOptions options = {});
    ~HttpClient();

    /// Does at start-up what the first request to an https URL would else wait for: reading the certificate
    /// authorities of the system, some 50 ms. invalid_input: they can't be read.
    Result<void> prepare(const HttpUrl& url);

    /// Sends `request` and gives the answer, whatever its status; redirects aren't followed. unavailable: no
    /// connection, a certificate that doesn't fit, the connection ended early, a timeout; corrupt: an answer
    /// that is not HTTP or too large. A kept connection that ends before any byte of the answer is replaced
    /// once, if the request is repeatable. No detail holds headers, bodies or queries.
    asio::awaitable<Result<HttpAnswer>> send(HttpRequest request);

    /// Connections kept open for later requests.
    std::size_t idle_connections() const noexcept;
    /// Closes every connection; sends under way give unavailable. A second stop is harmless.
    void stop();

  private:
    class Pool;
    explicit HttpClient(std::shared_ptr<Pool> pool);
    std::shared_ptr<Pool> pool_;
};

}  // namespace millrace::provider
