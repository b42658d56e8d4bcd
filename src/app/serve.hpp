// `millrace serve`: a server that runs until it is told to stop.
#pragma once

#include "app/configuration.hpp"
#include "app/server.hpp"

#include <functional>

namespace millrace::app {

/// Starts a server, calls `when_ready` (may be empty) and runs until SIGTERM or SIGINT, or until the coroutine that
/// `when_ready` returned ends with a value: that is then the exit code. A second signal ends the process at once.
/// Answers the exit code; what kept it from starting is one line on standard error.
int run_server(Configuration configuration,
               std::function<boost::asio::awaitable<std::optional<int>>(Server&)> when_ready);

}  // namespace millrace::app
