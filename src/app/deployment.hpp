// From a [[deployments]] entry to a provider.
#pragma once

#include "app/configuration.hpp"
#include "base/async.hpp"
#include "provider/http_client.hpp"
#include "provider/provider.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace millrace::app {

/// What providers are made with; outlives them.
struct ProviderTools {
    CpuPool& pool;
    Clock& clock;
    provider::HttpClient& http;
    std::filesystem::path assets;
};

/// A provider and what an operator should know about it: a line, or "".
struct MadeProvider {
    std::unique_ptr<provider::Provider> provider;
    std::string notice;
    bool local = true;   ///< computed here: score fusion suits it
};

/// The deployment that embeds documents and queries: the one that a worker of "embed" or "embed-index" names, else the
/// first; without any, the local model, or the hash part of it alone where its weights are missing.
Result<MadeProvider> make_provider(const Configuration& configuration, const ProviderTools& tools);

}  // namespace millrace::app
