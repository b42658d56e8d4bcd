// Rules of subscriptions: as they stand in the configuration, and how a broker is brought to them.
#pragma once

#include "app/configuration.hpp"
#include "app/raw_configuration.hpp"
#include "broker/broker.hpp"

#include <boost/json/value.hpp>

#include <string>
#include <vector>

namespace millrace::app {

/// The rules that `raw`, a list of tables, stands for. Adds a line to `problems` for each thing that is
/// wrong; `key` is what the file calls the list.
std::vector<broker::Rule> read_rules(const std::string& key, const RawValue& raw,
                                     std::vector<std::string>& problems);

/// `rules` in the form of the file.
boost::json::value rules_to_json(const std::vector<broker::Rule>& rules);

/// Adds, replaces and removes rules of `subscription` until it has those of `wanted`; one that is there
/// already stays as it is.
broker::asio::awaitable<Result<void>> apply_rules(broker::Broker& broker, std::string subscription,
                                                  std::vector<broker::Rule> wanted);

}  // namespace millrace::app
