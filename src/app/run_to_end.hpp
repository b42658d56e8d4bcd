// Runs a command's coroutine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace millrace::app {

/// Runs `io` until `work` and all that it started have ended; throws what left `work`.
void run_to_end(boost::asio::io_context& io, boost::asio::awaitable<void> work);

}  // namespace millrace::app
