// From a [[deployments]] entry to a provider.
#pragma once

#include "app/configuration.hpp"
#include "base/async.hpp"
#include "provider/http_client.hpp"
#include "provider/provider.hpp"
#include "quota/spend.hpp"

#include <memory>
#include <string>

namespace millrace::app {

/// The deployment that the workers use and that embeds queries: the one that workers name, else the first,
/// else `default` with provider `local`.
DeploymentEntry deployment_in_use(const Configuration& configuration);

/// What its calls cost.
quota::Price price_of(const DeploymentEntry& deployment);

struct MadeProvider {
    std::unique_ptr<provider::Provider> provider;
    std::string notice;   ///< one line for the operator where it is not what was asked for; usually empty
    bool local = true;    ///< computes on this machine
};

/// Makes the provider of `deployment`. `local` without its weights becomes `local-hash`, with a notice.
/// invalid_input: the entry is wrong. `pool`, `http` and `clock` outlive it.
Result<MadeProvider> make_provider(const DeploymentEntry& deployment, CpuPool& pool,
                                   provider::HttpClient& http, Clock& clock);

}  // namespace millrace::app
