#include "app/batch_targets.hpp"

#include "app/deployment.hpp"

namespace millrace::app {

namespace {

constexpr Duration kPruneInterval = std::chrono::minutes(1);
constexpr std::size_t kRemoteCallsAtOnce = 64;
constexpr std::size_t kLocalCallsAtOnce = 8;
constexpr std::size_t kLinesPerCall = 16;

batch::Target target_of(const Model& model) {
    const DeploymentEntry& deployment = model.deployment;
    batch::Target target;
    target.name = deployment.name;
    target.model = deployment.model.empty() ? model.provider->model().name : deployment.model;
    target.provider = model.for_work.get();
    target.calls_at_once = deployment.concurrency > 0 ? static_cast<std::size_t>(deployment.concurrency)
                           : model.local              ? kLocalCallsAtOnce
                                                      : kRemoteCallsAtOnce;
    // Where requests are what is scarce, more lines wait than there are calls, so that they may share them.
    if (deployment.requests_per_minute > 0) target.lines_per_call = kLinesPerCall;
    target.price = price_of(deployment);
    target.output_tokens_default = deployment.output_tokens;
    target.tokens_per_minute = deployment.tokens_per_minute;
    target.count = [tokens = model.tokens](std::string_view text) {
        return tokens ? tokens->count(text) : text::estimate_tokens(text);
    };
    return target;
}

}  // namespace

batch::Targets batch_targets(const Models& models, const Configuration& configuration) {
    batch::Targets targets;
    for (const DeploymentEntry& deployment : configuration.deployments) {
        const auto model = models.find(deployment.name);
        if (model) targets.push_back(target_of(**model));
    }
    if (configuration.deployments.empty()) targets.push_back(target_of(models.in_use()));
    return targets;
}

asio::awaitable<void> keep_batches(batch::Files& files, batch::Batches& batches, Clock& clock) {
    co_await batches.start();
    while (true) {
        co_await files.prune();
        co_await clock.sleep_for(kPruneInterval);
    }
}

}  // namespace millrace::app
