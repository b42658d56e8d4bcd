#include "store/gathered_log.hpp"
#include "base/error.hpp"
#include "store/sqlite.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace {
thread_local int writes = 0;
thread_local int fail_from = INT_MAX;  // the writes with this number and above fail: the disk is full
thread_local const std::function<void()>* after_write = nullptr;
}  // namespace

// SQLite calls this one instead of the C library's.
extern "C" ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
    writes += 1;
    if (writes >= fail_from) {
        errno = ENOSPC;
        return -1;
    }
    const ssize_t written = ::syscall(SYS_pwrite64, descriptor, bytes, size, offset);
    if (after_write != nullptr) (*after_write)();
    return written;
}

namespace millrace::store {
namespace {

namespace fs = std::filesystem;

/// Ways in which the log is flushed and emptied, or takes pages before the commit.
constexpr const char* kSettings[] = {"PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=40",
                                     "PRAGMA synchronous=NORMAL; PRAGMA cache_size=10"};

class GatheredLogTest : public testing::Test {
  protected:
    GatheredLogTest() {
        SqliteConnection writer(path_, Access::read_write);
        writer.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, round INTEGER, body BLOB)");
    }
    ~GatheredLogTest() override {
        fail_from = INT_MAX;
        after_write = nullptr;
    }

    /// A transaction that inserts and deletes, of some 20 pages.
    static void round(SqliteConnection& writer, int number) {
        writer.begin_write();
        for (int i = 0; i < 8; ++i) {
            writer.prepare("INSERT INTO note(round, body) VALUES(?, zeroblob(?))").bind(number, 9000).run();
        }
        writer.prepare("DELETE FROM note WHERE round < ?").bind(number - 1).run();
        writer.prepare("UPDATE note SET round = ?").bind(number).run();
        writer.execute("COMMIT");
    }

    /// The round after which the database stands; -1 if it is not whole.
    static std::int64_t round_of(SqliteConnection& connection) {
        auto& check = connection.prepare("PRAGMA integrity_check");
        const bool whole = check.step() && check.text(0) == "ok";
        check.reset();
        const bool one = connection.integer("SELECT count(DISTINCT round) FROM note") <= 1;
        return whole && one ? connection.integer("SELECT max(round) FROM note") : -1;
    }

    /// What others see.
    std::int64_t seen() {
        SqliteConnection reader(path_, Access::read_only);
        return round_of(reader);
    }

    /// What a crash of the process would leave at this moment.
    std::int64_t seen_after_crash() {
        const fs::path copy = directory_.path() / "copy";
        fs::create_directory(copy);
        for (const char* name : {"notes.db", "notes.db-wal"})
            fs::copy_file(directory_.path() / name, copy / name);
        std::int64_t round = 0;
        {
            SqliteConnection recovering(copy / "notes.db", Access::read_write);
            recovering.execute("PRAGMA synchronous=OFF");
            round = round_of(recovering);
        }
        fs::remove_all(copy);
        return round;
    }

    test::TemporaryDirectory directory_;
    const std::string path_ = directory_.path() / "notes.db";
};

TEST_F(GatheredLogTest, WritesManyPagesAtOnce) {
    SqliteConnection writer(path_, Access::read_write);
    round(writer, 1);
    writes = 0;
    round(writer, 2);
    EXPECT_LE(writes, 3) << "of some twenty pages";
}

TEST_F(GatheredLogTest, OthersSeeWhatIsCommittedAndNothingElse) {
    SqliteConnection writer(path_, Access::read_write);
    SqliteConnection reader(path_, Access::read_only);
    for (const char* synchronous : {"PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"}) {
        writer.execute(synchronous);
        for (int number = 1; number <= 20; ++number) {
            round(writer, number);
            ASSERT_EQ(reader.integer("SELECT max(round) FROM note"), number);
            ASSERT_EQ(seen(), number);
        }
        writer.execute("BEGIN IMMEDIATE; UPDATE note SET round = 99");
        EXPECT_EQ(seen(), 20);
        writer.execute("ROLLBACK; UPDATE note SET round = 0");
    }
}

TEST_F(GatheredLogTest, ATransactionLargerThanTheCacheIsWholeOrGone) {
    SqliteConnection writer(path_, Access::read_write);
    writer.execute("PRAGMA cache_size=10");  // pages go to the log before the commit, and change again there
    auto fill = [&](int number) {
        writer.execute("BEGIN IMMEDIATE");
        for (int i = 0; i < 300; ++i) {
            writer.prepare("INSERT INTO note(round, body) VALUES(?, zeroblob(?))").bind(number, i * 37).run();
        }
        writer.prepare("UPDATE note SET round = ?, body = body || 'x'").bind(number).run();
    };
    fill(1);
    writer.execute("COMMIT");
    EXPECT_EQ(seen(), 1);
    EXPECT_EQ(seen_after_crash(), 1);
    fill(2);
    EXPECT_EQ(seen(), 1);
    EXPECT_EQ(seen_after_crash(), 1);
    writer.execute("ROLLBACK");
    EXPECT_EQ(seen(), 1);
    round(writer, 3);
    EXPECT_EQ(seen(), 3);
    EXPECT_EQ(seen_after_crash(), 3);
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    EXPECT_EQ(seen(), 3);
}

TEST_F(GatheredLogTest, WhatASavepointUndoesAfterItWentToTheLogIsGone) {
    SqliteConnection writer(path_, Access::read_write);
    writer.execute("PRAGMA cache_size=10");
    const auto fill = [&](int number) {
        for (int i = 0; i < 300; ++i)
            writer.prepare("INSERT INTO note(round, body) VALUES(?, zeroblob(?))").bind(number, i * 37).run();
    };
    for (int number = 1; number <= 3; ++number) {
        writer.begin_write();
        fill(number);
        writer.execute("UPDATE note SET round = " + std::to_string(number));
        writer.execute("SAVEPOINT command");
        fill(99);
        writer.execute("UPDATE note SET body = body || 'x', round = 99");
        writer.execute("ROLLBACK TO command; RELEASE command");
        writer.execute("COMMIT");
        EXPECT_EQ(seen(), number);
        EXPECT_EQ(seen_after_crash(), number);
        EXPECT_EQ(writer.integer("SELECT count(*) FROM note"), 300 * number);
    }
}

TEST_F(GatheredLogTest, WhatAnotherProcessWritesIsNeitherLostNorOverlooked) {
    SqliteConnection writer(path_, Access::read_write);
    writer.execute("PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=60");
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
    for (int number = 1; number <= 40; number += 2) {
        round(writer, number);
        writer.begin_write();
        writer.execute("UPDATE note SET round = 99, body = zeroblob(9001)");
        writer.execute("ROLLBACK");
        const std::string change = "UPDATE note SET round = " + std::to_string(number + 1);
        ASSERT_EQ(sqlite3_exec(other, change.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
        writer.begin_write();
        EXPECT_EQ(round_of(writer), number + 1);
        writer.execute("COMMIT");
        EXPECT_EQ(seen(), number + 1);
        EXPECT_EQ(seen_after_crash(), number + 1);
    }
    sqlite3_close(other);
}

TEST_F(GatheredLogTest, ACrashOfTheProcessAtAnyWriteLosesNothingThatWasCommitted) {
    SqliteConnection writer(path_, Access::read_write);
    for (const char* settings : kSettings) {
        writer.execute(settings);
        int crashes = 0;
        int committed = 0;
        const std::function<void()> crash = [&] {
            after_write = nullptr;
            const std::int64_t left = seen_after_crash();
            EXPECT_TRUE(left == committed || left == committed + 1) << left << ", not " << committed;
            crashes += 1;
            after_write = &crash;
        };
        writer.execute("DELETE FROM note");
        round(writer, 1);
        for (committed = 1; committed < 12; ++committed) {
            after_write = &crash;
            round(writer, committed + 1);
            after_write = nullptr;
            EXPECT_EQ(seen_after_crash(), committed + 1);
        }
        EXPECT_GT(crashes, 12);
    }
}

TEST_F(GatheredLogTest, WithAFullDiskACommitFailsAndIsNeverFound) {
    SqliteConnection writer(path_, Access::read_write);
    for (const char* settings : kSettings) {
        writer.execute(settings);
        int number = 1;
        int failures = 0;
        for (int step = 1; step <= 30; ++step) {
            round(writer, number);
            writes = 0;
            fail_from = step;
            bool failed = false;
            try {
                round(writer, number + 1);
            } catch (const MachineError& error) {
                failed = true;
                EXPECT_TRUE(error.disk_full()) << error.what();
            }
            fail_from = INT_MAX;
            if (!writer.autocommit()) writer.execute("ROLLBACK");
            failures += failed ? 1 : 0;
            number += failed ? 0 : 1;
            ASSERT_EQ(seen(), number) << "after a failure at write " << step;
            ASSERT_EQ(seen_after_crash(), number);
            writer.execute("UPDATE note SET round = round");  // the log goes on where the failure was
            ASSERT_EQ(seen(), number);
            ASSERT_EQ(seen_after_crash(), number);
            number += 1;
        }
        EXPECT_GT(failures, 0);
        writer.execute("DELETE FROM note");
    }
}

}  // namespace
}  // namespace millrace::store
