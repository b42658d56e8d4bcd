#include "app/commands.hpp"
#include "app/run_to_end.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdio>

namespace millrace::app {

int fail(std::string_view why) {
    const std::string line = "millrace: " + one_line(why) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
    return 1;
}

void run_to_end(asio::io_context& io, asio::awaitable<void> work) {
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr thrown) { failure = thrown; });
    io.run();
    if (failure) std::rethrow_exception(failure);
}

int with_client(const ClientOptions& options,
                const std::function<asio::awaitable<Result<int>>(Client&)>& work) {
    asio::io_context io(1);
    auto client = Client::make(io.get_executor(), endpoint_from(options.server));
    if (!client) return fail(client.error().detail);
    Result<int> outcome = 1;
    std::exception_ptr failure;
    auto on_end = [&](std::exception_ptr thrown, Result<int> result) {
        failure = thrown;
        if (!thrown) outcome = std::move(result);
        (*client)->stop();
    };
    asio::co_spawn(io, work(**client), std::move(on_end));
    io.run();
    if (failure) std::rethrow_exception(failure);
    return outcome ? *outcome : fail(outcome.error().detail);
}

}  // namespace millrace::app
