// A provider to rehearse with: the OpenAI API with its limits, a quota and faults, and no model behind it.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "http/server.hpp"
#include "http/simulator_books.hpp"
#include "http/simulator_faults.hpp"
#include "http/simulator_quota.hpp"
#include "http/simulator_routes.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <variant>

namespace millrace::http {

struct EmbeddingCall;
struct ChatCall;

struct SimulatorOptions {
    std::string key;                        ///< wanted of every call; empty: none is
    std::string model;                      ///< a model to serve beside OpenAI's; it embeds and completes
    std::size_t dimensions = 1536;  ///< of `model` and of Azure deployments with a name of their own
    QuotaOptions quota;
    Duration latency{};  ///< before each answer but those to calls that the quota turns away
    Duration latency_jitter{};  ///< up to this much more, evenly spread
    std::string faults;  ///< see FaultPlan::parse
    std::uint64_t seed = 1;  ///< of faults and jitter
    bool azure = false;  ///< 429 and rate headers as Azure writes them, on every route
    std::string filtered_word;  ///< a text that holds it is refused by the content filter; empty: none
    std::string declined_word;  ///< a prompt that holds it is declined by the model; empty: none
    /// Tokens of a text as a model counts them; empty: estimated from the characters.
    std::function<std::size_t(std::string_view model, std::string_view text)> count_tokens;
    std::function<void(const std::string& line)> log;  ///< gets a line of JSON for every decision
};

/// What has been asked of a simulator since its start.
struct SimulatorStats {
    std::uint64_t calls = 0;  ///< calls that are billed if answered, whatever became of them
    std::uint64_t answered = 0;  ///< 200
    std::uint64_t inputs = 0;  ///< texts embedded and prompts completed, and so paid
    std::uint64_t tokens = 0;  ///< tokens paid
    std::uint64_t throttled = 0;  ///< 429 for want of quota
    std::uint64_t refused = 0;  ///< other 4xx
    std::uint64_t faults = 0;  ///< injected
    std::uint64_t at_once_max = 0;  ///< most calls inside their latency at one moment
};

/// Answers the embeddings, chat completions and responses routes of OpenAI and Azure OpenAI (classic and v1),
/// `GET /v1/models`, `/healthz`, `/stats` and, for this machine only, `/simulator/report`. Limits as OpenAI
/// documents them: 2048 inputs and 300,000 tokens an embeddings request, 8192 tokens an input, no empty one.
/// Whether a call is let in is decided, logged and billed when it comes; calls that are wrong in themselves
/// count as requests. A vector depends on its text and length alone; texts that share words are near each
/// other. A completion is words of its prompt in the form that its schema wants, the same for the same body.
/// On the I/O thread.
class Simulator {
  public:
    /// `clock` outlives it. invalid_input: a malformed fault plan, a negative limit, a share outside 0 to 1,
    /// a length of 0 or above 65,536.
    static Result<std::unique_ptr<Simulator>> make(Clock& clock, SimulatorOptions options);

    /// Answers one request. The simulator outlives it.
    asio::awaitable<Response> answer(Request request);
    /// `answer` as a server wants it.
    Handler handler();
    const SimulatorStats& stats() const noexcept { return stats_; }

  private:
    struct Priced;

    Simulator(Clock& clock, SimulatorOptions options, FaultPlan faults);

    bool is_allowed(const Request& request) const;
    Response models() const;
    Response stats_answer() const;
    Response report(const Request& request) const;
    asio::awaitable<Response> bill(Request request, SimulatedRoute route, std::string deployment);
    std::variant<Priced, Response> price(const Request& request, SimulatedRoute route,
                                         const std::string& deployment, Fault& fault, std::string_view id);
    Priced price_embedding(EmbeddingCall call) const;
    Priced price_chat(ChatCall call, const Fault& fault, std::string_view id) const;
    /// Whether the quota lets the call in; nothing, or the 429.
    std::optional<Response> admit(const Priced& call, bool azure, Decision& decision);
    Response throttle(const Priced& call, const Quota::Verdict& verdict, bool azure);
    Response fail(const Fault& fault);
    asio::awaitable<void> delay();
    void add_rate_headers(Response& response, bool azure);
    void add_retry_headers(Response& response, Duration wait) const;

    Clock& clock_;
    SimulatorOptions options_;
    FaultPlan faults_;
    Quota quota_;
    SimulatorBooks books_;
    SimulatorStats stats_;
    std::mt19937_64 random_;
    std::uint64_t at_once_ = 0;
};

}  // namespace millrace::http
