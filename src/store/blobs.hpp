// Content too large for a message: files in the data directory, each safe on disk before its name is known.
#pragma once

#include "base/error.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::store {

/// Files under `directory`, spread over 256 folders. Every function blocks on the disk: call it on the CPU
/// pool or a database thread, any number at once. Throws MachineError where the disk fails.
class Blobs {
  public:
    /// Creates the folders and removes temporary files that a crash left behind.
    explicit Blobs(std::filesystem::path directory);

    /// Stores `bytes` under a fresh random name and returns it. Written to a temporary name, flushed,
    /// renamed, and the folder flushed: when this returns it survives a power cut.
    std::string put(std::string_view bytes);

    /// The bytes of `name`; Errc::not_found if there is no such blob, Errc::invalid_input if it is not a blob
    /// name.
    Result<std::string> get(const std::string& name) const;

    /// Removes `name`; an absent one is no error.
    void remove(const std::string& name);

    /// The names of all blobs older than `age`, for the sweep that removes those that no row refers to.
    std::vector<std::string> list(std::chrono::seconds age) const;

  private:
    std::filesystem::path path_of(const std::string& name) const;

    std::filesystem::path directory_;
};

}  // namespace millrace::store
