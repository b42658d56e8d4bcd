// Where the files beside the program are: weights, vocabularies, samples.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace millrace::app {

/// The folder with weights and token ranks: MILLRACE_ASSETS, else the first that exists of assets and ../assets beside
/// the program and ../share/millrace. Empty if there is none.
std::filesystem::path find_assets();

/// The folder of sample documents: MILLRACE_SAMPLES, else samples beside the program's build, else
/// ../share/millrace/samples. None if there is none.
std::optional<std::filesystem::path> find_samples();

}  // namespace millrace::app
