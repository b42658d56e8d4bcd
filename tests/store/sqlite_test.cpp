#include "store/sqlite.hpp"
#include "store/database.hpp"
#include "store/migrate.hpp"
#include "tests/support/disk_calls.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

namespace millrace::store {
namespace {

namespace asio = boost::asio;
using test::flushes;

class SqliteTest : public testing::Test {
  protected:
    std::unique_ptr<Database> open() {
        auto opened = Database::open(io_.get_executor(), {directory_.path()});
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().detail);
        return opened ? std::move(*opened) : nullptr;
    }

    asio::awaitable<Result<void>> put(Database& database, int key, Sync sync = Sync::durable) {
        auto work = [key](Connection& connection) -> Result<void> {
            connection.prepare("INSERT INTO delivery (message, count) VALUES (?, 1)").bind(key).run();
            return {};
        };
        co_return co_await database.write(std::move(work), sync);
    }

    std::int64_t count(Database& database) {
        auto work = [](Connection& connection) {
            return connection.integer("SELECT count(*) FROM delivery");
        };
        return test::run(io_, database.read(std::move(work)));
    }

    asio::io_context io_;
    test::TemporaryDirectory directory_;
};

TEST_F(SqliteTest, DoesNotWriteThePagesOfWhatIsDeletedOnceMore) {
    auto database = open();
    auto ask = [](Connection& connection) -> Result<std::int64_t> {
        return connection.integer("PRAGMA secure_delete");
    };
    EXPECT_EQ(*test::run(io_, database->write(std::move(ask))), 2) << "FAST";
}

TEST_F(SqliteTest, ANewDatabaseHasPagesOf8KiBAndAnOlderOneKeepsItsOwn) {
    const std::string older = directory_.path() / "older.db";
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(older.c_str(), &database), SQLITE_OK);
    sqlite3_exec(database, "PRAGMA page_size=4096; CREATE TABLE t (a)", nullptr, nullptr, nullptr);
    sqlite3_close(database);
    SqliteConnection with_older(older, Access::read_write);
    SqliteConnection with_new(directory_.path() / "new.db", Access::read_write);
    EXPECT_EQ(with_older.integer("PRAGMA page_size"), 4096);
    EXPECT_EQ(with_new.integer("PRAGMA page_size"), 8192);
    for (SqliteConnection* connection : {&with_older, &with_new}) {
        EXPECT_EQ(connection->integer("PRAGMA wal_autocheckpoint") * connection->integer("PRAGMA page_size"),
                  16 * 1024 * 1024);
    }
}

TEST_F(SqliteTest, FlushesEveryCommitThatItAcknowledged) {
    auto database = open();
    const std::uint64_t before = flushes;
    const std::uint64_t commits_before = database->stats().commits;
    for (int key = 0; key < 50; ++key) {
        const std::uint64_t flushed = flushes;
        ASSERT_TRUE(test::run(io_, put(*database, key)));
        ASSERT_GT(flushes, flushed) << "acknowledged without a flush";
    }
    EXPECT_GE(flushes - before, database->stats().commits - commits_before);
}

TEST_F(SqliteTest, FlushesAfterWrittenCommandsAreMixedWithDurableOnes) {
    auto database = open();
    for (int key = 0; key < 20; key += 2) {
        const std::uint64_t before = flushes;
        ASSERT_TRUE(test::run(io_, put(*database, key, Sync::written)));
        EXPECT_EQ(flushes, before) << "a command that is only written was flushed";
        ASSERT_TRUE(test::run(io_, put(*database, key + 1)));
        EXPECT_GT(flushes, before) << "acknowledged without a flush";
    }
    EXPECT_EQ(count(*database), 20);
}

TEST_F(SqliteTest, AFullDatabaseFailsCommandsAndLosesNothingThatWasAcknowledged) {
    auto database = open();
    ASSERT_TRUE(test::run(io_, put(*database, 1)));
    auto limit = [](Connection& connection) -> Result<void> {
        connection.execute("PRAGMA max_page_count=1");
        return {};
    };
    ASSERT_TRUE(test::run(io_, database->write(limit)));
    auto large = [](Connection& connection) -> Result<void> {
        connection
            .prepare(
                "INSERT INTO step (message, name, result, stored) VALUES ('m', 'n', zeroblob(900000), 0)")
            .run();
        return {};
    };
    bool disk_full = false;
    try {
        test::run(io_, database->write(large));
    } catch (const MachineError& error) {
        disk_full = error.disk_full();
    }
    EXPECT_TRUE(disk_full);
    EXPECT_EQ(count(*database), 1);
    auto more = [](Connection& connection) -> Result<void> {
        connection.execute("PRAGMA max_page_count=1000000");
        return {};
    };
    ASSERT_TRUE(test::run(io_, database->write(more)));
    EXPECT_TRUE(test::run(io_, database->write(large)));
}

TEST_F(SqliteTest, RefusesASecondServerOnTheSameDirectory) {
    auto database = open();
    auto second = Database::open(io_.get_executor(), {directory_.path()});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_NE(second.error().detail.find("in use by another server"), std::string::npos);
    database->stop();
    EXPECT_TRUE(Database::open(io_.get_executor(), {directory_.path()}));
}

TEST_F(SqliteTest, RefusesADatabaseOfANewerVersionAndLeavesItAlone) {
    open()->stop();
    {
        SqliteConnection connection(directory_.path() / "millrace.db", Access::read_write);
        connection.execute("PRAGMA user_version=" + std::to_string(schema_version() + 1));
    }
    auto opened = Database::open(io_.get_executor(), {directory_.path()});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::conflict);
    EXPECT_NE(opened.error().detail.find("newer version"), std::string::npos);
    SqliteConnection connection(directory_.path() / "millrace.db", Access::read_write);
    EXPECT_EQ(connection.integer("PRAGMA user_version"), schema_version() + 1);
}

TEST_F(SqliteTest, SaysWhatIsWrongWithADirectoryItCannotUse) {
    const auto file = directory_.path() / "file";
    fclose(fopen(file.c_str(), "w"));
    auto opened = Database::open(io_.get_executor(), {file / "data"});
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().detail.find("data directory"), std::string::npos);
}

TEST_F(SqliteTest, SaysThatAFileIsNotADatabase) {
    FILE* file = fopen((directory_.path() / "millrace.db").c_str(), "w");
    fputs(std::string(8192, 'x').c_str(), file);
    fclose(file);
    auto opened = Database::open(io_.get_executor(), {directory_.path()});
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().detail.find("not a database"), std::string::npos);
}

}  // namespace
}  // namespace millrace::store
