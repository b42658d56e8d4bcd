// The OpenAI REST API as pure functions: requests to bytes, answers to vectors or failures. No sockets, no
// clock. Completions: openai_completions.hpp.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "provider/http_client.hpp"
#include "provider/provider.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// A server and the model on it.
struct OpenAiServer {
    std::string endpoint;  ///< base URL; "/v1", "/openai/v1" or ".../deployments/NAME" in it is understood
    std::string key;  ///< "" for servers that want none
    std::string model;  ///< e.g. "text-embedding-3-small"
    bool azure = false;  ///< the key goes into `api-key`, and the URL names a deployment
    std::string deployment;  ///< Azure: name of the deployment; empty: `model`
    std::string api_version;  ///< Azure: names the classic URL form; empty: the v1 form, which needs none
};

/// What a server can be asked for: `embeddings`, `chat/completions`, `responses`.
enum class Operation { embed, chat, respond };

/// The URL of `operation`, in the form that the endpoint asks for:
///   OpenAI and compatible         {endpoint}/embeddings, with /v1 where the endpoint has no path
///   Azure without a version       {endpoint}/openai/v1/embeddings
///   Azure with a version          {endpoint}/openai/deployments/{deployment}/embeddings?api-version=...
///                                 {endpoint}/openai/responses?api-version=...
/// An endpoint that holds /openai/v1, /openai/deployments/NAME or the operation already is taken at its word;
/// one that names another operation stands for its neighbour.
Result<HttpUrl> operation_url(const OpenAiServer& server, Operation operation);

/// The operation of OpenAI's own path, e.g. "/v1/embeddings", with or without its "/v1"; nothing for another.
std::optional<Operation> operation_of(std::string_view path) noexcept;

/// What is known of `model` by its name: dimensions and limits 0 if nothing is. A name that says nothing
/// embeds and completes: its server knows better.
ModelInfo known_model(std::string_view model);

/// The headers of a call: content type, accepted type and the key.
HttpFields request_headers(const OpenAiServer& server);
/// The body of an embeddings call; asks for base64, which is a quarter of the size of decimal text.
std::string embeddings_body(const OpenAiServer& server, std::span<const std::string> inputs,
                            std::size_t dimensions);

/// Reads the body of a 200 answer to `inputs`, whatever their order in it, and scales every vector to unit
/// length. `dimensions` 0 takes any length that all have in common. A body that breaks its form is a
/// transient failure (the next answer may be whole); vectors of the wrong length are rejected, for the next
/// will be no different.
Outcome<Embeddings> parse_embeddings(std::string_view body, std::span<const std::string> inputs,
                                     std::size_t dimensions);

/// The failure that an answer of any other status stands for; `now` is for a Retry-After that is a date.
Failure failure_for(const HttpAnswer& answer, TimePoint now);
/// The failure for no answer at all.
Failure failure_for(const Error& error);

/// What the provider says of itself in `x-should-retry`.
enum class RetryAdvice { none, yes, no };
RetryAdvice retry_advice(const HttpFields& headers) noexcept;

/// How long to wait by `retry-after-ms`, `retry-after` (seconds or a date) or a text such as "retry after 37
/// seconds"; at most kRetryAfterMax, since values as absurd as a day are seen; none if nothing is said.
std::optional<Duration> retry_after(const HttpAnswer& answer, TimePoint now);
inline constexpr Duration kRetryAfterMax = std::chrono::hours(1);

/// An HTTP date in any of the three forms of RFC 9110, 5.6.7.
std::optional<TimePoint> parse_http_date(std::string_view text);
/// "6m0s", "1h2m3.5s", "250ms" as Go writes durations, or plain seconds "12", "0.5"; at most a day.
std::optional<Duration> parse_reset(std::string_view text);

RateHeaders parse_rate_headers(const HttpAnswer& answer, TimePoint now);

/// Whether a failed try is followed by another, and after which wait.
struct RetryInput {
    FailureKind kind;
    RetryAdvice advice = RetryAdvice::none;
    std::optional<Duration> retry_after;  ///< as the provider asked
    int tries_done = 1;
    int tries_max = 3;
    double random = 0.5;  ///< in [0, 1)
};
std::optional<Duration> wait_before_retry(const RetryInput& input);
/// Longer waits than this are the caller's business.
inline constexpr Duration kWaitMax = std::chrono::seconds(8);

/// A rough count for where the provider reports none: 4 letters a token, 1 for an ideograph.
std::int64_t estimate_tokens(std::string_view text) noexcept;

}  // namespace millrace::provider
