#include "app/worker_plan.hpp"

#include <algorithm>

namespace millrace::app {

namespace {

constexpr std::size_t kRemoteCallsAtOnce = 64;  // a remote call mostly waits

/// Calls of `model` at once; 0: as many as its handler makes by default.
std::size_t calls_at_once(const Model& model) {
    const auto configured = static_cast<std::size_t>(model.deployment.concurrency);
    return configured == 0 && !model.local ? kRemoteCallsAtOnce : configured;
}

std::vector<PlannedWorker> pipeline_workers(std::size_t calls_at_once) {
    std::vector<PlannedWorker> workers;
    for (const auto& row : handlers::kHandlers) {
        if (row.queue.empty()) continue;
        const bool calls_model = row.queue == work::queue::embed && calls_at_once > 0;
        workers.push_back({std::string(row.queue), &row, calls_model ? calls_at_once : row.concurrency});
    }
    return workers;
}

}  // namespace

Result<std::vector<PlannedWorker>> plan_workers(const Configuration& configuration, const Model& model) {
    std::vector<PlannedWorker> workers = pipeline_workers(calls_at_once(model));
    for (const WorkerEntry& entry : configuration.workers) {
        const auto same = std::find_if(workers.begin(), workers.end(),
                                       [&](const auto& w) { return w.queue == entry.queue; });
        const bool pipeline = same != workers.end();
        const handlers::HandlerRow* handler =
            pipeline && entry.handler.empty() ? same->handler : handlers::find_handler(entry.handler);
        if (handler == nullptr || (pipeline && handler != same->handler))
            return Error{Errc::invalid_input,
                         "workers." + entry.queue + ": no handler \"" + entry.handler +
                             "\" for this queue; use \"embed-index\" or \"task\" on a queue of your own"};
        PlannedWorker worker{entry.queue, handler,
                             entry.concurrency > 0 ? static_cast<std::size_t>(entry.concurrency)
                             : pipeline            ? same->concurrency
                                                   : handler->concurrency};
        if (pipeline)
            *same = worker;
        else
            workers.push_back(worker);
    }
    if (!configuration.server.workers) workers.clear();
    return workers;
}

}  // namespace millrace::app
