// Who computes embeddings and completions: the seam between Millrace and a model, local or remote.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/trace_context.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::provider {

/// What became of a provider call that gave no result; `handlers` turns it into an outcome.
enum class FailureKind {
    throttled = 1,     ///< 429: the quota is used up; try again after `retry_after`
    transient,         ///< 408, 409, 5xx, connection lost, timeout: try again
    rejected,          ///< 400, 401, 403, 404, 413, 422, insufficient_quota: never by itself succeeds
    content_filtered,  ///< the provider's content policy refused the text, or the answer to it
    unavailable,       ///< transient, and no other call succeeds either: the input is not to blame
    refused,           ///< the model itself declined to answer
    held,              ///< not made: a spending cap, or the process ends; again after `retry_after`
    cut_off,           ///< the answer reached the most tokens it may have before it was whole
};

/// Tokens a call cost, as the provider reported them; estimated where it reported none.
struct Usage {
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::int64_t cached_tokens = 0;  ///< of the prompt's, those that the provider had in its cache
    bool operator==(const Usage&) const = default;
};

/// A failed call. `detail` is one line without secrets; `status` is the HTTP status or 0 where none was
/// received.
struct [[nodiscard]] Failure {
    FailureKind kind;
    int status = 0;
    std::string detail;
    std::optional<Duration> retry_after{};
    Usage usage{};  ///< what the call was billed all the same, e.g. an answer that was cut off
};

/// What `Outcome::value()` throws when it holds a failure: only for callers that have checked.
[[noreturn]] void throw_exception_from_error(const Failure& failure, const boost::source_location& where);

template <class T>
using Outcome = boost::system::result<T, Failure>;

/// The failure that `outcome` holds; nothing for a success.
template <class T>
std::optional<Failure> failure_of(const Outcome<T>& outcome) {
    return outcome ? std::nullopt : std::optional<Failure>(outcome.error());
}

/// One unit-length vector per input, in the order of the inputs; of fewer inputs, the first ones, where those
/// behind them failed.
struct Embeddings {
    std::vector<std::vector<float>> vectors;
    Usage usage;
};

/// Whose call goes first where not all can.
enum class Priority {
    interactive,  ///< somebody waits for it
    batch,  ///< it may take its time
};

/// What the answer's `x-ratelimit-*` headers say; the worse of the two where there is one for the project as
/// well.
struct RateHeaders {
    std::optional<std::int64_t> limit_requests;
    std::optional<std::int64_t> limit_tokens;
    std::optional<std::int64_t> remaining_requests;
    std::optional<std::int64_t> remaining_tokens;
    std::optional<Duration> reset_requests;
    std::optional<Duration> reset_tokens;
    std::optional<Duration> retry_after;
    int status = 0;
    bool operator==(const RateHeaders&) const = default;
};

/// On whose behalf a call is made.
struct CallContext {
    std::string tenant;  ///< whose share of the quota it takes; "" is a tenant as any other
    Priority priority = Priority::interactive;
    std::optional<TraceContext> trace;  ///< of the work that needs it; a remote model is told
    /// Told what the answer says about the quota; may be empty.
    std::function<void(const RateHeaders&)> on_rate;
    /// Told when a request is on its way, whole; may be empty.
    std::function<void()> on_sent;
};

/// A text to be answered by a model.
struct CompletionRequest {
    std::string task;  ///< type of the task, e.g. "summarize": what a local model answers by
    std::string instructions;  ///< what the model is to do; may be empty
    std::string input;  ///< the text it is about, UTF-8, not empty
    std::string schema_name;  ///< [A-Za-z0-9_-]{1,64}; "" with a schema: "answer"
    std::string schema;  ///< JSON schema that the answer shall follow; "": free text
    std::int64_t output_tokens_max = 0;  ///< 0: the model's own maximum
    std::optional<double> temperature;  ///< nothing: the model's own
    std::vector<std::string> labels;  ///< of "classify": what there is to choose from
};

/// The answer to a CompletionRequest.
struct Completion {
    std::string text;  ///< a JSON document where a schema was asked for, though not checked against it
    Usage usage;
    std::string model;  ///< who answered, as the provider names it; "local-extractive" for this machine
};

/// An OpenAI request that is passed on as its sender wrote it, but for the model's name.
struct RawRequest {
    std::string endpoint;  ///< "/v1/chat/completions", "/v1/responses" or "/v1/embeddings"
    std::string body;  ///< a JSON object
};

/// What an OpenAI request was answered: 200, or a 4xx that says what is wrong with the request.
struct RawAnswer {
    int status = 0;
    std::string body;  ///< as the provider sent it
    std::string request_id;  ///< the provider's own; "" where it gives none
    Usage usage;  ///< estimated where a 200 reports none; zero for other answers
};

/// Which of OpenAI's two interfaces completes.
enum class CompletionApi { chat, responses };

/// What a deployment computes and what one request to it may hold.
struct ModelInfo {
    std::string name;  ///< with `dimensions` the identity of its vectors, e.g. for reuse
    bool embeds = true;
    bool completes = false;
    CompletionApi api = CompletionApi::chat;  ///< how `complete` asks a remote model
    std::size_t context_tokens_max = 0;  ///< prompt and answer of one completion together; 0: not known
    std::size_t output_tokens_max = 0;  ///< answer of one completion; 0: not known
    std::size_t dimensions = 0;  ///< length of every vector; 0: known after the first call
    std::size_t inputs_per_request_max = 1;  ///< may fall; a longer request is split by the caller
    std::size_t tokens_per_request_max = 0;
    std::size_t tokens_per_input_max = 0;
    std::size_t chunk_tokens = 400;  ///< passage length that suits the model, in tokens of `encoding`
    std::size_t chunk_overlap_tokens = 50;
    std::string encoding = "cl100k_base";  ///< token encoding that counts its input
};

/// Computes embeddings and completions. All calls on the I/O thread; implementations may do the work
/// elsewhere. `context`: on whose behalf. Its default is no `{}`, which GCC 12 destroys twice where the call
/// is awaited at once.
class Provider {
  public:
    virtual ~Provider() = default;
    virtual const ModelInfo& model() const noexcept = 0;
    /// Embeds `inputs` (1 to inputs_per_request_max non-empty UTF-8 texts, whether as it is now or as it was
    /// at the start) in one call.
    virtual boost::asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs,
                                                              CallContext context = CallContext()) = 0;
    /// For each of `inputs`, whether `embed` would answer it without a call, which this one never does. Asks
    /// nobody for a vector.
    virtual boost::asio::awaitable<std::vector<bool>> known(std::vector<std::string> inputs);
    /// Answers `request`. `rejected` where the model doesn't complete, which is what this one says.
    virtual boost::asio::awaitable<Outcome<Completion>> complete(CompletionRequest request,
                                                                 CallContext context = CallContext());
    /// Passes `request` on with this deployment's model in it. 4xx other than 408, 409 and 429 are answers,
    /// not failures: they say what is wrong with this one request. `rejected` where there is no server to
    /// pass it on to, which is what this one says, or where it isn't an OpenAI request.
    virtual boost::asio::awaitable<Outcome<RawAnswer>> call(RawRequest request,
                                                            CallContext context = CallContext());
};

}  // namespace millrace::provider
