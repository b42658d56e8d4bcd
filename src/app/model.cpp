#include "app/model.hpp"

#include "app/deployment.hpp"
#include "app/metered_provider.hpp"
#include "app/places.hpp"

namespace millrace::app {

namespace {

constexpr Duration kCallersWaitMax = std::chrono::seconds(10);  // for a query's vector; then words alone

}  // namespace

/// What every deployment is made with.
struct Models::Making {
    asio::any_io_executor io;
    CpuPool& pool;
    provider::HttpClient& http;
    Clock& clock;
    telemetry::Metrics& metrics;

    Result<std::unique_ptr<Model>> make(const DeploymentEntry& deployment) const {
        auto made = make_provider(deployment, pool, http, clock);
        if (!made) return made.error();
        auto model = std::make_unique<Model>();
        model->deployment = deployment;
        model->local = made->local;
        model->notice = std::move(made->notice);
        model->provider =
            std::make_unique<MeteredProvider>(std::move(made->provider), deployment.name, metrics);
        model->for_work = std::make_unique<provider::CircuitBreaker>(io, *model->provider, clock);
        model->for_callers =
            std::make_unique<provider::FailFast>(*model->for_work, *model->provider, kCallersWaitMax);
        return model;
    }
};

Result<std::unique_ptr<Models>> Models::make(asio::any_io_executor io, const Configuration& configuration,
                                             CpuPool& pool, Clock& clock, telemetry::Metrics& metrics) {
    auto http = provider::HttpClient::make(io);
    if (!http) return http.error();
    std::unique_ptr<Models> models(new Models);
    models->http_ = std::move(*http);
    const Making making{std::move(io), pool, *models->http_, clock, metrics};

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

void Models::stop_waiting() {
    for (const auto& [name, model] : models_)
        if (model) (*model)->for_work->stop();
}

void Models::stop() { http_->stop(); }

std::shared_ptr<const text::TokenCounter> token_counter(const Model& model,
                                                        std::vector<std::string>& notices) {
    const std::string encoding = model.provider->model().encoding;
    const std::string file = encoding + ".tiktoken";
    const auto folder = find_asset(file);
    if (folder) {
        const auto counter = text::TokenCounter::load(encoding, *folder / file);
        if (counter) return *counter;
    }
    if (!model.local)
        notices.push_back("the token ranks " + file +
                          " are missing, so tokens are estimated; run ./dev deps, or set "
                          "MILLRACE_ASSETS to their folder");
    return nullptr;
}

}  // namespace millrace::app
