#include "app/background.hpp"

#include "base/error.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/this_coro.hpp>

namespace millrace::app {

namespace {

constexpr std::chrono::seconds kPauseAfterFailure{5};

}  // namespace

asio::awaitable<void> Background::repeat(std::string name, std::function<asio::awaitable<void>()> make) {
    while (!stopping_) {
        try {
            co_await make();
            co_return;
        } catch (const MachineError& broken) {
            telemetry::log_error("background work failed", name, broken.what());
        }
        asio::steady_timer timer(io_, kPauseAfterFailure);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

void Background::start(std::string name, std::function<asio::awaitable<void>()> make) {
    running_ += 1;
    auto on_end = [this, name](std::exception_ptr failure) {
        running_ -= 1;
        ended_.notify();
        if (!failure) return;
        try {
            std::rethrow_exception(failure);
        } catch (const boost::system::system_error& cancelled) {
            if (!stopping_) telemetry::log_error("background work ended", name, cancelled.what());
        }
    };
    auto bound = asio::bind_cancellation_slot(signals_.emplace_back().slot(), std::move(on_end));
    asio::co_spawn(io_, repeat(std::move(name), std::move(make)), std::move(bound));
}

asio::awaitable<void> Background::stop() {
    stopping_ = true;
    for (auto& signal : signals_) signal.emit(asio::cancellation_type::terminal);
    while (running_ > 0) co_await ended_.wait();
}

}  // namespace millrace::app
