// One task at work: its calls, its parts, and what they cost. Only for tasks.cpp.
#pragma once

#include "handlers/task_text.hpp"
#include "handlers/tasks.hpp"
#include "work/steps.hpp"

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace millrace::handlers {

/// A text, or why there is none.
using TaskAnswer = std::variant<std::string, work::Outcome>;

/// What all parts of one delivery share. On the I/O thread.
struct TaskRun {
    Services& services;
    const TaskParts& parts;
    work::Steps steps;
    TaskOptions options;
    provider::CallContext context;
    std::string id;
    int delivery_count = 0;
    Duration age{};  ///< of the message
    std::shared_ptr<const std::string> text = nullptr;
    work::TaskCost cost = {};
    std::int64_t calls_done = 0;
    std::int64_t calls_total = 0;
};

/// The counter of a model's tokens.
CountTokens counter_of(const TaskModel& model);

/// What `type` is asked with, but for the text.
provider::CompletionRequest request_for(const TaskType& type, const TaskOptions& options,
                                        const CallBudget& budget);
/// What the notes on a piece of a long text are asked for with.
provider::CompletionRequest notes_request(const TaskCatalogue& catalogue, const CallBudget& budget);
/// The budget of `type` with `options`; its overhead is what instructions and schema count.
CallBudget budget_of(const TaskType& type, const TaskOptions& options, const TaskModel& model);

/// Runs `type` on `run->text`; answers the result as JSON. `place` begins the names of its steps, "" for the
/// task itself. Failures name the part they come from.
asio::awaitable<TaskAnswer> run_type(std::shared_ptr<TaskRun> run, const TaskType& type, std::string place);

/// One answer to `request`, remembered: asked again once where it was cut off, with twice the room, and once
/// where it does not fit `schema` (may be null), with the problem told.
asio::awaitable<TaskAnswer> ask(std::shared_ptr<TaskRun> run, const TaskModel& model, std::string step,
                                provider::CompletionRequest request, const JsonSchema* schema);

/// The pieces of `text` that get a vector each. CPU pool.
std::vector<std::string> embed_pieces(const TaskModel& model, const std::string& text);

/// The vectors of the text.
asio::awaitable<TaskAnswer> embed_text(std::shared_ptr<TaskRun> run, const TaskModel& model,
                                       std::string place);

}  // namespace millrace::handlers
