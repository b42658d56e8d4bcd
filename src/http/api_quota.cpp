// What each deployment allows and how much of it is used.
#include "http/api_routes.hpp"
#include "http/json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace millrace::http {

namespace json = boost::json;

namespace {

json::value limit_json(std::int64_t limit) { return limit > 0 ? json::value(limit) : json::value(nullptr); }

double seconds(Duration time) { return static_cast<double>(time.count()) / 1000; }

json::object to_json(const quota::PageView& view, TimePoint now) {
    const auto drain = view.drain(now);
    const bool frozen = view.frozen_until > now;
    return {{"deployment", view.deployment},
            {"tokensPerMinute", limit_json(view.tokens_per_minute)},
            {"requestsPerMinute", limit_json(view.requests_per_minute)},
            {"tokensUsed", view.tokens_used},
            {"requestsUsed", view.requests_used},
            {"tokensReserved", view.reserved},
            {"calls", view.calls},
            {"waitingCalls", view.waiting_calls},
            {"waitingTokens", view.waiting_tokens},
            {"drainSeconds", drain ? json::value(seconds(*drain)) : json::value(nullptr)},
            {"pausedSeconds", frozen ? seconds(view.frozen_until - now) : 0.0},
            {"throttledTotal", view.throttled_total},
            {"tokensToday", view.tokens_today},
            {"costToday", static_cast<double>(view.micros_today) / 1'000'000},
            {"processes", view.processes}};
}

}  // namespace

asio::awaitable<Response> get_quota(Context context, Call call) {
    if (auto wrong = unknown_parameter(call.request, {})) co_return problem(*wrong);
    std::vector<quota::PageView> views;
    if (context->options.quota) views = co_await context->options.quota();
    const TimePoint now = context->parts.clock.now();
    json::array deployments;
    for (const auto& view : views) deployments.emplace_back(to_json(view, now));
    const json::object body{{"deployments", std::move(deployments)}};
    co_return json_answer(200, json_text(body));
}

}  // namespace millrace::http
