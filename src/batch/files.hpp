// Files that callers upload and batches write: OpenAI's /v1/files.
#pragma once

#include "base/async.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "store/blobs.hpp"
#include "store/database.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::batch {

/// A file as a caller sees it.
struct FileView {
    std::string id;
    std::string name;
    std::string purpose;
    std::int64_t bytes = 0;
    std::string sha256;  ///< hexadecimal; "" for what a batch wrote
    std::string blob;
    std::string place;
    TimePoint created_at{};
    TimePoint expires_at{};  ///< the epoch: never
};

/// A page of a list: those behind `after` in the order asked for.
struct ListOptions {
    std::string purpose;  ///< of files; "": all
    std::string after;    ///< an id; "": from the start
    bool oldest_first = false;
    std::size_t items_max = 20;
};

struct NewFile {
    std::string name;
    std::string purpose;
    std::optional<Duration> kept;  ///< nothing: until it is deleted
    /// Gives the content piece by piece, "" at its end. Called on the CPU pool.
    std::function<std::string()> read;
};

/// All calls on the I/O thread.
class Files {
  public:
    /// Files are kept in `folder`, which is created; blocks on the disk. What is referred to outlives it.
    Files(store::Database& database, CpuPool& pool, Clock& clock, const std::filesystem::path& folder);

    /// Removes what no row refers to: what a crash between a file and its row left behind.
    asio::awaitable<void> start();

    /// Durable when this returns.
    asio::awaitable<FileView> add(NewFile file);
    /// not_found: there is none, or it has expired.
    asio::awaitable<Result<FileView>> find(std::string id);
    asio::awaitable<std::vector<FileView>> list(ListOptions options);
    /// not_found, or conflict: a batch that has not ended reads it.
    asio::awaitable<Result<void>> remove(std::string id);
    /// Removes those whose time is over.
    asio::awaitable<void> prune();

    /// Where the content is. unavailable: it is on the disk of another server that shares the database.
    Result<std::filesystem::path> path_of(const FileView& file) const;
    std::filesystem::path path_of_blob(const std::string& blob) const { return blobs_.path_of(blob); }
    /// Removes the files of blobs that no row refers to any more.
    asio::awaitable<void> remove_blobs(std::vector<std::string> blobs) {
        return store::remove_blobs(blobs_, pool_, std::move(blobs));
    }
    /// The name of this data directory: who keeps a file.
    const std::string& place() const noexcept { return place_; }
    /// The folder that holds them.
    const std::filesystem::path& folder() const noexcept { return folder_; }

  private:
    store::Database& database_;
    CpuPool& pool_;
    Clock& clock_;
    std::filesystem::path folder_;
    store::Blobs blobs_;
    std::string place_;
};

namespace rows {

/// On a database thread.
void insert_file(store::Connection& connection, const FileView& file);

}  // namespace rows
}  // namespace millrace::batch
