// "ai-tasks": one AI job on a text, asked for by its kind, answered once.
#pragma once

#include "handlers/services.hpp"
#include "handlers/task_types.hpp"
#include "quota/spend.hpp"
#include "text/tokens.hpp"
#include "work/fan_out.hpp"
#include "work/tasks.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>

namespace millrace::handlers {

/// A deployment as tasks use it.
struct TaskModel {
    provider::Provider* provider = nullptr;
    quota::Price price;
    std::shared_ptr<const text::TokenCounter> tokens;  ///< none: estimated from characters
    std::string deployment = {};
};

/// What tasks need beside the other services. Owned by `app`; outlives the handler.
struct TaskParts {
    TaskCatalogue catalogue;
    work::FanOut& fan_out;
    /// The deployment of this name; for "" the first that completes, or embeds. The error says why there is
    /// none.
    std::function<Result<TaskModel>(const std::string& deployment, bool embeds)> model;
};

/// A handler for queues of tasks. A task whose result is stored is answered by that, without a call. Each
/// call to a model is a step that is named by what it asks, so that a crash repeats only the calls in flight.
/// `services` and `parts` outlive it.
work::Handler make_task_handler(Services& services, const TaskParts& parts);

/// Nothing where `task` could be worked on as far as its own words tell; invalid_input: unknown type, wrong
/// options, no labels to choose from, no deployment for it.
Result<void> check_task(const TaskParts& parts, const work::NewTask& task);

/// The deployments that types of tasks ask for answers, not for vectors.
std::set<std::string> answering_deployments(const TaskParts& parts);

/// What `task` would cost if its first answers are good: counted with the model's own tokens, the answers at
/// their longest. Calls nobody. Errors as `check_task` and `document_text`.
asio::awaitable<Result<work::TaskEstimate>> estimate_task(Services& services, const TaskParts& parts,
                                                          work::NewTask task);
/// The same for the message of a task: nothing where its result is stored. invalid_input: the message is no
/// task.
asio::awaitable<Result<work::TaskEstimate>> estimate_task(Services& services, const TaskParts& parts,
                                                          broker::Message message);

}  // namespace millrace::handlers
