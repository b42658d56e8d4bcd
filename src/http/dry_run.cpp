#include "http/dry_run.hpp"

#include <algorithm>

namespace millrace::http {

namespace {

constexpr int kDryRunsMax = 4;

/// What waits, beside what the view counts as waiting already: passages in line are among those staged.
/// Tasks in their queue are taken to be like the calls in line.
work::Load beyond(const work::Backlog& backlog, const quota::PageView& view) {
    work::Load load;
    const auto passages = backlog.passages.find(view.deployment);
    if (passages != backlog.passages.end()) {
        load.calls += std::max<std::int64_t>(0, passages->second.calls - view.waiting_calls);
        load.tokens += std::max<std::int64_t>(0, passages->second.tokens - view.waiting_tokens);
    }
    const auto tasks = backlog.tasks.find(view.deployment);
    if (tasks == backlog.tasks.end()) return load;
    load.calls += tasks->second;
    if (view.waiting_calls > 0) load.tokens += tasks->second * (view.waiting_tokens / view.waiting_calls);
    return load;
}

double seconds(Duration time) { return static_cast<double>(time.count()) / 1000; }

boost::json::value to_json(std::optional<double> seconds) {
    return seconds ? boost::json::value(*seconds) : boost::json::value(nullptr);
}

}  // namespace

Checked<bool> dry_run_asked(const Request& request) {
    const std::string_view asked = request.parameter("dryRun");
    if (!asked.empty() && asked != "true" && asked != "false")
        return Rejection{400, "?dryRun must be true or false"};
    return asked == "true";
}

std::shared_ptr<void> enter_dry_run(const Context& context) {
    if (context->dry_runs == kDryRunsMax) return nullptr;
    context->dry_runs += 1;
    return {context.get(), [context](void*) { context->dry_runs -= 1; }};
}

Error dry_runs_error() {
    return Error{Errc::over_limit, "other dry runs are under way; ask again when they have ended"};
}
Response dry_runs_are_many() { return problem(dry_runs_error()); }

asio::awaitable<Timing> timing_of(Context context, work::Loads loads) {
    if (loads.empty()) co_return Timing{0, 0};
    std::vector<quota::PageView> views;
    if (context->options.quota) views = co_await context->options.quota();
    work::Backlog backlog;
    if (context->options.backlog) backlog = co_await context->options.backlog();
    const TimePoint now = context->parts.clock.now();
    Timing longest;
    for (const quota::PageView& view : views) {
        const auto load = loads.find(view.deployment);
        if (load == loads.end()) continue;
        const work::Load before = beyond(backlog, view);
        const auto begin = view.drain(now, before.calls, before.tokens);
        const auto end =
            view.drain(now, before.calls + load->second.calls, before.tokens + load->second.tokens);
        if (begin && end && seconds(*end) >= longest.done.value_or(0))
            longest = {seconds(*begin), seconds(*end)};
    }
    co_return longest;
}

boost::json::value Timing::backlog_json() const { return to_json(backlog); }
boost::json::value Timing::done_json() const { return to_json(done); }

void add_timing(boost::json::object& view, const Timing& timing) {
    view["backlogSeconds"] = timing.backlog_json();
    view["secondsUntilDone"] = timing.done_json();
}

}  // namespace millrace::http
