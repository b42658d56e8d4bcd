// A caller of the HTTP interface, for benchmarks.
#pragma once

#include "provider/http_client.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <memory>
#include <string>

namespace millrace::bench {

namespace asio = boost::asio;
namespace json = boost::json;

class Client {
  public:
    Client(const asio::any_io_executor& io, std::string base) : base_(std::move(base)) {
        provider::HttpClientOptions options;
        options.connections_per_origin_max = 256;
        options.idle_per_origin_max = 256;
        http_ = std::move(*provider::HttpClient::make(io, options));
    }

    /// Sends `body`; status 0 where no answer came.
    asio::awaitable<provider::HttpAnswer> send(std::string method, std::string path, std::string body,
                                               provider::HttpFields headers, Duration time) {
        provider::HttpRequest request;
        request.method = std::move(method);
        request.url = *provider::parse_url(base_ + path);
        request.headers = std::move(headers);
        request.body = std::move(body);
        request.time_max = time;
        auto answer = co_await http_->send(std::move(request));
        if (!answer) co_return provider::HttpAnswer{};
        co_return std::move(*answer);
    }

    asio::awaitable<provider::HttpAnswer> get(std::string path) {
        const provider::HttpFields none;
        return send("GET", std::move(path), "", none, std::chrono::seconds(60));
    }

    asio::awaitable<provider::HttpAnswer> post(std::string path, json::value body) {
        const provider::HttpFields headers{{"Content-Type", "application/json"}};
        return send("POST", std::move(path), json::serialize(body), headers, std::chrono::seconds(60));
    }

    void stop() { http_->stop(); }

  private:
    std::string base_;
    std::unique_ptr<provider::HttpClient> http_;
};

}  // namespace millrace::bench
