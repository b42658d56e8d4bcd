#include "handlers/task_run.hpp"

#include "base/deep_json.hpp"
#include "base/join.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <map>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

using work::DeadLetter;
using work::Outcome;

constexpr std::size_t kCallsAtOnce = 64;  ///< of one task; the quota sets the pace
constexpr int kLevelsMax = 8;
constexpr char kNotesTask[] = "summarize";

/// A schema of this very request, or null for free text.
std::shared_ptr<const JsonSchema> schema_of(const TaskType& type, const std::string& text) {
    if (text.empty()) return nullptr;
    if (text == type.schema && type.checked) return std::make_shared<const JsonSchema>(*type.checked);
    auto schema = JsonSchema::parse(text);
    return schema ? std::make_shared<const JsonSchema>(std::move(*schema)) : nullptr;
}

/// "entities: why": whose failure it is.
Outcome from_part(const std::string& part, Outcome outcome) {
    if (auto* retry = std::get_if<work::RetryAfter>(&outcome)) retry->why = part + ": " + retry->why;
    if (auto* dead = std::get_if<DeadLetter>(&outcome)) dead->description = part + ": " + dead->description;
    return outcome;
}

/// The failure that decides: one that is for ever, else any. Null if all have answered.
Outcome* worst(std::vector<TaskAnswer>& answers) {
    Outcome* found = nullptr;
    for (TaskAnswer& answer : answers) {
        auto* outcome = std::get_if<Outcome>(&answer);
        if (outcome == nullptr) continue;
        if (found == nullptr || std::holds_alternative<DeadLetter>(*outcome)) found = outcome;
        if (std::holds_alternative<DeadLetter>(*found)) break;
    }
    return found;
}

/// Asks the same of every piece, at once.
asio::awaitable<std::vector<TaskAnswer>> ask_each(std::shared_ptr<TaskRun> run, const TaskModel& model,
                                                  std::string place, provider::CompletionRequest request,
                                                  std::shared_ptr<const JsonSchema> schema,
                                                  const std::vector<std::string>& pieces) {
    run->calls_total += static_cast<std::int64_t>(pieces.size());
    std::vector<std::function<asio::awaitable<TaskAnswer>()>> calls;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        provider::CompletionRequest one = request;
        one.input = pieces[i];
        calls.emplace_back([run, &model, schema, step = place + "/" + std::to_string(i),
                            one = std::move(one)] { return ask(run, model, step, one, schema.get()); });
    }
    co_return co_await join_all<TaskAnswer>(std::move(calls), kCallsAtOnce);
}

asio::awaitable<std::vector<std::string>> cut(TaskRun& run, const TaskModel& model,
                                              std::shared_ptr<const std::string> text, std::int64_t tokens) {
    auto work = [text, tokens, count = counter_of(model)] {
        return cut_text(*text, static_cast<std::size_t>(tokens), count);
    };
    co_return co_await run.services.pool.run(std::move(work));
}

/// "summary, then - key point": what the next level reads.
std::string notes_of(const std::string& answer) {
    const json::value value = json::parse(answer, {}, kDeepJson);
    std::string notes(value.at("summary").as_string());
    for (const json::value& point : value.at("keyPoints").as_array())
        notes += "\n- " + std::string(point.as_string());
    return notes;
}

/// Shortens a text until one call takes it: notes on each piece, level by level.
asio::awaitable<TaskAnswer> condense(std::shared_ptr<TaskRun> run, const TaskModel& model, CallBudget budget,
                                     std::string place) {
    const provider::CompletionRequest request = notes_request(run->parts.catalogue, budget);
    const auto checked = JsonSchema::parse(request.schema);
    const auto schema = std::make_shared<const JsonSchema>(*checked);
    std::shared_ptr<const std::string> text = run->text;
    for (int level = 0; level < kLevelsMax; ++level) {
        const auto pieces = co_await cut(*run, model, text, budget.input_tokens);
        if (pieces.size() == 1) co_return *text;
        std::string step = place + "map/" + std::to_string(level);
        auto answers = co_await ask_each(run, model, std::move(step), request, schema, pieces);
        if (Outcome* failure = worst(answers)) co_return std::move(*failure);
        std::string notes;
        for (const TaskAnswer& answer : answers)
            notes += (notes.empty() ? "" : "\n\n") + notes_of(std::get<std::string>(answer));
        if (notes.size() >= text->size()) break;
        text = std::make_shared<const std::string>(std::move(notes));
    }
    co_return DeadLetter{
        work::reason::input_too_large,
        "the text does not become short enough for one call to " + model.provider->model().name};
}

/// The entities of all pieces together, the most frequent first.
std::string merge_entities(const std::vector<TaskAnswer>& answers) {
    std::map<std::pair<std::string, std::string>, std::int64_t> counts;
    for (const TaskAnswer& answer : answers) {
        const json::value value = json::parse(std::get<std::string>(answer), {}, kDeepJson);
        for (const json::value& one : value.at("entities").as_array())
            counts[{std::string(one.at("text").as_string()), std::string(one.at("type").as_string())}] +=
                one.at("count").to_number<std::int64_t>();
    }
    std::vector<std::pair<std::pair<std::string, std::string>, std::int64_t>> sorted(counts.begin(),
                                                                                     counts.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    json::array list;
    for (const auto& [name, count] : sorted)
        list.push_back({{"text", name.first}, {"type", name.second}, {"count", count}});
    return json::serialize(json::object{{"entities", std::move(list)}});
}

/// Of a long text the entities are found piece by piece, as far as the answers are of the usual form.
bool goes_by_pieces(const TaskType& type) {
    return type.shape == TaskShape::entities && type.schema.find("\"count\"") != std::string::npos;
}

asio::awaitable<TaskAnswer> run_answer(std::shared_ptr<TaskRun> run, const TaskType& type, TaskModel model,
                                       std::string place) {
    const CallBudget budget = budget_of(type, run->options, model);
    provider::CompletionRequest request = request_for(type, run->options, budget);
    const auto schema = schema_of(type, request.schema);
    const auto pieces = co_await cut(*run, model, run->text, budget.input_tokens);
    if (pieces.size() > 1 && goes_by_pieces(type)) {
        std::string step = place + "piece";
        auto answers = co_await ask_each(run, model, std::move(step), request, schema, pieces);
        if (Outcome* failure = worst(answers)) co_return std::move(*failure);
        co_return merge_entities(answers);
    }
    request.input = *run->text;
    if (pieces.size() > 1) {
        auto condensed = co_await condense(run, model, budget, place);
        if (auto* failure = std::get_if<Outcome>(&condensed)) co_return std::move(*failure);
        request.input = std::move(std::get<std::string>(condensed));
    }
    run->calls_total += 1;
    std::string step = place + "answer";
    auto answer = co_await ask(run, model, std::move(step), std::move(request), schema.get());
    if (std::holds_alternative<std::string>(answer) && !schema)
        co_return json::serialize(json::object{{"text", std::get<std::string>(answer)}});
    co_return answer;
}

asio::awaitable<TaskAnswer> run_part(std::shared_ptr<TaskRun> run, const TaskType* type, std::string place) {
    std::string inner = place + type->name + "/";
    auto answer = co_await run_type(run, *type, std::move(inner));
    if (auto* outcome = std::get_if<Outcome>(&answer)) co_return from_part(type->name, std::move(*outcome));
    co_return answer;
}

/// All parts at once; those that end keep their answers whatever becomes of the others.
asio::awaitable<TaskAnswer> run_steps(std::shared_ptr<TaskRun> run, const TaskType& type, std::string place) {
    std::vector<std::function<asio::awaitable<TaskAnswer>()>> parts;
    for (const std::string& step : type.steps) {
        const TaskType* one = run->parts.catalogue.find(step);
        parts.emplace_back([run, one, place] { return run_part(run, one, place); });
    }
    auto answers = co_await join_all<TaskAnswer>(std::move(parts), kCallsAtOnce);
    if (Outcome* failure = worst(answers)) co_return std::move(*failure);
    std::string joined;
    for (std::size_t i = 0; i < answers.size(); ++i)
        joined += (i == 0 ? "{" : ",") + json::serialize(json::string(type.steps[i])) + ":" +
                  std::get<std::string>(answers[i]);
    co_return joined + "}";
}

}  // namespace

CountTokens counter_of(const TaskModel& model) {
    if (!model.tokens) return [](std::string_view text) { return text::estimate_tokens(text); };
    return [tokens = model.tokens](std::string_view text) { return tokens->count(text); };
}

provider::CompletionRequest request_for(const TaskType& type, const TaskOptions& options,
                                        const CallBudget& budget) {
    provider::CompletionRequest request;
    request.task = type.name;
    request.instructions = instructions_for(type, options);
    request.schema_name = "answer";
    request.schema = schema_for(type, options);
    request.output_tokens_max = budget.output_tokens;
    if (type.shape == TaskShape::classes) request.labels = labels_for(type, options);
    return request;
}

provider::CompletionRequest notes_request(const TaskCatalogue& catalogue, const CallBudget& budget) {
    std::vector<std::string> none;
    static const TaskCatalogue usual = TaskCatalogue::make({}, none);
    // Its prompt may be the operator's own, its schema is what the notes are read by.
    TaskType type = *catalogue.find(kNotesTask);
    type.schema = usual.find(kNotesTask)->schema;
    provider::CompletionRequest request = request_for(type, {}, budget);
    request.instructions += "\nThe text is one part of a longer one.";
    request.output_tokens_max = std::min(kNotesTokensMax, budget.input_tokens / 2);
    return request;
}

CallBudget budget_of(const TaskType& type, const TaskOptions& options, const TaskModel& model) {
    const CountTokens count = counter_of(model);
    const std::size_t overhead = count(instructions_for(type, options)) + count(schema_for(type, options));
    return budget_for(type, model.provider->model(), static_cast<std::int64_t>(overhead));
}

asio::awaitable<TaskAnswer> run_type(std::shared_ptr<TaskRun> run, const TaskType& type, std::string place) {
    if (type.shape == TaskShape::steps) co_return co_await run_steps(run, type, place);
    auto model = run->parts.model(type.deployment, type.shape == TaskShape::embedding);
    if (!model) co_return DeadLetter{work::reason::unknown_task_type, model.error().detail};
    if (type.shape == TaskShape::embedding) co_return co_await embed_text(run, *model, place);
    co_return co_await run_answer(run, type, *model, place);
}

}  // namespace millrace::handlers
