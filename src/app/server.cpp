#include "app/server.hpp"

#include "app/assets.hpp"
#include "app/configuration_check.hpp"
#include "app/deployment.hpp"
#include "handlers/dead_letter_watch.hpp"
#include "handlers/stages.hpp"
#include "http/api.hpp"
#include "index/embedded_index.hpp"
#include "telemetry/log.hpp"
#include "work/steps.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>

#include <thread>

namespace millrace::app {

namespace {

namespace metric = telemetry::metric;

constexpr Duration kPruneInterval = std::chrono::minutes(10);
constexpr Duration kStepsKept = std::chrono::hours(24 * 7);

unsigned pool_threads(const Configuration& configuration) {
    if (configuration.server.cpu_threads > 0) return static_cast<unsigned>(configuration.server.cpu_threads);
    return std::max(2u, std::thread::hardware_concurrency()) - 1;
}

/// What one worker runs: a row of the handler table on a queue.
struct Worker {
    const handlers::HandlerRow* row;
    std::string queue;
    std::size_t concurrency;
};

std::vector<Worker> workers_of(const Configuration& configuration) {
    std::vector<Worker> workers;
    for (const auto& row : handlers::kHandlers) {
        if (!row.queue.empty()) workers.push_back({&row, std::string(row.queue), row.concurrency});
    }
    for (const auto& entry : configuration.workers) {
        const auto* row = handlers::find_handler(entry.handler);
        if (row == nullptr) continue;
        const auto concurrency = entry.concurrency > 0 ? static_cast<std::size_t>(entry.concurrency) : row->concurrency;
        const auto same_queue = [&](const Worker& worker) { return worker.queue == entry.queue; };
        std::erase_if(workers, same_queue);
        workers.push_back({row, entry.queue, concurrency});
    }
    return workers;
}

handlers::Observer make_observer(telemetry::Metrics& metrics) {
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
        metrics.observe(metric::message_process_duration, {stage}, seconds);
    };
    return observer;
}

}  // namespace

struct Server::Parts {
    Parts(asio::any_io_executor executor, Configuration settings)
        : io(std::move(executor)), configuration(std::move(settings)), pool(pool_threads(configuration)) {}

    asio::any_io_executor io;
    Configuration configuration;
    std::vector<std::string> notices;
    SystemClock clock;
    telemetry::Metrics metrics;
    CpuPool pool;
    std::unique_ptr<store::Database> database;
    std::unique_ptr<store::Blobs> blobs;
    std::unique_ptr<broker::Broker> broker;
    std::unique_ptr<provider::HttpClient> http_client;
    std::unique_ptr<provider::Provider> provider;
    bool provider_is_local = true;
    std::unique_ptr<index::Index> index;
    std::unique_ptr<work::Documents> documents;
    std::unique_ptr<work::Operations> operations;
    std::unique_ptr<handlers::Services> services;
    std::vector<std::unique_ptr<work::Processor>> processors;
    std::unique_ptr<handlers::DeadLetterWatch> dead_letters;
    std::unique_ptr<http::Api> api;
    std::unique_ptr<http::Server> http;
    asio::cancellation_signal stop_background;
    bool stopped = false;

    asio::awaitable<Result<void>> open_store() {
        store::Database::Options options;
        options.directory = configuration.server.data_dir;
        options.readers = static_cast<unsigned>(configuration.store.readers);
        auto opened = store::Database::open(io, options);
        if (!opened) co_return opened.error();
        database = std::move(*opened);
        blobs = std::make_unique<store::Blobs>(options.directory / "blobs");
        co_return Result<void>();
    }

    asio::awaitable<Result<void>> open_queues() {
        broker::Broker::Options options;
        options.strict_delivery_counts = configuration.queue.strict_delivery_counts;
        auto opened = co_await broker::Broker::open(*database, clock, options);
        if (!opened) co_return opened.error();
        broker = std::move(*opened);
        for (const auto& worker : workers_of(configuration)) {
            const broker::EntityOptions defaults;
            auto put = co_await put_unless_configured(worker.queue, defaults);
            if (!put) co_return put.error();
        }
        co_return co_await put_configured();
    }

    asio::awaitable<Result<void>> put_unless_configured(std::string name, broker::EntityOptions options) {
        for (const auto& entry : configuration.queues) {
            if (entry.name == name) co_return Result<void>();
        }
        co_return co_await broker->put_entity(std::move(name), std::move(options));
    }

    asio::awaitable<Result<void>> put_configured() {
        std::vector<std::pair<std::string, broker::EntityOptions>> entities;
        for (const auto& entry : configuration.queues) entities.emplace_back(entry.name, entity_options(entry));
        for (const auto& entry : configuration.topics) entities.emplace_back(entry.name, entity_options(entry));
        for (const auto& entry : configuration.subscriptions) {
            entities.emplace_back(broker::subscription_path(entry.topic, entry.name), entity_options(entry));
        }
        // An entity that forwards may name one that comes after it in the file.
        for (auto& [name, options] : entities) {
            broker::EntityOptions plain = options;
            plain.forward_to.clear();
            plain.forward_dead_letters_to.clear();
            auto put = co_await broker->put_entity(name, plain);
            if (!put) co_return put.error();
        }
        for (auto& [name, options] : entities) {
            auto put = co_await broker->put_entity(name, options);
            if (!put) co_return put.error();
        }
        co_return Result<void>();
    }

    asio::awaitable<Result<void>> open_index() {
        auto client = provider::HttpClient::make(io);
        if (!client) co_return client.error();
        http_client = std::move(*client);
        const ProviderTools tools{pool, clock, *http_client, find_assets()};
        auto made = make_provider(configuration, tools);
        if (!made) co_return made.error();
        provider = std::move(made->provider);
        provider_is_local = made->local;
        if (!made->notice.empty()) notices.push_back(made->notice);
        auto opened = co_await index::make_embedded_index(*database, pool);
        if (!opened) co_return opened.error();
        index = std::move(*opened);
        co_return Result<void>();
    }

    asio::awaitable<void> start_work() {
        documents = std::make_unique<work::Documents>(*database, *blobs, pool, *broker, clock);
        operations = std::make_unique<work::Operations>(io, *database, clock);
        co_await documents->start();
        services.reset(new handlers::Services{io, *database, *blobs, pool, clock, *index, *provider, *documents,
                                              *operations, load_tokens(), make_observer(metrics)});
        broker->start();
        std::vector<std::string> queues;
        for (const auto& worker : workers_of(configuration)) {
            start_processor(worker);
            queues.push_back(worker.queue);
        }
        dead_letters = std::make_unique<handlers::DeadLetterWatch>(*services, *broker, std::move(queues));
        start_background();
    }

    std::shared_ptr<const text::TokenCounter> load_tokens() {
        const std::string& encoding = provider->model().encoding;
        auto counter = text::TokenCounter::load(encoding, find_assets() / (encoding + ".tiktoken"));
        if (counter) return *counter;
        notices.push_back(counter.error().detail + "; tokens are estimated from characters");
        return nullptr;
    }

    void start_processor(const Worker& worker) {
        work::ProcessorOptions options;
        options.queue = worker.queue;
        options.concurrency = worker.concurrency;
        const auto counts = broker->counts(worker.queue);
        options.sessions = counts && counts->options.requires_session;
        auto complete = [this](broker::LockRef lock, work::Done done) -> asio::awaitable<Result<void>> {
            std::vector<std::pair<std::string, broker::Message>> follow_ups;
            for (auto& one : done.follow_ups) {
                follow_ups.emplace_back(std::move(one.entity), std::move(one.message));
            }
            co_return co_await broker->complete_with(std::move(lock), std::move(follow_ups), std::move(done.with));
        };
        auto handler = handlers::make_stage_handler(*services, std::string(worker.row->stage), worker.row->run);
        processors.push_back(std::make_unique<work::Processor>(io, *broker, clock, std::move(complete),
                                                               std::move(options), std::move(handler)));
        processors.back()->start();
    }

    void start_background() {
        auto on_end = [](std::exception_ptr failure) {
            if (!failure) return;
            try {
                std::rethrow_exception(failure);
            } catch (const std::exception& error) {
                telemetry::log_warning("background work ended", "server", error.what());
            }
        };
        asio::co_spawn(io, background(), asio::bind_cancellation_slot(stop_background.slot(), on_end));
    }

    /// Looks after dead letters all the time and prunes what is remembered now and then.
    asio::awaitable<void> background() {
        TimePoint next_prune = clock.now() + kPruneInterval;
        while (!stopped) {
            co_await dead_letters->look();
            if (clock.now() >= next_prune) {
                next_prune = clock.now() + kPruneInterval;
                auto pruned = co_await documents->prune();
                auto steps = co_await work::Steps::prune(*database, clock.now() - kStepsKept);
                (void)pruned, (void)steps;
            }
            co_await clock.sleep_for(std::chrono::milliseconds(500));
        }
    }

    Result<void> listen() {
        auto address = parse_address(configuration.server.listen);
        if (!address) return address.error();
        http::ApiOptions options;
        if (!configuration.server.api_keys_file.empty()) {
            auto keys = read_api_keys(configuration.server.api_keys_file, notices);
            if (!keys) return keys.error();
            options.api_keys = std::move(*keys);
        }
        for (const auto& processor : processors) options.worked_queues.push_back(processor->options().queue);
        const bool by_rank = configuration.index.fusion == "rank" ||
                             (configuration.index.fusion == "auto" && !provider_is_local);
        options.fusion = by_rank ? index::Fusion::rank : index::Fusion::score;
        options.keyword_weight = configuration.index.keyword_weight > 0 ? configuration.index.keyword_weight
                                                                         : (by_rank ? 0.5 : 0.7);
        http::ApiParts parts{*database, *broker, *provider, *index, *documents, *operations, pool, metrics, clock};
        api = std::make_unique<http::Api>(io, parts, std::move(options));
        http::ServerOptions server;
        server.address = address->host;
        server.port = address->port;
        server.on_fault = [](std::string_view why) { telemetry::log_error("request", "http", why); };
        auto started = http::Server::start(io, std::move(server), api->handler());
        if (!started) return started.error();
        http = std::move(*started);
        api->set_connections([this] { return http ? http->connections() : 0; });
        api->start();
        api->set_ready(true);
        return {};
    }
};

asio::awaitable<Result<std::unique_ptr<Server>>> Server::start(asio::any_io_executor io, Configuration configuration) {
    auto server = std::unique_ptr<Server>(new Server(std::make_unique<Parts>(io, std::move(configuration))));
    Parts& parts = *server->parts_;
    auto ready = co_await parts.open_store();
    if (ready) ready = co_await parts.open_queues();
    if (ready) ready = co_await parts.open_index();
    if (ready) {
        co_await parts.start_work();
        ready = parts.listen();
    }
    if (ready) co_return server;
    co_await server->stop(Duration::zero());
    co_return ready.error();
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() = default;

asio::awaitable<void> Server::stop(Duration drain) {
    Parts& parts = *parts_;
    if (std::exchange(parts.stopped, true)) co_return;
    const TimePoint deadline = parts.clock.now() + drain;
    if (parts.api) parts.api->set_ready(false);
    if (parts.http) co_await parts.http->stop(drain);
    if (parts.api) parts.api->stop();
    for (auto& processor : parts.processors) {
        co_await processor->stop(std::max(deadline - parts.clock.now(), Duration::zero()));
    }
    parts.stop_background.emit(asio::cancellation_type::terminal);
    if (parts.broker) co_await parts.broker->stop();
    if (parts.http_client) parts.http_client->stop();
    if (parts.database) parts.database->stop();
}

unsigned short Server::port() const noexcept { return parts_->http->port(); }

std::string Server::url() const {
    auto address = parse_address(parts_->configuration.server.listen);
    const bool v6 = address->host.find(':') != std::string::npos;
    const std::string host = v6 ? "[" + address->host + "]" : address->host;
    return "http://" + host + ":" + std::to_string(port());
}

const std::vector<std::string>& Server::notices() const noexcept { return parts_->notices; }

broker::Broker& Server::broker() noexcept { return *parts_->broker; }
work::Documents& Server::documents() noexcept { return *parts_->documents; }
work::Operations& Server::operations() noexcept { return *parts_->operations; }
index::Index& Server::index() noexcept { return *parts_->index; }
provider::Provider& Server::provider() noexcept { return *parts_->provider; }
telemetry::Metrics& Server::metrics() noexcept { return parts_->metrics; }
store::Database& Server::database() noexcept { return *parts_->database; }

}  // namespace millrace::app
