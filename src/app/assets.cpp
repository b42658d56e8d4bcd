#include "app/assets.hpp"

#include <cstdlib>
#include <vector>

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

std::optional<fs::path> first_folder(const char* variable, std::initializer_list<const char*> beside_program) {
    std::error_code error;
    if (const char* named = std::getenv(variable); named != nullptr && *named != '\0') return fs::path(named);
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    if (error) return std::nullopt;
    for (const char* relative : beside_program) {
        const fs::path folder = (program.parent_path() / relative).lexically_normal();
        if (fs::is_directory(folder, error)) return folder;
    }
    return std::nullopt;
}

}  // namespace

fs::path find_assets() {
    return first_folder("MILLRACE_ASSETS", {"assets", "../assets", "../share/millrace"}).value_or(fs::path());
}

std::optional<fs::path> find_samples() {
    return first_folder("MILLRACE_SAMPLES", {"samples", "../samples", "../../samples", "../share/millrace/samples"});
}

}  // namespace millrace::app
