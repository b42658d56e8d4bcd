#include "app/deployment.hpp"

#include "app/places.hpp"
#include "provider/local.hpp"
#include "provider/openai.hpp"

#include <cstdlib>

namespace millrace::app {

namespace {

constexpr char kWeights[] = "use_lite.weights";
constexpr char kOpenAi[] = "https://api.openai.com/v1";

/// The key of the entry, or what the provider's own tools would take from the environment.
std::string key_for(const DeploymentEntry& deployment) {
    if (!deployment.key.empty()) return deployment.key;
    const bool azure = deployment.provider == "azure-openai";
    if (!azure && !deployment.endpoint.empty()) return {};
    const char* value = std::getenv(azure ? "AZURE_OPENAI_API_KEY" : "OPENAI_API_KEY");
    return value == nullptr ? "" : value;
}

Result<MadeProvider> make_remote(const DeploymentEntry& deployment, CpuPool& pool, provider::HttpClient& http,
                                 Clock& clock) {
    provider::OpenAiOptions options;
    options.server.endpoint = deployment.endpoint.empty() ? kOpenAi : deployment.endpoint;
    options.server.key = key_for(deployment);
    options.server.model = deployment.model;
    options.server.azure = deployment.provider == "azure-openai";
    options.server.api_version = deployment.api_version;
    options.api =
        deployment.api == "responses" ? provider::CompletionApi::responses : provider::CompletionApi::chat;
    options.context_tokens_max = static_cast<std::size_t>(deployment.context_tokens);
    options.output_tokens_max = static_cast<std::size_t>(deployment.output_tokens);
    options.dimensions = static_cast<std::size_t>(deployment.dimensions);
    options.tries_max = 1;  // every try has a reservation of its own
    options.try_time_max = std::chrono::seconds(deployment.timeout_seconds);
    options.completion_time_max = 10 * options.try_time_max;
    const bool keyless = options.server.key.empty() && (options.server.azure || deployment.endpoint.empty());
    if (keyless)
        return Error{Errc::invalid_input,
                     "deployments." + deployment.name + ": no API key; set " +
                         (options.server.azure ? "AZURE_OPENAI_API_KEY" : "OPENAI_API_KEY") +
                         " or key_file = \"PATH\""};
    auto made = provider::make_openai(http, clock, std::move(options), &pool);
    if (!made) return Error{made.error().code, "deployments." + deployment.name + ": " + made.error().detail};
    return MadeProvider{std::move(*made), "", false};
}

MadeProvider make_hash(CpuPool& pool, std::string notice) {
    return MadeProvider{provider::make_local_hash(pool), std::move(notice), true};
}

}  // namespace

DeploymentEntry deployment_in_use(const Configuration& configuration) {
    for (const WorkerEntry& worker : configuration.workers)
        for (const DeploymentEntry& deployment : configuration.deployments)
            if (!worker.deployment.empty() && deployment.name == worker.deployment) return deployment;
    if (!configuration.deployments.empty()) return configuration.deployments.front();
    DeploymentEntry embedded;
    embedded.name = "default";
    return embedded;
}

quota::Price price_of(const DeploymentEntry& deployment) {
    return {deployment.price_prompt, deployment.price_cached, deployment.price_completion};
}

Result<MadeProvider> make_provider(const DeploymentEntry& deployment, CpuPool& pool,
                                   provider::HttpClient& http, Clock& clock) {
    if (deployment.provider == "local-hash") return make_hash(pool, "");
    if (deployment.provider != "local") return make_remote(deployment, pool, http, clock);
    const auto folder = find_asset(kWeights);
    if (!folder)
        return make_hash(pool,
                         "the weights of the local model are missing, so search sees shared words but no "
                         "paraphrase; run ./dev deps, or set MILLRACE_ASSETS to their folder");
    auto made = provider::make_local(pool, *folder);
    if (!made) return make_hash(pool, made.error().detail + "; search sees shared words but no paraphrase");
    return MadeProvider{std::move(*made), "", true};
}

}  // namespace millrace::app
