// Documents and operations: accepted here, looked up here, removed here.
#include "http/acceptance.hpp"
#include "http/document_body.hpp"
#include "http/dry_run.hpp"
#include "http/json_text.hpp"
#include "http/views.hpp"

#include <boost/json/array.hpp>

namespace millrace::http {

namespace {

json::array views_of(const std::vector<work::DocumentView>& documents) {
    json::array views;
    for (const auto& document : documents) views.push_back(view_of(document));
    return views;
}

/// Adds what the whole request takes.
void add(work::DocumentEstimate& sum, const work::DocumentEstimate& one) {
    sum.add(one);
    sum.chunks += one.chunks;
    sum.cached_chunks += one.cached_chunks;
}

json::object with_name(const std::string& id, const work::DocumentEstimate& estimate) {
    json::object view;
    if (!id.empty()) view["id"] = id;
    for (auto& member : view_of(estimate)) view[member.key()] = std::move(member.value());
    if (!estimate.error.empty()) view["error"] = estimate.error;
    return view;
}

asio::awaitable<Response> dry_run(Context context, DocumentBody body) {
    if (!context->options.estimate_document) co_return problem(404, "documents are not worked on here");
    const auto place = enter_dry_run(context);
    if (!place) co_return dry_runs_are_many();
    const TimePoint end = context->parts.clock.now() + kDryRunTimeMax;
    json::array list;
    work::DocumentEstimate sum;
    std::int64_t failed = 0;
    for (work::NewDocument& document : body.documents) {
        if (context->parts.clock.now() > end)
            co_return problem(413, "so much at once takes too long; send fewer documents to a dry run");
        const std::string id = document.id;
        const auto estimate = co_await context->options.estimate_document(std::move(document));
        add(sum, estimate);
        failed += estimate.error.empty() ? 0 : 1;
        list.push_back(with_name(id, estimate));
    }
    auto loads = sum.loads;
    const Timing timing = co_await timing_of(context, std::move(loads));
    json::object total = body.is_list ? view_of(sum) : std::move(list.front().get_object());
    total["documents"] = body.documents.size();
    total["failing"] = failed;
    add_timing(total, timing);
    if (!body.is_list) co_return json_answer(200, json_text(total));
    const json::object answer{{"documents", std::move(list)}, {"total", std::move(total)}};
    co_return json_answer(200, json_text(answer));
}

}  // namespace

asio::awaitable<Response> post_documents(Context context, Call call) {
    AcceptedForm form;
    form.base = base_url(call.request.header("Host"), call.request.scheme());
    form.collection = "/v1/documents/";
    if (auto wrong = unknown_parameter(call.request, {"id", "title", "category", "uploadedAt", "filename",
                                                      "tenant", "priority", "dryRun"}))
        co_return problem(*wrong);
    const auto dry = dry_run_asked(call.request);
    if (!dry) co_return problem(dry.error());
    const auto request = std::make_shared<const Request>(std::move(call.request));
    auto submission = co_await read_where_it_fits(context, request, read_documents);
    if (!submission) co_return problem(submission.error());
    form.is_list = submission->body.is_list;
    if (*dry) co_return co_await dry_run(context, std::move(submission->body));

    std::shared_ptr<const work::Idempotency> idempotency;
    if (submission->key) {
        auto earlier = co_await replay(context, *submission->key);
        if (earlier) co_return std::move(*earlier);
        idempotency = remember(*submission->key, form);
    }
    std::vector<std::string> categories;
    const auto trace = TraceContext::parse(request->header("traceparent"));
    for (auto& document : submission->body.documents) {
        categories.push_back(document.category);
        document.trace = trace;
    }
    auto accepted =
        co_await context->parts.documents.accept(std::move(submission->body.documents), idempotency);
    if (!accepted && accepted.error().code == Errc::conflict && submission->key) {
        // The request that held the key has ended meanwhile: its answer is there now.
        auto earlier = co_await replay(context, *submission->key);
        if (earlier) co_return std::move(*earlier);
    }
    if (!accepted) co_return problem(accepted.error());
    for (const std::string& category : categories)
        context->parts.metrics.add(telemetry::metric::documents_accepted, {category});
    co_return accepted_answer(*accepted, form);
}

asio::awaitable<Response> list_documents(Context context, Call call) {
    if (auto wrong = unknown_parameter(call.request, {"category", "status", "after", "limit"}))
        co_return problem(*wrong);
    const auto limit = integer_parameter(call.request, "limit", 1, limits::page_items_max, 100);
    if (!limit) co_return problem(limit.error());
    work::DocumentFilter filter;
    filter.category = call.request.parameter("category");
    filter.status = call.request.parameter("status");
    filter.after = call.request.parameter("after");
    if (!filter.status.empty() && !work::parse_status(filter.status))
        co_return problem(400, "?status must be accepted, running, succeeded or failed");
    // One more than asked for tells whether there is a next page.
    const auto page = static_cast<std::size_t>(*limit);
    filter.items_max = page + 1;
    auto documents = co_await context->parts.documents.list(std::move(filter));
    json::object body;
    const bool more = documents.size() > page;
    if (more) documents.resize(page);
    body["documents"] = views_of(documents);
    body["next"] = more ? json::value(documents.back().id) : json::value(nullptr);
    co_return json_answer(200, json_text(body));
}

asio::awaitable<Response> get_document(Context context, Call call) {
    auto found = co_await context->parts.documents.find(call.arguments.front());
    if (!found) co_return problem(found.error());
    co_return json_answer(200, json_text(view_of(*found)));
}

asio::awaitable<Response> delete_document(Context context, Call call) {
    const std::string id = call.arguments.front();
    auto found = co_await context->parts.documents.find(id);
    if (!found) co_return problem(found.error());
    auto blobs = std::make_shared<std::vector<std::string>>();
    index::AlsoWrite rows = [id, blobs](store::Connection& connection) -> Result<void> {
        *blobs = work::records::remove_document(connection, id);
        return {};
    };
    auto removed = co_await context->parts.index.remove(id, std::move(rows));
    if (!removed) co_return problem(removed.error());
    context->parts.operations.changed(id);
    co_await context->parts.documents.remove_blobs(std::move(*blobs));
    Response response;
    response.status = 204;
    co_return response;
}

asio::awaitable<Response> get_operation(Context context, Call call) {
    if (auto wrong = unknown_parameter(call.request, {"wait"})) co_return problem(*wrong);
    const auto wait = integer_parameter(call.request, "wait", 0, 86400, 0);
    if (!wait) co_return problem(wait.error());
    const Duration time = std::min<Duration>(std::chrono::seconds(*wait), limits::long_poll_time_max);
    auto found = co_await context->parts.operations.wait(call.arguments.front(), time);
    if (!found) co_return problem(found.error());
    Response response = json_answer(200, json_text(view_of(*found)));
    if (!found->ended()) response.headers.emplace_back("Retry-After", kPollSeconds);
    co_return response;
}

}  // namespace millrace::http
