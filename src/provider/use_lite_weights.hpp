// The file of weights that tools/fetch_assets.py writes; its grammar stands in docs/local-model.md.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// A table of numbers, row by row. The file owns them.
struct Tensor {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::span<const float> values;
};

/// A file of weights in memory.
class WeightsFile {
  public:
    /// Reads `path`. not_found: no such file. corrupt: not a file of weights, of another version, cut off,
    /// too long, inconsistent, or its checksum is wrong. Throws MachineError if reading fails.
    static Result<WeightsFile> load(const std::filesystem::path& path);

    /// The tensor called `name`. corrupt: there is none, or it is not `rows` by `columns`.
    Result<Tensor> tensor(std::string_view name, std::uint32_t rows, std::uint32_t columns) const;

  private:
    Result<void> parse(std::string_view table, std::string_view digest);
    Error error(const std::string& what) const;

    std::string path_;
    std::vector<float> data_;
    std::map<std::string, Tensor, std::less<>> tensors_;
};

}  // namespace millrace::provider
