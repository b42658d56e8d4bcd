// Which queues a server works on, with which handler and how often at once.
#pragma once

#include "app/configuration.hpp"
#include "app/model.hpp"
#include "handlers/stages.hpp"

#include <string>
#include <vector>

namespace millrace::app {

/// One queue, the handler that serves it and how often at once.
struct PlannedWorker {
    std::string queue;
    const handlers::HandlerRow* handler;
    std::size_t concurrency;
};

/// The queues of the pipeline as [[workers]] change them, then queues that only [[workers]] name; none where
/// `server.workers` is off. What calls `model` does so as often at once as that allows. invalid_input: a
/// handler that doesn't suit its queue.
Result<std::vector<PlannedWorker>> plan_workers(const Configuration& configuration, const Model& model);

}  // namespace millrace::app
