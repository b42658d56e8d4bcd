#include "http/api.hpp"

#include "base/ids.hpp"
#include "base/nearest.hpp"
#include "http/api_administration.hpp"
#include "http/api_routes.hpp"
#include "http/openai_shape.hpp"
#include "http/page_guard.hpp"
#include "http/router.hpp"

#include <boost/asio/as_tuple.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace millrace::http {

namespace {

/// Whether a route asks for a key where keys are configured.
enum class Access { keyed, open };

struct Route {
    Pattern pattern;
    RouteFunction function;
    Access access = Access::keyed;
};

constexpr std::array kRoutes = {
    Route{{"POST", "/v1/documents"}, post_documents},
    Route{{"GET", "/v1/documents"}, list_documents},
    Route{{"GET", "/v1/documents/{id...}"}, get_document},
    Route{{"DELETE", "/v1/documents/{id...}"}, delete_document},
    Route{{"POST", "/v1/tasks"}, post_tasks},
    Route{{"GET", "/v1/tasks/{id...}"}, get_task},
    Route{{"GET", "/v1/operations/{id}"}, get_operation},
    Route{{"POST", "/v1/search"}, post_search},
    Route{{"GET", "/v1/queues"}, list_queues},
    Route{{"GET", "/v1/queues/{queue}"}, get_queue},
    Route{{"GET", "/v1/queues/{queue}/messages"}, list_messages},
    Route{{"POST", "/v1/queues/{queue}/dead-letters:redrive"}, redrive_dead_letters},
    Route{{"POST", "/v1/queues/{queue}/dead-letters:drop"}, drop_dead_letters},
    Route{{"GET", "/v1/quota"}, get_quota},
    Route{{"POST", "/v1/files"}, post_file},
    Route{{"GET", "/v1/files"}, list_files},
    Route{{"GET", "/v1/files/{id}"}, get_file},
    Route{{"GET", "/v1/files/{id}/content"}, get_file_content},
    Route{{"DELETE", "/v1/files/{id}"}, delete_file},
    Route{{"POST", "/v1/batches"}, post_batch},
    Route{{"GET", "/v1/batches"}, list_batches},
    Route{{"GET", "/v1/batches/{id}"}, get_batch},
    Route{{"POST", "/v1/batches/{id}/cancel"}, cancel_batch},
    Route{{"GET", "/metrics"}, get_metrics},
    Route{{"GET", "/healthz"}, get_health, Access::open},
    Route{{"GET", "/readyz"}, get_readiness, Access::open},
    Route{{"GET", "/"}, get_status_page},
};

constexpr auto kPatterns = [] {
    std::array<Pattern, kRoutes.size()> patterns{};
    for (std::size_t i = 0; i < kRoutes.size(); ++i) patterns[i] = kRoutes[i].pattern;
    return patterns;
}();

/// What stands around an upload: the fields beside it and their borders.
constexpr std::size_t kFormBytesMax = 1 * limits::kMiB;
constexpr Duration kWatchInterval = std::chrono::seconds(10);

/// The caller's key from "Authorization: Bearer KEY" or "api-key: KEY"; "" if there is none.
std::string_view key_of(const Request& request) {
    constexpr std::string_view scheme = "bearer ";
    const std::string_view authorization = request.header("Authorization");
    if (authorization.size() > scheme.size()) {
        const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
        if (std::equal(scheme.begin(), scheme.end(), authorization.begin(), same))
            return authorization.substr(scheme.size());
    }
    return request.header("api-key");
}

/// Compares with every key in full, so that the time tells nothing about which came near.
bool knows_key(const std::vector<std::string>& keys, std::string_view given) {
    const std::string hashed = sha256(given);
    bool known = false;
    for (const std::string& key : keys) known |= equal_constant_time(sha256(key), hashed);
    return known;
}

Response unauthorized(std::string_view given) {
    Response response =
        problem(401, given.empty() ? "an API key is needed: send Authorization: Bearer KEY or api-key: KEY"
                                   : "this API key is not known here");
    response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"millrace\"");
    return response;
}

Response no_route(const Match& match, const Request& request) {
    if (match.allowed.empty()) return problem(404, "there is nothing at " + request.path.substr(0, 200));
    Response response = problem(405, request.path.substr(0, 200) + " takes " + match.allowed);
    response.headers.emplace_back("Allow", match.allowed);
    return response;
}

bool may_call(const Api::State& state, Access access, std::string_view key) {
    return access == Access::open || state.options.api_keys.empty() || knows_key(state.options.api_keys, key);
}

/// Why a page may not ask, where no key tells it from its reader's own programs.
std::optional<std::string> page_problem(const Api::State& state, Access access, const Request& request) {
    if (access == Access::open || !state.options.api_keys.empty()) return std::nullopt;
    return foreign_page(request, state.options.host_names);
}

/// A request of the administration API: no route of the product has its path.
bool is_administration(const Match& match, const Request& request) {
    return match.row == Match::npos && match.allowed.empty() && is_administration(request);
}

asio::awaitable<Response> answer(Context context, Request request) {
    Match match = find_route(kPatterns, request);
    if (is_administration(match, request)) co_return co_await administration(context, std::move(request));
    const bool found = match.row != Match::npos;
    const std::string_view key = key_of(request);
    const Access access = found ? kRoutes[match.row].access : Access::keyed;
    if (auto problem_of_page = page_problem(*context, access, request))
        co_return problem(403, std::move(*problem_of_page));
    // Without a key a caller doesn't learn which routes there are.
    if (!may_call(*context, access, key)) co_return unauthorized(key);
    if (!found) co_return no_route(match, request);
    if (is_openai(request) && context->parts.files == nullptr)
        co_return problem(404, "there is nothing at " + request.path.substr(0, 200));
    Call call{std::move(request), std::move(match.arguments)};
    co_return co_await kRoutes[match.row].function(context, std::move(call));
}

/// As `answer`, in the shape that the caller knows.
asio::awaitable<Response> shaped_answer(Context context, Request request) {
    const bool openai = is_openai(request);
    auto answering = answer(std::move(context), std::move(request));
    Response response = co_await std::move(answering);
    co_return openai ? openai_answer(std::move(response)) : std::move(response);
}

/// As `answer`, measured. What a route throws is counted as the 500 that the server makes of it.
asio::awaitable<Response> measured_answer(Context context, Request request) {
    const auto start = std::chrono::steady_clock::now();
    to_openai_form(request);
    const Match match = find_route(kPatterns, request);
    const std::string_view route = is_administration(match, request) ? "administration"
                                   : match.row == Match::npos        ? "none"
                                                                     : kPatterns[match.row].path;
    const std::string method = match.row == Match::npos ? "other" : std::string(kPatterns[match.row].method);
    const auto observe = [&](unsigned status) {
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        context->parts.metrics.observe(telemetry::metric::http_requests,
                                       {method, route, std::to_string(status)}, time.count());
    };
    try {
        auto answering = shaped_answer(context, std::move(request));
        Response response = co_await std::move(answering);
        observe(response.status);
        co_return response;
    } catch (const MachineError& broken) {
        observe(status_of(broken));
        throw;
    }
}

asio::awaitable<void> watch_work(Context context, std::shared_ptr<asio::steady_timer> timer) {
    while (!context->stopped) {
        look_at_work(*context);
        timer->expires_after(kWatchInterval);
        constexpr auto token = asio::as_tuple(asio::use_awaitable);
        auto [cancelled] = co_await timer->async_wait(token);
        (void)cancelled;
    }
}

}  // namespace

Api::Api(asio::any_io_executor io, ApiParts parts, ApiOptions options)
    : state_(std::make_shared<State>(std::move(io), parts, std::move(options))) {}

Api::~Api() { stop(); }

Handler Api::handler() {
    return [context = state_](Request request) { return measured_answer(context, std::move(request)); };
}

std::optional<std::size_t> Api::upload_bytes_max(const Request& head) const {
    Request request = head;
    to_openai_form(request);
    const bool is_upload = request.method == "POST" && is_openai(request) && request.segments.size() == 2 &&
                           request.segments[1] == "files";
    if (!is_upload || !may_call(*state_, Access::keyed, key_of(request))) return std::nullopt;
    if (page_problem(*state_, Access::keyed, request)) return std::nullopt;
    return limits::file_bytes_max + kFormBytesMax;
}

void Api::start() {
    state_->watch_timer = std::make_shared<asio::steady_timer>(state_->io);
    spawn(state_->io, watch_work(state_, state_->watch_timer));
}

void Api::stop() {
    state_->stopped = true;
    if (state_->watch_timer) state_->watch_timer->cancel();
}

void Api::set_ready(bool ready) noexcept { state_->ready = ready; }

void Api::on_collect(std::function<void(telemetry::Metrics&)> collect) {
    state_->collect = std::move(collect);
}

bool shows_api_key(const Api::State& state, const Request& request) {
    return knows_key(state.options.api_keys, key_of(request));
}

void look_at_work(Api::State& state) {
    std::vector<broker::EntityCounts> counts;
    for (const std::string& queue : state.options.worked_queues) {
        auto one = state.parts.broker.counts(queue);
        if (one) counts.push_back(std::move(*one));
    }
    const bool held = state.options.work_is_held && state.options.work_is_held();
    state.watch.look(counts, state.parts.clock.now(), held);
}

Checked<std::int64_t> integer_parameter(const Request& request, std::string_view name, std::int64_t min,
                                        std::int64_t max, std::int64_t otherwise) {
    const std::string_view text = request.parameter(name);
    if (text.empty()) return otherwise;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    if (whole && number >= min && number <= max) return number;
    return Rejection{400, "?" + std::string(name) + " must be a whole number from " + std::to_string(min) +
                              " to " + std::to_string(max)};
}

std::optional<Rejection> unknown_parameter(const Request& request,
                                           std::initializer_list<std::string_view> known) {
    for (const auto& [name, value] : request.query) {
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        const std::vector<std::string_view> words(known);
        return Rejection{400, "unknown parameter \"" + name.substr(0, 100) + "\"" + hint(name, words)};
    }
    return std::nullopt;
}

}  // namespace millrace::http
