// One embeddings call, cut into turns on the CPU pool so that a long one does not keep a thread from other
// work.
#pragma once

#include "base/async.hpp"
#include "provider/provider.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace millrace::provider {

/// Computes the vector of every text into the place of the same index; returns the tokens read. Called on
/// several threads at once.
using EmbedTexts = std::function<std::int64_t(std::span<const std::string>, std::span<std::vector<float>>)>;

/// Why a local model does not take `inputs`, as one line; nothing if it does.
std::optional<std::string> reason_to_reject(const std::vector<std::string>& inputs, const ModelInfo& model);

/// Runs `embed_texts` over `inputs`, `texts_per_turn` (at least 1) at a time, on all threads of `pool`, which
/// outlives the call. Rethrows what `embed_texts` throws. If the caller is cancelled, turns that have not
/// begun are dropped.
asio::awaitable<Embeddings> embed_in_turns(CpuPool& pool, std::shared_ptr<const EmbedTexts> embed_texts,
                                           std::vector<std::string> inputs, std::size_t texts_per_turn);

}  // namespace millrace::provider
