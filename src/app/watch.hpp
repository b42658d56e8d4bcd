// A watched folder: files that appear or change in it become documents.
#pragma once

#include "app/configuration.hpp"
#include "base/async.hpp"
#include "base/clock.hpp"
#include "store/database.hpp"
#include "work/documents.hpp"

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace millrace::app {

/// Looks at one folder again and again. A file is taken when two looks in a row find it with the same size
/// and time: whoever writes it has finished. What was taken is remembered in the database with the size and
/// time it had, so that a restart takes nothing twice; a file that changes becomes a new generation of its
/// document; one that disappears leaves its document. On the I/O thread; the folder is read on the CPU pool.
class FolderWatch {
  public:
    /// All arguments outlive the watch.
    FolderWatch(WatchEntry entry, store::Database& database, work::Documents& documents, CpuPool& pool,
                Clock& clock);

    /// Looks until its coroutine is cancelled.
    asio::awaitable<void> run();

    /// One look; answers how many files were taken. not_found: the folder can't be read.
    asio::awaitable<Result<std::size_t>> look();

  private:
    /// How a file looked: what tells whether it has changed.
    struct Seen {
        std::int64_t size = 0;
        std::int64_t modified = 0;   ///< ns since 1970
        bool operator==(const Seen&) const = default;
    };
    using Files = std::map<std::string, Seen>;   ///< by path below the folder

    struct Scan {
        Files files;
        std::string problem;
    };

    static Scan scan(const WatchEntry& entry);
    asio::awaitable<Files> remembered();
    asio::awaitable<bool> take(std::string path, Seen seen);
    asio::awaitable<void> remember(std::string path, Seen seen, std::string document);
    std::string remembered_path(const std::string& path) const;
    void note_once(const std::string& path, const std::string& why);

    WatchEntry entry_;
    store::Database& database_;
    work::Documents& documents_;
    CpuPool& pool_;
    Clock& clock_;
    Files before_;                   ///< as the last look found it
    std::set<std::string> noted_;    ///< files that a line was logged about
    bool folder_missing_ = false;
};

}  // namespace millrace::app
