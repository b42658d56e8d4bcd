// Content too large for a message: files in the data directory, each safe on disk before its name is known.
#pragma once

#include "base/async.hpp"
#include "base/error.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::store {

/// A blob that is written piece by piece. Blocks on the disk as all of Blobs does.
class BlobWriter {
  public:
    ~BlobWriter();  ///< without `finish`: nothing is kept
    BlobWriter(const BlobWriter&) = delete;

    void append(std::string_view bytes);
    /// Makes it survive a power cut and returns its name. Once.
    std::string finish();

  private:
    friend class Blobs;
    class Parts;
    explicit BlobWriter(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

/// Files under `directory`, spread over 256 folders. Every function blocks on the disk: call it on the CPU
/// pool or a database thread, any number at once. Throws MachineError where the disk fails.
class Blobs {
  public:
    /// Creates the folders and removes temporary files that a crash left behind.
    explicit Blobs(std::filesystem::path directory);

    /// Stores `bytes` under a fresh random name and returns it. Written to a temporary name, flushed,
    /// renamed, and the folder flushed: when this returns it survives a power cut.
    std::string put(std::string_view bytes);

    /// Begins a blob under a fresh random name, for content that does not fit into memory.
    std::unique_ptr<BlobWriter> begin();

    /// A fresh name whose file the caller writes itself, at `path_of`.
    static std::string new_name();
    /// Where the file of `name`, a blob name, is or would be.
    std::filesystem::path path_of(const std::string& name) const;

    /// The bytes of `name`; Errc::not_found if there is no such blob, Errc::invalid_input if it is not a blob
    /// name.
    Result<std::string> get(const std::string& name) const;

    /// Removes `name`; an absent one is no error.
    void remove(const std::string& name);

    /// The names of all blobs older than `age`, for the sweep that removes those that no row refers to.
    std::vector<std::string> list(std::chrono::seconds age) const;

  private:
    std::filesystem::path directory_;
};

/// Removes `names` on `pool`; what can't be removed is logged and left to the next sweep. `blobs` and `pool`
/// outlive it.
boost::asio::awaitable<void> remove_blobs(Blobs& blobs, CpuPool& pool, std::vector<std::string> names);

}  // namespace millrace::store
