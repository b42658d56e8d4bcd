// The configured deployments, each with the ways to call it.
#pragma once

#include "app/configuration.hpp"
#include "base/async.hpp"
#include "provider/circuit_breaker.hpp"
#include "provider/http_client.hpp"
#include "provider/paced.hpp"
#include "provider/provider.hpp"
#include "provider/remembered.hpp"
#include "quota/gate.hpp"
#include "store/database.hpp"
#include "telemetry/metrics.hpp"
#include "text/tokens.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::app {

/// One deployment.
struct Model {
    DeploymentEntry deployment;
    bool local = true;   ///< computes on this machine
    std::string notice;  ///< one line for the operator where it is not what was asked for; usually empty
    /// Counts tokens by the model's own ranks; null: they are not among the assets, so tokens are estimated.
    std::shared_ptr<const text::TokenCounter> tokens;
    std::unique_ptr<provider::Provider> provider;  ///< calls it at once; every call through it is counted
    std::unique_ptr<quota::Gate> gate;  ///< of a remote one
    std::unique_ptr<provider::Paced> paced;  ///< of a remote one: its calls keep to its quota
    std::unique_ptr<provider::CircuitBreaker> for_work;  ///< calls wait while it is down
    std::unique_ptr<provider::FailFast> for_callers;  ///< calls fail at once while it is down

    std::unique_ptr<provider::Remembered> remembered;  ///< of a remote one whose vectors processes share

    /// What handlers call.
    provider::Provider& for_handlers() const noexcept {
        return remembered ? static_cast<provider::Provider&>(*remembered) : *for_work;
    }
    /// Embeds queries: somebody waits for them. Local work is never down and can't be called off.
    provider::Provider& for_search() const noexcept {
        return local ? *provider : static_cast<provider::Provider&>(*for_callers);
    }
};

/// What deployments are made with; all of it outlives them. `database` holds the quota's ledger.
struct ModelsBase {
    store::Database& database;
    CpuPool& pool;
    Clock& clock;
    telemetry::Metrics& metrics;
};

/// Every deployment of a configuration, by name. All calls on the I/O thread.
class Models {
  public:
    /// Makes them all. The error is that of the deployment in use (`deployment_in_use`); another that can't
    /// be made prevents nothing: `find` tells why. `configuration` is read during the call.
    static Result<std::unique_ptr<Models>> make(asio::any_io_executor io, const Configuration& configuration,
                                                const ModelsBase& base);

    /// The deployment that the pipeline uses and that embeds queries.
    const Model& in_use() const noexcept { return *in_use_; }
    /// The deployment called `name`, owned by this. not_found: none is; else why it could not be made.
    Result<const Model*> find(std::string_view name) const;

    /// How much of each remote deployment is used, by all processes that share the store.
    asio::awaitable<std::vector<quota::PageView>> quota();
    /// Puts that into `metrics`, every five seconds, until it is cancelled.
    asio::awaitable<void> measure_quota(telemetry::Metrics& metrics, Clock& clock);
    /// Every gate, in the order of the deployments' names.
    std::vector<quota::Gate*> gates() const;

    /// Calls that wait for a deployment to come back, or for its quota, fail as throttled; others go on.
    asio::awaitable<void> stop_waiting();
    /// Ends what is under way to remote ones. The database is stopped after it. A second stop is harmless.
    asio::awaitable<void> stop();

  private:
    struct Making;

    Models() = default;

    std::unique_ptr<quota::Ledger> ledger_;
    std::unique_ptr<provider::HttpClient> http_;  ///< shared by all: connections are kept by origin
    std::map<std::string, Result<std::unique_ptr<Model>>, std::less<>> models_;
    const Model* in_use_ = nullptr;
};

/// `model.tokens`; a line in `notices` where a remote model has none.
std::shared_ptr<const text::TokenCounter> token_counter(const Model& model,
                                                        std::vector<std::string>& notices);

}  // namespace millrace::app
