// A folder for the data of a benchmark.
#pragma once

#include "base/ids.hpp"

#include <filesystem>

namespace millrace::bench {

/// `kept`, or if that is empty a temporary one.
class BenchFolder {
  public:
    explicit BenchFolder(std::filesystem::path kept = {}) : path_(std::move(kept)) {
        temporary_ = path_.empty();
        if (temporary_)
            path_ = std::filesystem::temp_directory_path() / ("millrace-bench-" + to_hex(random_uuid()));
        std::filesystem::create_directories(path_);
    }
    ~BenchFolder() {
        if (temporary_) std::filesystem::remove_all(path_);
    }
    BenchFolder(const BenchFolder&) = delete;
    const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
    bool temporary_ = false;
};

}  // namespace millrace::bench
