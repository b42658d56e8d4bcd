// Several coroutines at once, and what all of them answered.
#pragma once

#include "base/async.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

namespace millrace {

namespace detail {

/// Shared with the coroutines that run, so that a late one finds it.
template <class T>
struct Joined {
    explicit Joined(const asio::any_io_executor& io) : changed(io) {}

    Signal changed;
    std::vector<std::optional<T>> results;
    std::list<asio::cancellation_signal> signals;  ///< of those that run
    std::exception_ptr failure;
};

template <class T>
void start_joined(const asio::any_io_executor& io, const std::shared_ptr<Joined<T>>& joined,
                  asio::awaitable<T> work, std::size_t place) {
    const auto signal = joined->signals.emplace(joined->signals.end());
    auto on_end = [joined, signal, place](std::exception_ptr thrown, T value) {
        if (thrown && !joined->failure) joined->failure = thrown;
        if (!thrown) joined->results[place].emplace(std::move(value));
        joined->signals.erase(signal);
        joined->changed.notify();
    };
    asio::co_spawn(io, std::move(work), asio::bind_cancellation_slot(signal->slot(), std::move(on_end)));
}

}  // namespace detail

/// Runs all of `works`, at most `at_once` (at least 1) at a time, and answers what each answered, in their
/// order. Returns when none runs any more: once one throws, no other is begun, and the exception is thrown
/// when those that run have ended; a caller that is cancelled cancels them first. On the I/O thread; T is
/// default-constructible.
template <class T>
asio::awaitable<std::vector<T>> join_all(std::vector<std::function<asio::awaitable<T>()>> works,
                                         std::size_t at_once) {
    const auto io = co_await asio::this_coro::executor;
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto joined = std::make_shared<detail::Joined<T>>(io);
    joined->results.resize(works.size());
    bool cancelled = false;
    std::size_t next = 0;
    while (true) {
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none && !cancelled) {
            cancelled = true;
            for (auto signal = joined->signals.begin(); signal != joined->signals.end();) {
                const auto present = signal++;  // it may end by that, and its signal with it
                present->emit(asio::cancellation_type::terminal);
            }
            co_await asio::this_coro::reset_cancellation_state();
        }
        while (next < works.size() && joined->signals.size() < at_once && !cancelled && !joined->failure) {
            detail::start_joined<T>(io, joined, works[next](), next);
            ++next;
        }
        if (joined->signals.empty()) break;
        co_await joined->changed.wait();
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (cancelled) throw boost::system::system_error(asio::error::operation_aborted);
    if (joined->failure) std::rethrow_exception(joined->failure);
    std::vector<T> results;
    results.reserve(works.size());
    for (auto& one : joined->results) results.push_back(std::move(*one));
    co_return results;
}

}  // namespace millrace
