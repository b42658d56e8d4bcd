// The HTTP servers of one process: plain and over TLS.
#pragma once

#include "app/configuration.hpp"
#include "base/clock.hpp"
#include "http/server.hpp"

#include <memory>
#include <string>

namespace millrace::app {

namespace asio = boost::asio;

/// All calls on the I/O thread. Stopped before it is destroyed, also when `open` has failed.
class HttpListeners {
  public:
    /// Begins to answer with `handler` where `settings` say; over TLS only with `tls`, which may be null.
    /// The error names the setting.
    /// `spool` as of `http::ServerOptions`.
    Result<void> open(asio::any_io_executor io, const ServerSettings& settings,
                      std::shared_ptr<asio::ssl::context> tls, const http::Spool& spool,
                      const http::Handler& handler);

    /// "http://127.0.0.1:8080": where it answers, "" before `open`.
    const std::string& url() const noexcept { return url_; }
    /// "https://127.0.0.1:8443", or "" if nothing is served over TLS.
    const std::string& https_url() const noexcept { return https_url_; }
    std::size_t connections() const;
    /// As `http::Server::stop`, of both; together they take `drain` of `clock`.
    asio::awaitable<void> stop(Duration drain, Clock& clock);

  private:
    std::unique_ptr<http::Server> plain_;
    std::unique_ptr<http::Server> tls_;
    std::string url_;
    std::string https_url_;
};

}  // namespace millrace::app
