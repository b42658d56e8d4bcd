#include "http/simulator.hpp"

#include "base/ids.hpp"
#include "http/simulator_call.hpp"

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

/// What a path asks for.
enum class Route { none, embed, models, health, stats };

/// The route of `segments`; `deployment` becomes the model's name where Azure's classic form puts it into the
/// path.
Route route_of(const std::vector<std::string>& segments, std::string& deployment) {
    using Path = std::vector<std::string>;
    if (segments == Path{"v1", "embeddings"} || segments == Path{"openai", "v1", "embeddings"})
        return Route::embed;
    if (segments == Path{"v1", "models"} || segments == Path{"openai", "v1", "models"}) return Route::models;
    if (segments == Path{"healthz"}) return Route::health;
    if (segments == Path{"stats"}) return Route::stats;
    const bool classic = segments.size() == 4 && segments[0] == "openai" && segments[1] == "deployments" &&
                         !segments[2].empty() && segments[3] == "embeddings";
    if (!classic) return Route::none;
    deployment = segments[2];
    return Route::embed;
}

Response wrong_key(bool azure) {
    if (azure) {
        return openai_error(401, "", "", "401",
                            "Access denied due to invalid subscription key or wrong API endpoint.");
    }
    return openai_error(401, "invalid_request_error", "", "invalid_api_key", "Incorrect API key provided.");
}

}  // namespace

Simulator::Simulator(Clock& clock, SimulatorOptions options, FaultPlan faults)
    : clock_(clock),
      options_(std::move(options)),
      faults_(std::move(faults)),
      tokens_(options_.tokens_per_minute),
      requests_(options_.requests_per_minute),
      random_(options_.seed + 1) {}

Result<std::unique_ptr<Simulator>> Simulator::make(Clock& clock, SimulatorOptions options) {
    auto faults = FaultPlan::parse(options.faults, options.seed);
    if (!faults) return faults.error();
    const bool negative = options.tokens_per_minute < 0 || options.requests_per_minute < 0 ||
                          options.latency < Duration::zero() || options.latency_jitter < Duration::zero();
    if (negative) return Error{Errc::invalid_input, "a limit or latency of the simulator is negative"};
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
    std::string deployment;
    const Route route = route_of(request.segments, deployment);
    if (route == Route::health) co_return json_answer(200, R"({"status":"ok"})");
    if (route == Route::stats) co_return stats_answer();
    if (!is_allowed(request)) co_return wrong_key(options_.azure || !deployment.empty());
    const std::string_view method = route == Route::embed ? "POST" : "GET";
    if (route != Route::none && request.method != method) {
        co_return openai_error(405, "invalid_request_error", "", "",
                               "Only " + std::string(method) + " is allowed");
    }
    if (route == Route::models) co_return models();
    if (route == Route::embed) co_return co_await embed(std::move(request), std::move(deployment));
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

asio::awaitable<Response> Simulator::embed(Request request, std::string deployment) {
    const std::string id = "req_" + std::to_string(++stats_.calls);
    const bool azure = options_.azure || !deployment.empty();
    const auto read = read_embedding_call(request.body, deployment, options_);
    const auto* call = std::get_if<EmbeddingCall>(&read);
    const Fault fault = call ? faults_.next() : Fault{};
    co_await delay();
    Response response;
    if (call == nullptr) {
        ++stats_.refused;
        requests_.use(1, clock_.now());
        response = std::get<Response>(read);
    } else if (fault.kind != Fault::Kind::none) {
        response = fail(fault, *call, azure);
    } else {
        response = admit(*call, azure);
    }
    add_rate_headers(response, azure);
    response.headers.emplace_back("x-request-id", id);
    co_return response;
}

asio::awaitable<void> Simulator::delay() {
    stats_.at_once_max = std::max(stats_.at_once_max, ++at_once_);
    Duration latency = options_.latency;
    if (options_.latency_jitter > Duration::zero()) {
        const double share = static_cast<double>(random_() >> 11) * 0x1p-53;
        latency +=
            Duration(static_cast<std::int64_t>(share * static_cast<double>(options_.latency_jitter.count())));
    }
    if (latency > Duration::zero()) co_await clock_.sleep_for(latency);
    --at_once_;
}

Response Simulator::admit(const EmbeddingCall& call, bool azure) {
    const TimePoint now = clock_.now();
    const auto tokens = static_cast<std::int64_t>(call.tokens);
    const Duration for_requests = requests_.wait_for(1, now);
    if (for_requests > Duration::zero()) return throttle(call, "requests", for_requests, azure);
    const Duration for_tokens = tokens_.wait_for(tokens, now);
    if (for_tokens > Duration::zero()) return throttle(call, "tokens", for_tokens, azure);
    requests_.use(1, now);
    tokens_.use(tokens, now);
    return paid(call);
}

Response Simulator::throttle(const EmbeddingCall& call, std::string_view what, Duration wait, bool azure) {
    ++stats_.throttled;
    Response response;
    if (azure) {
        response =
            openai_error(429, "", "", "429",
                         "Requests to the Embeddings_Create Operation under Azure OpenAI API have exceeded " +
                             std::string(what == "tokens" ? "token" : "call") +
                             " rate limit of your current pricing tier. Please retry after " +
                             std::to_string(whole_seconds(wait)) + " seconds.");
    } else {
        const SlidingWindow& window = what == "tokens" ? tokens_ : requests_;
        const std::size_t requested = what == "tokens" ? call.tokens : 1;
        response =
            openai_error(429, what, "", "rate_limit_exceeded",
                         "Rate limit reached for " + call.model + " on " + std::string(what) +
                             " per min: Limit " + std::to_string(window.limit()) + ", Requested " +
                             std::to_string(requested) + ". Please try again in " + go_duration(wait) + ".");
    }
    add_retry_headers(response, wait);
    return response;
}

Response Simulator::paid(const EmbeddingCall& call) {
    ++stats_.answered;
    stats_.inputs += call.inputs.size();
    stats_.tokens += call.tokens;
    return json_answer(200, embedding_answer(call));
}

Response Simulator::fail(Fault fault, const EmbeddingCall& call, bool azure) {
    using Kind = Fault::Kind;
    ++stats_.faults;
    Response response;
    // A slow or cut answer is a real one, quota and price included; the others cost a request.
    const bool real = fault.kind == Kind::slow || fault.kind == Kind::cut;
    if (real)
        response = admit(call, azure);
    else
        requests_.use(1, clock_.now());
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
        case Kind::cut: response.delivery = Delivery::cut; break;
        case Kind::slow:
            response.delivery = Delivery::slow;
            response.pause = kSlowPause;
            break;
        case Kind::none: break;
    }
    return response;
}

void Simulator::add_retry_headers(Response& response, Duration wait) const {
    response.headers.emplace_back("retry-after-ms", std::to_string(wait.count()));
    response.headers.emplace_back("retry-after", std::to_string(whole_seconds(wait)));
}

void Simulator::add_rate_headers(Response& response, bool azure) {
    const TimePoint now = clock_.now();
    for (const std::string name : {"requests", "tokens"}) {
        SlidingWindow& window = name == "tokens" ? tokens_ : requests_;
        if (window.limit() == 0) continue;
        response.headers.emplace_back("x-ratelimit-limit-" + name, std::to_string(window.limit()));
        response.headers.emplace_back("x-ratelimit-remaining-" + name, std::to_string(window.remaining(now)));
        // Azure says nothing of resets on success and whole seconds on a 429.
        const Duration reset = window.reset(now);
        if (!azure)
            response.headers.emplace_back("x-ratelimit-reset-" + name, go_duration(reset));
        else if (response.status == 429) {
            response.headers.emplace_back("x-ratelimit-reset-" + name, std::to_string(whole_seconds(reset)));
        }
    }
}

}  // namespace millrace::http
