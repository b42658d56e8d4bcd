#include "http/simulator.hpp"

#include "base/ids.hpp"
#include "http/simulator_call.hpp"
#include "http/simulator_chat.hpp"
#include "provider/openai_protocol.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <cmath>
#include <cstdio>

namespace millrace::http {

namespace json = boost::json;

namespace {

constexpr Duration kFaultRetryAfter = std::chrono::seconds(1);
constexpr std::size_t kDimensionsMax = 65'536;
constexpr Duration kSlowPause = std::chrono::milliseconds(20);

/// "6m0s", "1.5s", "250ms": as OpenAI writes resets.
std::string go_duration(Duration time) {
    const std::int64_t millis = time.count();
    if (millis < 1000) return std::to_string(millis) + "ms";
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%g", static_cast<double>(millis % 60'000) / 1000);
    std::string text = millis >= 60'000 ? std::to_string(millis / 60'000) + "m" : "";
    return text + seconds + "s";
}

std::int64_t whole_seconds(Duration time) { return std::chrono::ceil<std::chrono::seconds>(time).count(); }

Response wrong_key(bool azure) {
    if (azure) {
        return openai_error(401, "", "", "401",
                            "Access denied due to invalid subscription key or wrong API endpoint.");
    }
    return openai_error(401, "invalid_request_error", "", "invalid_api_key", "Incorrect API key provided.");
}

/// How an answer to a completion ends under `fault`.
Ending ending_of(const Fault& fault) {
    switch (fault.kind) {
        case Fault::Kind::refusal: return Ending::refused;
        case Fault::Kind::filter: return Ending::filtered;
        case Fault::Kind::length: return Ending::cut_off;
        default: return Ending::whole;
    }
}

/// Whether the call is let in, answered and billed in spite of `fault`.
bool is_billed(const Fault& fault) {
    using Kind = Fault::Kind;
    return fault.kind == Kind::none || fault.kind == Kind::slow || fault.kind == Kind::cut ||
           ending_of(fault) != Ending::whole;
}

bool is_loopback(std::string_view address) {
    return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

std::string client_of(const Request& request) {
    const std::string_view id = request.header("x-client-id");
    return std::string(id.empty() ? request.header("user-agent") : id);
}

}  // namespace

/// A call with everything that decides whether it is let in, and what it then costs.
struct Simulator::Priced {
    std::string_view operation;
    std::string model;
    QuotaDemand demand;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::vector<BilledInput> inputs;
    std::function<std::string()> body;
};

Simulator::Simulator(Clock& clock, SimulatorOptions options, FaultPlan faults)
    : clock_(clock),
      options_(std::move(options)),
      faults_(std::move(faults)),
      quota_(options_.quota, clock.now()),
      books_(clock.now(), options_.log),
      random_(options_.seed + 1) {
    options_.azure |= options_.quota.rule == QuotaRule::azure;
}

Result<std::unique_ptr<Simulator>> Simulator::make(Clock& clock, SimulatorOptions options) {
    auto faults = FaultPlan::parse(options.faults, options.seed);
    if (!faults) return faults.error();
    const QuotaOptions& quota = options.quota;
    const bool negative = quota.tokens_per_minute < 0 || quota.requests_per_minute < 0 ||
                          quota.request_window < Duration::zero() || options.latency < Duration::zero() ||
                          options.latency_jitter < Duration::zero();
    if (negative) return Error{Errc::invalid_input, "a limit or latency of the simulator is negative"};
    if (!(quota.foreign >= 0 && quota.foreign <= 1))
        return Error{Errc::invalid_input, "the share of somebody else is 0 to 1"};
    if (options.dimensions == 0 || options.dimensions > kDimensionsMax) {
        return Error{Errc::invalid_input,
                     "the length of simulated vectors is 1 to " + std::to_string(kDimensionsMax)};
    }
    return std::unique_ptr<Simulator>(new Simulator(clock, std::move(options), std::move(*faults)));
}

Handler Simulator::handler() {
    return [this](Request request) { return answer(std::move(request)); };
}

asio::awaitable<Response> Simulator::answer(Request request) {
    using Route = SimulatedRoute;
    std::string deployment;
    const Route route = route_of(request.segments, deployment);
    if (route == Route::health) co_return json_answer(200, R"({"status":"ok"})");
    if (route == Route::stats) co_return stats_answer();
    if (route == Route::report) co_return report(request);
    if (!is_allowed(request)) co_return wrong_key(options_.azure || is_azure_path(request.segments));
    const bool billed = route == Route::embed || route == Route::chat || route == Route::respond;
    const std::string_view method = billed ? "POST" : "GET";
    if (route != Route::none && request.method != method) {
        co_return openai_error(405, "invalid_request_error", "", "",
                               "Only " + std::string(method) + " is allowed");
    }
    if (route == Route::models) co_return models();
    if (billed) co_return co_await bill(std::move(request), route, std::move(deployment));
    co_return openai_error(404, "invalid_request_error", "", "", "Unknown request URL: " + request.path);
}

bool Simulator::is_allowed(const Request& request) const {
    if (options_.key.empty()) return true;
    std::string_view key = request.header("api-key");
    const std::string_view bearer = request.header("authorization");
    if (key.empty() && bearer.starts_with("Bearer ")) key = bearer.substr(7);
    return equal_constant_time(options_.key, key);
}

Response Simulator::models() const {
    json::array items;
    for (const std::string& name : simulated_models(options_)) {
        items.push_back(
            {{"id", name}, {"object", "model"}, {"created", 1'700'000'000}, {"owned_by", "millrace"}});
    }
    return json_answer(200, json::serialize(json::value{{"object", "list"}, {"data", items}}));
}

Response Simulator::stats_answer() const {
    const json::value document = {
        {"calls", stats_.calls},   {"answered", stats_.answered},     {"inputs", stats_.inputs},
        {"tokens", stats_.tokens}, {"throttled", stats_.throttled},   {"refused", stats_.refused},
        {"faults", stats_.faults}, {"atOnceMax", stats_.at_once_max},
    };
    return json_answer(200, json::serialize(document));
}

Response Simulator::report(const Request& request) const {
    if (!is_loopback(request.remote)) return problem(403, "the report is for this machine only");
    json::object document = books_.report();
    document["foreignTokens"] = quota_.foreign_tokens();
    document["atOnceMax"] = stats_.at_once_max;
    return json_answer(200, json::serialize(document));
}

asio::awaitable<Response> Simulator::bill(Request request, SimulatedRoute route, std::string deployment) {
    const std::string id = "req_" + std::to_string(++stats_.calls);
    const bool azure = options_.azure || is_azure_path(request.segments);
    Decision decision;
    decision.at = clock_.now();
    decision.client = client_of(request);
    Fault fault;
    auto priced = price(request, route, deployment, fault, id);
    const auto* call = std::get_if<Priced>(&priced);
    Response response;
    if (call == nullptr) {
        ++stats_.refused;
        quota_.count_refused(decision.at);
        response = std::get<Response>(std::move(priced));
        decision.status = response.status;
        books_.note(decision);
        co_await delay();
    } else if (!is_billed(fault)) {
        quota_.count_refused(decision.at);
        response = fail(fault);
        decision.operation = call->operation;
        decision.status = fault.status;
        books_.note(decision);
        co_await delay();
    } else if (auto throttled = admit(*call, azure, decision)) {
        response = std::move(*throttled);
    } else {
        co_await delay();
        response = json_answer(200, call->body());
        if (fault.kind == Fault::Kind::cut) response.delivery = Delivery::cut;
        if (fault.kind == Fault::Kind::slow) response.delivery = Delivery::slow;
        response.pause = fault.kind == Fault::Kind::slow ? kSlowPause : Duration::zero();
    }
    add_rate_headers(response, azure);
    response.headers.emplace_back("x-request-id", id);
    co_return response;
}

std::variant<Simulator::Priced, Response> Simulator::price(const Request& request, SimulatedRoute route,
                                                           const std::string& deployment, Fault& fault,
                                                           std::string_view id) {
    if (route == SimulatedRoute::embed) {
        auto read = read_embedding_call(request.body, deployment, options_);
        if (auto* refusal = std::get_if<Response>(&read)) return std::move(*refusal);
        fault = faults_.next();
        stats_.faults += fault.kind != Fault::Kind::none;
        return price_embedding(std::get<EmbeddingCall>(std::move(read)));
    }
    const ChatApi api = route == SimulatedRoute::chat ? ChatApi::chat : ChatApi::responses;
    auto read = read_chat_call(request.body, api, deployment, options_);
    if (auto* refusal = std::get_if<Response>(&read)) return std::move(*refusal);
    fault = faults_.next();
    stats_.faults += fault.kind != Fault::Kind::none;
    return price_chat(std::get<ChatCall>(std::move(read)), fault, id);
}

Simulator::Priced Simulator::price_embedding(EmbeddingCall call) const {
    Priced priced;
    priced.operation = "Embeddings_Create";
    priced.model = call.model;
    priced.prompt_tokens = static_cast<std::int64_t>(call.tokens);
    for (const EmbeddingInput& input : call.inputs) {
        priced.inputs.push_back({hash_of(input.text) ^ call.hash, static_cast<std::int64_t>(input.tokens)});
        priced.demand.estimated_prompt += provider::estimate_tokens(input.text);
    }
    priced.demand.billed = priced.prompt_tokens;
    priced.body = [call = std::move(call)] { return embedding_answer(call); };
    return priced;
}

Simulator::Priced Simulator::price_chat(ChatCall call, const Fault& fault, std::string_view id) const {
    const std::string& word = options_.declined_word;
    const bool declined = !word.empty() && call.prompt.find(word) != std::string::npos;
    const Ending ending = declined ? Ending::refused : ending_of(fault);
    ChatAnswer answer = answer_chat(call, ending, id, clock_.now(), options_);
    Priced priced;
    priced.operation = call.api == ChatApi::chat ? "ChatCompletions_Create" : "Responses_Create";
    priced.model = call.model;
    priced.prompt_tokens = call.prompt_tokens;
    priced.completion_tokens = answer.completion_tokens;
    priced.inputs = {{call.hash, call.prompt_tokens + answer.completion_tokens}};
    priced.demand.billed = call.prompt_tokens + answer.completion_tokens;
    priced.demand.estimated_prompt = provider::estimate_tokens(call.prompt);
    priced.demand.output_max = call.output_max.value_or(call.model_output_max);
    priced.body = [body = std::move(answer.body)] { return body; };
    return priced;
}

std::optional<Response> Simulator::admit(const Priced& call, bool azure, Decision& decision) {
    decision.operation = call.operation;
    decision.estimated_tokens = quota_.tokens_of(call.demand);
    const Quota::Verdict verdict = quota_.admit(decision.estimated_tokens, decision.at);
    decision.admitted = verdict.wait == Duration::zero();
    std::optional<Response> throttled;
    if (decision.admitted) {
        decision.prompt_tokens = call.prompt_tokens;
        decision.completion_tokens = call.completion_tokens;
        decision.inputs = call.inputs;
        ++stats_.answered;
        stats_.inputs += call.inputs.size();
        stats_.tokens += static_cast<std::uint64_t>(call.prompt_tokens + call.completion_tokens);
    } else {
        throttled = throttle(call, verdict, azure);
        decision.status = throttled->status;
    }
    books_.note(decision);
    return throttled;
}

Response Simulator::throttle(const Priced& call, const Quota::Verdict& verdict, bool azure) {
    ++stats_.throttled;
    const bool tokens = verdict.what == "tokens";
    std::string message;
    if (azure) {
        message = "Requests to the " + std::string(call.operation) +
                  " Operation under Azure OpenAI API have exceeded " + (tokens ? "token" : "call") +
                  " rate limit of your current pricing tier. Please retry after " +
                  std::to_string(whole_seconds(verdict.wait)) + " seconds.";
    } else {
        const std::int64_t limit = quota_.state(verdict.what, clock_.now()).limit;
        message = "Rate limit reached for " + call.model + " on " + std::string(verdict.what) +
                  " per min: Limit " + std::to_string(limit) + ", Requested " +
                  std::to_string(tokens ? quota_.tokens_of(call.demand) : 1) + ". Please try again in " +
                  go_duration(verdict.wait) + ".";
    }
    Response response = azure ? openai_error(429, "", "", "429", message)
                              : openai_error(429, verdict.what, "", "rate_limit_exceeded", message);
    add_retry_headers(response, verdict.wait);
    return response;
}

Response Simulator::fail(const Fault& fault) {
    using Kind = Fault::Kind;
    Response response;
    switch (fault.kind) {
        case Kind::status:
            response = openai_error(fault.status, fault.status < 500 ? "requests" : "server_error", "", "",
                                    "This failure was asked for");
            if (fault.status == 429 || fault.status == 503) add_retry_headers(response, kFaultRetryAfter);
            break;
        case Kind::garbage:
            response = json_answer(200, R"({"object":"list","data":[{"embedding":"@@)");
            break;
        case Kind::timeout: response.delivery = Delivery::never; break;
        case Kind::reset: response.delivery = Delivery::reset; break;
        default: break;
    }
    return response;
}

asio::awaitable<void> Simulator::delay() {
    stats_.at_once_max = std::max(stats_.at_once_max, ++at_once_);
    const std::shared_ptr<void> inside(nullptr, [this](void*) { --at_once_; });
    Duration latency = options_.latency;
    if (options_.latency_jitter > Duration::zero()) {
        const double share = static_cast<double>(random_() >> 11) * 0x1p-53;
        latency +=
            Duration(static_cast<std::int64_t>(share * static_cast<double>(options_.latency_jitter.count())));
    }
    if (latency > Duration::zero()) co_await clock_.sleep_for(latency);
}

void Simulator::add_retry_headers(Response& response, Duration wait) const {
    response.headers.emplace_back("retry-after-ms", std::to_string(wait.count()));
    response.headers.emplace_back("retry-after", std::to_string(whole_seconds(wait)));
}

void Simulator::add_rate_headers(Response& response, bool azure) {
    const TimePoint now = clock_.now();
    for (const std::string name : {"requests", "tokens"}) {
        const Quota::State state = quota_.state(name, now);
        if (state.limit == 0) continue;
        response.headers.emplace_back("x-ratelimit-limit-" + name, std::to_string(state.limit));
        response.headers.emplace_back("x-ratelimit-remaining-" + name, std::to_string(state.remaining));
        // Azure says nothing of resets on success and whole seconds on a 429.
        if (!azure)
            response.headers.emplace_back("x-ratelimit-reset-" + name, go_duration(state.reset));
        else if (response.status == 429) {
            response.headers.emplace_back("x-ratelimit-reset-" + name,
                                          std::to_string(whole_seconds(state.reset)));
        }
    }
}

}  // namespace millrace::http
