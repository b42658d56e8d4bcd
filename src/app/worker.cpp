#include "app/worker.hpp"

#include "app/background.hpp"
#include "app/deployment.hpp"
#include "app/metered_provider.hpp"
#include "app/places.hpp"
#include "base/tls.hpp"
#include "broker/broker.hpp"
#include "handlers/stages.hpp"
#include "index/embedded_index.hpp"
#include "provider/circuit_breaker.hpp"
#include "telemetry/log.hpp"
#include "work/processor.hpp"

#include <thread>

namespace millrace::app {

namespace {

constexpr Duration kPruneInterval = std::chrono::hours(1);
constexpr char kOnlyHandler[] = "embed-index";  // the others pass messages on within one database

unsigned cpu_threads(const ServerSettings& settings) {
    if (settings.cpu_threads > 0) return static_cast<unsigned>(settings.cpu_threads);
    const unsigned cores = std::thread::hardware_concurrency();
    return cores > 1 ? cores - 1 : 1;
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
        if (!worker.handler.empty() && worker.handler != kOnlyHandler)
            return Error{Errc::invalid_input, "workers." + worker.queue + ": handler \"" + worker.handler +
                                                  "\" needs queues of its own database; on a remote queue "
                                                  "use \"embed-index\""};
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
        opened = co_await open_model_and_index();
        if (!opened) co_return opened;
        documents_ = std::make_unique<work::Documents>(*database_, *blobs_, *pool_, *broker_, clock_);
        co_await documents_->start();
        operations_ = std::make_unique<work::Operations>(io_, *database_, clock_);
        services_ = std::make_unique<handlers::Services>(
            handlers::Services{background_.tasks(), *database_, *blobs_, *pool_, clock_, *index_, *breaker_,
                               *documents_, *operations_, token_counter(), handlers::Observer()});
        for (const WorkerEntry& worker : *workers) add_processor(worker);
        for (const auto& processor : processors_) processor->start();
        background_.start("pruning", [this] { return prune(); });
        co_return Result<void>();
    }

    asio::awaitable<void> stop() {
        const TimePoint deadline =
            clock_.now() + Duration(std::chrono::seconds(configuration_.server.drain_seconds));
        for (const auto& processor : processors_) processor->close();
        if (breaker_) breaker_->stop();
        for (const auto& processor : processors_) {
            const Duration left = std::max(deadline - clock_.now(), Duration::zero());
            co_await processor->stop(left);
        }
        co_await background_.stop();
        if (queue_) co_await queue_->stop();
        if (pool_) pool_->stop();
        if (broker_) co_await broker_->stop();
        if (http_client_) http_client_->stop();
        if (database_) database_->stop();
    }

    std::string model() const { return provider_ ? provider_->model().name : std::string(); }
    std::vector<std::string> notices;
    std::vector<std::string> queues;

  private:
    asio::awaitable<Result<void>> open_store() {
        store::Database::Options options;
        options.directory = configuration_.server.data_dir;
        options.readers = static_cast<unsigned>(configuration_.store.readers);
        auto database = store::Database::open(io_, options);
        if (!database) co_return database.error();
        database_ = std::move(*database);
        blobs_ = std::make_unique<store::Blobs>(options.directory / "blobs");
        pool_ = std::make_unique<CpuPool>(cpu_threads(configuration_.server));
        const broker::Broker::Options broker_options;
        auto broker = co_await broker::Broker::open(*database_, clock_, broker_options);
        if (!broker) co_return broker.error();
        broker_ = std::move(*broker);
        co_return Result<void>();
    }

    asio::awaitable<Result<void>> open_model_and_index() {
        auto client = provider::HttpClient::make(io_);
        if (!client) co_return client.error();
        http_client_ = std::move(*client);
        const DeploymentEntry deployment = deployment_in_use(configuration_);
        auto made = make_provider(deployment, *pool_, *http_client_, clock_);
        if (!made) co_return made.error();
        provider_ = std::make_unique<MeteredProvider>(std::move(made->provider), deployment.name, metrics_);
        local_ = made->local;
        breaker_ = std::make_unique<provider::CircuitBreaker>(io_, *provider_, clock_);
        if (!made->notice.empty()) notices.push_back(std::move(made->notice));
        const index::EmbeddedIndexOptions options;
        auto index = co_await index::make_embedded_index(*database_, *pool_, options);
        if (!index) co_return index.error();
        index_ = std::move(*index);
        co_return Result<void>();
    }

    /// Counts tokens by the model's own ranks; without them they are estimated.
    std::shared_ptr<const text::TokenCounter> token_counter() {
        const std::string encoding = provider_->model().encoding;
        const auto folder = find_asset(encoding + ".tiktoken");
        if (folder) {
            const auto counter = text::TokenCounter::load(encoding, *folder / (encoding + ".tiktoken"));
            if (counter) return *counter;
        }
        if (!local_)
            notices.push_back("the token ranks " + encoding + ".tiktoken are missing; tokens are estimated");
        return nullptr;
    }

    void add_processor(const WorkerEntry& worker) {
        const handlers::HandlerRow* const row = handlers::find_handler(kOnlyHandler);
        work::ProcessorOptions options;
        options.queue = worker.queue;
        options.concurrency =
            worker.concurrency > 0 ? static_cast<std::size_t>(worker.concurrency) : row->concurrency;
        for (const QueueEntry& entry : configuration_.queues)
            if (entry.name == worker.queue) options.sessions = entry.requires_session;
        auto handler = handlers::make_stage_handler(*services_, std::string(row->stage), row->run,
                                                    handlers::Adoption::in_place);
        work::Complete complete = [this](broker::LockRef lock, work::Done done) {
            return complete_remote(*database_, *queue_, std::move(lock), std::move(done));
        };
        processors_.push_back(std::make_unique<work::Processor>(io_, *queue_, clock_, std::move(complete),
                                                                std::move(options), std::move(handler)));
        queues.push_back(worker.queue);
    }

    asio::awaitable<void> prune() {
        while (true) {
            auto pruned = co_await documents_->prune();
            if (!pruned) telemetry::log_warning("prune", "database", pruned.error().detail);
            co_await clock_.sleep_for(kPruneInterval);
        }
    }

    asio::any_io_executor io_;
    Clock& clock_;
    Configuration configuration_;
    telemetry::Metrics metrics_;
    bool local_ = true;
    std::unique_ptr<amqp::RemoteQueue> queue_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<store::Blobs> blobs_;
    std::unique_ptr<CpuPool> pool_;
    std::unique_ptr<broker::Broker> broker_;  ///< holds nothing: documents need one to stand on
    std::unique_ptr<provider::HttpClient> http_client_;
    std::unique_ptr<provider::Provider> provider_;
    std::unique_ptr<provider::CircuitBreaker> breaker_;
    std::unique_ptr<index::Index> index_;
    std::unique_ptr<work::Documents> documents_;
    std::unique_ptr<work::Operations> operations_;
    std::unique_ptr<handlers::Services> services_;
    std::vector<std::unique_ptr<work::Processor>> processors_;
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
const std::vector<std::string>& Worker::queues() const noexcept { return parts_->queues; }
const std::vector<std::string>& Worker::notices() const noexcept { return parts_->notices; }

}  // namespace millrace::app
