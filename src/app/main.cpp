#include "app/main.hpp"

#include "app/configuration.hpp"
#include "app/serve.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace millrace::app {

namespace {

int serve(const std::string& config, const std::string& data, const std::string& listen) {
    std::optional<std::filesystem::path> file;
    if (!config.empty()) file = config;
    auto loaded = load_configuration(file, process_environment());
    if (!loaded.problems.empty()) {
        std::fprintf(stderr, "millrace: %s\n", first_problem(loaded).detail.c_str());
        return 2;
    }
    for (const auto& warning : loaded.warnings) std::fprintf(stderr, "millrace: %s\n", warning.c_str());
    if (!data.empty()) loaded.configuration.server.data_dir = data;
    if (!listen.empty()) loaded.configuration.server.listen = listen;
    return run_server(std::move(loaded.configuration), nullptr);
}

}  // namespace

int run(int argc, char** argv) {
    CLI::App program("Takes AI work off the request path.", "millrace");
    program.set_version_flag("--version", "millrace " MILLRACE_VERSION);
    program.require_subcommand(1);
    std::string config, data, listen;
    auto* command = program.add_subcommand("serve", "Everything in one process");
    command->add_option("--config", config, "Configuration file");
    command->add_option("--data", data, "Data directory");
    command->add_option("--listen", listen, "Address and port");
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return program.exit(error) == 0 ? 0 : 2;
    }
    return serve(config, data, listen);
}

}  // namespace millrace::app
