// A provider to rehearse with: the OpenAI embeddings API with its limits, a quota and faults, and no model
// behind it.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "http/server.hpp"
#include "http/simulator_faults.hpp"
#include "http/simulator_window.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>

namespace millrace::http {

struct EmbeddingCall;

struct SimulatorOptions {
    std::string key;                        ///< wanted of every call; empty: none is
    std::string model;                      ///< a model to serve beside OpenAI's three
    std::size_t dimensions = 1536;  ///< of `model` and of Azure deployments with a name of their own
    std::int64_t tokens_per_minute = 0;  ///< 0: unlimited
    std::int64_t requests_per_minute = 0;  ///< 0: unlimited
    Duration latency{};  ///< before each answer
    Duration latency_jitter{};  ///< up to this much more, evenly spread
    std::string faults;  ///< see FaultPlan::parse
    std::uint64_t seed = 1;  ///< of faults and jitter
    bool azure = false;  ///< 429 and rate headers as Azure writes them, on every route
    std::string filtered_word;  ///< a text that holds it is refused by the content filter; empty: none
    std::function<std::size_t(std::string_view)> count_tokens;  ///< empty: estimated from the characters
};

/// What has been asked of a simulator since its start.
struct SimulatorStats {
    std::uint64_t calls = 0;  ///< embedding calls, whatever became of them
    std::uint64_t answered = 0;  ///< 200
    std::uint64_t inputs = 0;  ///< texts embedded, and so paid
    std::uint64_t tokens = 0;  ///< tokens paid
    std::uint64_t throttled = 0;  ///< 429 for want of quota
    std::uint64_t refused = 0;  ///< other 4xx
    std::uint64_t faults = 0;  ///< injected
    std::uint64_t at_once_max = 0;  ///< most calls inside their latency at one moment
};

/// Answers the embeddings routes of OpenAI and Azure OpenAI (classic and v1), `GET /v1/models`, `/healthz`
/// and
/// `/stats`. Limits as OpenAI documents them: 2048 inputs and 300,000 tokens a request, 8192 tokens an input,
/// no empty one. The quota holds over any 60 seconds; refused calls count as requests, throttled ones don't.
/// A vector depends on its text and length alone; texts that share words are near each other. On the I/O
/// thread.
class Simulator {
  public:
    /// `clock` outlives it. invalid_input: a malformed fault plan, a negative limit, a length of 0
    /// or above 65,536.
    static Result<std::unique_ptr<Simulator>> make(Clock& clock, SimulatorOptions options);

    /// Answers one request. The simulator outlives it.
    asio::awaitable<Response> answer(Request request);
    /// `answer` as a server wants it.
    Handler handler();
    const SimulatorStats& stats() const noexcept { return stats_; }

  private:
    Simulator(Clock& clock, SimulatorOptions options, FaultPlan faults);

    bool is_allowed(const Request& request) const;
    Response models() const;
    Response stats_answer() const;
    asio::awaitable<Response> embed(Request request, std::string deployment);
    asio::awaitable<void> delay();
    Response admit(const EmbeddingCall& call, bool azure);
    Response throttle(const EmbeddingCall& call, std::string_view what, Duration wait, bool azure);
    Response paid(const EmbeddingCall& call);
    Response fail(Fault fault, const EmbeddingCall& call, bool azure);
    void add_rate_headers(Response& response, bool azure);
    void add_retry_headers(Response& response, Duration wait) const;

    Clock& clock_;
    SimulatorOptions options_;
    FaultPlan faults_;
    SlidingWindow tokens_;
    SlidingWindow requests_;
    SimulatorStats stats_;
    std::mt19937_64 random_;
    std::uint64_t at_once_ = 0;
};

}  // namespace millrace::http
