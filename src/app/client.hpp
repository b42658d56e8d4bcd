// The commands' side of the HTTP interface.
#pragma once

#include "base/error.hpp"
#include "provider/http_client.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::app {

namespace asio = boost::asio;

/// What a server answered.
struct Reply {
    int status = 0;
    boost::json::value body;               ///< null if it was no JSON
    std::optional<Duration> retry_after;

    bool ok() const noexcept { return status >= 200 && status < 300; }
    /// One line about a refusal: the problem's detail, else the status.
    std::string problem() const;
};

/// Where commands find their server.
struct Endpoint {
    std::string url = "http://127.0.0.1:8080";
    std::string key;
};

/// `--server`, else MILLRACE_URL, else the default; the key is MILLRACE_API_KEY.
Endpoint endpoint_from(const std::string& option);

/// Talks to one server. All calls on the I/O thread.
class Client {
  public:
    /// invalid_input: the URL is none.
    static Result<std::unique_ptr<Client>> make(asio::any_io_executor io, Endpoint endpoint);

    struct Call {
        std::string method = "GET";
        std::string target;                 ///< "/v1/queues?x=y", percent-encoded
        std::string body;
        std::string content_type;
        std::string idempotency_key;
        Duration time_max = std::chrono::seconds(90);
    };
    /// A POST of `body` as JSON.
    static Call post(std::string target, const boost::json::value& body);
    /// The answer, whatever its status. unavailable: no answer; the detail says how to start a server.
    asio::awaitable<Result<Reply>> send(Call call);
    /// As `send`, but an answer that is not 2xx is an error too.
    asio::awaitable<Result<boost::json::value>> ask(Call call);

    const std::string& url() const noexcept { return url_; }
    void stop() { http_->stop(); }

  private:
    Client(std::unique_ptr<provider::HttpClient> http, provider::HttpUrl base, std::string url,
           std::string key);

    std::unique_ptr<provider::HttpClient> http_;
    provider::HttpUrl base_;
    std::string url_;
    std::string key_;
};

/// `text` percent-encoded for a path or a query.
std::string url_encoded(std::string_view text);

}  // namespace millrace::app
