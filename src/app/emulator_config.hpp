// Config.json of Microsoft's Service Bus emulator: its queues, topics, subscriptions and rules.
#pragma once

#include "broker/broker.hpp"

#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::app {

struct EmulatorEntity {
    std::string name;   ///< as in the broker: a subscription's is its path
    broker::EntityOptions options;
    std::vector<broker::Rule> rules;   ///< of a subscription; none: it keeps those that it has
};

struct EmulatorConfig {
    std::vector<EmulatorEntity> entities;  ///< as the file has them; a topic stands before its subscriptions
    std::vector<std::string> notices;  ///< what the file says and this server does not do, a line each
};

/// Reads the file's text: JSON, with comments and trailing commas as the emulator takes it. Several
/// namespaces become one. invalid_input: one line that names the entity and the property.
Result<EmulatorConfig> parse_emulator_config(std::string_view text);

/// As `parse_emulator_config`; errors name the setting and the file.
Result<EmulatorConfig> read_emulator_config(const std::filesystem::path& file);

/// Creates what is not there and brings the rest to the file; rules that it does not name are removed from
/// subscriptions for which it names some. The error names the entity.
boost::asio::awaitable<Result<void>> put_emulator_entities(broker::Broker& broker,
                                                           std::vector<EmulatorEntity> entities);

}  // namespace millrace::app
