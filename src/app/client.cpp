#include "app/client.hpp"

#include "http/views.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <cstdlib>

namespace millrace::app {

namespace json = boost::json;

namespace {

constexpr std::chrono::seconds kRetryAfterMax{60};

std::optional<Duration> retry_after(const provider::HttpFields& headers) {
    const std::string_view text = provider::find_field(headers, "Retry-After");
    int seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || seconds < 0)
        return std::nullopt;
    return std::min<Duration>(std::chrono::seconds(seconds), kRetryAfterMax);
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

}  // namespace

std::string Reply::problem() const {
    const json::object* object = body.if_object();
    const json::value* detail = object == nullptr ? nullptr : object->if_contains("detail");
    std::string text = detail != nullptr && detail->is_string()
                           ? std::string(detail->get_string())
                           : "the server answered " + std::to_string(status);
    if (status == 401) text += "; set MILLRACE_API_KEY";
    return text;
}

Endpoint endpoint_from(const std::string& option) {
    Endpoint endpoint;
    const std::string named = environment("MILLRACE_URL");
    if (!option.empty())
        endpoint.url = option;
    else if (!named.empty())
        endpoint.url = named;
    while (endpoint.url.ends_with('/')) endpoint.url.pop_back();
    endpoint.key = environment("MILLRACE_API_KEY");
    return endpoint;
}

Client::Client(std::unique_ptr<provider::HttpClient> http, provider::HttpUrl base, std::string url,
               std::string key)
    : http_(std::move(http)), base_(std::move(base)), url_(std::move(url)), key_(std::move(key)) {}

Result<std::unique_ptr<Client>> Client::make(asio::any_io_executor io, Endpoint endpoint) {
    auto base = provider::parse_url(endpoint.url);
    if (!base)
        return Error{Errc::invalid_input,
                     "\"" + endpoint.url + "\" is no server URL: " + base.error().detail};
    while (base->target.ends_with('/')) base->target.pop_back();
    auto http = provider::HttpClient::make(io);
    if (!http) return http.error();
    return std::unique_ptr<Client>(
        new Client(std::move(*http), std::move(*base), std::move(endpoint.url), std::move(endpoint.key)));
}

Client::Call Client::post(std::string target, const json::value& body) {
    return {.method = "POST",
            .target = std::move(target),
            .body = json::serialize(body),
            .content_type = "application/json"};
}

asio::awaitable<Result<Reply>> Client::send(Call call) {
    provider::HttpRequest request;
    request.repeatable = call.method == "GET" || !call.idempotency_key.empty();
    request.method = std::move(call.method);
    request.url = base_;
    request.url.target += call.target;
    request.body = std::move(call.body);
    request.time_max = call.time_max;
    if (!call.content_type.empty()) request.headers.emplace_back("Content-Type", call.content_type);
    if (!call.idempotency_key.empty())
        request.headers.emplace_back("Idempotency-Key", "\"" + call.idempotency_key + "\"");
    if (!key_.empty()) request.headers.emplace_back("Authorization", "Bearer " + key_);
    auto answer = co_await http_->send(std::move(request));
    if (!answer)
        co_return Error{answer.error().code,
                        "no answer from " + url_ + " (" + answer.error().detail +
                            "); start one with millrace serve, or name it with --server"};
    Reply reply;
    reply.status = answer->status;
    reply.retry_after = retry_after(answer->headers);
    boost::system::error_code ignored;
    reply.body = json::parse(answer->body, ignored);
    co_return reply;
}

asio::awaitable<Result<json::value>> Client::ask(Call call) {
    auto reply = co_await send(std::move(call));
    if (!reply) co_return reply.error();
    if (!reply->ok()) co_return Error{Errc::invalid_input, reply->problem()};
    co_return std::move(reply->body);
}

std::string url_encoded(std::string_view text) { return http::percent_encoded(text); }

}  // namespace millrace::app
