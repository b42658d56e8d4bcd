#include "app/serve.hpp"

#include "base/async.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace millrace::app {

namespace {

using WhenReady = std::function<asio::awaitable<std::optional<int>>(Server&)>;

/// Tells the service manager (systemd, sd_notify(3)) if there is one; never fails.
void notify_manager(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path == nullptr || std::strlen(path) < 2 || std::strlen(path) >= sizeof address.sun_path) return;
    std::memcpy(address.sun_path, path, std::strlen(path));
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return;
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    (void)::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), length);
    ::close(descriptor);
}

asio::awaitable<std::optional<int>> wait_for_signal(asio::signal_set& signals) {
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error, number] = co_await signals.async_wait(token);
    (void)error, (void)number;
    co_return 0;
}

asio::awaitable<std::optional<int>> run_until_done(Server& server, WhenReady when_ready) {
    std::optional<int> code;
    if (when_ready) code = co_await when_ready(server);
    if (code) co_return code;
    asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await never.async_wait(token);
    (void)error;
    co_return code;
}

asio::awaitable<void> live(asio::io_context& io, Configuration configuration, WhenReady when_ready, int& code) {
    using namespace asio::experimental::awaitable_operators;
    asio::signal_set signals(io, SIGINT, SIGTERM);
    SystemClock clock;
    Server server(io.get_executor(), clock, std::move(configuration));
    auto started = co_await server.start();
    if (!started) {
        std::fprintf(stderr, "millrace: %s\n", started.error().detail.c_str());
        code = 1;
        co_return;
    }
    for (const auto& notice : server.notices()) telemetry::log_warning("start", "server", notice);
    telemetry::log_info("listening", server.url(), "ready");
    notify_manager("READY=1\n");
    auto signalled = wait_for_signal(signals);
    auto done = run_until_done(server, std::move(when_ready));
    auto either = std::move(signalled) || std::move(done);
    const auto ended = co_await std::move(either);
    code = (ended.index() == 0 ? std::get<0>(ended) : std::get<1>(ended)).value_or(0);
    notify_manager("STOPPING=1\n");
    // From here on a second signal ends the process in its usual way.
    signals.clear();
    co_await server.stop();
    io.stop();
}

}  // namespace

int run_server(Configuration configuration, WhenReady when_ready) {
    asio::io_context io(1);
    int code = 1;
    std::exception_ptr failure;
    asio::co_spawn(io, live(io, std::move(configuration), std::move(when_ready), code),
                   [&](std::exception_ptr thrown) { failure = thrown; });
    io.run();
    if (!failure) return code;
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "millrace: %s\n", error.what());
    }
    return 1;
}

}  // namespace millrace::app
