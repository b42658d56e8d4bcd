// Search: the query's words and its vector against the index.
#include "http/api_routes.hpp"
#include "http/json_fields.hpp"
#include "http/json_text.hpp"
#include "http/views.hpp"

#include <boost/json/array.hpp>

#include <chrono>

namespace millrace::http {

namespace {

constexpr std::array<std::string_view, 5> kMembers = {"query", "top", "mode", "filter", "chunksPerDocument"};
constexpr std::array<std::string_view, 1> kFilterMembers = {"category"};
constexpr std::int64_t kTopDefault = 10;

struct ModeName {
    std::string_view name;
    index::Mode mode;
};
constexpr std::array kModes = {ModeName{"hybrid", index::Mode::hybrid},
                               ModeName{"vector", index::Mode::vector},
                               ModeName{"keyword", index::Mode::keyword}};

std::string_view name_of(index::Mode mode) {
    for (const auto& [name, value] : kModes)
        if (value == mode) return name;
    return "";
}

Checked<index::SearchRequest> read_search(const Request& request) {
    if (!is_json(request)) return Rejection{415, "send {\"query\": …} with Content-Type: application/json"};
    const auto value = parse_json(request.body);
    if (!value) return value.error();
    if (!value->is_object())
        return Rejection{400, "expected an object, found " + std::string(kind_of(*value))};
    JsonFields fields(value->get_object(), kMembers, "");
    index::SearchRequest search;
    search.query = fields.text("query", limits::query_bytes_max);
    if (search.query.find_first_not_of(" \t\r\n") == std::string::npos)
        fields.reject("query is missing or empty");
    search.top =
        static_cast<std::size_t>(fields.integer("top", 1, limits::search_top_max).value_or(kTopDefault));
    search.chunks_per_document_max =
        static_cast<std::size_t>(fields.integer("chunksPerDocument", 0, 1000).value_or(0));
    if (fields.has("mode")) {
        const std::string word = fields.text("mode", 20);
        const auto found =
            std::find_if(kModes.begin(), kModes.end(), [&](const auto& one) { return one.name == word; });
        if (found == kModes.end())
            fields.reject("mode must be hybrid, vector or keyword");
        else
            search.mode = found->mode;
    }
    if (const json::object* filter = fields.object("filter")) {
        JsonFields inner(*filter, kFilterMembers, "filter.");
        search.category = inner.text("category", limits::category_bytes_max);
        if (inner.rejection()) fields.reject(inner.rejection()->detail);
    }
    if (fields.rejection()) return *fields.rejection();
    return search;
}

Response provider_problem(const provider::Failure& failure) {
    const bool passing = failure.kind == provider::FailureKind::throttled ||
                         failure.kind == provider::FailureKind::transient ||
                         failure.kind == provider::FailureKind::unavailable;
    const unsigned status = failure.kind == provider::FailureKind::throttled ? 429 : passing ? 503 : 502;
    Response response = problem(status, "the query could not be embedded: " + failure.detail);
    if (!passing) return response;
    const Duration wait = failure.retry_after.value_or(std::chrono::seconds(2));
    response.headers.emplace_back("Retry-After", std::to_string((wait.count() + 999) / 1000));
    return response;
}

struct Answer {
    std::vector<index::SearchHit> hits;
    index::Mode mode;
    std::string warning;
    std::chrono::duration<double> time{};
};

std::string answer_body(const Answer& answer) {
    json::array results;
    for (const auto& hit : answer.hits) results.push_back(view_of(hit));
    json::object body{{"results", std::move(results)}, {"mode", name_of(answer.mode)}};
    if (!answer.warning.empty()) body["warning"] = answer.warning;
    body["tookMs"] = std::round(answer.time.count() * 1e5) / 100;
    return json_text(body);
}

}  // namespace

asio::awaitable<Response> post_search(Context context, Call call) {
    const auto start = std::chrono::steady_clock::now();
    auto search = read_search(call.request);
    if (!search) co_return problem(search.error());
    search->fusion = context->options.fusion;
    search->keyword_weight = context->options.keyword_weight;

    Answer answer;
    if (search->mode != index::Mode::keyword) {
        std::vector<std::string> inputs = {search->query};
        provider::CallContext caller;
        caller.trace = TraceContext::parse(call.request.header("traceparent"));
        auto embedded = co_await context->parts.provider.embed(std::move(inputs), std::move(caller));
        if (embedded) {
            search->vector = std::move(embedded->vectors.front());
            search->model =
                context->parts.provider.model().name + "/" + std::to_string(search->vector.size());
        } else if (search->mode == index::Mode::vector) {
            co_return provider_problem(embedded.error());
        } else {
            // Half an answer beats none: words need no model.
            search->mode = index::Mode::keyword;
            answer.warning =
                "keyword results only, the query could not be embedded: " + embedded.error().detail;
        }
    }
    answer.mode = search->mode;
    auto hits = co_await context->parts.index.search(std::move(*search));
    if (!hits) co_return problem(hits.error());
    answer.hits = std::move(*hits);
    answer.time = std::chrono::steady_clock::now() - start;
    context->parts.metrics.observe(telemetry::metric::search_duration, {name_of(answer.mode)},
                                   answer.time.count());
    co_return json_answer(200, answer_body(answer));
}

}  // namespace millrace::http
