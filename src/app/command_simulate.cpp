// millrace simulate: a provider to rehearse with.
#include "app/commands.hpp"
#include "app/configuration.hpp"
#include "app/lifetime.hpp"
#include "app/run_to_end.hpp"
#include "http/simulator.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdio>

namespace millrace::app {

namespace {

asio::awaitable<void> run_until_signal(asio::io_context& io, SimulateOptions options, int& exit_code) {
    StopSignal stop(io.get_executor());
    SystemClock clock;
    http::SimulatorOptions simulator_options;
    simulator_options.key = options.key;
    simulator_options.model = options.model;
    simulator_options.dimensions = static_cast<std::size_t>(options.dimensions);
    simulator_options.tokens_per_minute = options.tokens_per_minute;
    simulator_options.requests_per_minute = options.requests_per_minute;
    simulator_options.latency = Duration(options.latency_ms);
    simulator_options.latency_jitter = Duration(options.jitter_ms);
    simulator_options.faults = options.faults;
    simulator_options.seed = options.seed;
    simulator_options.azure = options.azure;
    auto simulator = http::Simulator::make(clock, std::move(simulator_options));
    const auto address = parse_address(options.listen);
    if (!simulator || !address) {
        exit_code = fail(!simulator ? simulator.error().detail : "--listen: " + address.error().detail);
        co_return;
    }
    http::ServerOptions server_options;
    server_options.address = address->host;
    server_options.port = address->port;
    auto server = http::Server::start(io.get_executor(), std::move(server_options), (*simulator)->handler());
    if (!server) {
        exit_code = fail(server.error().detail);
        co_return;
    }
    std::printf("simulating an OpenAI-compatible provider on http://%s:%u/v1\n", address->host.c_str(),
                static_cast<unsigned>((*server)->port()));
    std::fflush(stdout);
    (void)co_await stop.wait();
    co_await (*server)->stop(std::chrono::seconds(2));
    const auto& stats = (*simulator)->stats();
    std::printf("%s calls, %s answered, %s tokens, %s throttled, %s faults\n",
                count_text(stats.calls).c_str(), count_text(stats.answered).c_str(),
                count_text(stats.tokens).c_str(), count_text(stats.throttled).c_str(),
                count_text(stats.faults).c_str());
}

}  // namespace

int simulate(const SimulateOptions& options) {
    asio::io_context io(1);
    int exit_code = 0;
    run_to_end(io, run_until_signal(io, options, exit_code));
    return exit_code;
}

}  // namespace millrace::app
