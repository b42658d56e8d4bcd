// What tasks work with: built the same way wherever their messages come from.
#pragma once

#include "app/model.hpp"
#include "app/pipeline.hpp"
#include "handlers/tasks.hpp"

#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

/// Every member is there once `open_tasks` has answered; the handler of tasks refers to `parts`.
struct TaskWork {
    std::unique_ptr<work::FanOut> fan_out;
    std::unique_ptr<handlers::TaskParts> parts;
    std::unique_ptr<work::Tasks> tasks;
};

/// Makes the parts and gives them to the services of `pipeline`. `configuration` is read during the call; all
/// else outlives what is returned.
TaskWork open_tasks(const PipelineBase& base, Pipeline& pipeline, const Models& models,
                    const Configuration& configuration);

}  // namespace millrace::app
