// How texts that are embedded are cut into requests: numbers alone, shared by the work and its estimate.
#pragma once

#include "provider/provider.hpp"

#include <functional>
#include <string_view>
#include <vector>

namespace millrace::handlers {

/// Passages of one embed message: small enough that a failure repeats little, large enough to fill requests.
inline constexpr std::size_t kBatchChunksMax = 64;

/// The text with a number.
using TextAt = std::function<std::string_view(std::size_t)>;

/// How many of the `count` texts from `first` on fit into one request to `model`; at least one of any.
std::size_t request_size(const provider::ModelInfo& model, std::size_t first, std::size_t count,
                         const TextAt& text_at);

/// Requests that `count` texts take in batches of at most `batch_max`, each of which begins a request. One
/// that holds only `known` texts (one for each, or none at all) is not made.
std::size_t count_requests(const provider::ModelInfo& model, std::size_t count, std::size_t batch_max,
                           const TextAt& text_at, const std::vector<bool>& known = {});

}  // namespace millrace::handlers
