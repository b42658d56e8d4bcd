#include "app/task_work.hpp"

#include "app/configuration_tasks.hpp"
#include "app/deployment.hpp"

#include <map>

namespace millrace::app {

namespace {

/// Finds the deployments of tasks; what it finds is kept.
class TaskModels {
  public:
    TaskModels(const Models& models, const Configuration& configuration) : models_(models) {
        for (const DeploymentEntry& deployment : configuration.deployments) names_.push_back(deployment.name);
        if (names_.empty()) names_.push_back(models.in_use().deployment.name);
    }

    Result<handlers::TaskModel> find(const std::string& deployment, bool embeds) {
        if (!deployment.empty()) {
            auto model = models_.find(deployment);
            if (!model) return model.error();
            if (!can(**model, embeds))
                return Error{Errc::not_found, "the deployment \"" + deployment + "\" does not " +
                                                  (embeds ? "embed" : "complete")};
            return made(**model);
        }
        for (const std::string& name : names_) {
            const auto model = models_.find(name);
            if (model && can(**model, embeds)) return made(**model);
        }
        return Error{Errc::not_found, std::string("no deployment is configured that ") +
                                          (embeds ? "embeds" : "completes; add one as [[deployments]]")};
    }

  private:
    static bool can(const Model& model, bool embeds) {
        const provider::ModelInfo& info = model.provider->model();
        return embeds ? info.embeds : info.completes;
    }

    handlers::TaskModel made(const Model& model) {
        auto [entry, fresh] = made_.try_emplace(model.deployment.name);
        if (fresh) {
            const DeploymentEntry& from = model.deployment;
            std::vector<std::string> ignored;  // told already, of the pipeline's own model
            entry->second.provider = &model.for_handlers();
            entry->second.price = price_of(from);
            entry->second.tokens = token_counter(model, ignored);
            entry->second.deployment = from.name;
        }
        return entry->second;
    }

    const Models& models_;
    std::vector<std::string> names_;
    std::map<std::string, handlers::TaskModel> made_;
};

}  // namespace

TaskWork open_tasks(const PipelineBase& base, Pipeline& pipeline, const Models& models,
                    const Configuration& configuration) {
    store::Database& records = base.state.records();
    TaskWork work;
    work.fan_out = std::make_unique<work::FanOut>(records, base.clock);
    const auto found = std::make_shared<TaskModels>(models, configuration);
    auto model = [found](const std::string& deployment, bool embeds) {
        return found->find(deployment, embeds);
    };
    std::vector<std::string> problems;  // none: the configuration was checked
    work.parts.reset(
        new handlers::TaskParts{task_catalogue(configuration, problems), *work.fan_out, std::move(model)});
    pipeline.services->task_parts = work.parts.get();
    work.tasks = std::make_unique<work::Tasks>(records, *base.state.blobs, *base.state.pool,
                                               *pipeline.handover, base.clock);
    return work;
}

}  // namespace millrace::app
