// Who computes embeddings: the seam between Millrace and a model, local or remote.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/trace_context.hpp"

#include <boost/asio/awaitable.hpp>

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
    content_filtered,  ///< the provider's content policy refused the text
    unavailable,       ///< transient, and no other call succeeds either: the input is not to blame
};

/// A failed call. `detail` is one line without secrets; `status` is the HTTP status or 0 where none was
/// received.
struct [[nodiscard]] Failure {
    FailureKind kind;
    int status = 0;
    std::string detail;
    std::optional<Duration> retry_after;
};

/// What `Outcome::value()` throws when it holds a failure: only for callers that have checked.
[[noreturn]] void throw_exception_from_error(const Failure& failure, const boost::source_location& where);

template <class T>
using Outcome = boost::system::result<T, Failure>;

/// Tokens a call cost, as the provider reported them; estimated where it reported none.
struct Usage {
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
};

/// One unit-length vector per input, in the order of the inputs; of fewer inputs, the first ones, where those
/// behind them failed.
struct Embeddings {
    std::vector<std::vector<float>> vectors;
    Usage usage;
};

/// What a deployment computes and what one request to it may hold.
struct ModelInfo {
    std::string name;  ///< with `dimensions` the identity of its vectors, e.g. for reuse
    std::size_t dimensions = 0;  ///< length of every vector; 0: known after the first call
    std::size_t inputs_per_request_max = 1;  ///< a longer request is split by the caller
    std::size_t tokens_per_request_max = 0;
    std::size_t tokens_per_input_max = 0;
    std::size_t chunk_tokens = 400;  ///< passage length that suits the model, in tokens of `encoding`
    std::size_t chunk_overlap_tokens = 50;
    std::string encoding = "cl100k_base";  ///< token encoding that counts its input
};

/// Computes embeddings. All calls on the I/O thread; implementations may do the work elsewhere.
class Provider {
  public:
    virtual ~Provider() = default;
    virtual const ModelInfo& model() const noexcept = 0;
    /// Embeds `inputs` (1 to inputs_per_request_max non-empty UTF-8 texts) in one call. `trace`: of the work
    /// that needs them; a remote model is told.
    virtual boost::asio::awaitable<Outcome<Embeddings>> embed(
        std::vector<std::string> inputs, std::optional<TraceContext> trace = std::nullopt) = 0;
};

}  // namespace millrace::provider
