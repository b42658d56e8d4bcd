#include "store/database.hpp"
#include "store/migrate.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

// Counts the flushes of SQLite, which calls this one instead of the C library's.
std::atomic<std::uint64_t> flushes = 0;
extern "C" int fdatasync(int descriptor) {
    flushes += 1;
    return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}

namespace millrace::store {
namespace {

namespace asio = boost::asio;

class DatabaseTest : public testing::Test {
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

TEST_F(DatabaseTest, KeepsWhatWasWrittenAcrossARestart) {
    auto database = open();
    EXPECT_TRUE(test::run(io_, put(*database, 7)));
    database->stop();
    database = open();
    EXPECT_EQ(count(*database), 1);
}

TEST_F(DatabaseTest, DoesNotWriteThePagesOfWhatIsDeletedOnceMore) {
    auto database = open();
    auto ask = [](Connection& connection) -> Result<std::int64_t> {
        return connection.integer("PRAGMA secure_delete");
    };
    EXPECT_EQ(*test::run(io_, database->write(std::move(ask))), 2) << "FAST";
}

TEST_F(DatabaseTest, FlushesEveryCommitThatItAcknowledged) {
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

TEST_F(DatabaseTest, FlushesAfterWrittenCommandsAreMixedWithDurableOnes) {
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

TEST_F(DatabaseTest, CommitsWaitingCommandsAsOneGroup) {
    auto database = open();
    constexpr int kCommands = 500;
    int done = 0;
    for (int key = 0; key < kCommands; ++key) {
        asio::co_spawn(io_, put(*database, key),
                       [&](std::exception_ptr, Result<void> result) { done += !!result; });
    }
    io_.restart();
    auto guard = asio::make_work_guard(io_);
    while (done < kCommands) io_.run_one();
    EXPECT_LT(database->stats().commits, kCommands / 5u);
    EXPECT_EQ(count(*database), kCommands);
}

TEST_F(DatabaseTest, AnErrorUndoesOnlyItsOwnCommand) {
    auto database = open();
    auto bad = [](Connection& connection) -> Result<void> {
        connection.execute("INSERT INTO delivery (message, count) VALUES (100, 1)");
        return Error{Errc::conflict, "changed its mind"};
    };
    auto both = [&]() -> asio::awaitable<void> {
        auto first = co_await put(*database, 1);
        auto second = co_await database->write(bad);
        auto third = co_await put(*database, 2);
        EXPECT_TRUE(first);
        EXPECT_FALSE(second);
        EXPECT_TRUE(third);
    };
    test::run(io_, both());
    EXPECT_EQ(count(*database), 2);
}

TEST_F(DatabaseTest, AnExceptionReachesItsCallerAndNobodyElse) {
    auto database = open();
    auto bad = [](Connection& connection) -> Result<void> {
        connection.execute("INSERT INTO delivery (message, count) VALUES (100, 1)");
        connection.execute("INSERT INTO no_such_table VALUES (1)");
        return {};
    };
    EXPECT_THROW(test::run(io_, database->write(bad)), MachineError);
    EXPECT_TRUE(test::run(io_, put(*database, 1)));
    EXPECT_EQ(count(*database), 1);
}

TEST_F(DatabaseTest, AFullDatabaseFailsCommandsAndLosesNothingThatWasAcknowledged) {
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

TEST_F(DatabaseTest, RefusesASecondServerOnTheSameDirectory) {
    auto database = open();
    auto second = Database::open(io_.get_executor(), {directory_.path()});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_NE(second.error().detail.find("in use by another server"), std::string::npos);
    database->stop();
    EXPECT_TRUE(Database::open(io_.get_executor(), {directory_.path()}));
}

TEST_F(DatabaseTest, RefusesADatabaseOfANewerVersionAndLeavesItAlone) {
    open()->stop();
    {
        Connection connection(directory_.path() / "millrace.db", Access::read_write);
        connection.execute("PRAGMA user_version=" + std::to_string(schema_version() + 1));
    }
    auto opened = Database::open(io_.get_executor(), {directory_.path()});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::conflict);
    EXPECT_NE(opened.error().detail.find("newer version"), std::string::npos);
    Connection connection(directory_.path() / "millrace.db", Access::read_write);
    EXPECT_EQ(connection.integer("PRAGMA user_version"), schema_version() + 1);
}

TEST_F(DatabaseTest, SaysWhatIsWrongWithADirectoryItCannotUse) {
    const auto file = directory_.path() / "file";
    fclose(fopen(file.c_str(), "w"));
    auto opened = Database::open(io_.get_executor(), {file / "data"});
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().detail.find("data directory"), std::string::npos);
}

TEST_F(DatabaseTest, SaysThatAFileIsNotADatabase) {
    FILE* file = fopen((directory_.path() / "millrace.db").c_str(), "w");
    fputs(std::string(8192, 'x').c_str(), file);
    fclose(file);
    auto opened = Database::open(io_.get_executor(), {directory_.path()});
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().detail.find("not a database"), std::string::npos);
}

TEST_F(DatabaseTest, ReadsSeeOneStateWhileWritesGoOn) {
    auto database = open();
    ASSERT_TRUE(test::run(io_, put(*database, 1)));
    auto twice = [&](Connection& connection) {
        const auto first = connection.integer("SELECT count(*) FROM delivery");
        std::thread other([&] {
            Connection writer(directory_.path() / "millrace.db", Access::read_write);
            writer.execute("INSERT INTO delivery (message, count) VALUES (9, 1)");
        });
        other.join();
        return std::pair(first, connection.integer("SELECT count(*) FROM delivery"));
    };
    const auto [first, second] = test::run(io_, database->read(twice));
    EXPECT_EQ(first, second);
    EXPECT_EQ(count(*database), 2);
}

TEST_F(DatabaseTest, AReadThatStopsInTheMiddleOfItsRowsPinsNoSnapshot) {
    auto database = open();
    ASSERT_TRUE(test::run(io_, put(*database, 1)));
    auto half = [](Connection& connection) {
        return connection.prepare("SELECT message FROM delivery UNION ALL SELECT 2").bind().step();
    };
    auto null = [](Connection& connection) {
        return connection.integer("SELECT max(count) FROM delivery WHERE 0", 7);
    };
    for (int reader = 0; reader < 4; ++reader) {
        EXPECT_TRUE(test::run(io_, database->read(half)));
        EXPECT_EQ(test::run(io_, database->read(null)), 7);
    }
    ASSERT_TRUE(test::run(io_, put(*database, 2)));
    for (int reader = 0; reader < 4; ++reader) EXPECT_EQ(count(*database), 2);
}

TEST_F(DatabaseTest, RunsWhatWaitsBeforeItStopsAndRefusesAfterwards) {
    auto database = open();
    bool stored = false;
    asio::co_spawn(io_, put(*database, 1),
                   [&](std::exception_ptr, Result<void> result) { stored = !!result; });
    io_.restart();
    io_.poll();
    database->stop();
    database->stop();
    io_.restart();
    io_.poll();
    EXPECT_TRUE(stored);
    EXPECT_THROW(test::run(io_, put(*database, 2)), MachineError);
}

}  // namespace
}  // namespace millrace::store
