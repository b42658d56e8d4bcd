// The deployments that batches run against.
#pragma once

#include "provider/provider.hpp"
#include "quota/spend.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::batch {

/// One deployment.
struct Target {
    std::string name;
    std::string model;
    provider::Provider* provider = nullptr;  ///< keeps to the quota; calls wait while it is down
    std::size_t calls_at_once = 1;
    std::size_t lines_per_call = 1;  ///< how many lines of embeddings may share a call
    quota::Price price;
    std::int64_t output_tokens_default = 1024;  ///< longest answer of a request that names none
    std::int64_t tokens_per_minute = 0;         ///< 0: no such limit
    /// Tokens of a text by the model's encoding. Any thread; may take a moment the first time.
    std::function<std::size_t(std::string_view)> count;
};

/// All deployments, in the order of the configuration; they outlive what uses them.
using Targets = std::vector<Target>;

/// The deployment called `model`, else the first whose model it is; null if there is none.
const Target* find_target(const Targets& targets, std::string_view model);

}  // namespace millrace::batch
