// Sends files to a server, several at once, and follows what becomes of them.
#pragma once

#include "app/client.hpp"
#include "base/async.hpp"

#include <boost/json/object.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace millrace::app {

/// A file to send.
struct UploadFile {
    std::filesystem::path path;
    std::string id;
    std::string media_type;
    std::uintmax_t bytes = 0;
};

/// What a walk over files and folders found.
struct FileWalk {
    std::vector<UploadFile> files;
    std::vector<std::string> skipped;    ///< "PATH: why"
    std::vector<std::string> problems;   ///< paths that were named and don't exist
};

/// Files at `paths` and below, in name order. A file's id is `id_prefix` and its absolute path, or, with a
/// prefix, its path as seen from the folder that was named. Hidden files are passed over without a word.
FileWalk walk_files(const std::vector<std::string>& paths, const std::string& id_prefix);

/// What became of one file.
struct Upload {
    std::string path;
    std::string id;
    std::string operation;   ///< empty: not accepted
    std::string status;      ///< accepted, running, succeeded, failed, refused, or of a dry run estimated
    std::string error;
    std::uint64_t chunks_done = 0;
    std::uint64_t chunks_total = 0;
    boost::json::object estimate = {};  ///< of a dry run, as the server tells it

    bool ended() const { return status == "succeeded" || status == "failed" || status == "refused"; }
};

/// What holds for all files of one upload.
struct UploadOptions {
    std::string category;
    std::string tenant;
    std::string priority;
    bool dry_run = false;  ///< nothing is accepted
    std::size_t parallel = 8;
};

/// Sends files, `parallel` at once and at most 64 MiB of them in memory. Asks again where the server is busy
/// (429, 503) or can't be reached, each file for up to five minutes; a key per file keeps it from being
/// accepted twice.
class Uploader {
  public:
    Uploader(asio::any_io_executor io, Client& client, UploadOptions options);

    /// Accepts all of `files` or says why not; `on_change` is called after each.
    asio::awaitable<void> send(std::vector<UploadFile> files, std::function<void()> on_change);

    /// Waits until every accepted one has become searchable or failed; `on_change` is called as they move on.
    /// unavailable: the server can't be reached any more.
    asio::awaitable<Result<void>> wait(std::function<void()> on_change);

    const std::vector<Upload>& uploads() const noexcept { return uploads_; }
    std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }
    std::size_t count(std::string_view status) const;

  private:
    asio::awaitable<void> send_some(std::function<void()> on_change);
    asio::awaitable<void> send_one(std::size_t number);
    asio::awaitable<void> follow_some(std::function<void()> on_change);
    asio::awaitable<Result<void>> follow(std::size_t number);
    asio::awaitable<void> run_parallel(std::function<asio::awaitable<void>()> make, std::size_t count);

    asio::any_io_executor io_;
    Client& client_;
    UploadOptions options_;
    std::vector<UploadFile> files_;
    std::vector<Upload> uploads_;
    std::size_t next_ = 0;
    std::uint64_t bytes_sent_ = 0;
    std::uint64_t bytes_held_ = 0;
    Signal bytes_freed_;
    Result<void> trouble_;
};

}  // namespace millrace::app
