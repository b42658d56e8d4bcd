// The process that the crash harness kills for sessions: sends numbered messages to sessions, consumes them,
// and keeps both in a ledger of its own database, in the same transactions.
#pragma once

#include "base/async.hpp"
#include "broker/broker.hpp"
#include "store/sqlite.hpp"
#include "work/processor.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace millrace::bench {

/// What the ledger says after all.
struct SessionLedger {
    std::int64_t sent = 0;
    std::int64_t sessions = 0;
    std::vector<std::string> problems;
};

inline SessionLedger read_ledger(const std::filesystem::path& directory) {
    SessionLedger ledger;
    store::SqliteConnection connection(directory / "millrace.db", store::Access::read_write);
    ledger.sent = connection.integer("SELECT count(*) FROM ledger_sent");
    ledger.sessions = connection.integer("SELECT count(DISTINCT session) FROM ledger_sent");
    const std::int64_t seen = connection.integer("SELECT count(*) FROM ledger_seen");
    if (seen != ledger.sent) {
        ledger.problems.push_back("sent " + std::to_string(ledger.sent) + ", seen " + std::to_string(seen));
    }
    std::map<std::string, std::int64_t> last;
    auto& rows = connection.prepare("SELECT session, number FROM ledger_seen ORDER BY id");
    while (rows.step()) {
        const std::string session = rows.string(0);
        const std::int64_t number = rows.integer(1);
        if (number != ++last[session]) {
            ledger.problems.push_back("session " + session + ": " + std::to_string(number) +
                                      " came in place of " + std::to_string(last[session]));
        }
    }
    return ledger;
}

/// One life of the child.
class SessionChild {
  public:
    SessionChild(std::filesystem::path directory, std::string mode)
        : directory_(std::move(directory)), mode_(std::move(mode)) {}

    /// A file that is there once messages are being sent.
    static std::filesystem::path sign_of_life(const std::filesystem::path& directory) {
        return directory / "sending";
    }

    int run() {
        auto opened = store::Database::open(io_.get_executor(), {directory_});
        if (!opened) {
            std::fprintf(stderr, "%s\n", opened.error().detail.c_str());
            return 1;
        }
        database_ = std::move(*opened);
        asio::co_spawn(io_, live(), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io_.run();
        database_->stop();
        return code_;
    }

  private:
    static constexpr int kSessions = 6;

    asio::awaitable<void> live() {
        auto tables = [](store::Connection& connection) -> Result<void> {
            connection.execute(
                "CREATE TABLE IF NOT EXISTS ledger_sent (session TEXT, number INTEGER, PRIMARY KEY "
                "(session, number)); CREATE TABLE IF NOT EXISTS ledger_seen (id INTEGER PRIMARY KEY, "
                "session TEXT, number INTEGER);");
            return {};
        };
        auto created = co_await database_->write(std::move(tables));
        const broker::Broker::Options none;
        auto opened = co_await broker::Broker::open(*database_, clock_, none);
        if (!created || !opened) std::abort();
        broker_ = std::move(*opened);
        broker_->start();
        if (mode_ == "poison") {
            co_await live_poisoned();
        } else {
            co_await live_with_sessions();
        }
        co_await broker_->stop();
        io_.stop();
    }

    std::unique_ptr<work::Processor> process(std::string queue, bool sessions, work::Handler handler) {
        work::ProcessorOptions options;
        options.queue = std::move(queue);
        options.sessions = sessions;
        options.session_idle = Duration(50);
        auto complete = [this](broker::LockRef lock, work::Done done) -> asio::awaitable<Result<void>> {
            std::vector<std::pair<std::string, broker::Message>> none;
            co_return co_await broker_->complete_with(std::move(lock), std::move(none), std::move(done.with));
        };
        return std::make_unique<work::Processor>(io_.get_executor(), *broker_, clock_, complete, options,
                                                 std::move(handler));
    }

    asio::awaitable<void> live_with_sessions() {
        broker::EntityOptions options;
        options.requires_session = true;
        options.delivery_count_max =
            limits::delivery_count_max_max;  // every kill spends a delivery of what is in flight
        auto made = co_await broker_->put_entity("ordered", options);
        if (!made) std::abort();
        work::Handler note = [this](broker::Delivery delivery) { return seen(std::move(delivery)); };
        auto processor = process("ordered", true, std::move(note));
        processor->start();
        if (mode_ == "drain") {
            while (broker_->counts("ordered")->active + broker_->counts("ordered")->locked > 0) {
                co_await clock_.sleep_for(Duration(20));
            }
        } else {
            for (int session = 1; session < kSessions; ++session) spawn(io_.get_executor(), send(session));
            co_await send(0);
        }
        co_await processor->stop(std::chrono::seconds(5));
    }

    /// Its number and a text of any size: in its row, or in a file of large bodies with others or alone.
    static std::string body_of(std::int64_t number) {
        std::size_t bytes = 4096 + static_cast<std::size_t>(number * 977 % 30'000);
        if (number % 3 == 0) bytes = 10;
        if (number % 50 == 0) bytes = 300'000;
        return std::to_string(number) + " " + std::string(bytes, static_cast<char>('a' + number % 26));
    }

    asio::awaitable<work::Outcome> seen(broker::Delivery delivery) {
        if (delivery.message.body != body_of(std::stoll(delivery.message.body))) {
            std::fprintf(stderr, "a body has changed: %.40s\n", delivery.message.body.c_str());
            std::abort();
        }
        work::Done done;
        done.with = [session = *delivery.message.session_id, number = std::stoll(delivery.message.body)](
                        store::Connection& connection) -> Result<void> {
            connection.prepare("INSERT INTO ledger_seen (session, number) VALUES (?, ?)")
                .bind(session, number)
                .run();
            return {};
        };
        co_return done;
    }

    asio::awaitable<void> send(int session_number) {
        const std::string session = "s" + std::to_string(session_number);
        auto count = [session](store::Connection& connection) {
            auto& row = connection.prepare("SELECT count(*) FROM ledger_sent WHERE session=?").bind(session);
            row.step();
            const std::int64_t sent = row.integer(0);
            row.reset();
            return sent;
        };
        std::int64_t number = co_await database_->read(std::move(count));
        while (true) {
            number += 1;
            std::vector<broker::Message> one(1);
            one[0].session_id = session;
            one[0].body = body_of(number);
            std::function<Result<void>(store::Connection&)> with =
                [session, number](store::Connection& connection) -> Result<void> {
                connection.prepare("INSERT INTO ledger_sent VALUES (?, ?)").bind(session, number).run();
                return {};
            };
            const std::string queue = "ordered";
            auto sent = co_await broker_->send_with(queue, std::move(one), std::move(with));
            if (!sent) std::abort();
            if (!std::exchange(sending_, true)) std::ofstream(sign_of_life(directory_)).flush();
        }
    }

    asio::awaitable<void> live_poisoned() {
        const broker::EntityOptions options;
        const std::string queue = "poison";
        auto made = co_await broker_->put_entity(queue, options);
        if (!made) std::abort();
        const auto counts = *broker_->counts(queue);
        if (counts.dead_lettered > 0) co_return;
        if (counts.active == 0) {
            std::vector<broker::Message> one(1);
            one[0].body = "deadly";
            auto sent = co_await broker_->send(queue, std::move(one));
            if (!sent) std::abort();
        }
        work::Handler die = [](broker::Delivery) -> asio::awaitable<work::Outcome> {
            std::abort();
            co_return work::Done{};
        };
        auto processor = process(queue, false, std::move(die));
        processor->start();
        co_await clock_.sleep_for(std::chrono::seconds(30));
        code_ = 3;
    }

    std::filesystem::path directory_;
    std::string mode_;
    asio::io_context io_;
    SystemClock clock_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<broker::Broker> broker_;
    bool sending_ = false;
    int code_ = 0;
};

inline int run_session_child(const std::string& directory, const std::string& mode) {
    return SessionChild(directory, mode).run();
}

}  // namespace millrace::bench
