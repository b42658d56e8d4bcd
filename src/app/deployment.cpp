#include "app/deployment.hpp"

#include "provider/local.hpp"
#include "provider/openai.hpp"

namespace millrace::app {

namespace {

const DeploymentEntry* embedding_deployment(const Configuration& configuration) {
    for (const auto& worker : configuration.workers) {
        const bool embeds = worker.handler == "embed" || worker.handler == "embed-index";
        if (!embeds || worker.deployment.empty()) continue;
        for (const auto& entry : configuration.deployments) {
            if (entry.name == worker.deployment) return &entry;
        }
    }
    return configuration.deployments.empty() ? nullptr : &configuration.deployments.front();
}

MadeProvider make_local_or_hash(const ProviderTools& tools) {
    MadeProvider made;
    auto local = provider::make_local(tools.pool, tools.assets);
    if (local) {
        made.provider = std::move(*local);
        return made;
    }
    made.provider = provider::make_local_hash(tools.pool);
    made.notice = local.error().detail + "; going on with local-hash, which finds shared words but no paraphrase";
    return made;
}

Result<MadeProvider> make_remote(const DeploymentEntry& entry, const ProviderTools& tools) {
    provider::OpenAiOptions options;
    options.server.endpoint = entry.endpoint;
    options.server.key = entry.key;
    options.server.model = entry.model.empty() ? entry.name : entry.model;
    options.server.azure = entry.provider == "azure-openai";
    options.server.deployment = options.server.azure ? options.server.model : "";
    options.server.api_version = entry.api_version;
    options.dimensions = static_cast<std::size_t>(entry.dimensions);
    options.try_time_max = std::chrono::seconds(entry.timeout_seconds);
    auto made = provider::make_openai(tools.http, tools.clock, options, &tools.pool);
    if (!made) return Error{made.error().code, "deployment \"" + entry.name + "\": " + made.error().detail};
    return MadeProvider{std::move(*made), "", false};
}

}  // namespace

Result<MadeProvider> make_provider(const Configuration& configuration, const ProviderTools& tools) {
    const DeploymentEntry* entry = embedding_deployment(configuration);
    if (entry == nullptr || entry->provider == "local") return make_local_or_hash(tools);
    if (entry->provider == "local-hash") return MadeProvider{provider::make_local_hash(tools.pool), "", true};
    return make_remote(*entry, tools);
}

}  // namespace millrace::app
