// What the handlers of documents work with: built the same way wherever their messages come from.
#pragma once

#include "app/model.hpp"
#include "app/state.hpp"
#include "base/task_group.hpp"
#include "handlers/services.hpp"

#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

/// Every member is there once `open_pipeline` has answered; handlers refer to `services`.
struct Pipeline {
    std::unique_ptr<index::Index> index;
    std::unique_ptr<work::Handover> handover;
    std::unique_ptr<work::Documents> documents;
    std::unique_ptr<work::Operations> operations;
    std::unique_ptr<handlers::Services> services;
};

/// What a pipeline stands on; all of it outlives the pipeline.
struct PipelineBase {
    const State& state;
    broker::Broker& broker;
    const Model& model;
    TaskGroup& tasks;
    Clock& clock;
    telemetry::Metrics& metrics;
};

/// Opens the index and the records of documents and operations. Adds to `notices` what an operator should
/// know. Errors as `index::make_embedded_index`.
asio::awaitable<Result<Pipeline>> open_pipeline(asio::any_io_executor io, const PipelineBase& base,
                                                std::vector<std::string>& notices);

/// Removes records whose time is over, now and then every hour, until its coroutine is cancelled.
asio::awaitable<void> prune_records(work::Documents& documents, store::Database& records,
                                    std::int64_t keep_days, Clock& clock);

/// Sends now and then what the queues could not take when it was accepted, until its coroutine is cancelled.
asio::awaitable<void> drain_outbox(work::Handover& handover, Clock& clock);

}  // namespace millrace::app
