// What operators and their tools ask: metrics, health, readiness, and a page for the eye.
#include "http/api_routes.hpp"
#include "http/json_text.hpp"
#include "http/status_page.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace millrace::http {

namespace json = boost::json;
namespace metric = telemetry::metric;

namespace {

void collect_queues(telemetry::Metrics& metrics, const broker::Broker& broker) {
    for (const auto& counts : broker.counts()) {
        const auto set = [&](std::string_view state, std::uint64_t value) {
            metrics.set(metric::queue_messages, {counts.name, state}, static_cast<double>(value));
        };
        set("active", counts.active);
        set("locked", counts.locked);
        set("scheduled", counts.scheduled);
        set("deferred", counts.deferred);
        set("dead_lettered", counts.dead_lettered);
        const Duration age = counts.oldest_age.value_or(Duration::zero());
        metrics.set(metric::queue_oldest_age, {counts.name}, static_cast<double>(age.count()) / 1000);
        metrics.set(metric::queue_size, {counts.name}, static_cast<double>(counts.bytes));
    }
}

void collect_store_and_index(telemetry::Metrics& metrics, const ApiParts& parts) {
    const auto writer = parts.database.stats();
    metrics.raise_to(metric::store_commits, {}, static_cast<double>(writer.commits));
    metrics.raise_to(metric::store_commands, {}, static_cast<double>(writer.commands));
    metrics.set(metric::store_waiting, {}, static_cast<double>(writer.waiting));
    const auto index = parts.index.stats();
    metrics.set(metric::index_documents, {}, static_cast<double>(index.documents));
    metrics.set(metric::index_chunks, {}, static_cast<double>(index.chunks));
    metrics.set(metric::index_vector_bytes, {}, static_cast<double>(index.bytes));
}

}  // namespace

asio::awaitable<Response> get_metrics(Context context, Call) {
    auto& metrics = context->parts.metrics;
    collect_queues(metrics, context->parts.broker);
    collect_store_and_index(metrics, context->parts);
    if (context->collect) context->collect(metrics);
    Response response;
    response.headers.emplace_back("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics.to_text();
    co_return response;
}

asio::awaitable<Response> get_health(Context context, Call) {
    look_at_work(*context);
    const auto stuck = context->watch.stuck(context->parts.clock.now());
    json::array queues;
    for (const auto& queue : stuck)
        queues.push_back({{"queue", queue.name},
                          {"waiting", queue.waiting},
                          {"secondsWithoutProgress", queue.since.count() / 1000}});
    json::object body{{"status", stuck.empty() ? "ok" : "stuck"}, {"version", MILLRACE_VERSION}};
    if (!stuck.empty()) body["stuck"] = std::move(queues);
    co_return json_answer(stuck.empty() ? 200 : 503, json_text(body));
}

asio::awaitable<Response> get_readiness(Context context, Call) {
    if (!context->ready) co_return problem(503, "starting or stopping; ask again");
    auto ask = [](store::Connection& connection) { return connection.integer("SELECT 1"); };
    std::int64_t one = co_await context->parts.database.read(ask);
    if (store::Database* const shared = context->parts.shared) one = co_await shared->read(ask);
    co_return json_answer(200, one == 1 ? "{\"status\":\"ready\"}" : "{\"status\":\"unknown\"}");
}

asio::awaitable<Response> get_status_page(Context, Call) {
    Response response;
    response.headers.emplace_back("Content-Type", "text/html; charset=utf-8");
    response.headers.emplace_back("Cache-Control", "no-store");
    response.headers.emplace_back(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
    response.headers.emplace_back("X-Content-Type-Options", "nosniff");
    response.body = status_page();
    co_return response;
}

}  // namespace millrace::http
