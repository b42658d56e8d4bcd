#include "app/model.hpp"

#include "app/deployment.hpp"
#include "app/metered_provider.hpp"
#include "app/places.hpp"
#include "base/ids.hpp"

namespace millrace::app {

namespace {

constexpr std::int64_t kRemoteCallsAtOnce = 64;
constexpr Duration kQuotaMeasured = std::chrono::seconds(5);
constexpr Duration kCallersWaitMax = std::chrono::seconds(10);  // for a query's vector; then words alone

quota::Limits limits_of(const DeploymentEntry& deployment) {
    const bool azure = deployment.provider == "azure-openai";
    quota::Limits limits;
    limits.tokens_per_minute = deployment.tokens_per_minute;
    limits.requests_per_minute = deployment.requests_per_minute;
    limits.calls_at_once = deployment.concurrency > 0 ? deployment.concurrency : kRemoteCallsAtOnce;
    const std::int64_t window = deployment.request_window_seconds;
    limits.request_window = std::chrono::seconds(window > 0 ? window : azure ? 1 : 60);
    const bool estimates = azure || deployment.endpoint.empty();
    const bool by_estimate = deployment.counts == "estimate" || (deployment.counts == "auto" && estimates);
    limits.counting = by_estimate ? quota::Counting::estimate : quota::Counting::usage;
    return limits;
}

std::vector<quota::Cap> caps_of(const Configuration& configuration) {
    std::vector<quota::Cap> caps;
    for (const CapEntry& entry : configuration.caps) {
        const auto period = entry.per == "month" ? quota::Cap::Period::month : quota::Cap::Period::day;
        caps.push_back(
            {entry.deployment, entry.tenant, period, static_cast<std::int64_t>(entry.amount * 1'000'000)});
    }
    return caps;
}

}  // namespace

/// What every deployment is made with.
struct Models::Making {
    asio::any_io_executor io;
    const ModelsBase& base;
    provider::HttpClient& http;
    quota::Ledger& ledger;
    std::map<std::string, double> weights;
    std::map<std::string, std::shared_ptr<const text::TokenCounter>> counters;  // by encoding

    Result<std::unique_ptr<Model>> make(const DeploymentEntry& deployment) {
        auto made = make_provider(deployment, base.pool, http, base.clock);
        if (!made) return made.error();
        auto model = std::make_unique<Model>();
        model->deployment = deployment;
        model->local = made->local;
        model->notice = std::move(made->notice);
        model->provider =
            std::make_unique<MeteredProvider>(std::move(made->provider), deployment.name, base.metrics);
        model->tokens = counter(model->provider->model().encoding);
        if (!model->local) pace(*model);
        provider::Provider& inner =
            model->paced ? static_cast<provider::Provider&>(*model->paced) : *model->provider;
        model->for_work = std::make_unique<provider::CircuitBreaker>(io, inner, base.clock);
        if (model->paced && base.database.shared())
            model->remembered =
                std::make_unique<provider::Remembered>(*model->for_work, base.database, base.clock);
        model->for_callers = std::make_unique<provider::FailFast>(*model->for_work, inner, kCallersWaitMax);
        return model;
    }

    std::shared_ptr<const text::TokenCounter> counter(const std::string& encoding) {
        const auto known = counters.find(encoding);
        if (known != counters.end()) return known->second;
        const std::string file = encoding + ".tiktoken";
        const auto folder = find_asset(file);
        auto loaded = folder ? text::TokenCounter::load(encoding, *folder / file)
                             : Error{Errc::not_found, file + " is not among the assets"};
        return counters[encoding] = loaded ? std::move(*loaded) : nullptr;
    }

    void pace(Model& model) const {
        const DeploymentEntry& deployment = model.deployment;
        const provider::ModelInfo& info = model.provider->model();
        quota::GateOptions options;
        options.deployment = deployment.name;
        options.limits = limits_of(deployment);
        options.inputs_max = info.inputs_per_request_max;
        options.inputs_fit = [provider = model.provider.get()] {
            return provider->model().inputs_per_request_max;
        };
        options.request_tokens_max = static_cast<std::int64_t>(info.tokens_per_request_max);
        options.weights = weights;
        provider::PacedOptions paced;
        paced.limits = options.limits;
        paced.price = price_of(deployment);
        // A provider that counts by characters is reserved for by characters.
        if (options.limits.counting == quota::Counting::usage && model.tokens)
            paced.count = [tokens = model.tokens](std::string_view text) {
                return static_cast<std::int64_t>(tokens->count(text));
            };
        paced.pool = &base.pool;
        if (deployment.output_tokens > 0) paced.output_tokens_default = deployment.output_tokens;
        model.gate = std::make_unique<quota::Gate>(io, ledger, base.clock, std::move(options));
        model.paced =
            std::make_unique<provider::Paced>(io, *model.provider, *model.gate, base.clock, std::move(paced));
    }
};

Result<std::unique_ptr<Models>> Models::make(asio::any_io_executor io, const Configuration& configuration,
                                             const ModelsBase& base) {
    auto http = provider::HttpClient::make(io);
    if (!http) return http.error();
    std::unique_ptr<Models> models(new Models);
    models->http_ = std::move(*http);
    models->ledger_ = std::make_unique<quota::Ledger>(base.database, base.clock, to_hex(random_uuid()),
                                                      caps_of(configuration));
    Making making{std::move(io), base, *models->http_, *models->ledger_, {}, {}};
    for (const TenantEntry& tenant : configuration.tenants) making.weights[tenant.name] = tenant.weight;

    const DeploymentEntry in_use = deployment_in_use(configuration);
    auto used = making.make(in_use);
    if (!used) return used.error();
    models->in_use_ = used->get();
    models->models_.emplace(in_use.name, std::move(used));
    for (const DeploymentEntry& deployment : configuration.deployments)
        if (!models->models_.contains(deployment.name))
            models->models_.emplace(deployment.name, making.make(deployment));
    return models;
}

Result<const Model*> Models::find(std::string_view name) const {
    const auto found = models_.find(name);
    if (found == models_.end())
        return Error{Errc::not_found, "no deployment \"" + std::string(name) + "\" is configured"};
    if (!found->second) return found->second.error();
    return found->second->get();
}

std::vector<quota::Gate*> Models::gates() const {
    std::vector<quota::Gate*> gates;
    for (const auto& [name, model] : models_)
        if (model && (*model)->gate) gates.push_back((*model)->gate.get());
    return gates;
}

asio::awaitable<std::vector<quota::PageView>> Models::quota() {
    std::vector<quota::PageView> views;
    for (quota::Gate* gate : gates()) {
        auto view = co_await gate->view();
        views.push_back(std::move(view));
    }
    co_return views;
}

asio::awaitable<void> Models::measure_quota(telemetry::Metrics& metrics, Clock& clock) {
    namespace metric = telemetry::metric;
    while (!gates().empty()) {
        const auto views = co_await quota();
        for (const quota::PageView& view : views) {
            const auto set = [&](const telemetry::MetricRow& row, const char* state, std::int64_t value) {
                metrics.set(row, {view.deployment, state}, static_cast<double>(value));
            };
            set(metric::quota_tokens, "limit", view.tokens_per_minute);
            set(metric::quota_tokens, "used", view.tokens_used);
            set(metric::quota_tokens, "reserved", view.reserved);
            set(metric::quota_tokens, "waiting", view.waiting_tokens);
            set(metric::quota_requests, "limit", view.requests_per_minute);
            set(metric::quota_requests, "used", view.requests_used);
            set(metric::quota_calls, "running", view.calls);
            set(metric::quota_calls, "waiting", view.waiting_calls);
            metrics.set(metric::quota_throttled, {view.deployment},
                        static_cast<double>(view.throttled_total));
            metrics.set(metric::quota_spent, {view.deployment},
                        static_cast<double>(view.micros_today) / 1'000'000);
        }
        co_await clock.sleep_for(kQuotaMeasured);
    }
}

asio::awaitable<void> Models::stop_waiting() {
    for (const auto& [name, model] : models_)
        if (model) (*model)->for_work->stop();
    for (quota::Gate* gate : gates()) co_await gate->stop();
}

asio::awaitable<void> Models::stop() {
    for (const auto& [name, model] : models_)
        if (model && (*model)->paced) co_await (*model)->paced->stop();
    http_->stop();
}

std::shared_ptr<const text::TokenCounter> token_counter(const Model& model,
                                                        std::vector<std::string>& notices) {
    if (!model.tokens && !model.local)
        notices.push_back("the token ranks " + model.provider->model().encoding +
                          ".tiktoken are missing, so tokens are estimated; run ./dev deps, or set "
                          "MILLRACE_ASSETS to their folder");
    return model.tokens;
}

}  // namespace millrace::app
