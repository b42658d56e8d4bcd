#include "store/sqlite_session.hpp"

#include "store/value_log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace millrace::store {

DirectoryLock::~DirectoryLock() { ::close(descriptor_); }

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::take(const std::filesystem::path& directory) {
    const std::string path = directory / "lock";
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return Error{Errc::unavailable, "cannot write to the data directory " + directory.string() + ": " +
                                            std::strerror(errno) +
                                            "; check its owner, its mode and the disk"};
    }
    auto lock = std::make_unique<DirectoryLock>(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        return Error{Errc::conflict, "the data directory " + directory.string() +
                                         " is in use by another server; stop it or choose another directory"};
    }
    return lock;
}

Committed SqliteSession::run_group(Jobs& group) noexcept {
    Committed committed;
    connection_->values()->begin(group.size());
    try {
        set_sync(group);
        connection_->begin_write();
        for (auto& job : group) run_one(*job);
        connection_->end_reads();
        connection_->values()->flush();
        connection_->prepare("COMMIT").run();
        committed = {1, group.size()};
    } catch (...) {
        roll_back();
        for (auto& job : group) job->fail(std::current_exception());
    }
    connection_->values()->end();
    return committed;
}

// SQLite reads `synchronous` when it commits; FULL flushes the log, NORMAL only writes it.
void SqliteSession::set_sync(const Jobs& group) {
    const bool durable =
        std::any_of(group.begin(), group.end(), [](const auto& job) { return job->sync == Sync::durable; });
    if (durable == durable_) return;
    connection_->execute(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    durable_ = durable;
}

// A command that throws without a savepoint has left half its writes behind: the whole group must go.
void SqliteSession::run_one(Job& job) {
    if (job.undo == Undo::none) {
        job.run(*connection_);
        return;
    }
    connection_->prepare("SAVEPOINT command").run();
    try {
        job.run(*connection_);
    } catch (...) {
        if (connection_->autocommit()) throw;  // SQLite has rolled back everything by itself
    }
    if (job.failed()) connection_->prepare("ROLLBACK TO command").run();
    connection_->prepare("RELEASE command").run();
}

void SqliteSession::roll_back() noexcept {
    try {
        if (!connection_->autocommit()) connection_->execute("ROLLBACK");
    } catch (const std::exception&) {
        // The next BEGIN reports what is wrong.
    }
}

void SqliteSession::run_read(Job& job) noexcept {
    const ValueLog::Reading reading(*connection_->values());
    try {
        connection_->prepare("BEGIN").run();
        job.run(*connection_);
    } catch (...) {
        job.fail(std::current_exception());
    }
    connection_->end_reads();
    try {
        if (!connection_->autocommit()) connection_->execute("ROLLBACK");
    } catch (...) {
        job.fail(std::current_exception());
    }
}

}  // namespace millrace::store
