#include "base/ids.hpp"
#include "base/utf8.hpp"
#include "handlers/embed_requests.hpp"
#include "handlers/outcomes.hpp"
#include "handlers/task_run.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

constexpr std::size_t kRefusalCharsMax = 200;
constexpr std::size_t kInputTokensUnknown =
    512;  ///< of one text, where a model does not tell how many it takes

/// What a call left behind, as it is remembered.
struct Remembered {
    std::string text;
    std::string model;
    provider::Usage usage;
    bool cut_off = false;
};

std::string to_text(const Remembered& one) {
    return json::serialize(json::object{{"text", one.text},
                                        {"model", one.model},
                                        {"prompt", one.usage.prompt_tokens},
                                        {"completion", one.usage.completion_tokens},
                                        {"cached", one.usage.cached_tokens},
                                        {"cutOff", one.cut_off}});
}

Remembered from_text(const std::string& text) {
    const json::value value = json::parse(text);
    const json::object& object = value.as_object();
    Remembered one;
    one.text = object.at("text").as_string();
    one.model = object.at("model").as_string();
    one.usage.prompt_tokens = object.at("prompt").to_number<std::int64_t>();
    one.usage.completion_tokens = object.at("completion").to_number<std::int64_t>();
    one.usage.cached_tokens = object.at("cached").to_number<std::int64_t>();
    one.cut_off = object.at("cutOff").as_bool();
    return one;
}

/// The same for the same question, another one for any other: what was asked before is not asked again, and
/// a changed prompt is.
std::string step_name(const std::string& step, const provider::CompletionRequest& request) {
    const std::string asked = request.instructions + '\0' + request.schema + '\0' + request.input + '\0' +
                              std::to_string(request.output_tokens_max);
    return step + "#" + sha256_hex(asked).substr(0, 16);
}

work::Outcome outcome_of(const TaskRun& run, provider::Failure failure) {
    if (failure.kind == provider::FailureKind::refused)
        failure.detail = first_characters(failure.detail, kRefusalCharsMax);
    return outcome_for(failure, run.delivery_count, run.age, run.services.jitter());
}

void add_cost(TaskRun& run, const TaskModel& model, const Remembered& one) {
    run.cost.model = one.model.empty() ? run.cost.model : one.model;
    run.cost.prompt_tokens += one.usage.prompt_tokens;
    run.cost.completion_tokens += one.usage.completion_tokens;
    run.cost.cached_tokens += one.usage.cached_tokens;
    run.cost.micros +=
        model.price.micros(one.usage.prompt_tokens, one.usage.completion_tokens, one.usage.cached_tokens);
}

using Called = std::variant<Remembered, work::Outcome>;

/// Runs one call as a step. `call` answers what is remembered; a failure goes into `failure`.
asio::awaitable<Called> remembered_call(TaskRun& run, const TaskModel& model, std::string step,
                                        work::Steps::Work call,
                                        const std::optional<provider::Failure>& failure) {
    const auto stored = co_await run.steps.run(std::move(step), std::move(call));
    if (failure) co_return outcome_of(run, *failure);
    if (!stored) co_return outcome_for(stored.error(), run.delivery_count, run.services.jitter());
    Remembered one = from_text(*stored);
    add_cost(run, model, one);
    co_return one;
}

asio::awaitable<Called> complete_once(TaskRun& run, const TaskModel& model, std::string step,
                                      const provider::CompletionRequest& request) {
    std::optional<provider::Failure> failure;
    work::Steps::Work call = [&]() -> asio::awaitable<Result<std::string>> {
        auto copy = request;
        auto context = run.context;
        auto answer = co_await model.provider->complete(std::move(copy), std::move(context));
        if (answer) {
            const Remembered one{answer->text, answer->model, answer->usage, false};
            co_return to_text(one);
        }
        if (answer.error().kind == provider::FailureKind::cut_off) {
            const Remembered one{"", "", answer.error().usage, true};
            co_return to_text(one);
        }
        failure = answer.error();
        co_return Error{Errc::unavailable, failure->detail};
    };
    std::string name = step_name(step, request);
    co_return co_await remembered_call(run, model, std::move(name), std::move(call), failure);
}

work::Outcome too_long(std::int64_t tokens) {
    return work::DeadLetter{work::reason::input_too_large,
                            "the answer has more than " + std::to_string(tokens) +
                                " tokens; raise output_tokens_max of the task, or send less text"};
}

/// An answer that is whole.
asio::awaitable<Called> complete_whole(TaskRun& run, const TaskModel& model, std::string step,
                                       provider::CompletionRequest request) {
    auto first = co_await complete_once(run, model, step, request);
    if (std::holds_alternative<work::Outcome>(first) || !std::get<Remembered>(first).cut_off) co_return first;
    request.output_tokens_max *= 2;
    std::string longer = step + "/longer";
    auto second = co_await complete_once(run, model, std::move(longer), request);
    const bool cut_off = std::holds_alternative<Remembered>(second) && std::get<Remembered>(second).cut_off;
    if (cut_off) co_return too_long(request.output_tokens_max);
    co_return second;
}

/// Notes how many calls are done, where there are several. Flushed with what comes next.
asio::awaitable<void> note_progress(TaskRun& run) {
    if (run.calls_total <= 1) co_return;
    auto work = [id = run.id, done = run.calls_done, total = run.calls_total,
                 now = run.services.clock.now()](store::Connection& connection) -> Result<void> {
        const work::VersionRef operation{id, 0};
        work::records::set_progress(connection, operation, done, total, now);
        return {};
    };
    auto noted = co_await run.services.database.write(std::move(work), store::Sync::written);
    (void)noted;
    run.services.operations.changed(run.id);
}

}  // namespace

asio::awaitable<TaskAnswer> ask(std::shared_ptr<TaskRun> run, const TaskModel& model, std::string step,
                                provider::CompletionRequest request, const JsonSchema* schema) {
    auto called = co_await complete_whole(*run, model, step, request);
    if (auto* outcome = std::get_if<work::Outcome>(&called)) co_return std::move(*outcome);
    std::string text = std::move(std::get<Remembered>(called).text);
    auto problem = schema == nullptr ? std::nullopt : schema->problem_in(text);
    if (problem) {
        request.instructions +=
            "\nAn earlier answer did not fit: " + *problem + ". Answer exactly as the schema asks.";
        std::string again = step + "/again";
        called = co_await complete_whole(*run, model, std::move(again), request);
        if (auto* outcome = std::get_if<work::Outcome>(&called)) co_return std::move(*outcome);
        text = std::move(std::get<Remembered>(called).text);
        problem = schema->problem_in(text);
    }
    if (problem)
        co_return work::DeadLetter{work::reason::malformed_result,
                                   "the model's answer does not fit the schema, twice: " + *problem};
    run->calls_done += 1;
    co_await note_progress(*run);
    co_return text;
}

namespace {

std::string vectors_text(const provider::Embeddings& embeddings) {
    json::array list;
    for (const auto& vector : embeddings.vectors) list.push_back(json::array(vector.begin(), vector.end()));
    return json::serialize(list);
}

/// The vectors of `inputs`, one request, remembered. A shorter answer than the request is a failure that is
/// tried again: what was paid for is little.
asio::awaitable<Called> embed_once(TaskRun& run, const TaskModel& model, std::string step,
                                   const std::vector<std::string>& inputs) {
    std::optional<provider::Failure> failure;
    work::Steps::Work call = [&]() -> asio::awaitable<Result<std::string>> {
        auto copy = inputs;
        auto context = run.context;
        auto answer = co_await model.provider->embed(std::move(copy), std::move(context));
        if (answer && answer->vectors.size() == inputs.size()) {
            const Remembered one{vectors_text(*answer), model.provider->model().name, answer->usage, false};
            co_return to_text(one);
        }
        failure = provider::Failure{provider::FailureKind::transient, 0, "not every text got its vector"};
        if (!answer) failure = answer.error();
        co_return Error{Errc::unavailable, failure->detail};
    };
    std::string all;
    for (const std::string& input : inputs) all += input + '\0';
    std::string name = step + "#" + sha256_hex(all).substr(0, 16);
    co_return co_await remembered_call(run, model, std::move(name), std::move(call), failure);
}

}  // namespace

std::vector<std::string> embed_pieces(const TaskModel& model, const std::string& text) {
    const std::size_t tokens_max = model.provider->model().tokens_per_input_max;
    return cut_text(text, tokens_max > 0 ? tokens_max : kInputTokensUnknown, counter_of(model));
}

asio::awaitable<TaskAnswer> embed_text(std::shared_ptr<TaskRun> run, const TaskModel& model,
                                       std::string place) {
    auto cut = [text = run->text, model] { return embed_pieces(model, *text); };
    const std::vector<std::string> pieces = co_await run->services.pool.run(std::move(cut));
    const TextAt text_at = [&pieces](std::size_t i) { return std::string_view(pieces[i]); };
    const provider::ModelInfo& info = model.provider->model();
    run->calls_total +=
        static_cast<std::int64_t>(count_requests(info, pieces.size(), pieces.size(), text_at));
    json::array vectors;
    for (std::size_t first = 0, count = 0; first < pieces.size(); first += count) {
        count = request_size(info, first, pieces.size() - first, text_at);
        const auto begin = pieces.begin() + static_cast<std::ptrdiff_t>(first);
        const std::vector<std::string> inputs(begin, begin + static_cast<std::ptrdiff_t>(count));
        std::string step = place + "embed/" + std::to_string(first);
        auto called = co_await embed_once(*run, model, std::move(step), inputs);
        if (auto* outcome = std::get_if<work::Outcome>(&called)) co_return std::move(*outcome);
        json::value list = json::parse(std::get<Remembered>(called).text);
        for (json::value& vector : list.as_array()) vectors.push_back(std::move(vector));
        run->calls_done += 1;
        co_await note_progress(*run);
    }
    const std::size_t dimensions = vectors.empty() ? 0 : vectors.front().as_array().size();
    co_return json::serialize(json::object{{"dimensions", dimensions}, {"vectors", std::move(vectors)}});
}

}  // namespace millrace::handlers
