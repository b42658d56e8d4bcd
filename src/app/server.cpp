#include "app/server.hpp"

#include "app/amqp_listeners.hpp"
#include "app/background.hpp"
#include "app/configuration_check.hpp"
#include "app/configuration_rules.hpp"
#include "app/deployment.hpp"
#include "app/emulator_config.hpp"
#include "app/metered_provider.hpp"
#include "app/places.hpp"
#include "app/watch.hpp"
#include "handlers/dead_letter_watch.hpp"
#include "handlers/stages.hpp"
#include "http/api.hpp"
#include "index/embedded_index.hpp"
#include "provider/circuit_breaker.hpp"
#include "telemetry/log.hpp"
#include "work/processor.hpp"

#include <boost/beast/core/string.hpp>

#include <thread>

namespace millrace::app {

namespace {

constexpr Duration kSearchWaitMax = std::chrono::seconds(10);  // for the query's vector; then words alone
constexpr Duration kRequestsDrain = std::chrono::seconds(5);
constexpr Duration kPruneInterval = std::chrono::hours(1);
constexpr std::size_t kRemoteCallsAtOnce = 64;   // a remote call mostly waits
constexpr double kKeywordWeightScore = 0.7;   // docs/search.md: what suits the local model
constexpr double kKeywordWeightRank = 0.5;

unsigned cpu_threads(const ServerSettings& settings) {
    if (settings.cpu_threads > 0) return static_cast<unsigned>(settings.cpu_threads);
    const unsigned cores = std::thread::hardware_concurrency();
    return cores > 1 ? cores - 1 : 1;
}

/// One queue, the handler that serves it and how often at once.
struct Worker {
    std::string queue;
    const handlers::HandlerRow* handler;
    std::size_t concurrency;
};

Result<std::vector<Worker>> workers_of(const Configuration& configuration, std::size_t calls_at_once) {
    std::vector<Worker> workers;
    for (const auto& row : handlers::kHandlers) {
        if (row.queue.empty()) continue;
        const bool calls_model = row.queue == work::queue::embed && calls_at_once > 0;
        workers.push_back({std::string(row.queue), &row, calls_model ? calls_at_once : row.concurrency});
    }
    for (const WorkerEntry& entry : configuration.workers) {
        const auto same = std::find_if(workers.begin(), workers.end(),
                                       [&](const auto& w) { return w.queue == entry.queue; });
        const bool pipeline = same != workers.end();
        const handlers::HandlerRow* handler =
            pipeline && entry.handler.empty() ? same->handler : handlers::find_handler(entry.handler);
        if (handler == nullptr || (pipeline && handler != same->handler))
            return Error{Errc::invalid_input,
                         "workers." + entry.queue + ": no handler \"" + entry.handler +
                             "\" for this queue; use \"embed-index\" on a queue of your own"};
        Worker worker{entry.queue, handler,
                      entry.concurrency > 0 ? static_cast<std::size_t>(entry.concurrency)
                      : pipeline            ? same->concurrency
                                            : handler->concurrency};
        if (pipeline)
            *same = worker;
        else
            workers.push_back(worker);
    }
    return workers;
}

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
        opened = co_await open_queues();
        if (!opened) co_return opened;
        opened = co_await open_model_and_index();
        if (!opened) co_return opened;
        co_await open_documents();
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
        for (const auto& processor : processors_) processor->close();
        co_await stop_http(std::min<Duration>(drain, kRequestsDrain));
        if (breaker_) breaker_->stop();
        for (const auto& processor : processors_) {
            const Duration left = std::max(deadline - clock_.now(), Duration::zero());
            co_await processor->stop(left);
        }
        co_await background_.stop();
        if (api_) api_->stop();
        // Nothing runs that could hold a part below, but for requests that wait for a thread of the pool.
        if (pool_) pool_->stop();
        co_await stop_http(Duration::zero());
        if (broker_) co_await broker_->stop();
        if (http_client_) http_client_->stop();
        if (database_) database_->stop();
        // Requests whose last read has just ended.
        co_await stop_http(Duration::zero());
    }

    std::string url() const { return url_of("http://", configuration_.server.listen, server_.get()); }
    std::string https_url() const {
        if (!tls_server_) return "";
        return url_of("https://", configuration_.server.https_listen, tls_server_.get());
    }
    const std::vector<std::string>& amqp_urls() const noexcept { return amqp_.urls(); }
    std::string model() const { return provider_ ? provider_->model().name : std::string(); }

    std::vector<std::string> notices;
    telemetry::Metrics metrics;

  private:
    static std::string url_of(const char* scheme, const std::string& listen, const http::Server* server) {
        const Address address = parse_address(listen).value();
        const bool v6 = address.host.find(':') != std::string::npos;
        const std::string host = v6                          ? "[" + address.host + "]"
                                 : address.host == "0.0.0.0" ? "127.0.0.1"
                                                             : address.host;
        return scheme + host + ":" + std::to_string(server != nullptr ? server->port() : address.port);
    }

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
        store::Database::Options options;
        options.directory = configuration_.server.data_dir;
        options.readers = static_cast<unsigned>(configuration_.store.readers);
        auto database = store::Database::open(io_, options);
        if (!database) return database.error();
        database_ = std::move(*database);
        blobs_ = std::make_unique<store::Blobs>(options.directory / "blobs");
        pool_ = std::make_unique<CpuPool>(cpu_threads(configuration_.server));
        return {};
    }

    asio::awaitable<Result<void>> open_queues() {
        broker::Broker::Options options;
        options.strict_delivery_counts = configuration_.queue.strict_delivery_counts;
        options.message_bytes_max = static_cast<std::size_t>(configuration_.queue.max_message_bytes);
        auto broker = co_await broker::Broker::open(*database_, clock_, options);
        if (!broker) co_return broker.error();
        broker_ = std::move(*broker);
        for (auto& [name, entity] : entities()) {
            const auto existing = broker_->counts(name);
            if (existing) keep_administered(entity, existing->options);
            auto put = co_await broker_->put_entity(name, entity);
            if (!put) co_return Error{put.error().code, "queue \"" + name + "\": " + put.error().detail};
        }
        for (const SubscriptionEntry& entry : configuration_.subscriptions) {
            if (!entry.rules) continue;
            const std::string path = broker::subscription_path(entry.topic, entry.name);
            auto applied = co_await apply_rules(*broker_, path, *entry.rules);
            if (!applied)
                co_return Error{applied.error().code,
                                "subscription \"" + path + "\": " + applied.error().detail};
        }
        co_return co_await import_entities();
    }

    /// Those of the emulator's file beside the configured ones.
    asio::awaitable<Result<void>> import_entities() {
        const std::string& file = configuration_.queue.emulator_config;
        if (file.empty()) co_return Result<void>();
        auto config = read_emulator_config(file);
        if (!config) co_return config.error();
        for (const EmulatorEntity& entity : config->entities)
            for (const auto& [name, options] : entities())
                if (boost::beast::iequals(name, entity.name))
                    co_return Error{Errc::invalid_input, "queue.emulator_config: " + file + ": \"" + name +
                                                             "\" is this server's or configured already; "
                                                             "give it another name there"};
        notices.insert(notices.end(), config->notices.begin(), config->notices.end());
        co_return co_await put_emulator_entities(*broker_, std::move(config->entities));
    }

    /// The pipeline's queues with default options unless the configuration names them, then the configured
    /// ones.
    std::vector<std::pair<std::string, broker::EntityOptions>> entities() const {
        std::vector<std::pair<std::string, broker::EntityOptions>> list;
        for (const auto& row : handlers::kHandlers) {
            const auto named = [&](const QueueEntry& queue) { return queue.name == row.queue; };
            const auto& queues = configuration_.queues;
            if (!row.queue.empty() && std::none_of(queues.begin(), queues.end(), named))
                list.emplace_back(row.queue, broker::EntityOptions());
        }
        for (const auto& topic : configuration_.topics) list.emplace_back(topic.name, entity_options(topic));
        // What forwards comes after what may be forwarded to.
        for (const bool forwards : {false, true})
            for (const auto& queue : configuration_.queues)
                if ((!queue.forward_to.empty() || !queue.forward_dead_letters_to.empty()) == forwards)
                    list.emplace_back(queue.name, entity_options(queue));
        for (const auto& entry : configuration_.subscriptions)
            list.emplace_back(broker::subscription_path(entry.topic, entry.name), entity_options(entry));
        return list;
    }

    asio::awaitable<Result<void>> open_model_and_index() {
        auto client = provider::HttpClient::make(io_);
        if (!client) co_return client.error();
        http_client_ = std::move(*client);
        deployment_ = deployment_in_use(configuration_);
        auto made = make_provider(deployment_, *pool_, *http_client_, clock_);
        if (!made) co_return made.error();
        provider_ = std::make_unique<MeteredProvider>(std::move(made->provider), deployment_.name, metrics);
        local_ = made->local;
        breaker_ = std::make_unique<provider::CircuitBreaker>(io_, *provider_, clock_);
        search_provider_ = std::make_unique<provider::FailFast>(*breaker_, *provider_, kSearchWaitMax);
        if (!made->notice.empty()) notices.push_back(std::move(made->notice));
        const index::EmbeddedIndexOptions options;
        auto index = co_await index::make_embedded_index(*database_, *pool_, options);
        if (!index) co_return index.error();
        index_ = std::move(*index);
        co_return Result<void>();
    }

    asio::awaitable<void> open_documents() {
        documents_ = std::make_unique<work::Documents>(*database_, *blobs_, *pool_, *broker_, clock_);
        co_await documents_->start();
        operations_ = std::make_unique<work::Operations>(io_, *database_, clock_);
        services_ = std::make_unique<handlers::Services>(
            handlers::Services{background_.tasks(), *database_, *blobs_, *pool_, clock_, *index_, *breaker_,
                               *documents_, *operations_, token_counter(), observer()});
    }

    std::shared_ptr<const text::TokenCounter> token_counter() {
        const std::string encoding = provider_->model().encoding;
        const std::string file = encoding + ".tiktoken";
        const auto folder = find_asset(file);
        const auto counter =
            folder ? text::TokenCounter::load(encoding, *folder / file)
                   : Result<std::shared_ptr<const text::TokenCounter>>(Error{Errc::not_found, ""});
        if (counter) return *counter;
        if (!local_)
            notices.push_back("the token ranks " + file +
                              " are missing, so tokens are estimated; run ./dev deps, or set "
                              "MILLRACE_ASSETS to their folder");
        return nullptr;
    }

    handlers::Observer observer() {
        namespace metric = telemetry::metric;
        handlers::Observer observer;
        observer.document_processed = [this](const std::string& category, Duration) {
            metrics.add(metric::documents_processed, {category});
        };
        observer.document_failed = [this](const std::string& reason, const std::string& status) {
            metrics.add(metric::documents_failed, {reason, status});
        };
        observer.embedding_took = [this](const std::string& category, double seconds) {
            metrics.observe(metric::embedding_duration, {category}, seconds);
        };
        observer.stage_took = [this](const std::string& stage, double seconds) {
            metrics.observe(metric::stage_duration, {stage}, seconds);
        };
        return observer;
    }

    Result<void> make_workers() {
        const auto calls = static_cast<std::size_t>(deployment_.concurrency);
        auto workers = workers_of(configuration_, calls == 0 && !local_ ? kRemoteCallsAtOnce : calls);
        if (!workers) return workers.error();
        if (!configuration_.server.workers) workers->clear();
        work::Complete complete = [this](broker::LockRef lock, work::Done done) {
            std::vector<std::pair<std::string, broker::Message>> follow_ups;
            for (auto& next : done.follow_ups)
                follow_ups.emplace_back(std::move(next.entity), std::move(next.message));
            return broker_->complete_with(std::move(lock), std::move(follow_ups), std::move(done.with));
        };
        for (const Worker& worker : *workers) {
            const auto counts = broker_->counts(worker.queue);
            if (!counts)
                return Error{Errc::invalid_input,
                             "workers." + worker.queue + ": there is no such queue; add it as [[queues]]"};
            work::ProcessorOptions options;
            options.queue = worker.queue;
            options.concurrency = worker.concurrency;
            options.sessions = counts->options.requires_session;
            auto handler = handlers::make_stage_handler(*services_, std::string(worker.handler->stage),
                                                        worker.handler->run);
            processors_.push_back(std::make_unique<work::Processor>(io_, *broker_, clock_, complete,
                                                                    std::move(options), std::move(handler)));
            worked_queues_.push_back(worker.queue);
        }
        dead_letter_watch_ =
            std::make_unique<handlers::DeadLetterWatch>(*services_, *broker_, worked_queues_);
        return {};
    }

    asio::awaitable<void> stop_http(Duration drain) {
        const TimePoint deadline = clock_.now() + drain;
        co_await amqp_.stop(drain);
        if (server_) co_await server_->stop(drain);
        const Duration left = std::max(deadline - clock_.now(), Duration::zero());
        if (tls_server_) co_await tls_server_->stop(left);
    }

    Result<void> open_http() {
        http::ApiOptions options;
        options.api_keys = api_keys_;
        options.access_keys = access_keys_;
        options.worked_queues = worked_queues_;
        options.work_is_held = [this] { return breaker_->open(); };
        const std::string& fusion = configuration_.index.fusion;
        options.fusion =
            fusion == "rank" || (fusion == "auto" && !local_) ? index::Fusion::rank : index::Fusion::score;
        const double weight = configuration_.index.keyword_weight;
        const bool by_rank = options.fusion == index::Fusion::rank;
        options.keyword_weight = weight > 0 ? weight : by_rank ? kKeywordWeightRank : kKeywordWeightScore;
        provider::Provider& for_search =
            local_ ? *provider_ : static_cast<provider::Provider&>(*search_provider_);
        const http::ApiParts parts{*database_,   *broker_, for_search, *index_, *documents_,
                                   *operations_, *pool_,   metrics,    clock_};
        api_ = std::make_unique<http::Api>(io_, parts, std::move(options));

        auto server = serve_http("listen", configuration_.server.listen, nullptr);
        if (!server) return server.error();
        server_ = std::move(*server);
        const std::string& https = configuration_.server.https_listen;
        if (tls_ && !https.empty()) {
            auto tls_server = serve_http("https_listen", https, tls_);
            if (!tls_server) return tls_server.error();
            tls_server_ = std::move(*tls_server);
        }
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

    /// The server for the setting `key` of [server].
    Result<std::unique_ptr<http::Server>> serve_http(const std::string& key, const std::string& where,
                                                     std::shared_ptr<asio::ssl::context> tls) {
        const auto address = parse_address(where);
        if (!address) return address.error();
        http::ServerOptions options;
        options.address = address->host;
        options.port = address->port;
        options.tls = std::move(tls);
        options.on_fault = [](std::string_view why) { telemetry::log_error("request failed", "http", why); };
        auto server = http::Server::start(io_, std::move(options), api_->handler());
        if (!server) return Error{server.error().code, "server." + key + ": " + server.error().detail};
        return server;
    }

    std::size_t http_connections() const {
        return server_->connections() + (tls_server_ ? tls_server_->connections() : 0);
    }

    void collect() {
        namespace metric = telemetry::metric;
        metrics.set(metric::provider_held, {deployment_.name}, static_cast<double>(breaker_->waiting()));
        amqp_.collect(metrics);
        metrics.set(metric::http_connections, {}, static_cast<double>(http_connections()));
        for (const auto& processor : processors_) {
            const work::ProcessorStats stats = processor->stats();
            const std::string& queue = processor->options().queue;
            metrics.raise_to(metric::messages_settled, {queue, "done"}, static_cast<double>(stats.done));
            metrics.raise_to(metric::messages_settled, {queue, "retry"}, static_cast<double>(stats.retried));
            metrics.raise_to(metric::messages_settled, {queue, "dead_letter"},
                             static_cast<double>(stats.dead_lettered));
            metrics.raise_to(metric::messages_settled, {queue, "lost"},
                             static_cast<double>(stats.locks_lost));
        }
    }

    void start_work() {
        broker_->start();
        api_->start();
        for (const auto& processor : processors_) processor->start();
        background_.start("dead letters", [this] { return dead_letter_watch_->run(); });
        background_.start("pruning", [this] { return prune(); });
        for (const WatchEntry& entry : configuration_.watch) {
            watches_.push_back(std::make_unique<FolderWatch>(entry, *database_, *documents_, *pool_, clock_));
            background_.start("watch " + entry.path,
                              [watch = watches_.back().get()] { return watch->run(); });
        }
        api_->set_ready(true);
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
    DeploymentEntry deployment_;
    bool local_ = true;
    std::vector<std::string> worked_queues_;
    std::vector<std::string> api_keys_;
    AccessKeys access_keys_;
    std::shared_ptr<asio::ssl::context> tls_;  ///< null: nothing is served over TLS
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<store::Blobs> blobs_;
    std::unique_ptr<CpuPool> pool_;
    std::unique_ptr<broker::Broker> broker_;
    std::unique_ptr<provider::HttpClient> http_client_;
    std::unique_ptr<provider::Provider> provider_;
    std::unique_ptr<provider::CircuitBreaker>
        breaker_;  ///< of `provider_`, for the handlers: searches don't wait
    std::unique_ptr<provider::FailFast> search_provider_;
    std::unique_ptr<index::Index> index_;
    std::unique_ptr<work::Documents> documents_;
    std::unique_ptr<work::Operations> operations_;
    std::unique_ptr<handlers::Services> services_;
    std::vector<std::unique_ptr<work::Processor>> processors_;
    std::unique_ptr<handlers::DeadLetterWatch> dead_letter_watch_;
    std::vector<std::unique_ptr<FolderWatch>> watches_;
    std::unique_ptr<http::Api> api_;
    std::unique_ptr<http::Server> server_;
    std::unique_ptr<http::Server> tls_server_;
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
