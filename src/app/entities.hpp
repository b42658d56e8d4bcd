// The entities that a configuration names, and a broker that is brought to them.
#pragma once

#include "app/configuration.hpp"
#include "broker/broker.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace millrace::app {

/// Creates `name` if it is not there, forwarding to nothing yet: its target may not be there either.
boost::asio::awaitable<Result<void>> create_missing(broker::Broker& broker, std::string name,
                                                    broker::EntityOptions options);

/// Brings `broker` to the queues of the pipeline, the configured entities and rules, and those of
/// `queue.emulator_config`; what is not named stays as it is. Adds to `notices` what that file says and this
/// server does not do. The error names the entity; those before it are in place then.
boost::asio::awaitable<Result<void>> put_entities(broker::Broker& broker, const Configuration& configuration,
                                                  std::vector<std::string>& notices);

}  // namespace millrace::app
