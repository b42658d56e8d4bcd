#include "app/pipeline.hpp"

#include "app/deployment.hpp"
#include "index/embedded_index.hpp"
#include "provider/remembered.hpp"
#include "telemetry/log.hpp"
#include "work/steps.hpp"
#include "work/tasks.hpp"

namespace millrace::app {

namespace {

constexpr Duration kPruneInterval = std::chrono::hours(1);
constexpr Duration kDrainInterval = std::chrono::seconds(5);

handlers::Observer observer(telemetry::Metrics& metrics) {
    namespace metric = telemetry::metric;
    handlers::Observer observer;
    observer.document_processed = [&metrics](const std::string& category, Duration) {
        metrics.add(metric::documents_processed, {category});
    };
    observer.document_failed = [&metrics](const std::string& reason, const std::string& status) {
        metrics.add(metric::documents_failed, {reason, status});
    };
    observer.embedding_took = [&metrics](const std::string& category, double seconds) {
        metrics.observe(metric::embedding_duration, {category}, seconds);
    };
    observer.stage_took = [&metrics](const std::string& stage, double seconds) {
        metrics.observe(metric::stage_duration, {stage}, seconds);
    };
    observer.task_ended = [&metrics](const std::string& type, bool succeeded) {
        metrics.add(metric::tasks_ended, {type, succeeded ? "succeeded" : "failed"});
    };
    return observer;
}

}  // namespace

asio::awaitable<Result<Pipeline>> open_pipeline(asio::any_io_executor io, const PipelineBase& base,
                                                std::vector<std::string>& notices) {
    const State& state = base.state;
    Pipeline pipeline;
    index::EmbeddedIndexOptions options;
    options.state = state.shared.get();
    auto index = co_await index::make_embedded_index(*state.database, *state.pool, options);
    if (!index) co_return index.error();
    pipeline.index = std::move(*index);
    store::Database& records = state.records();
    pipeline.handover = std::make_unique<work::Handover>(records, *state.database, base.broker);
    auto handed = co_await pipeline.handover->start();
    if (!handed) telemetry::log_warning("outbox", "database", handed.error().detail);
    pipeline.documents =
        std::make_unique<work::Documents>(records, *state.blobs, *state.pool, *pipeline.handover, base.clock);
    co_await pipeline.documents->start();
    pipeline.operations = std::make_unique<work::Operations>(std::move(io), records, base.clock);
    pipeline.services = std::make_unique<handlers::Services>(
        handlers::Services{base.tasks, records, *state.blobs, *state.pool, base.clock, *pipeline.index,
                           base.model.for_handlers(), *pipeline.documents, *pipeline.operations,
                           token_counter(base.model, notices), observer(base.metrics)});
    pipeline.services->deployment = base.model.deployment.name;
    pipeline.services->price = price_of(base.model.deployment);
    co_return pipeline;
}

asio::awaitable<void> prune_records(work::Documents& documents, store::Database& records,
                                    std::int64_t keep_days, Clock& clock) {
    while (true) {
        auto pruned = co_await documents.prune();
        if (!pruned) telemetry::log_warning("prune", "database", pruned.error().detail);
        if (keep_days > 0) {
            const TimePoint before = clock.now() - std::chrono::hours(24 * keep_days);
            pruned = co_await work::Tasks::prune(records, before);
            if (!pruned) telemetry::log_warning("prune", "database", pruned.error().detail);
            // A message that sleeps is looked at once a day.
            const TimePoint unused = before - std::chrono::hours(24);
            auto steps = co_await work::Steps::prune(records, unused);
            if (!steps) telemetry::log_warning("prune", "database", steps.error().detail);
            co_await provider::Remembered::prune(records, before);
        }
        co_await clock.sleep_for(kPruneInterval);
    }
}

asio::awaitable<void> drain_outbox(work::Handover& handover, Clock& clock) {
    while (true) {
        co_await clock.sleep_for(kDrainInterval);
        const auto drained = co_await handover.drain();
        if (!drained) telemetry::log_warning("drain", "outbox", drained.error().detail);
    }
}

}  // namespace millrace::app
