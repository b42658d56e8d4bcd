// Tasks: accepted here, priced here before they run, looked up here.
#include "http/acceptance.hpp"
#include "http/dry_run.hpp"
#include "http/json_text.hpp"
#include "http/task_body.hpp"
#include "http/views.hpp"

#include <boost/json/array.hpp>

namespace millrace::http {

namespace {

/// The first task that could never be worked on.
std::optional<Response> first_problem(const Api::State& state, const TaskBody& body) {
    for (std::size_t i = 0; i < body.tasks.size(); ++i) {
        const auto checked = state.options.check_task(body.tasks[i]);
        if (checked) continue;
        const std::string where = body.is_list ? "tasks[" + std::to_string(i) + "]: " : "";
        return problem(400, where + checked.error().detail);
    }
    return std::nullopt;
}

asio::awaitable<Response> dry_run(Context context, TaskBody body) {
    const auto place = enter_dry_run(context);
    if (!place) co_return dry_runs_are_many();
    const TimePoint end = context->parts.clock.now() + kDryRunTimeMax;
    json::array list;
    work::TaskEstimate sum;
    for (work::NewTask& task : body.tasks) {
        if (context->parts.clock.now() > end)
            co_return problem(413, "so much at once takes too long; send fewer tasks to a dry run");
        auto estimate = co_await context->options.estimate_task(std::move(task));
        if (!estimate) co_return problem(estimate.error());
        sum.add(*estimate);
        list.push_back(view_of(*estimate));
    }
    auto loads = sum.loads;
    const Timing timing = co_await timing_of(context, std::move(loads));
    json::object total = body.is_list ? view_of(sum) : std::move(list.front().get_object());
    add_timing(total, timing);
    if (!body.is_list) co_return json_answer(200, json_text(total));
    const json::object answer{{"tasks", std::move(list)}, {"total", std::move(total)}};
    co_return json_answer(200, json_text(answer));
}

Response not_here() { return problem(404, "tasks are not taken here"); }

}  // namespace

asio::awaitable<Response> post_tasks(Context context, Call call) {
    if (context->parts.tasks == nullptr) co_return not_here();
    if (auto wrong = unknown_parameter(call.request, {"dryRun"})) co_return problem(*wrong);
    const auto dry = dry_run_asked(call.request);
    if (!dry) co_return problem(dry.error());
    AcceptedForm form;
    form.base = base_url(call.request.header("Host"), call.request.scheme());
    form.collection = "/v1/tasks/";
    const auto request = std::make_shared<const Request>(std::move(call.request));
    auto submission = co_await read_where_it_fits(context, request, read_tasks);
    if (!submission) co_return problem(submission.error());
    form.is_list = submission->body.is_list;
    if (auto wrong = first_problem(*context, submission->body)) co_return std::move(*wrong);
    if (*dry) co_return co_await dry_run(context, std::move(submission->body));

    std::shared_ptr<const work::Idempotency> idempotency;
    if (submission->key) {
        auto earlier = co_await replay(context, *submission->key);
        if (earlier) co_return std::move(*earlier);
        idempotency = remember(*submission->key, form);
    }
    const auto trace = TraceContext::parse(request->header("traceparent"));
    for (auto& task : submission->body.tasks) task.trace = trace;
    auto accepted = co_await context->parts.tasks->accept(std::move(submission->body.tasks), idempotency);
    if (!accepted && accepted.error().code == Errc::conflict && submission->key) {
        // The request that held the key has ended meanwhile: its answer is there now.
        auto earlier = co_await replay(context, *submission->key);
        if (earlier) co_return std::move(*earlier);
    }
    if (!accepted) co_return problem(accepted.error());
    co_return accepted_answer(*accepted, form);
}

asio::awaitable<Response> get_task(Context context, Call call) {
    if (context->parts.tasks == nullptr) co_return not_here();
    auto found = co_await context->parts.tasks->find(call.arguments.front());
    if (!found) co_return problem(found.error());
    co_return json_answer(200, json_text(view_of(*found)));
}

}  // namespace millrace::http
