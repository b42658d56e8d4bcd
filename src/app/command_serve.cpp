// millrace serve: everything in one process, until a signal.
#include "app/commands.hpp"
#include "app/lifetime.hpp"
#include "app/run_to_end.hpp"
#include "app/server.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <cstdlib>

namespace millrace::app {

namespace {

asio::awaitable<void> run_until_signal(asio::io_context& io, const Configuration& configuration,
                                       int& exit_code) {
    StopSignal stop(io.get_executor());
    SystemClock clock;
    Server server(io.get_executor(), clock, configuration);
    auto started = co_await server.start();
    if (!started) {
        exit_code = fail(started.error().detail);
        co_return;
    }
    for (const std::string& notice : server.notices()) telemetry::log(telemetry::Level::warning, notice);
    std::printf("listening on %s\n", server.url().c_str());
    if (!server.https_url().empty()) std::printf("listening on %s\n", server.https_url().c_str());
    for (const std::string& url : server.amqp_urls()) std::printf("listening on %s\n", url.c_str());
    std::fflush(stdout);
    telemetry::log(telemetry::Level::info, "started",
                   {{"version", MILLRACE_VERSION},
                    {"url", server.url()},
                    {"data", configuration.server.data_dir},
                    {"model", server.model()}});
    notify_manager("READY=1\nSTATUS=serving");
    (void)co_await stop.wait();
    notify_manager("STOPPING=1");
    telemetry::log_info("stopping: work under way may end first; a second signal ends it now", server.url(),
                        "");
    co_await server.stop();
    telemetry::log_info("stopped", server.url(), "");
}

}  // namespace

int serve(const ServeOptions& options) {
    Environment environment = process_environment();
    // The command line wins over the environment, which wins over the file.
    if (!options.data.empty()) environment["MILLRACE_SERVER__DATA_DIR"] = options.data;
    if (!options.listen.empty()) environment["MILLRACE_SERVER__LISTEN"] = options.listen;
    if (!options.emulator_config.empty())
        environment["MILLRACE_QUEUE__EMULATOR_CONFIG"] = options.emulator_config;
    if (!options.workers.empty())
        environment["MILLRACE_SERVER__WORKERS"] = options.workers == "on" ? "true" : "false";
    if (!options.amqp.empty()) environment["MILLRACE_SERVER__AMQP_LISTEN"] = options.amqp;
    const std::optional<std::filesystem::path> file =
        options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config);
    const LoadedConfiguration loaded = load_configuration(file, environment);
    if (!loaded.problems.empty()) return fail(first_problem(loaded).detail);
    if (loaded.configuration.queue.engine != "embedded")
        return fail("queue.engine is \"" + loaded.configuration.queue.engine +
                    "\": serve keeps its queues itself; run millrace work, or set engine = \"embedded\"");
    const TelemetrySettings& telemetry = loaded.configuration.telemetry;
    telemetry::configure_log(
        {.level = *telemetry::level_named(telemetry.log_level),
         .format = telemetry.log_format == "json" ? telemetry::Format::json : telemetry::Format::text});
    survive_file_size_limit();
    asio::io_context io(1);
    int exit_code = 0;
    run_to_end(io, run_until_signal(io, loaded.configuration, exit_code));
    return exit_code;
}

}  // namespace millrace::app
