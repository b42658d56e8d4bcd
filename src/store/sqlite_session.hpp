// The database file of one server.
#pragma once

#include "base/error.hpp"
#include "store/session.hpp"
#include "store/sqlite.hpp"

#include <filesystem>

namespace millrace::store {

/// The lock file of a data directory, held while the process lives.
class DirectoryLock {
  public:
    explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
    ~DirectoryLock();
    DirectoryLock(const DirectoryLock&) = delete;

    /// conflict: another server has it; unavailable: the directory can't be written to.
    static Result<std::unique_ptr<DirectoryLock>> take(const std::filesystem::path& directory);

  private:
    int descriptor_;
};

class SqliteSession final : public Session {
  public:
    /// `connection` has a value log.
    explicit SqliteSession(std::unique_ptr<SqliteConnection> connection)
        : connection_(std::move(connection)) {}

    Committed run_group(Jobs& group) noexcept override;
    void run_read(Job& job) noexcept override;

  private:
    void run_one(Job& job);
    void set_sync(const Jobs& group);
    void roll_back() noexcept;

    std::unique_ptr<SqliteConnection> connection_;
    bool durable_ = true;
};

}  // namespace millrace::store
