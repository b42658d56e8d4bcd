#include "handlers/tasks.hpp"

#include "base/deep_json.hpp"
#include "base/ids.hpp"
#include "base/nearest.hpp"
#include "handlers/embed_requests.hpp"
#include "handlers/outcomes.hpp"
#include "handlers/task_payload.hpp"
#include "handlers/task_run.hpp"
#include "work/trace.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <set>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

using work::DeadLetter;
using work::Done;
using work::Outcome;
using work::RetryAfter;
namespace records = work::records;

constexpr Duration kNotReadyPause = std::chrono::seconds(2);
constexpr Duration kTwinPause = std::chrono::seconds(1);

/// Shared by the coroutines of one handler.
struct TaskHandler {
    Services& services;
    const TaskParts& parts;
    std::set<std::string> running = {};  ///< ids of tasks at work in this process
};

json::object options_of(const work::NewTask& task) {
    boost::system::error_code error;
    json::value value = json::parse(task.options, error, {}, kDeepJson);
    return !error && value.is_object() ? std::move(value.as_object()) : json::object();
}

Error unknown_type(const TaskCatalogue& catalogue, const std::string& type) {
    const auto names = catalogue.names();
    const std::vector<std::string_view> known(names.begin(), names.end());
    return Error{Errc::not_found, "there is no task \"" + type + "\"" + hint(type, known)};
}

/// The kind of a task with its options. not_found: unknown type; invalid_input: the options.
struct Chosen {
    const TaskType* type = nullptr;
    TaskOptions options;
};
Result<Chosen> choose(const TaskParts& parts, const work::NewTask& task) {
    Chosen chosen;
    chosen.type = parts.catalogue.find(task.type);
    if (chosen.type == nullptr) return unknown_type(parts.catalogue, task.type);
    auto options = read_options(parts.catalogue, *chosen.type, options_of(task));
    if (!options) return options.error();
    chosen.options = std::move(*options);
    return chosen;
}

/// What the parts of a task need to be there: labels, deployments.
Result<void> check_type(const TaskParts& parts, const TaskType& type, const TaskOptions& options) {
    for (const std::string& step : type.steps) {
        auto checked = check_type(parts, *parts.catalogue.find(step), options);
        if (!checked) return checked;
    }
    if (type.shape == TaskShape::steps) return {};
    if (type.shape == TaskShape::classes && labels_for(type, options).empty())
        return Error{Errc::invalid_input,
                     "options: labels are missing: which are there to choose from? e.g. {\"labels\": [\"a\", "
                     "\"b\"]}"};
    auto model = parts.model(type.deployment, type.shape == TaskShape::embedding);
    if (!model) return Error{Errc::not_found, model.error().detail};
    return {};
}

asio::awaitable<Result<std::string>> text_of(Services& services, TaskPayload payload) {
    if (!payload.content_ref.empty()) {
        auto bytes = co_await get_blob(services, payload.content_ref);
        if (!bytes) co_return Error{Errc::not_found, "its content is not in the blob store any more"};
        co_return std::move(*bytes);
    }
    if (!payload.task.document_id.empty())
        co_return co_await document_text(services, payload.task.document_id);
    co_return std::move(payload.task.content);
}

/// Takes the task in hand: makes its rows where it came through a queue. Answers it as it is now.
asio::awaitable<Result<work::TaskView>> begin(Services& services, work::NewTask task) {
    const std::string operation = "op_" + to_hex(random_uuid());
    auto work = [task = std::move(task), operation,
                 now = services.clock.now()](store::Connection& connection) -> Result<work::TaskView> {
        records::add_task(connection, task, operation, now);
        auto known = records::find_task(connection, task.id);
        if (known->status != work::Status::succeeded)
            records::begin_task(connection, task.id, task.type, now);
        return std::move(*known);
    };
    co_return co_await services.database.write(std::move(work));
}

/// Ends the message; of a piece of a fan-out together with the piece. `place` is held until that is stored: a
/// message of the same id that came before would find neither a result nor steps, and pay again.
asio::awaitable<Outcome> complete(TaskHandler& self, std::optional<work::Piece> piece, std::string bringer,
                                  work::NewTask task, std::string result, std::optional<work::TaskCost> cost,
                                  std::shared_ptr<void> place) {
    Done done;
    if (piece) {
        auto finished = co_await self.parts.fan_out.finish(*piece, result, std::move(bringer));
        if (!finished) co_return outcome_for(finished.error(), 0, self.services.jitter());
        done = std::move(*finished);
    }
    auto blobs = std::make_shared<std::vector<std::string>>();
    if (cost) {
        done.with = [id = task.id, result = std::move(result), cost = *cost, blobs,
                     now = self.services.clock.now()](store::Connection& connection) -> Result<void> {
            records::finish_task(connection, id, result, cost, now);
            const work::VersionRef owner{work::task_owner(id), 0};
            *blobs = records::forget_blobs(connection, owner);
            return {};
        };
    }
    done.then = [&services = self.services, id = task.id, type = task.type, blobs, fresh = cost.has_value(),
                 place = std::move(place)] {
        services.operations.changed(id);
        if (fresh && services.observer.task_ended) services.observer.task_ended(type, true);
        services.tasks.start("remove blobs", services.documents.remove_blobs(*blobs));
    };
    co_return done;
}

/// Works on the task. The cost so far is in `cost` whatever becomes of it.
asio::awaitable<TaskAnswer> work_on(TaskHandler& self, const broker::Delivery& delivery, TaskPayload payload,
                                    work::TaskCost& cost) {
    auto chosen = choose(self.parts, payload.task);
    if (!chosen && chosen.error().code == Errc::not_found)
        co_return DeadLetter{work::reason::unknown_task_type, chosen.error().detail};
    if (!chosen) co_return dead_letter_for_payload(chosen.error());
    const auto checked = check_type(self.parts, *chosen->type, chosen->options);
    if (!checked && checked.error().code == Errc::not_found)
        co_return DeadLetter{work::reason::unknown_task_type, checked.error().detail};
    if (!checked) co_return dead_letter_for_payload(checked.error());

    const work::NewTask task = payload.task;
    auto text = co_await text_of(self.services, std::move(payload));
    if (!text && text.error().code == Errc::unavailable)
        co_return RetryAfter{kNotReadyPause, text.error().detail, false};
    if (!text) co_return DeadLetter{work::reason::malformed_payload, text.error().detail};
    provider::CallContext context;
    context.tenant = task.tenant;
    context.priority = task.batch ? provider::Priority::batch : provider::Priority::interactive;
    context.trace = work::trace_of(delivery.message);
    work::Steps steps(self.services.database, self.services.clock, work::task_owner(task.id));
    auto run = std::make_shared<TaskRun>(TaskRun{self.services, self.parts, std::move(steps),
                                                 std::move(chosen->options), std::move(context), task.id,
                                                 delivery.delivery_count});
    run->age = self.services.clock.now() - delivery.enqueued_at;
    run->text = std::make_shared<const std::string>(std::move(*text));
    std::string place;
    auto answer = co_await run_type(run, *chosen->type, std::move(place));
    cost = run->cost;
    co_return answer;
}

asio::awaitable<TaskAnswer> work_on_safely(TaskHandler& self, const broker::Delivery& delivery,
                                           TaskPayload payload, work::TaskCost& cost) {
    std::string failure;
    try {
        auto answer = co_await work_on(self, delivery, std::move(payload), cost);
        co_return answer;
    } catch (...) {
        failure = blame_of_exception();
    }
    co_return DeadLetter{work::reason::unexpected_exception, failure};
}

/// True if the newest failed attempt said the same: a task that waits for long is not told so each time.
bool was_last_attempt(store::Connection& connection, const std::string& id, const std::string& error) {
    const auto task = records::find_task(connection, id);
    const auto operation = task ? records::find_operation(connection, task->operation) : std::nullopt;
    return operation && operation->attempts.ends_with(json::serialize(json::string(error)) + "}]");
}

/// Puts what went wrong where the caller looks.
asio::awaitable<void> note(TaskHandler& self, const work::NewTask& task, const Outcome& outcome,
                           work::TaskCost cost) {
    const auto* dead = std::get_if<DeadLetter>(&outcome);
    const auto* retry = std::get_if<RetryAfter>(&outcome);
    const std::string error = dead != nullptr ? dead->reason + ": " + dead->description : retry->why;
    auto work = [id = task.id, type = task.type, error, failed = dead != nullptr, cost,
                 now = self.services.clock.now()](store::Connection& connection) -> Result<void> {
        const work::VersionRef operation{id, 0};
        if (failed)
            records::fail_task(connection, id, type, error, cost, now);
        else if (!was_last_attempt(connection, id, error))
            records::add_attempt(connection, operation, type, error, now);
        return {};
    };
    auto noted = co_await self.services.database.write(std::move(work));
    (void)noted;
    self.services.operations.changed(task.id);
    if (dead != nullptr && self.services.observer.task_ended)
        self.services.observer.task_ended(
            self.parts.catalogue.find(task.type) != nullptr ? task.type : "unknown", false);
}

asio::awaitable<Outcome> handle(std::shared_ptr<TaskHandler> self, broker::Delivery delivery) {
    auto payload = parse_task(delivery.message);
    if (!payload) co_return dead_letter_for_payload(payload.error());
    const work::NewTask task = payload->task;
    const auto piece = work::FanOut::piece_of(delivery.message);
    std::string bringer = work::FanOut::bringer_of(delivery);
    if (!self->running.insert(task.id).second)
        co_return RetryAfter{kTwinPause, "the task is being worked on by another message", false};
    const std::shared_ptr<void> place(nullptr, [self, id = task.id](void*) { self->running.erase(id); });

    work::NewTask rows = task;
    auto known = co_await begin(self->services, std::move(rows));
    if (!known) co_return outcome_for(known.error(), delivery.delivery_count, self->services.jitter());
    std::optional<work::TaskCost> paid;
    if (known->status == work::Status::succeeded)
        co_return co_await complete(*self, piece, std::move(bringer), task, known->result, paid, place);
    work::TaskCost cost;
    auto answer = co_await work_on_safely(*self, delivery, std::move(*payload), cost);
    if (auto* outcome = std::get_if<Outcome>(&answer)) {
        co_await note(*self, task, *outcome, cost);
        co_return std::move(*outcome);
    }
    std::string& result = std::get<std::string>(answer);
    paid.emplace(std::move(cost));
    co_return co_await complete(*self, piece, std::move(bringer), task, std::move(result), paid, place);
}

/// Texts of a task that are embedded, and their tokens.
struct ToEmbed {
    TaskModel model;
    std::vector<std::string> pieces;
    std::vector<std::int64_t> tokens;
};

work::Estimate estimate_of(const TaskModel& model, const CallCount& calls) {
    work::Estimate one{model.provider->model().name, calls.calls, calls.prompt_tokens,
                       calls.output_tokens_max,
                       model.price.micros(calls.prompt_tokens, calls.output_tokens_max)};
    if (calls.calls > 0)
        one.loads[model.deployment] = {calls.calls, calls.prompt_tokens + calls.output_tokens_max};
    return one;
}

/// Adds what `type` and its steps take on `text`; what they embed goes into `embeds`.
void add_estimate(const TaskParts& parts, const TaskType& type, const TaskOptions& options,
                  const std::string& text, work::TaskEstimate& sum, std::vector<ToEmbed>& embeds) {
    for (const std::string& step : type.steps)
        add_estimate(parts, *parts.catalogue.find(step), options, text, sum, embeds);
    if (type.shape == TaskShape::steps) return;
    const auto model = parts.model(type.deployment, type.shape == TaskShape::embedding);
    if (!model) return;
    const CountTokens count = counter_of(*model);
    std::vector<std::int64_t> tokens;
    if (type.shape == TaskShape::embedding) {
        auto pieces = embed_pieces(*model, text);
        for (const auto& piece : pieces) tokens.push_back(static_cast<std::int64_t>(count(piece)));
        embeds.push_back({*model, std::move(pieces), std::move(tokens)});
        return;
    }
    const CallBudget budget = budget_of(type, options, *model);
    for (const auto& piece : cut_text(text, static_cast<std::size_t>(budget.input_tokens), count))
        tokens.push_back(static_cast<std::int64_t>(count(piece)));
    sum.add(estimate_of(*model, count_calls(type.shape, tokens, budget)));
}

/// What is to be paid of that: pieces that the provider has a vector for cost nothing.
asio::awaitable<work::Estimate> estimate_embedding(ToEmbed embed) {
    std::vector<std::string> inputs = embed.pieces;
    const std::vector<bool> known = co_await embed.model.provider->known(std::move(inputs));
    const std::size_t count = embed.pieces.size();
    const TextAt text_at = [&embed](std::size_t i) { return std::string_view(embed.pieces[i]); };
    CallCount calls;
    calls.calls = static_cast<std::int64_t>(
        count_requests(embed.model.provider->model(), count, count, text_at, known));
    for (std::size_t i = 0; i < count; ++i) calls.prompt_tokens += known[i] ? 0 : embed.tokens[i];
    co_return estimate_of(embed.model, calls);
}

/// What `task` takes on the text that `payload` leads to.
asio::awaitable<Result<work::TaskEstimate>> estimate(Services& services, const TaskParts& parts,
                                                     TaskPayload payload) {
    const auto checked = check_task(parts, payload.task);
    if (!checked) co_return checked.error();
    const auto chosen = choose(parts, payload.task);
    auto text = co_await text_of(services, std::move(payload));
    if (!text) co_return text.error();
    std::vector<ToEmbed> embeds;
    auto count = [&parts, &chosen, &text, &embeds] {
        work::TaskEstimate sum;
        sum.type = chosen->type->name;
        add_estimate(parts, *chosen->type, chosen->options, *text, sum, embeds);
        return sum;
    };
    work::TaskEstimate sum = co_await services.pool.run(std::move(count));
    for (ToEmbed& embed : embeds) {
        const work::Estimate one = co_await estimate_embedding(std::move(embed));
        sum.add(one);
    }
    co_return sum;
}

}  // namespace

work::Handler make_task_handler(Services& services, const TaskParts& parts) {
    const auto self = std::make_shared<TaskHandler>(TaskHandler{services, parts});
    return [self](broker::Delivery delivery) { return handle(self, std::move(delivery)); };
}

Result<void> check_task(const TaskParts& parts, const work::NewTask& task) {
    const auto chosen = choose(parts, task);
    if (!chosen) return Error{Errc::invalid_input, chosen.error().detail};
    auto checked = check_type(parts, *chosen->type, chosen->options);
    if (!checked) return Error{Errc::invalid_input, checked.error().detail};
    return {};
}

std::set<std::string> answering_deployments(const TaskParts& parts) {
    std::set<std::string> deployments;
    for (const std::string& name : parts.catalogue.names()) {
        const TaskType& type = *parts.catalogue.find(name);
        if (type.shape == TaskShape::steps || type.shape == TaskShape::embedding) continue;
        const auto model = parts.model(type.deployment, false);
        if (model) deployments.insert(model->deployment);
    }
    return deployments;
}

asio::awaitable<Result<work::TaskEstimate>> estimate_task(Services& services, const TaskParts& parts,
                                                          work::NewTask task) {
    TaskPayload payload;
    payload.task = std::move(task);
    auto estimated = co_await estimate(services, parts, std::move(payload));
    co_return estimated;
}

asio::awaitable<Result<work::TaskEstimate>> estimate_task(Services& services, const TaskParts& parts,
                                                          broker::Message message) {
    auto payload = parse_task(message);
    if (!payload) co_return payload.error();
    auto look_up = [id = payload->task.id](store::Connection& connection) {
        const auto known = records::find_task(connection, id);
        return known && known->status == work::Status::succeeded;
    };
    const bool done = co_await services.database.read(std::move(look_up));
    if (done) co_return work::TaskEstimate();
    auto estimated = co_await estimate(services, parts, std::move(*payload));
    co_return estimated;
}

}  // namespace millrace::handlers
