// What a configuration must fulfil beyond its single values.
#pragma once

#include "app/configuration.hpp"
#include "broker/entity.hpp"

#include <string>
#include <vector>

namespace millrace::app {

/// The entity options of an entry.
broker::EntityOptions entity_options(const QueueEntry& entry);
broker::EntityOptions entity_options(const TopicEntry& entry);
broker::EntityOptions entity_options(const SubscriptionEntry& entry);

/// Adds a line for everything that contradicts itself: names used twice, workers of unknown deployments,
/// options that Service Bus refuses, an open listener without keys.
void check_configuration(const Configuration& configuration, std::vector<std::string>& problems);

/// Gives `options` what no key of the configuration sets and programs may have set: status, deletion when
/// idle, notes, and what becomes of messages that rules cannot be evaluated for.
void keep_administered(broker::EntityOptions& options, const broker::EntityOptions& existing);

}  // namespace millrace::app
