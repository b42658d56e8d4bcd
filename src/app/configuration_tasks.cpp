#include "app/configuration_tasks.hpp"

#include "base/nearest.hpp"

#include <algorithm>

namespace millrace::app {

namespace {

void check_deployment(const Configuration& configuration, const TaskEntry& task,
                      std::vector<std::string>& problems) {
    std::vector<std::string_view> known;
    for (const DeploymentEntry& deployment : configuration.deployments) known.push_back(deployment.name);
    if (known.empty()) known.push_back("default");
    if (task.deployment.empty() || std::find(known.begin(), known.end(), task.deployment) != known.end())
        return;
    problems.push_back("tasks." + task.type + ": there is no deployment \"" + task.deployment + "\"" +
                       hint(task.deployment, known));
}

}  // namespace

handlers::TaskCatalogue task_catalogue(const Configuration& configuration,
                                       std::vector<std::string>& problems) {
    std::vector<handlers::TaskType> types;
    for (const TaskEntry& entry : configuration.tasks) {
        handlers::TaskType type;
        type.name = entry.type;
        type.deployment = entry.deployment;
        type.prompt = entry.prompt;
        type.schema = entry.schema;
        type.labels = entry.labels;
        type.steps = entry.steps;
        type.output_tokens_max = entry.output_tokens_max;
        type.input_tokens_max = entry.input_tokens_max;
        types.push_back(std::move(type));
    }
    return handlers::TaskCatalogue::make(std::move(types), problems);
}

void check_tasks(const Configuration& configuration, std::vector<std::string>& problems) {
    for (const TaskEntry& task : configuration.tasks) check_deployment(configuration, task, problems);
    task_catalogue(configuration, problems);
}

}  // namespace millrace::app
