// The configured deployments as batches see them, and the loop that keeps batches going.
#pragma once

#include "app/configuration.hpp"
#include "app/model.hpp"
#include "batch/batches.hpp"

namespace millrace::app {

/// Every deployment that could be made, in the order of `configuration`; without any, the default one.
/// `models` outlives what uses them.
batch::Targets batch_targets(const Models& models, const Configuration& configuration);

/// Goes on with what an earlier process left, then removes files whose time is over, until it is cancelled.
asio::awaitable<void> keep_batches(batch::Files& files, batch::Batches& batches, Clock& clock);

}  // namespace millrace::app
