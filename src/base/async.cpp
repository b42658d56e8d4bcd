#include "base/async.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace millrace {

asio::awaitable<void> Signal::wait() {
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await timer_.async_wait(token);
    (void)error;
}

asio::awaitable<bool> with_deadline(asio::awaitable<void> work, std::chrono::steady_clock::duration time) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    // `a || b` waits for the first that ends without an exception.
    std::exception_ptr failure;
    auto caught = [&failure, &work]() -> asio::awaitable<void> {
        try {
            co_await std::move(work);
        } catch (...) {
            failure = std::current_exception();
        }
    };
    auto run = caught();
    auto wait = timer.async_wait(asio::use_awaitable);
    auto first = std::move(run) || std::move(wait);
    const auto winner = co_await std::move(first);
    const bool ended = winner.index() == 0;
    if (ended && failure) std::rethrow_exception(failure);
    co_return ended;
}

void spawn(const asio::any_io_executor& executor, asio::awaitable<void> work) {
    auto on_end = [](std::exception_ptr failure) {
        if (!failure) return;
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "millrace: fatal: %s\n", error.what());
            std::abort();
        }
    };
    asio::co_spawn(executor, std::move(work), on_end);
}

}  // namespace millrace
