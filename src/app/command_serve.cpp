// millrace serve: everything in one process, until a signal.
#include "app/commands.hpp"
#include "app/lifetime.hpp"
#include "app/server.hpp"
#include "telemetry/log.hpp"

#include <cstdio>

namespace millrace::app {

namespace {

std::string announce(const Server& server, const Configuration& configuration) {
    std::printf("listening on %s\n", server.url().c_str());
    if (!server.https_url().empty()) std::printf("listening on %s\n", server.https_url().c_str());
    for (const std::string& url : server.amqp_urls()) std::printf("listening on %s\n", url.c_str());
    std::fflush(stdout);
    telemetry::log(telemetry::Level::info, "started",
                   {{"version", MILLRACE_VERSION},
                    {"url", server.url()},
                    {"data", configuration.server.data_dir},
                    {"model", server.model()}});
    return server.url();
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
    configure_log(loaded.configuration.telemetry);
    return run_service<Server>(loaded.configuration, "serving", announce);
}

}  // namespace millrace::app
