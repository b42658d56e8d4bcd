// millrace work: workers against a remote queue, until a signal.
#include "app/app_settings.hpp"
#include "app/commands.hpp"
#include "app/lifetime.hpp"
#include "app/worker.hpp"
#include "telemetry/log.hpp"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace millrace::app {

namespace {

std::string announce(const Worker& worker, const Configuration& configuration) {
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
    return queues;
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
    configure_log(loaded.configuration.telemetry);
    for (const std::string& notice : notices) telemetry::log(telemetry::Level::warning, notice);
    return run_service<Worker>(loaded.configuration, "working", announce);
}

}  // namespace millrace::app
