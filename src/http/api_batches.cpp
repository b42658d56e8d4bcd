// OpenAI's /v1/batches.
#include "http/api_routes.hpp"
#include "http/dry_run.hpp"
#include "http/idempotency.hpp"
#include "http/json_fields.hpp"
#include "http/json_text.hpp"
#include "http/openai_shape.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>

namespace millrace::http {

namespace {

constexpr std::int64_t kListMax = 100;
constexpr std::int64_t kListDefault = 20;
constexpr std::size_t kPairsMax = 16;
constexpr std::size_t kKeyCharsMax = 64;
constexpr std::size_t kValueCharsMax = 512;

json::value text_or_null(const std::string& text) { return text.empty() ? json::value() : json::value(text); }

json::value parsed_or_null(const std::string& text) {
    boost::system::error_code bad;
    json::value value = json::parse(text, bad);
    return bad ? json::value() : value;
}

json::value errors_of(const batch::BatchRow& row) {
    json::value errors = parsed_or_null(row.errors);
    if (!errors.is_array()) return nullptr;
    return json::object{{"object", "list"}, {"data", std::move(errors)}};
}

json::object usage_json(const provider::Usage& usage) {
    return {{"input_tokens", usage.prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
            {"output_tokens", usage.completion_tokens},
            {"output_tokens_details", {{"reasoning_tokens", 0}}},
            {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

json::object view_of(const batch::BatchRow& row) {
    return {{"id", row.id},
            {"object", "batch"},
            {"endpoint", row.shown_endpoint},
            {"model", text_or_null(row.model)},
            {"errors", errors_of(row)},
            {"input_file_id", row.input_file},
            {"completion_window", row.completion_window},
            {"status", to_string(row.status)},
            {"output_file_id", text_or_null(row.output_file)},
            {"error_file_id", text_or_null(row.error_file)},
            {"created_at", seconds_or_null(row.created_at)},
            {"in_progress_at", seconds_or_null(row.in_progress_at)},
            {"expires_at", seconds_or_null(row.expires_at)},
            {"finalizing_at", seconds_or_null(row.finalizing_at)},
            {"completed_at", seconds_or_null(row.completed_at)},
            {"failed_at", seconds_or_null(row.failed_at)},
            {"expired_at", seconds_or_null(row.expired_at)},
            {"cancelling_at", seconds_or_null(row.cancelling_at)},
            {"cancelled_at", seconds_or_null(row.cancelled_at)},
            {"request_counts",
             {{"total", row.total}, {"completed", row.counts.completed}, {"failed", row.counts.failed}}},
            {"usage", usage_json(row.counts.usage)},
            {"metadata", parsed_or_null(row.metadata)}};
}

/// A problem with one member of the request.
struct Wrong {
    std::string message;
    std::string param;
};

std::optional<Wrong> read_metadata(const json::object& body, batch::NewBatch& batch) {
    const json::value* found = body.if_contains("metadata");
    if (found == nullptr || found->is_null()) return std::nullopt;
    const Wrong wrong{"metadata holds at most 16 texts of 512 characters under names of 64", "metadata"};
    if (!found->is_object() || found->get_object().size() > kPairsMax) return wrong;
    for (const auto& [key, value] : found->get_object()) {
        const bool good = key.size() <= kKeyCharsMax && value.is_string() &&
                          value.get_string().size() <= 4 * kValueCharsMax;
        if (!good) return wrong;
        if (key == "tenant") batch.tenant = std::string(value.get_string());
    }
    batch.metadata = json::serialize(*found);
    return std::nullopt;
}

std::optional<Wrong> read_kept(const json::object& body, batch::NewBatch& batch) {
    const json::value* found = body.if_contains("output_expires_after");
    if (found == nullptr || found->is_null()) return std::nullopt;
    const Wrong wrong{"output_expires_after is {\"anchor\": \"created_at\", \"seconds\": 3600 to 2592000}",
                      "output_expires_after"};
    if (!found->is_object()) return wrong;
    const json::value* anchor = found->get_object().if_contains("anchor");
    const json::value* seconds = found->get_object().if_contains("seconds");
    if (anchor == nullptr || *anchor != "created_at" || seconds == nullptr || !seconds->is_int64())
        return wrong;
    const std::int64_t number = seconds->get_int64();
    if (number < limits::file_kept_time_min.count() / 1000 ||
        number > limits::file_kept_time_max.count() / 1000)
        return wrong;
    batch.output_kept = std::chrono::seconds(number);
    return std::nullopt;
}

/// The member `name` as a text; a problem if it is missing.
std::optional<Wrong> read_text(const json::object& body, std::string_view name, std::string& text) {
    const json::value* found = body.if_contains(name);
    if (found == nullptr || !found->is_string() || found->get_string().empty())
        return Wrong{"you must provide " + std::string(name), std::string(name)};
    text = std::string(found->get_string());
    return std::nullopt;
}

std::optional<Wrong> read_batch(const Request& request, batch::NewBatch& batch) {
    auto parsed = parse_json(request.body);
    if (!parsed) return Wrong{parsed.error().detail, ""};
    if (!parsed->is_object()) return Wrong{"the body is a JSON object", ""};
    const json::object& body = parsed->get_object();
    if (auto wrong = read_text(body, "input_file_id", batch.input_file)) return wrong;
    if (auto wrong = read_text(body, "endpoint", batch.endpoint)) return wrong;
    if (auto wrong = read_text(body, "completion_window", batch.completion_window)) return wrong;
    if (auto wrong = read_metadata(body, batch)) return wrong;
    if (auto wrong = read_kept(body, batch)) return wrong;
    batch.deployment = request.parameter("deployment");
    return std::nullopt;
}

/// The member of the request that an error of `create` is about.
std::string_view param_of(const Error& error) {
    if (error.code == Errc::not_found) return "input_file_id";
    for (const std::string_view name : {"endpoint", "completion_window", "input_file_id"})
        if (error.detail.starts_with(name)) return name;
    return {};
}

asio::awaitable<Response> estimate(Context context, batch::NewBatch batch) {
    const auto place = enter_dry_run(context);
    if (!place) co_return openai_problem(dry_runs_error());
    auto estimating = context->parts.batches->estimate(std::move(batch));
    const auto estimate = co_await std::move(estimating);
    if (!estimate) co_return openai_problem(estimate.error(), param_of(estimate.error()));
    const batch::Validation& found = estimate->validation;
    json::array errors;
    for (const auto& problem : found.problems)
        errors.push_back(
            json::object{{"code", problem.code},
                         {"message", problem.message},
                         {"param", text_or_null(problem.param)},
                         {"line", problem.line > 0 ? json::value(problem.line) : json::value()}});
    const double cost = static_cast<double>(estimate->micros_max) / 1'000'000;
    work::Loads loads;
    if (!found.deployment.empty())
        loads[found.deployment] = {found.lines, found.tokens.prompt + found.tokens.output};
    const Timing timing = co_await timing_of(context, std::move(loads));
    const json::object body{{"object", "batch.estimate"},
                            {"model", text_or_null(found.model)},
                            {"deployment", text_or_null(found.deployment)},
                            {"requests", found.lines},
                            {"input_tokens", found.tokens.prompt},
                            {"output_tokens_max", found.tokens.output},
                            {"cost_max", cost},
                            {"seconds_min", static_cast<double>(estimate->time_min.count()) / 1000},
                            {"backlog_seconds", timing.backlog_json()},
                            {"seconds_until_done", timing.done_json()},
                            {"errors", errors.empty() ? json::value() : json::value(std::move(errors))}};
    co_return json_answer(200, json_text(body));
}

/// Notes the answer to a key in the transaction that creates the batch.
batch::Batches::AlsoWrite remember(const IdempotencyKey& key, TimePoint now) {
    return [key, now](store::Connection& connection, const batch::BatchRow& row) -> Result<void> {
        const Response answer = json_answer(200, json_text(view_of(row)));
        connection
            .prepare(
                "INSERT INTO idempotency (key, fingerprint, status, answer, stored) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING")
            .bind(key.key, key.fingerprint, 200, serialize_answer(answer), to_millis(now))
            .run();
        if (connection.changes() == 1) return {};
        return Error{Errc::conflict, "this Idempotency-Key is being used by another request"};
    };
}

}  // namespace

asio::awaitable<Response> post_batch(Context context, Call call) {
    batch::NewBatch batch;
    if (auto wrong = read_batch(call.request, batch))
        co_return openai_problem(400, wrong->message, wrong->param);
    if (call.request.parameter("dryRun") == "true") {
        auto estimating = estimate(context, std::move(batch));
        co_return co_await std::move(estimating);
    }
    std::string_view caller = call.request.header("Authorization");
    if (caller.empty()) caller = call.request.header("api-key");
    auto key = idempotency_key(call.request, caller);
    if (!key) co_return openai_problem(key.error().status, key.error().detail);
    batch::Batches::AlsoWrite also;
    if (*key) {
        const auto earlier = co_await context->parts.documents.stored_answer((*key)->key);
        if (earlier && earlier->fingerprint != (*key)->fingerprint)
            co_return openai_problem(422, "this Idempotency-Key was used for another request");
        if (earlier) co_return parse_answer(earlier->status, earlier->answer);
        also = remember(**key, context->parts.clock.now());
    }
    auto creating = context->parts.batches->create(std::move(batch), std::move(also));
    const auto row = co_await std::move(creating);
    if (!row) co_return openai_problem(row.error(), param_of(row.error()));
    co_return json_answer(200, json_text(view_of(*row)));
}

asio::awaitable<Response> list_batches(Context context, Call call) {
    const auto limit = integer_parameter(call.request, "limit", 1, kListMax, kListDefault);
    if (!limit) co_return openai_problem(400, limit.error().detail, "limit");
    const auto page = static_cast<std::size_t>(*limit);
    std::string after(call.request.parameter("after"));
    auto listing = context->parts.batches->list(std::move(after), page + 1);
    auto found = co_await std::move(listing);
    const bool more = found.size() > page;
    if (more) found.resize(page);
    json::array data;
    for (const auto& row : found) data.push_back(view_of(row));
    co_return openai_list(std::move(data), more);
}

asio::awaitable<Response> get_batch(Context context, Call call) {
    const auto row = co_await context->parts.batches->find(call.arguments.front());
    if (!row) co_return openai_problem(row.error(), "batch_id");
    co_return json_answer(200, json_text(view_of(*row)));
}

asio::awaitable<Response> cancel_batch(Context context, Call call) {
    const auto row = co_await context->parts.batches->cancel(call.arguments.front());
    if (!row) co_return openai_problem(row.error(), "batch_id");
    co_return json_answer(200, json_text(view_of(*row)));
}

}  // namespace millrace::http
