#include "app/places.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

fs::path program_folder() {
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    return error ? fs::current_path() : program.parent_path();
}

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

}  // namespace

std::string program_call() {
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    const char* path = std::getenv("PATH");
    std::string_view folders = path == nullptr ? "" : path;
    while (!error && !folders.empty()) {
        const std::string_view folder = folders.substr(0, folders.find(':'));
        folders.remove_prefix(std::min(folders.size(), folder.size() + 1));
        std::error_code ignored;
        if (fs::equivalent(fs::path(folder) / "millrace", program, ignored)) return "millrace";
    }
    const fs::path relative = error ? fs::path() : program.lexically_relative(fs::current_path(error));
    return relative.empty() || relative.native().starts_with("../..") ? program.string() : relative.string();
}

std::vector<fs::path> asset_folders() {
    std::vector<fs::path> folders;
    if (const char* named = std::getenv("MILLRACE_ASSETS"); named != nullptr && *named != '\0')
        folders.emplace_back(named);
    const fs::path program = program_folder();
    folders.push_back(program / "assets");
    folders.push_back(program / ".." / "assets");
    folders.push_back(program / ".." / "share" / "millrace");
    return folders;
}

std::optional<fs::path> find_asset(const std::string& file) {
    for (const fs::path& folder : asset_folders())
        if (is_there(folder / file)) return folder.lexically_normal();
    return std::nullopt;
}

std::optional<fs::path> find_samples() {
    std::vector<fs::path> folders;
    if (const char* named = std::getenv("MILLRACE_SAMPLES"); named != nullptr && *named != '\0')
        folders.emplace_back(named);
    const fs::path program = program_folder();
    folders.push_back(program / ".." / ".." / "samples");
    folders.push_back(program / ".." / "share" / "millrace" / "samples");
    for (const fs::path& folder : folders)
        if (is_there(folder / "queries.json")) return folder.lexically_normal();
    return std::nullopt;
}

}  // namespace millrace::app
