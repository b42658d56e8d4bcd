// The table of routes and what their functions share. Only for http/api*.cpp.
#pragma once

#include "http/api.hpp"
#include "http/rejection.hpp"
#include "http/work_watch.hpp"

#include <set>
#include <string>
#include <vector>

namespace millrace::http {

/// What all routes share; lives as long as the Api or the longest request.
struct Api::State {
    State(asio::any_io_executor executor, ApiParts given, ApiOptions chosen)
        : io(std::move(executor)), parts(given), options(std::move(chosen)), watch(options.stuck_after) {}

    asio::any_io_executor io;
    ApiParts parts;
    ApiOptions options;
    WorkWatch watch;
    std::function<void(telemetry::Metrics&)> collect;
    std::set<std::string> creating;   ///< entities whose creation is under way, in lower case
    std::set<std::string> redriving;   ///< queues with a redrive under way that goes on by itself
    int dry_runs = 0;   ///< under way
    std::shared_ptr<asio::steady_timer> watch_timer;
    bool ready = false;
    bool stopped = false;
};

using Context = std::shared_ptr<Api::State>;

/// One request on its way to a route.
struct Call {
    Request request;
    std::vector<std::string> arguments;   ///< of the route's pattern
};

using RouteFunction = asio::awaitable<Response> (*)(Context context, Call call);

// api_documents.cpp
asio::awaitable<Response> post_documents(Context context, Call call);
asio::awaitable<Response> list_documents(Context context, Call call);
asio::awaitable<Response> get_document(Context context, Call call);
asio::awaitable<Response> delete_document(Context context, Call call);
asio::awaitable<Response> get_operation(Context context, Call call);
// api_tasks.cpp
asio::awaitable<Response> post_tasks(Context context, Call call);
asio::awaitable<Response> get_task(Context context, Call call);
// api_search.cpp
asio::awaitable<Response> post_search(Context context, Call call);
// api_queues.cpp
asio::awaitable<Response> list_queues(Context context, Call call);
asio::awaitable<Response> get_queue(Context context, Call call);
asio::awaitable<Response> list_messages(Context context, Call call);
asio::awaitable<Response> redrive_dead_letters(Context context, Call call);
asio::awaitable<Response> drop_dead_letters(Context context, Call call);
// api_quota.cpp
asio::awaitable<Response> get_quota(Context context, Call call);
// api_files.cpp
asio::awaitable<Response> post_file(Context context, Call call);
asio::awaitable<Response> list_files(Context context, Call call);
asio::awaitable<Response> get_file(Context context, Call call);
asio::awaitable<Response> get_file_content(Context context, Call call);
asio::awaitable<Response> delete_file(Context context, Call call);
// api_batches.cpp
asio::awaitable<Response> post_batch(Context context, Call call);
asio::awaitable<Response> list_batches(Context context, Call call);
asio::awaitable<Response> get_batch(Context context, Call call);
asio::awaitable<Response> cancel_batch(Context context, Call call);
// api_health.cpp
asio::awaitable<Response> get_metrics(Context context, Call call);
asio::awaitable<Response> get_health(Context context, Call call);
asio::awaitable<Response> get_readiness(Context context, Call call);
asio::awaitable<Response> get_status_page(Context context, Call call);

/// True if the request shows one of the configured API keys.
bool shows_api_key(const Api::State& state, const Request& request);

/// The counts of worked queues go into the watch.
void look_at_work(Api::State& state);

/// The query parameter `name` as a number between `min` and `max`, or `otherwise` if it is absent; 400 if it
/// is none.
Checked<std::int64_t> integer_parameter(const Request& request, std::string_view name, std::int64_t min,
                                        std::int64_t max, std::int64_t otherwise);

/// 400 for a parameter that is none of `known`.
std::optional<Rejection> unknown_parameter(const Request& request,
                                           std::initializer_list<std::string_view> known);

}  // namespace millrace::http
