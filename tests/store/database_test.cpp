#include "store/database.hpp"
#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>

#include <future>

namespace millrace::store {
namespace {

namespace asio = boost::asio;

// A table that both engines have.
constexpr char kInsert[] = "INSERT INTO watched_file (path, size, modified, document) VALUES (?, 1, 0, 'd')";
constexpr char kInsertAnother[] = "INSERT INTO watched_file VALUES ('another', 1, 0, 'd')";

/// What every engine promises.
class DatabaseTest : public testing::TestWithParam<test::Engine> {
  protected:
    std::unique_ptr<Database> open() {
        auto opened = place_.open(io_.get_executor());
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().detail);
        return opened ? std::move(*opened) : nullptr;
    }

    asio::awaitable<Result<void>> put(Database& database, int key, Sync sync = Sync::durable) {
        auto work = [key](Connection& connection) -> Result<void> {
            connection.prepare(kInsert).bind(std::to_string(key)).run();
            return {};
        };
        co_return co_await database.write(std::move(work), sync);
    }

    std::int64_t count(Database& database) {
        auto work = [](Connection& connection) {
            return connection.integer("SELECT count(*) FROM watched_file");
        };
        return test::run(io_, database.read(std::move(work)));
    }

    asio::io_context io_;
    test::DatabasePlace place_{GetParam()};
};

TEST_P(DatabaseTest, KeepsWhatWasWrittenAcrossARestart) {
    auto database = open();
    EXPECT_TRUE(test::run(io_, put(*database, 7)));
    database->stop();
    database = open();
    EXPECT_EQ(count(*database), 1);
}

TEST_P(DatabaseTest, CommitsWaitingCommandsAsOneGroup) {
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

TEST_P(DatabaseTest, AnErrorUndoesOnlyItsOwnCommand) {
    auto database = open();
    auto bad = [](Connection& connection) -> Result<void> {
        connection.prepare(kInsertAnother).run();
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

TEST_P(DatabaseTest, AnExceptionReachesItsCallerAndNobodyElse) {
    auto database = open();
    auto bad = [](Connection& connection) -> Result<void> {
        connection.prepare(kInsertAnother).run();
        connection.prepare("INSERT INTO no_such_table VALUES (1)").run();
        return {};
    };
    EXPECT_THROW(test::run(io_, database->write(bad)), MachineError);
    EXPECT_TRUE(test::run(io_, put(*database, 1)));
    EXPECT_EQ(count(*database), 1);
}

TEST_P(DatabaseTest, ReadsSeeOneStateWhileWritesGoOn) {
    auto database = open();
    ASSERT_TRUE(test::run(io_, put(*database, 1)));
    std::promise<void> looked;
    std::promise<void> written;
    auto twice = [&](Connection& connection) {
        const auto first = connection.integer("SELECT count(*) FROM watched_file");
        looked.set_value();
        written.get_future().wait();
        return std::pair(first, connection.integer("SELECT count(*) FROM watched_file"));
    };
    std::pair<std::int64_t, std::int64_t> counts{-1, -1};
    auto reader = [&]() -> asio::awaitable<void> { counts = co_await database->read(twice); };
    bool ended = false;
    asio::co_spawn(io_, reader(), [&](std::exception_ptr) { ended = true; });
    io_.restart();
    io_.poll();
    looked.get_future().wait();
    EXPECT_TRUE(test::run(io_, put(*database, 2)));
    written.set_value();
    test::run_until(io_, [&] { return ended; });
    EXPECT_EQ(counts.first, 1);
    EXPECT_EQ(counts.second, 1);
    EXPECT_EQ(count(*database), 2);
}

TEST_P(DatabaseTest, AReadThatStopsInTheMiddleOfItsRowsPinsNoSnapshot) {
    auto database = open();
    ASSERT_TRUE(test::run(io_, put(*database, 1)));
    auto half = [](Connection& connection) {
        return connection.prepare("SELECT path FROM watched_file UNION ALL SELECT '2'").bind().step();
    };
    auto null = [](Connection& connection) {
        return connection.integer("SELECT max(size) FROM watched_file WHERE size < 0", 7);
    };
    for (int reader = 0; reader < 4; ++reader) {
        EXPECT_TRUE(test::run(io_, database->read(half)));
        EXPECT_EQ(test::run(io_, database->read(null)), 7);
    }
    ASSERT_TRUE(test::run(io_, put(*database, 2)));
    for (int reader = 0; reader < 4; ++reader) EXPECT_EQ(count(*database), 2);
}

TEST_P(DatabaseTest, AReadCannotWrite) {
    auto database = open();
    auto write = [](Connection& connection) {
        connection.prepare(kInsertAnother).run();
        return connection.changes();
    };
    EXPECT_THROW(test::run(io_, database->read(write)), MachineError);
    EXPECT_EQ(count(*database), 0);
}

TEST_P(DatabaseTest, ValuesComeBackAsTheyWereBound) {
    auto database = open();
    const std::string bytes("\0\x01\xff'\\", 5);
    auto round_trip = [&](Connection& connection) -> Result<void> {
        connection.prepare("INSERT INTO step (message, name, result, stored) VALUES (?, ?, ?, ?)")
            .bind("m\xc3\xbc?", std::string("'quoted\\'"), Blob{bytes}, INT64_MIN)
            .run();
        EXPECT_EQ(connection.changes(), 1);
        auto& row = connection.prepare(
            "SELECT message, name, result, stored, NULL, 1 = 1, '?' FROM step WHERE stored=?1 AND "
            "message=?2 AND stored=?1");
        row.bind(INT64_MIN, "m\xc3\xbc?");
        EXPECT_TRUE(row.step());
        EXPECT_EQ(row.text(0), "m\xc3\xbc?");
        EXPECT_EQ(row.text(1), "'quoted\\'");
        EXPECT_EQ(row.string(2), bytes);
        EXPECT_EQ(row.integer(3), INT64_MIN);
        EXPECT_TRUE(row.is_null(4));
        EXPECT_EQ(row.integer(5), 1);
        EXPECT_EQ(row.text(6), "?");
        EXPECT_FALSE(row.step());
        connection.prepare("UPDATE step SET stored=? WHERE message=?").bind(true, "m\xc3\xbc?").run();
        connection.prepare("INSERT INTO step (message, name, result, stored) VALUES ('n', '', ?, ?)")
            .bind(Blob{}, std::optional<std::int64_t>(123'456'789'012'345))
            .run();
        EXPECT_EQ(connection.integer("SELECT sum(stored) FROM step"), 123'456'789'012'346);
        EXPECT_EQ(connection.integer("SELECT -sum(stored) FROM step"), -123'456'789'012'346);
        auto& real = connection.prepare("SELECT CAST(? AS DOUBLE PRECISION)").bind(-1.5e-3);
        EXPECT_TRUE(real.step());
        EXPECT_EQ(real.real(0), -1.5e-3);
        return {};
    };
    EXPECT_TRUE(test::run(io_, database->write(round_trip)));
}

TEST_P(DatabaseTest, TextsAreOrderedByTheirBytes) {
    auto database = open();
    auto order = [](Connection& connection) -> Result<std::string> {
        for (const char* path : {"b", "B", "a", "_", "\xc3\xa4", "A"})
            connection.prepare(kInsert).bind(path).run();
        std::string text;
        auto& rows =
            connection.prepare("SELECT path FROM watched_file WHERE path > 'A' ORDER BY path").bind();
        while (rows.step()) text += rows.text(0);
        return text;
    };
    EXPECT_EQ(*test::run(io_, database->write(order)), "B_ab\xc3\xa4");
}

TEST_P(DatabaseTest, ACommandSeesWhatThoseBeforeItInItsGroupHaveWritten) {
    auto database = open();
    std::vector<std::int64_t> seen;
    for (int key = 0; key < 20; ++key) {
        auto work = [key](Connection& connection) -> Result<std::int64_t> {
            connection.prepare(kInsert).bind(std::to_string(key)).run();
            return connection.integer("SELECT count(*) FROM watched_file");
        };
        auto call = [&, work]() -> asio::awaitable<void> {
            auto counted = co_await database->write(work);
            seen.push_back(*counted);
        };
        asio::co_spawn(io_, std::move(call), asio::detached);
    }
    test::run_until(io_, [&] { return seen.size() == 20; });
    for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<std::int64_t>(i) + 1);
}

TEST_P(DatabaseTest, RunsWhatWaitsBeforeItStopsAndRefusesAfterwards) {
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

MILLRACE_ON_EVERY_ENGINE(DatabaseTest);

}  // namespace
}  // namespace millrace::store
