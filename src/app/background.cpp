#include "app/background.hpp"

#include "telemetry/log.hpp"

#include <boost/asio/error.hpp>

namespace millrace::app {

namespace {

constexpr std::chrono::seconds kPauseAfterFailure{5};

void log_failure(const std::string& name, const char* what) {
    telemetry::log_error("background work ended", name, what);
}

}  // namespace

Background::Background(asio::any_io_executor io) : io_(io), tasks_(std::move(io), log_failure) {}

asio::awaitable<void> Background::repeat(std::string name, std::function<asio::awaitable<void>()> make) {
    while (true) {
        try {
            co_await make();
            co_return;
        } catch (const boost::system::system_error& error) {
            if (error.code() == asio::error::operation_aborted) throw;
            telemetry::log_error("background work failed", name, error.what());
        } catch (const std::exception& broken) {
            telemetry::log_error("background work failed", name, broken.what());
        }
        asio::steady_timer timer(io_, kPauseAfterFailure);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

void Background::start(std::string name, std::function<asio::awaitable<void>()> make) {
    auto loop = repeat(name, std::move(make));
    tasks_.start(std::move(name), std::move(loop));
}

}  // namespace millrace::app
