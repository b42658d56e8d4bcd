#include "work/handover.hpp"

#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

namespace millrace::work {
namespace {

using broker::Message;

class HandoverTest : public testing::TestWithParam<test::Engine> {
  protected:
    void SetUp() override {
        open();
        broker::EntityOptions options;
        options.bytes_max = 10'000;
        ASSERT_TRUE(test::run(io_, broker_->put_entity("in", options)));
        ASSERT_TRUE(test::run(io_, broker_->put_entity("out", options)));
    }
    void TearDown() override { close(); }

    void open() {
        local_ = std::move(*store::Database::open(io_.get_executor(), {directory_.path()}));
        if (place_.shared()) shared_ = std::move(*place_.open(io_.get_executor()));
        broker_ = std::move(*test::run(io_, broker::Broker::open(*local_, clock_, {})));
        handover_ = std::make_unique<Handover>(state(), *local_, *broker_);
        ASSERT_TRUE(test::run(io_, handover_->start()));
    }
    void close() {
        test::run(io_, broker_->stop());
        handover_.reset();
        broker_.reset();
        if (shared_) shared_->stop();
        local_->stop();
        shared_.reset();
        local_.reset();
    }
    /// The process ends and starts again.
    void restart() {
        close();
        open();
    }

    store::Database& state() { return shared_ ? *shared_ : *local_; }

    static Message message(const std::string& id) {
        Message one;
        one.message_id = id;
        one.subject = "subject of " + id;
        one.session_id = "s";
        one.properties["n"] = std::int64_t{7};
        one.body = std::string("body\0of ", 8) + id;
        return one;
    }
    static Handover::Rows row(const std::string& path, Result<void> answer = {}) {
        return [path, answer](store::Connection& connection) -> Result<void> {
            connection
                .prepare("INSERT INTO watched_file (path, size, modified, document) VALUES (?, 1, 1, 'd')")
                .bind(path)
                .run();
            return answer;
        };
    }
    Result<void> send(std::vector<Message> messages, Handover::Rows rows) {
        return test::run(io_, handover_->send_with("in", std::move(messages), std::move(rows)));
    }
    Result<void> drain() { return test::run(io_, handover_->drain()); }

    std::int64_t count(store::Database& database, const std::string& table) {
        auto work = [&](store::Connection& c) { return c.integer("SELECT count(*) FROM " + table); };
        return test::run(io_, database.read(work));
    }
    std::int64_t rows() { return count(state(), "watched_file"); }
    std::int64_t in_outbox() { return shared_ ? count(*shared_, "outbox") : 0; }
    std::uint64_t active(const std::string& queue) { return broker_->counts(queue)->active; }
    broker::Delivery receive() {
        auto received = test::run(io_, broker_->receive("in", {}));
        EXPECT_EQ(received->size(), 1u);
        return received->front();
    }
    void run_locally(const std::string& sql) {
        auto work = [sql](store::Connection& connection) -> Result<void> {
            connection.execute(sql);
            return {};
        };
        ASSERT_TRUE(test::run(io_, local_->write(std::move(work))));
    }

    asio::io_context io_;
    test::TemporaryDirectory directory_;
    test::DatabasePlace place_{GetParam()};
    ManualClock clock_;
    std::unique_ptr<store::Database> local_;
    std::unique_ptr<store::Database> shared_;
    std::unique_ptr<broker::Broker> broker_;
    std::unique_ptr<Handover> handover_;
};

TEST_P(HandoverTest, RowsAndMessagesAreStoredTogether) {
    ASSERT_TRUE(send({message("a"), message("b")}, row("r")));
    EXPECT_EQ(rows(), 1);
    EXPECT_EQ(active("in"), 2u);
    ASSERT_TRUE(drain());
    EXPECT_EQ(in_outbox(), 0);
    EXPECT_EQ(count(*local_, "handed_over"), 0);
    restart();
    EXPECT_EQ(rows(), 1);
    EXPECT_EQ(active("in"), 2u);
}

TEST_P(HandoverTest, AnErrorOfTheRowsLeavesNothing) {
    const auto sent = send({message("a")}, row("r", Error{Errc::conflict, "no"}));
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Errc::conflict);
    EXPECT_EQ(rows(), 0);
    EXPECT_EQ(active("in"), 0u);
    EXPECT_EQ(in_outbox(), 0);
}

TEST_P(HandoverTest, AFullQueueAndAnUnknownOneRefuseBeforeAnythingIsStored) {
    Message large = message("large");
    large.body.assign(6'000, 'x');
    ASSERT_TRUE(send({large}, nullptr));
    const auto full = send({message("small"), large}, row("r"));
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, Errc::over_limit);
    const auto unknown = test::run(io_, handover_->send_with("nowhere", {message("a")}, row("r")));
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, Errc::not_found);
    EXPECT_EQ(rows(), 0);
    EXPECT_EQ(active("in"), 1u);
}

TEST_P(HandoverTest, ACompletionWritesItsRowsAndWhatFollows) {
    ASSERT_TRUE(send({message("a")}, nullptr));
    const broker::Delivery delivery = receive();
    Done done;
    done.follow_ups.push_back({"out", message("b")});
    done.with = row("r");
    const broker::LockRef lock{delivery.entity, delivery.lock_token};
    ASSERT_TRUE(test::run(io_, handover_->complete_with(lock, std::move(done))));
    EXPECT_EQ(rows(), 1);
    EXPECT_EQ(active("out"), 1u);
    EXPECT_EQ(broker_->counts("in")->locked, 0u);
}

TEST_P(HandoverTest, ACompletionWhoseRowsAreRefusedCompletesNothing) {
    ASSERT_TRUE(send({message("a")}, nullptr));
    const broker::Delivery delivery = receive();
    Done done;
    done.follow_ups.push_back({"out", message("b")});
    done.with = row("r", Error{Errc::conflict, "no"});
    const broker::LockRef lock{delivery.entity, delivery.lock_token};
    EXPECT_FALSE(test::run(io_, handover_->complete_with(lock, std::move(done))));
    EXPECT_EQ(rows(), 0);
    EXPECT_EQ(active("out"), 0u);
    EXPECT_EQ(broker_->counts("in")->locked, 1u);
}

class OutboxTest : public HandoverTest {};

TEST_P(OutboxTest, WhatTheQueueCouldNotTakeIsAcceptedAndSentLater) {
    run_locally("ALTER TABLE handed_over RENAME TO away");
    ASSERT_TRUE(send({message("a"), message("b")}, row("r")));
    EXPECT_EQ(rows(), 1);
    EXPECT_EQ(active("in"), 0u);
    EXPECT_EQ(in_outbox(), 2);
    EXPECT_THROW((void)drain(), MachineError);
    EXPECT_EQ(in_outbox(), 2);
    run_locally("ALTER TABLE away RENAME TO handed_over");
    ASSERT_TRUE(drain());
    EXPECT_EQ(active("in"), 2u);
    ASSERT_TRUE(drain());
    EXPECT_EQ(active("in"), 2u);
    EXPECT_EQ(in_outbox(), 0);
}

TEST_P(OutboxTest, ACrashBeforeTheQueueHasTheMessagesIsMadeUpForAtTheStart) {
    run_locally("ALTER TABLE handed_over RENAME TO away");
    ASSERT_TRUE(send({message("a")}, row("r")));
    run_locally("ALTER TABLE away RENAME TO handed_over");
    EXPECT_EQ(active("in"), 0u);
    restart();
    EXPECT_EQ(active("in"), 1u);
    const broker::Delivery delivery = receive();
    const Message expected = message("a");
    EXPECT_EQ(delivery.message.message_id, expected.message_id);
    EXPECT_EQ(delivery.message.subject, expected.subject);
    EXPECT_EQ(delivery.message.session_id, expected.session_id);
    EXPECT_EQ(delivery.message.properties, expected.properties);
    EXPECT_EQ(delivery.message.body, expected.body);
}

TEST_P(OutboxTest, ACrashBeforeTheOutboxIsEmptiedSendsNothingTwice) {
    ASSERT_TRUE(send({message("a")}, row("r")));
    EXPECT_EQ(in_outbox(), 1) << "emptied later";
    EXPECT_EQ(count(*local_, "handed_over"), 1);
    restart();
    EXPECT_EQ(active("in"), 1u);
    EXPECT_EQ(in_outbox(), 0);
    EXPECT_EQ(count(*local_, "handed_over"), 0);
}

TEST_P(OutboxTest, TheRowsOfEarlierHandsGoWithTheNextOnes) {
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(send({message(std::to_string(i))}, nullptr));
    EXPECT_EQ(in_outbox(), 1);
    EXPECT_LE(count(*local_, "handed_over"), 2);
    EXPECT_EQ(active("in"), 5u);
}

TEST_P(OutboxTest, AProcessSendsOnlyItsOwn) {
    run_locally("ALTER TABLE handed_over RENAME TO away");
    ASSERT_TRUE(send({message("a")}, nullptr));
    const test::TemporaryDirectory elsewhere;
    auto local = std::move(*store::Database::open(io_.get_executor(), {elsewhere.path()}));
    auto broker = std::move(*test::run(io_, broker::Broker::open(*local, clock_, {})));
    ASSERT_TRUE(test::run(io_, broker->put_entity("in", {})));
    Handover other(*shared_, *local, *broker);
    ASSERT_TRUE(test::run(io_, other.start()));
    EXPECT_EQ(broker->counts("in")->active, 0u);
    EXPECT_EQ(in_outbox(), 1);
    test::run(io_, broker->stop());
    local->stop();
}

TEST_P(OutboxTest, ALostConnectionIsAnErrorAndNothingIsHalfStored) {
    auto cut_off = [this](store::Connection& connection) -> Result<void> {
        connection.prepare("INSERT INTO watched_file VALUES ('r', 1, 1, 'd')").run();
        test::PostgresServer::shared().end_connections(place_.name());
        return {};
    };
    EXPECT_THROW((void)send({message("a")}, cut_off), MachineError);
    EXPECT_EQ(rows(), 0);
    EXPECT_EQ(active("in"), 0u);
    EXPECT_EQ(in_outbox(), 0);
    EXPECT_TRUE(send({message("a")}, row("r")));
    EXPECT_EQ(active("in"), 1u);
}

MILLRACE_ON_EVERY_ENGINE(HandoverTest);
INSTANTIATE_TEST_SUITE_P(Engines, OutboxTest, testing::Values(test::Engine::postgres), test::engine_name);

}  // namespace
}  // namespace millrace::work
