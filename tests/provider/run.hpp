// Runs coroutines of a test to their end on one context.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace millrace::provider {

/// Runs `io` until `work` has ended and gives its result; throws what it throws, and after 30 seconds that it
/// hangs.
template <class T>
T run(boost::asio::io_context& io, boost::asio::awaitable<T> work) {
    std::optional<T> result;
    std::exception_ptr failure;
    bool done = false;
    auto keep = [&](std::exception_ptr error, T value) {
        failure = error;
        if (!error) result.emplace(std::move(value));
        done = true;
    };
    boost::asio::co_spawn(io, std::move(work), std::move(keep));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    io.restart();
    while (!done && std::chrono::steady_clock::now() < deadline) io.run_one_until(deadline);
    if (!done) throw std::runtime_error("the coroutine hangs");
    if (failure) std::rethrow_exception(failure);
    return std::move(*result);
}

}  // namespace millrace::provider
