// Runs coroutines to their end on an io_context of the test.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace millrace::test {

/// Runs `work` on `io` until it ends and returns what it returned; throws what it threw. Work that other
/// coroutines posted meanwhile runs as well.
template <class T>
T run(boost::asio::io_context& io, boost::asio::awaitable<T> work) {
    std::optional<T> result;
    std::exception_ptr failure;
    bool ended = false;
    boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr thrown, T value) {
        failure = thrown;
        if (!failure) result.emplace(std::move(value));
        ended = true;
    });
    auto guard = boost::asio::make_work_guard(io);
    io.restart();
    while (!ended && io.run_one() > 0) {
    }
    if (failure) std::rethrow_exception(failure);
    if (!result) throw std::logic_error("the coroutine did not end");
    return std::move(*result);
}

inline void run(boost::asio::io_context& io, boost::asio::awaitable<void> work) {
    auto with_value = [](boost::asio::awaitable<void> inner) -> boost::asio::awaitable<bool> {
        co_await std::move(inner);
        co_return true;
    };
    run(io, with_value(std::move(work)));
}

/// Runs what is posted to `io`, waiting for other threads to post more, until `condition()` holds.
template <class Condition>
void run_until(boost::asio::io_context& io, Condition condition) {
    auto guard = boost::asio::make_work_guard(io);
    io.restart();
    while (!condition()) io.run_one();
}

}  // namespace millrace::test
