// Where things that are not in the program file lie on the disk.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace millrace::app {

/// Folders in which assets (weights, token ranks) may lie, best first: MILLRACE_ASSETS, then `assets` beside
/// the program, one folder up, and ../share/millrace.
std::vector<std::filesystem::path> asset_folders();

/// The first asset folder that holds `file`; none if no one does.
std::optional<std::filesystem::path> find_asset(const std::string& file);

/// The folder with sample documents and queries.json: MILLRACE_SAMPLES, ../../samples of a build tree, or
/// ../share/millrace/samples of an installation.
std::optional<std::filesystem::path> find_samples();

/// How to call this program from a shell: "millrace" where PATH finds it, else its path from the working
/// directory.
std::string program_call();

}  // namespace millrace::app
