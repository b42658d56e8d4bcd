#include "app/worker.hpp"

#include "app/background.hpp"
#include "app/pipeline.hpp"
#include "app/processors.hpp"
#include "app/task_work.hpp"
#include "base/tls.hpp"
#include "broker/broker.hpp"
#include "handlers/stages.hpp"

namespace millrace::app {

namespace {

// The others pass messages on within one database.
constexpr char kDocuments[] = "embed-index";
constexpr char kTasks[] = "task";

const handlers::HandlerRow& handler_of(const WorkerEntry& worker) {
    const bool tasks =
        worker.handler == kTasks || (worker.handler.empty() && worker.queue == work::queue::tasks);
    return *handlers::find_handler(tasks ? kTasks : kDocuments);
}

/// Completes a message of a remote queue. Rows first: if the process dies in between, the message comes again
/// and writes the same.
asio::awaitable<Result<void>> complete_remote(store::Database& database, amqp::RemoteQueue& queue,
                                              broker::LockRef lock, work::Done done) {
    if (done.with) {
        auto written = co_await database.write(std::move(done.with));
        if (!written) co_return written;
    }
    for (work::FollowUp& next : done.follow_ups) {
        std::vector<broker::Message> one;
        one.push_back(std::move(next.message));
        auto sending = queue.send(std::move(next.entity), std::move(one));
        const auto sent = co_await std::move(sending);
        if (!sent) co_return sent.error();
    }
    auto completing = queue.complete(std::move(lock));
    co_return co_await std::move(completing);
}

/// The configured workers, or one on the queue that the connection string is for.
Result<std::vector<WorkerEntry>> workers_of(const Configuration& configuration) {
    std::vector<WorkerEntry> workers = configuration.workers;
    if (workers.empty()) {
        const auto target = amqp::parse_connection_string(configuration.queue.connection_string);
        if (target && !target->entity_path.empty()) workers.emplace_back().queue = target->entity_path;
    }
    if (workers.empty())
        return Error{Errc::invalid_input,
                     "which queue? add [[workers]] with queue = \"NAME\", or EntityPath=NAME to the "
                     "connection string"};
    for (const WorkerEntry& worker : workers) {
        if (!worker.handler.empty() && worker.handler != kDocuments && worker.handler != kTasks)
            return Error{Errc::invalid_input, "workers." + worker.queue + ": handler \"" + worker.handler +
                                                  "\" needs queues of its own database; on a remote queue "
                                                  "use \"embed-index\" or \"task\""};
    }
    return workers;
}

}  // namespace

Result<std::unique_ptr<amqp::RemoteQueue>> make_remote_queue(asio::any_io_executor io, Clock& clock,
                                                             const QueueEngineSettings& settings) {
    if (settings.engine == "embedded")
        return Error{Errc::invalid_input,
                     "queue.engine: workers alone need a remote queue; set it to \"servicebus\" or "
                     "\"rabbitmq\", or run millrace serve"};
    if (settings.connection_string.empty())
        return Error{Errc::invalid_input,
                     "where is the queue? set MILLRACE_QUEUE__CONNECTION_STRING, or [queue] "
                     "connection_string_file = \"PATH\""};
    amqp::RemoteOptions options;
    auto target = amqp::parse_connection_string(settings.connection_string);
    if (!target) return Error{target.error().code, "queue: " + target.error().detail};
    options.target = std::move(*target);
    if (options.target.endpoint.tls) {
        auto tls = make_client_tls(settings.ca_file);
        if (!tls) return Error{tls.error().code, "queue.ca_file: " + tls.error().detail};
        options.tls = std::move(*tls);
    }
    if (settings.engine == "rabbitmq") return amqp::make_rabbitmq_queue(io, clock, std::move(options));
    return amqp::make_service_bus_queue(io, clock, std::move(options));
}

/// What a worker is made of, in the order in which it is built; destroyed in the opposite order.
class Worker::Parts {
  public:
    Parts(asio::any_io_executor io, Clock& clock, Configuration configuration)
        : io_(std::move(io)), clock_(clock), configuration_(std::move(configuration)), background_(io_) {}

    asio::awaitable<Result<void>> start() {
        auto workers = workers_of(configuration_);
        if (!workers) co_return workers.error();
        auto queue = make_remote_queue(io_, clock_, configuration_.queue);
        if (!queue) co_return queue.error();
        queue_ = std::move(*queue);
        auto opened = co_await open_store();
        if (!opened) co_return opened;
        opened = co_await open_pipeline();
        if (!opened) co_return opened;
        for (const WorkerEntry& worker : *workers) add_processor(worker);
        processors_.start();
        background_.start("pruning", [this] {
            return prune_records(*pipeline_.documents, state_.records(), configuration_.store.keep_days,
                                 clock_);
        });
        co_return Result<void>();
    }

    asio::awaitable<void> stop() {
        const TimePoint deadline =
            clock_.now() + Duration(std::chrono::seconds(configuration_.server.drain_seconds));
        processors_.close();
        if (models_) co_await models_->stop_waiting();
        co_await processors_.stop(deadline, clock_);
        co_await background_.stop();
        if (queue_) co_await queue_->stop();
        if (state_.pool) state_.pool->stop();
        if (broker_) co_await broker_->stop();
        if (models_) co_await models_->stop();
        state_.stop_databases();
    }

    std::string model() const { return models_ ? models_->in_use().provider->model().name : std::string(); }
    const std::vector<std::string>& queues() const noexcept { return processors_.queues(); }
    std::vector<std::string> notices;

  private:
    asio::awaitable<Result<void>> open_store() {
        auto state = open_state(io_, configuration_);
        if (!state) co_return state.error();
        state_ = std::move(*state);
        const broker::Broker::Options options;
        auto broker = co_await broker::Broker::open(*state_.database, clock_, options);
        if (!broker) co_return broker.error();
        broker_ = std::move(*broker);
        co_return Result<void>();
    }

    asio::awaitable<Result<void>> open_pipeline() {
        const ModelsBase base{state_.records(), *state_.pool, clock_, metrics_};
        auto models = Models::make(io_, configuration_, base);
        if (!models) co_return models.error();
        models_ = std::move(*models);
        const Model& model = models_->in_use();
        if (!model.notice.empty()) notices.push_back(model.notice);
        const PipelineBase pipeline_base{state_, *broker_, model, background_.tasks(), clock_, metrics_};
        auto pipeline = co_await app::open_pipeline(io_, pipeline_base, notices);
        if (!pipeline) co_return pipeline.error();
        pipeline_ = std::move(*pipeline);
        tasks_ = open_tasks(pipeline_base, pipeline_, *models_, configuration_);
        co_return Result<void>();
    }

    void add_processor(const WorkerEntry& worker) {
        const handlers::HandlerRow& row = handler_of(worker);
        work::ProcessorOptions options;
        options.queue = worker.queue;
        options.holds_postponed = true;
        options.concurrency =
            worker.concurrency > 0 ? static_cast<std::size_t>(worker.concurrency) : row.concurrency;
        for (const QueueEntry& entry : configuration_.queues)
            if (entry.name == worker.queue) options.sessions = entry.requires_session;
        auto handler = handlers::make_handler(*pipeline_.services, row, handlers::Adoption::in_place);
        work::Complete complete = [this](broker::LockRef lock, work::Done done) {
            return complete_remote(state_.records(), *queue_, std::move(lock), std::move(done));
        };
        processors_.add(std::make_unique<work::Processor>(io_, *queue_, clock_, std::move(complete),
                                                          std::move(options), std::move(handler)));
    }

    asio::any_io_executor io_;
    Clock& clock_;
    Configuration configuration_;
    telemetry::Metrics metrics_;
    std::unique_ptr<amqp::RemoteQueue> queue_;
    State state_;
    std::unique_ptr<broker::Broker> broker_;  ///< holds nothing: documents need one to stand on
    std::unique_ptr<Models> models_;
    Pipeline pipeline_;
    TaskWork tasks_;
    Processors processors_;
    Background background_;
};

Worker::Worker(asio::any_io_executor io, Clock& clock, Configuration configuration)
    : parts_(std::make_unique<Parts>(std::move(io), clock, std::move(configuration))) {}

Worker::~Worker() = default;

asio::awaitable<Result<void>> Worker::start() {
    auto started = co_await parts_->start();
    if (!started) co_await parts_->stop();
    co_return started;
}

asio::awaitable<void> Worker::stop() { return parts_->stop(); }
std::string Worker::model() const { return parts_->model(); }
const std::vector<std::string>& Worker::queues() const noexcept { return parts_->queues(); }
const std::vector<std::string>& Worker::notices() const noexcept { return parts_->notices; }

}  // namespace millrace::app
