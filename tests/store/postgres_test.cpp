#include "store/postgres_migrate.hpp"
#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>

#include <future>
#include <thread>

namespace millrace::store {
namespace {

namespace asio = boost::asio;
using testing::HasSubstr;
using testing::Not;

constexpr char kInsert[] = "INSERT INTO watched_file (path, size, modified, document) VALUES (?, 0, 0, 'd')";
constexpr char kCount[] = "SELECT count(*) FROM watched_file";

class PostgresTest : public testing::Test {
  protected:
    test::PostgresServer& server() { return test::PostgresServer::shared(); }

    std::unique_ptr<Database> open() {
        auto opened = place_.open(io_.get_executor());
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().detail);
        return opened ? std::move(*opened) : nullptr;
    }

    static auto insert(std::string key) {
        return [key = std::move(key)](Connection& connection) -> Result<void> {
            connection.prepare(kInsert).bind(key).run();
            return {};
        };
    }
    Result<void> put(Database& database, std::string key) {
        auto work = insert(std::move(key));
        return test::run(io_, database.write(std::move(work)));
    }
    std::int64_t count(Database& database) {
        auto work = [](Connection& connection) { return connection.integer(kCount); };
        return test::run(io_, database.read(std::move(work)));
    }
    /// Adds one to the size of "counter"; `meanwhile` is called between the read and the write.
    static auto add_one(std::function<void()> meanwhile) {
        return [meanwhile = std::move(meanwhile)](Connection& connection) -> Result<std::int64_t> {
            const auto size = connection.integer("SELECT size FROM watched_file WHERE path='counter'");
            meanwhile();
            connection.prepare("UPDATE watched_file SET size=? WHERE path='counter'").bind(size + 1).run();
            return size + 1;
        };
    }

    asio::io_context io_;
    test::DatabasePlace place_{test::Engine::postgres};
};

TEST_F(PostgresTest, AConnectionThatEndsInTheMiddleOfACommandIsAnErrorOfThatCommandAlone) {
    auto database = open();
    auto cut_off = [&](Connection& connection) -> Result<void> {
        connection.prepare(kInsert).bind("lost").run();
        EXPECT_EQ(connection.changes(), 1);
        server().end_connections(place_.name());
        connection.prepare(kInsert).bind("never").run();
        return {};
    };
    EXPECT_THROW(test::run(io_, database->write(cut_off)), MachineError);
    EXPECT_TRUE(put(*database, "next"));
    EXPECT_EQ(count(*database), 1);
}

TEST_F(PostgresTest, AConnectionThatEndsInTheMiddleOfAReadIsAnErrorOfThatReadAlone) {
    auto database = open();
    ASSERT_TRUE(put(*database, "a"));
    auto cut_off = [&](Connection& connection) {
        const auto first = connection.integer(kCount);
        server().end_connections(place_.name());
        return first + connection.integer(kCount);
    };
    EXPECT_THROW(test::run(io_, database->read(cut_off)), MachineError);
    for (int reader = 0; reader < 4; ++reader) EXPECT_EQ(count(*database), 1);
}

TEST_F(PostgresTest, ConnectionsThatEndBetweenTwoCallsAreReplacedUnnoticed) {
    auto database = open();
    ASSERT_TRUE(put(*database, "before"));
    EXPECT_EQ(count(*database), 1);
    server().end_connections(place_.name());
    EXPECT_TRUE(put(*database, "after"));
    for (int reader = 0; reader < 4; ++reader) EXPECT_EQ(count(*database), 2);
}

TEST_F(PostgresTest, WhileTheServerIsDownCallsFailAndTheNextOneSucceedsWhenItIsBack) {
    auto database = open();
    ASSERT_TRUE(put(*database, "before"));
    server().stop();
    EXPECT_THROW((void)put(*database, "down"), MachineError);
    EXPECT_THROW(count(*database), MachineError);
    EXPECT_THROW((void)put(*database, "down"), MachineError);
    server().start();
    EXPECT_TRUE(put(*database, "back"));
    EXPECT_EQ(count(*database), 2);
}

TEST_F(PostgresTest, AServerThatDoesNotAnswerIsGivenUp) {
    PostgresConnection connection(PostgresTarget{server().target(place_.name())});
    connection.open();
    connection.set_answer_time(std::chrono::milliseconds(20));
    EXPECT_THROW(connection.prepare("SELECT pg_sleep(60)").step(), ConnectionLost);
    EXPECT_FALSE(connection.alive());
    connection.set_answer_time(postgres::kAnswerTimeMax);
    connection.open();
    EXPECT_EQ(connection.integer("SELECT 7"), 7);
}

TEST_F(PostgresTest, EightStartersAtOnceMakeOneSchema) {
    constexpr int kStarters = 8;
    std::vector<std::string> problems(kStarters);
    std::vector<std::thread> starters;
    for (int i = 0; i < kStarters; ++i) {
        starters.emplace_back([this, &problem = problems[static_cast<std::size_t>(i)]] {
            asio::io_context io;
            auto opened = place_.open(io.get_executor());
            if (!opened) problem = opened.error().detail;
        });
    }
    for (auto& starter : starters) starter.join();
    for (const auto& problem : problems) EXPECT_EQ(problem, "");
    EXPECT_EQ(server().integer("SELECT count(*) FROM schema_version", place_.name()),
              postgres_schema_version());
}

TEST_F(PostgresTest, ANewerSchemaIsRefusedAndLeftAlone) {
    open()->stop();
    const std::string newer = std::to_string(postgres_schema_version() + 1);
    server().execute("INSERT INTO schema_version VALUES (" + newer + ")", place_.name());
    const auto opened = place_.open(io_.get_executor());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::conflict);
    EXPECT_THAT(opened.error().detail, HasSubstr("newer version"));
    EXPECT_EQ(server().integer("SELECT max(version) FROM schema_version", place_.name()), std::stoi(newer));
}

TEST_F(PostgresTest, WhatCannotBeConnectedToIsSaidInOneLineWithoutThePassword) {
    const struct {
        const char* connection_string;
        Errc code;
        const char* says;
    } cases[] = {
        {"", Errc::invalid_input, "postgresql://USER"},
        {"SECRET", Errc::invalid_input, "postgresql://USER"},
        {"host=h password='SECRET", Errc::invalid_input, "postgresql://USER"},
        {"postgresql://u:SECRET@127.0.0.1:1/x", Errc::unavailable, "127.0.0.1"},
        {"host=/nowhere password=SECRET user=u", Errc::unavailable, "out of reach"},
    };
    for (const auto& one : cases) {
        Database::PostgresOptions options;
        options.connection_string = one.connection_string;
        const auto opened = Database::connect(io_.get_executor(), options);
        ASSERT_FALSE(opened) << one.connection_string;
        EXPECT_EQ(opened.error().code, one.code) << opened.error().detail;
        EXPECT_THAT(opened.error().detail, HasSubstr(one.says));
        EXPECT_THAT(opened.error().detail, Not(HasSubstr("SECRET")));
        EXPECT_THAT(opened.error().detail, Not(HasSubstr("\n")));
    }
}

TEST_F(PostgresTest, TwoProcessesSeeEachOthersCommits) {
    auto one = open();
    auto other = open();
    EXPECT_TRUE(one->shared());
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(put(*one, "one" + std::to_string(i)));
        EXPECT_EQ(count(*other), 2 * i + 1);
        ASSERT_TRUE(put(*other, "other" + std::to_string(i)));
        EXPECT_EQ(count(*one), 2 * i + 2);
    }
}

TEST_F(PostgresTest, ACommandThatAnotherProcessGetsInTheWayOfRunsAgainAndItsGroupTakesEffectOnce) {
    auto one = open();
    auto other = open();
    ASSERT_TRUE(put(*one, "counter"));
    std::promise<void> grouped;
    const std::shared_future<void> all_wait = grouped.get_future().share();
    int runs = 0;
    auto meet = [&] {
        runs += 1;
        if (runs > 1) return;
        asio::io_context io;
        auto elsewhere = place_.open(io.get_executor());
        auto add = add_one([] {});
        EXPECT_EQ(*test::run(io, (*elsewhere)->write(std::move(add))), 1);
    };
    // The first holds the writer until the others wait for it: they become one group.
    auto hold = [&](Connection&) -> Result<void> {
        all_wait.wait();
        return {};
    };
    int ended = 0;
    std::int64_t counted = 0;
    auto spawn = [&](auto work) {
        auto call = [&, work]() -> asio::awaitable<void> {
            auto done = co_await one->write(work);
            EXPECT_TRUE(done);
            if constexpr (std::is_same_v<decltype(done), Result<std::int64_t>>) counted = *done;
            ended += 1;
        };
        asio::co_spawn(io_, std::move(call), asio::detached);
    };
    spawn(hold);
    spawn(insert("a"));
    spawn(add_one(meet));
    spawn(insert("b"));
    io_.restart();
    io_.poll();
    grouped.set_value();
    test::run_until(io_, [&] { return ended == 4; });
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(counted, 2);
    EXPECT_EQ(count(*other), 3);
}

TEST_F(PostgresTest, ManyProcessesThatChangeOneRowLoseNoChange) {
    constexpr int kProcesses = 4, kChanges = 15;
    auto database = open();
    ASSERT_TRUE(put(*database, "counter"));
    std::vector<std::thread> processes;
    for (int i = 0; i < kProcesses; ++i) {
        processes.emplace_back([this] {
            asio::io_context io;
            auto opened = place_.open(io.get_executor());
            for (int change = 0; change < kChanges; ++change) {
                auto add = add_one([] {});
                EXPECT_TRUE(test::run(io, (*opened)->write(std::move(add))));
            }
        });
    }
    for (auto& process : processes) process.join();
    auto ask = [](Connection& connection) { return connection.integer("SELECT size FROM watched_file"); };
    EXPECT_EQ(test::run(io_, database->read(std::move(ask))), kProcesses * kChanges);
}

TEST_F(PostgresTest, WhatAProcessNotifiesIsHeardByTheOthersOnceItIsCommitted) {
    auto one = open();
    auto other = open();
    std::vector<std::string> heard;
    other->listen([&](const std::string& subject) { heard.push_back(subject); });
    test::run_until(io_, [&] { return !heard.empty(); });
    EXPECT_EQ(heard.front(), "") << "what came before is not known";
    auto tell = [](std::string subject, bool undo) {
        return [subject, undo](Connection& connection) -> Result<void> {
            connection.notify(subject);
            if (undo) return Error{Errc::conflict, "undone"};
            return {};
        };
    };
    EXPECT_FALSE(test::run(io_, one->write(tell("undone", true))));
    EXPECT_TRUE(test::run(io_, one->write(tell("it's done", false))));
    test::run_until(io_, [&] { return heard.size() >= 2; });
    EXPECT_EQ(heard.at(1), "it's done");

    server().end_connections(place_.name());
    test::run_until(io_, [&] { return heard.size() >= 3; });
    EXPECT_EQ(heard.at(2), "") << "something may have been missed";
    EXPECT_TRUE(test::run(io_, one->write(tell("again", false))));
    test::run_until(io_, [&] { return heard.size() >= 4; });
    EXPECT_EQ(heard.at(3), "again");
}

TEST_F(PostgresTest, WhatIsAcknowledgedIsOnTheServersDiskWhateverItsDefault) {
    server().execute("ALTER DATABASE " + place_.name() + " SET synchronous_commit=off");
    auto database = open();
    auto ask = [](Connection& connection) -> Result<std::string> {
        auto& row = connection.prepare("SELECT current_setting('synchronous_commit')");
        return row.step() ? row.string(0) : "";
    };
    EXPECT_EQ(*test::run(io_, database->write(ask)), "on");
    EXPECT_EQ(*test::run(io_, database->write(ask, Sync::written)), "off");
    EXPECT_EQ(*test::run(io_, database->write(ask)), "on");
}

TEST_F(PostgresTest, TextThatPostgresqlCannotHoldIsStoredAllTheSame) {
    auto database = open();
    EXPECT_TRUE(put(*database, std::string("nul \0, cut \xc3", 11)));
    EXPECT_EQ(count(*database), 1);
}

}  // namespace
}  // namespace millrace::store
