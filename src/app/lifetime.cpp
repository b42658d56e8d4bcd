#include "app/lifetime.hpp"

#include <boost/asio/as_tuple.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace millrace::app {

asio::awaitable<bool> StopSignal::wait() {
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error, number] = co_await signals_.async_wait(token);
    (void)number;
    if (error) co_return false;
    signals_.clear();
    co_return true;
}

void survive_file_size_limit() noexcept { std::signal(SIGXFSZ, SIG_IGN); }

void notify_manager(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (path == nullptr || *path == '\0' || std::strlen(path) >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    const std::size_t length = std::strlen(path);
    std::memcpy(address.sun_path, path, length);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
    (void)::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL,
                   reinterpret_cast<const sockaddr*>(&address), size);
    ::close(descriptor);
}

void configure_log(const TelemetrySettings& settings) {
    telemetry::configure_log(
        {.level = *telemetry::level_named(settings.log_level),
         .format = settings.log_format == "json" ? telemetry::Format::json : telemetry::Format::text});
}

asio::awaitable<void> serve_until(StopSignal& stop, std::string_view status, const std::string& name) {
    notify_manager("READY=1\nSTATUS=" + std::string(status));
    (void)co_await stop.wait();
    notify_manager("STOPPING=1");
    telemetry::log_info("stopping: work under way may end first; a second signal ends it now", name, "");
}

}  // namespace millrace::app
