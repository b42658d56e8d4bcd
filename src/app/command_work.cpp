// millrace work: workers against a remote queue, until a signal.
#include "app/app_settings.hpp"
#include "app/commands.hpp"
#include "app/lifetime.hpp"
#include "app/run_to_end.hpp"
#include "app/worker.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace millrace::app {

namespace {

asio::awaitable<void> run_until_signal(asio::io_context& io, const Configuration& configuration,
                                       int& exit_code) {
    StopSignal stop(io.get_executor());
    SystemClock clock;
    Worker worker(io.get_executor(), clock, configuration);
    auto started = co_await worker.start();
    if (!started) {
        exit_code = fail(started.error().detail);
        co_return;
    }
    for (const std::string& notice : worker.notices()) telemetry::log(telemetry::Level::warning, notice);
    std::string queues;
    for (const std::string& queue : worker.queues()) queues += (queues.empty() ? "" : ", ") + queue;
    std::printf("working on %s\n", queues.c_str());
    std::fflush(stdout);
    telemetry::log(telemetry::Level::info, "started",
                   {{"version", MILLRACE_VERSION},
                    {"engine", configuration.queue.engine},
                    {"queues", queues},
                    {"data", configuration.server.data_dir},
                    {"model", worker.model()}});
    notify_manager("READY=1\nSTATUS=working");
    (void)co_await stop.wait();
    notify_manager("STOPPING=1");
    telemetry::log_info("stopping: work under way may end first; a second signal ends it now", queues, "");
    co_await worker.stop();
    telemetry::log_info("stopped", queues, "");
}

Result<std::string> read_text(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in || in.bad())
        return Error{Errc::not_found,
                     "can't read " + file + "; check that it exists and that you may read it"};
    return text.str();
}

}  // namespace

int work(const WorkOptions& options) {
    Environment environment = process_environment();
    if (!options.data.empty()) environment["MILLRACE_SERVER__DATA_DIR"] = options.data;
    const std::optional<std::filesystem::path> file =
        options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config);
    LoadedConfiguration loaded = load_configuration(file, environment);
    if (!loaded.problems.empty()) return fail(first_problem(loaded).detail);
    std::vector<std::string> notices;
    if (!options.appsettings.empty()) {
        const auto text = read_text(options.appsettings);
        if (!text) return fail(text.error().detail);
        const auto applied = apply_app_settings(*text, environment, loaded.configuration, notices);
        if (!applied) return fail(applied.error().detail);
    }
    const TelemetrySettings& telemetry = loaded.configuration.telemetry;
    telemetry::configure_log(
        {.level = *telemetry::level_named(telemetry.log_level),
         .format = telemetry.log_format == "json" ? telemetry::Format::json : telemetry::Format::text});
    for (const std::string& notice : notices) telemetry::log(telemetry::Level::warning, notice);
    survive_file_size_limit();
    asio::io_context io(1);
    int exit_code = 0;
    run_to_end(io, run_until_signal(io, loaded.configuration, exit_code));
    return exit_code;
}

}  // namespace millrace::app
