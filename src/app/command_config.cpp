// millrace config: is the configuration right, and what does it say.
#include "app/commands.hpp"
#include "app/configuration.hpp"
#include "app/emulator_config.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cstdio>

namespace millrace::app {

namespace json = boost::json;

namespace {

LoadedConfiguration load(const ConfigOptions& options) {
    const std::optional<std::filesystem::path> file =
        options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config);
    LoadedConfiguration loaded = load_configuration(file, process_environment());
    if (!loaded.problems.empty()) return loaded;
    const ServerSettings server = loaded.configuration.server;
    const auto note = [&loaded](const auto& read) {
        if (!read) loaded.problems.push_back(read.error().detail);
    };
    if (!server.api_keys_file.empty()) note(read_api_keys(server.api_keys_file, loaded.warnings));
    if (!server.access_keys_file.empty()) note(read_access_keys(server.access_keys_file, loaded.warnings));
    if (const std::string file = loaded.configuration.queue.emulator_config; !file.empty()) {
        const auto read = read_emulator_config(file);
        note(read);
        if (read) loaded.warnings.insert(loaded.warnings.end(), read->notices.begin(), read->notices.end());
    }
    if (!server.tls_certificate.empty()) note(read_server_tls(server));
    return loaded;
}

json::array list_of(const std::vector<std::string>& lines) {
    json::array list;
    for (const std::string& line : lines) list.push_back(json::value(line));
    return list;
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

int config_check(const ConfigOptions& options) {
    const LoadedConfiguration loaded = load(options);
    const bool fine = loaded.problems.empty();
    if (options.json) {
        print(json::serialize(json::object{{"ok", fine},
                                           {"file", loaded.source},
                                           {"problems", list_of(loaded.problems)},
                                           {"warnings", list_of(loaded.warnings)}}) +
              "\n");
        return fine ? 0 : 1;
    }
    for (const std::string& problem : loaded.problems) fail(problem);
    for (const std::string& warning : loaded.warnings) print("warning: " + warning + "\n");
    if (fine)
        print(loaded.source.empty() ? "ok: no file, all values are defaults or from the environment\n"
                                    : "ok: " + loaded.source + "\n");
    return fine ? 0 : 1;
}

int config_print(const ConfigOptions& options) {
    const LoadedConfiguration loaded = load(options);
    if (!loaded.problems.empty()) return fail(first_problem(loaded).detail);
    print(options.json ? print_json(loaded.configuration) + "\n" : print_toml(loaded.configuration));
    return 0;
}

int config_reference(const ConfigOptions&) {
    print(print_reference());
    return 0;
}

}  // namespace millrace::app
