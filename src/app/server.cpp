#include "app/server.hpp"

#include "app/amqp_listeners.hpp"
#include "app/background.hpp"
#include "app/batch_targets.hpp"
#include "app/entities.hpp"
#include "app/http_listeners.hpp"
#include "app/pipeline.hpp"
#include "app/processors.hpp"
#include "app/task_work.hpp"
#include "app/watch.hpp"
#include "app/worker_plan.hpp"
#include "handlers/dead_letter_watch.hpp"
#include "handlers/estimate.hpp"
#include "http/api.hpp"

namespace millrace::app {

namespace {

constexpr Duration kRequestsDrain = std::chrono::seconds(5);
constexpr double kKeywordWeightScore = 0.7;   // docs/search.md: what suits the local model
constexpr double kKeywordWeightRank = 0.5;

}  // namespace

/// Everything the server is made of, in the order in which it is built; destroyed in the opposite order.
class Server::Parts {
  public:
    Parts(asio::any_io_executor io, Clock& clock, Configuration configuration)
        : io_(std::move(io)), clock_(clock), configuration_(std::move(configuration)), background_(io_) {}

    asio::awaitable<Result<void>> start() {
        auto opened = read_keys();
        if (!opened) co_return opened;
        opened = open_store();
        if (!opened) co_return opened;
        opened = co_await open_broker();
        if (!opened) co_return opened;
        opened = co_await open_pipeline();
        if (!opened) co_return opened;
        opened = co_await open_batches();
        if (!opened) co_return opened;
        opened = make_workers();
        if (!opened) co_return opened;
        opened = open_http();
        if (!opened) co_return opened;
        opened = open_amqp();
        if (!opened) co_return opened;
        start_work();
        co_return Result<void>();
    }

    asio::awaitable<void> stop() {
        const Duration drain = std::chrono::seconds(configuration_.server.drain_seconds);
        const TimePoint deadline = clock_.now() + drain;
        if (api_) api_->set_ready(false);
        // All are told first, so that their drain times run side by side.
        processors_.close();
        if (batches_) batches_->close();
        co_await stop_listeners(std::min<Duration>(drain, kRequestsDrain));
        if (models_) co_await models_->stop_waiting();
        co_await processors_.stop(deadline, clock_);
        if (batches_) co_await batches_->stop(deadline);
        co_await background_.stop();
        if (api_) api_->stop();
        // Nothing runs that could hold a part below, but for requests that wait for a thread of the pool.
        if (state_.pool) state_.pool->stop();
        co_await stop_listeners(Duration::zero());
        if (broker_) co_await broker_->stop();
        if (models_) co_await models_->stop();
        state_.stop_databases();
        // Requests whose last read has just ended.
        co_await stop_listeners(Duration::zero());
    }

    const std::string& url() const noexcept { return http_.url(); }
    const std::string& https_url() const noexcept { return http_.https_url(); }
    const std::vector<std::string>& amqp_urls() const noexcept { return amqp_.urls(); }
    std::string model() const { return models_ ? models_->in_use().provider->model().name : std::string(); }

    std::vector<std::string> notices;
    telemetry::Metrics metrics;

  private:
    /// What callers must show, and what the server shows to them.
    Result<void> read_keys() {
        const ServerSettings& server = configuration_.server;
        if (!server.api_keys_file.empty()) {
            auto keys = read_api_keys(server.api_keys_file, notices);
            if (!keys) return keys.error();
            api_keys_ = std::move(*keys);
        }
        if (!server.access_keys_file.empty()) {
            auto keys = read_access_keys(server.access_keys_file, notices);
            if (!keys) return keys.error();
            access_keys_ = std::move(*keys);
        }
        auto tls = read_server_tls(server);
        if (!tls) return tls.error();
        tls_ = std::move(*tls);
        return {};
    }

    Result<void> open_store() {
        metrics.set(telemetry::metric::process_start, {},
                    static_cast<double>(to_millis(clock_.now())) / 1000);
        auto state = open_state(io_, configuration_);
        if (!state) return state.error();
        state_ = std::move(*state);
        return {};
    }

    asio::awaitable<Result<void>> open_broker() {
        broker::Broker::Options options;
        options.strict_delivery_counts = configuration_.queue.strict_delivery_counts;
        options.message_bytes_max = static_cast<std::size_t>(configuration_.queue.max_message_bytes);
        auto broker = co_await broker::Broker::open(*state_.database, clock_, options);
        if (!broker) co_return broker.error();
        broker_ = std::move(*broker);
        co_return co_await put_entities(*broker_, configuration_, notices);
    }

    asio::awaitable<Result<void>> open_pipeline() {
        const ModelsBase base{state_.records(), *state_.pool, clock_, metrics};
        auto models = Models::make(io_, configuration_, base);
        if (!models) co_return models.error();
        models_ = std::move(*models);
        const Model& model = models_->in_use();
        if (!model.notice.empty()) notices.push_back(model.notice);
        const PipelineBase pipeline_base{state_, *broker_, model, background_.tasks(), clock_, metrics};
        auto pipeline = co_await app::open_pipeline(io_, pipeline_base, notices);
        if (!pipeline) co_return pipeline.error();
        pipeline_ = std::move(*pipeline);
        tasks_ = open_tasks(pipeline_base, pipeline_, *models_, configuration_);
        co_return Result<void>();
    }

    asio::awaitable<Result<void>> open_batches() {
        files_ =
            std::make_unique<batch::Files>(state_.records(), *state_.pool, clock_,
                                           std::filesystem::path(configuration_.server.data_dir) / "files");
        co_await files_->start();
        batches_ = std::make_unique<batch::Batches>(io_, state_.records(), *files_, *state_.pool, clock_,
                                                    batch_targets(*models_, configuration_));
        co_return Result<void>();
    }

    Result<void> make_workers() {
        const auto workers = plan_workers(configuration_, models_->in_use());
        if (!workers) return workers.error();
        work::Complete complete = [this](broker::LockRef lock, work::Done done) {
            return pipeline_.handover->complete_with(std::move(lock), std::move(done));
        };
        for (const PlannedWorker& worker : *workers) {
            const auto counts = broker_->counts(worker.queue);
            if (!counts)
                return Error{Errc::invalid_input,
                             "workers." + worker.queue + ": there is no such queue; add it as [[queues]]"};
            handlers_[counts->name] = worker.handler;
            work::ProcessorOptions options;
            options.queue = worker.queue;
            options.concurrency = worker.concurrency;
            options.sessions = counts->options.requires_session;
            options.lanes = counts->options.fair;
            auto handler = handlers::make_handler(*pipeline_.services, *worker.handler);
            processors_.add(std::make_unique<work::Processor>(io_, *broker_, clock_, complete,
                                                              std::move(options), std::move(handler)));
        }
        dead_letter_watch_ =
            std::make_unique<handlers::DeadLetterWatch>(*pipeline_.services, *broker_, processors_.queues());
        return {};
    }

    asio::awaitable<void> stop_listeners(Duration drain) {
        co_await amqp_.stop(drain);
        co_await http_.stop(drain, clock_);
    }

    void add_estimates(http::ApiOptions& options) {
        handlers::Services& services = *pipeline_.services;
        options.quota = [models = models_.get()] { return models->quota(); };
        backlog_.emplace(services);
        options.backlog = [this] {
            const auto counts = broker_->counts(work::queue::tasks);
            return backlog_->read(counts ? static_cast<std::int64_t>(counts->active) : 0);
        };
        options.estimate_document = [&services](work::NewDocument document) {
            return handlers::estimate_document(services, std::move(document));
        };
        for (const auto& [queue, row] : handlers_)
            options.estimate_letter[queue] = [&services, row = row](broker::Message letter) {
                return handlers::estimate_letter(services, *row, std::move(letter));
            };
    }

    void add_tasks(http::ApiOptions& options) {
        handlers::Services& services = *pipeline_.services;
        const handlers::TaskParts& parts = *tasks_.parts;
        options.check_task = [&parts](const work::NewTask& task) {
            return handlers::check_task(parts, task);
        };
        options.estimate_task = [&services, &parts](work::NewTask task) {
            return handlers::estimate_task(services, parts, std::move(task));
        };
    }

    Result<void> open_http() {
        const Model& model = models_->in_use();
        http::ApiOptions options;
        options.api_keys = api_keys_;
        options.host_names = configuration_.server.host_names;
        options.access_keys = access_keys_;
        options.worked_queues = processors_.queues();
        options.work_is_held = [&model] { return model.for_work->open(); };
        const std::string& fusion = configuration_.index.fusion;
        options.fusion = fusion == "rank" || (fusion == "auto" && !model.local) ? index::Fusion::rank
                                                                                : index::Fusion::score;
        const double weight = configuration_.index.keyword_weight;
        const bool by_rank = options.fusion == index::Fusion::rank;
        options.keyword_weight = weight > 0 ? weight : by_rank ? kKeywordWeightRank : kKeywordWeightScore;
        const http::ApiParts parts{*state_.database,
                                   *broker_,
                                   model.for_search(),
                                   *pipeline_.index,
                                   *pipeline_.documents,
                                   *pipeline_.operations,
                                   *state_.pool,
                                   metrics,
                                   clock_,
                                   state_.shared.get(),
                                   tasks_.tasks.get(),
                                   files_.get(),
                                   batches_.get()};
        add_tasks(options);
        add_estimates(options);
        api_ = std::make_unique<http::Api>(io_, parts, std::move(options));
        const http::Spool spool{
            state_.pool.get(), files_->folder(),
            [api = api_.get()](const http::Request& head) { return api->upload_bytes_max(head); }};
        auto opened = http_.open(io_, configuration_.server, tls_, spool, api_->handler());
        if (!opened) return opened;
        api_->on_collect([this](telemetry::Metrics&) { collect(); });
        return {};
    }

    Result<void> open_amqp() {
        auto listeners =
            AmqpListeners::open(io_, *broker_, clock_, access_keys_, tls_, configuration_.server, notices);
        if (!listeners) return listeners.error();
        amqp_ = std::move(*listeners);
        return {};
    }

    void collect() {
        namespace metric = telemetry::metric;
        const Model& model = models_->in_use();
        metrics.set(metric::provider_held, {model.deployment.name},
                    static_cast<double>(model.for_work->waiting()));
        amqp_.collect(metrics);
        metrics.set(metric::http_connections, {}, static_cast<double>(http_.connections()));
        processors_.collect(metrics);
        metrics.set(metric::batches_active, {}, static_cast<double>(batches_->active()));
    }

    void start_work() {
        broker_->start();
        api_->start();
        processors_.start();
        if (state_.shared)
            background_.start("outbox", [this] { return drain_outbox(*pipeline_.handover, clock_); });
        background_.start("dead letters", [this] { return dead_letter_watch_->run(); });
        background_.start("quota", [this] { return models_->measure_quota(metrics, clock_); });
        background_.start("batches", [this] { return keep_batches(*files_, *batches_, clock_); });
        background_.start("pruning", [this] {
            return prune_records(*pipeline_.documents, state_.records(), configuration_.store.keep_days,
                                 clock_);
        });
        for (const WatchEntry& entry : configuration_.watch) {
            watches_.push_back(std::make_unique<FolderWatch>(entry, state_.records(), *pipeline_.documents,
                                                             *state_.pool, clock_));
            background_.start("watch " + entry.path,
                              [watch = watches_.back().get()] { return watch->run(); });
        }
        api_->set_ready(true);
    }

    asio::any_io_executor io_;
    Clock& clock_;
    Configuration configuration_;
    std::vector<std::string> api_keys_;
    AccessKeys access_keys_;
    std::shared_ptr<asio::ssl::context> tls_;  ///< null: nothing is served over TLS
    State state_;
    std::unique_ptr<broker::Broker> broker_;
    std::unique_ptr<Models> models_;
    Pipeline pipeline_;
    TaskWork tasks_;
    std::unique_ptr<batch::Files> files_;
    std::unique_ptr<batch::Batches> batches_;
    Processors processors_;
    std::map<std::string, const handlers::HandlerRow*> handlers_;  ///< by queue
    std::optional<handlers::BacklogView> backlog_;
    std::unique_ptr<handlers::DeadLetterWatch> dead_letter_watch_;
    std::vector<std::unique_ptr<FolderWatch>> watches_;
    std::unique_ptr<http::Api> api_;
    HttpListeners http_;
    AmqpListeners amqp_;
    Background background_;
};

Server::Server(asio::any_io_executor io, Clock& clock, Configuration configuration)
    : parts_(std::make_unique<Parts>(std::move(io), clock, std::move(configuration))) {}

Server::~Server() = default;

asio::awaitable<Result<void>> Server::start() {
    auto started = co_await parts_->start();
    if (!started) co_await parts_->stop();
    co_return started;
}

asio::awaitable<void> Server::stop() { return parts_->stop(); }

std::string Server::url() const { return parts_->url(); }
std::string Server::https_url() const { return parts_->https_url(); }
const std::vector<std::string>& Server::amqp_urls() const noexcept { return parts_->amqp_urls(); }
std::string Server::model() const { return parts_->model(); }
const std::vector<std::string>& Server::notices() const noexcept { return parts_->notices; }
telemetry::Metrics& Server::metrics() noexcept { return parts_->metrics; }

}  // namespace millrace::app
