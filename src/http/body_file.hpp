// A body too large for memory: a file that is read and written in pieces.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::http {

/// An open file. Every function blocks on the disk: call it on the CPU pool, one at a time while somebody
/// writes. Throws MachineError where the disk fails.
class BodyFile {
  public:
    /// An empty file in `folder`, which exists. It has no name, so that nothing stays behind after a crash.
    static std::shared_ptr<BodyFile> make(const std::filesystem::path& folder);
    /// The file at `path`, to be read; null if there is none.
    static std::shared_ptr<BodyFile> open(const std::filesystem::path& path);
    ~BodyFile();
    BodyFile(const BodyFile&) = delete;

    void append(std::string_view bytes);
    /// At most `bytes_max` from `offset` on; fewer only at the end.
    std::string read(std::uint64_t offset, std::size_t bytes_max) const;
    std::uint64_t size() const noexcept { return size_; }

  private:
    BodyFile(int descriptor, std::uint64_t size) : descriptor_(descriptor), size_(size) {}

    int descriptor_;
    std::uint64_t size_;
};

}  // namespace millrace::http
