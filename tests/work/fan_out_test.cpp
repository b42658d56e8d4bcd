#include "work/fan_out.hpp"

#include "broker/broker.hpp"
#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"
#include "work/handover.hpp"
#include "work/processor.hpp"
#include "work/steps.hpp"

#include <gtest/gtest.h>

namespace millrace::work {
namespace {

/// Queues "start", "pieces" and "joins" on a real database, with handlers that the test gives.
class FanOutTest : public testing::TestWithParam<test::Engine> {
  protected:
    FanOutTest() {
        local = std::move(*store::Database::open(io.get_executor(), {directory.path()}));
        if (place.shared()) shared = std::move(*place.open(io.get_executor()));
        database = shared ? shared.get() : local.get();
        broker = std::move(*test::run(io, broker::Broker::open(*local, clock, {})));
        for (const char* queue : {"start", "pieces", "joins"})
            test::run(io, broker->put_entity(queue, {})).value();
        broker->start();
        handover.emplace(*database, *local, *broker);
        test::run(io, handover->start()).value();
        fan_out.emplace(*database, clock);
    }
    ~FanOutTest() override {
        for (auto& processor : processors) test::run(io, processor->stop(std::chrono::seconds(10)));
        processors.clear();
        test::run(io, broker->stop());
        broker.reset();
        if (shared) shared->stop();
        local->stop();
    }

    void serve(const std::string& queue, Handler handler, std::size_t concurrency = 8) {
        ProcessorOptions options;
        options.queue = queue;
        options.concurrency = concurrency;
        Complete complete = [this](broker::LockRef lock, Done done) {
            return handover->complete_with(std::move(lock), std::move(done));
        };
        processors.push_back(std::make_unique<Processor>(io.get_executor(), *broker, clock, complete, options,
                                                         std::move(handler)));
        processors.back()->start();
    }

    /// Spreads "0", "1", … and answers when the message that did so is completed.
    void spread(std::size_t pieces, const std::string& id = "job") {
        Handler handler = [this, pieces, id](broker::Delivery) -> asio::awaitable<Outcome> {
            FanOutPlan plan;
            plan.id = id;
            plan.queue = "pieces";
            plan.join_queue = "joins";
            plan.join_body = "the body";
            for (std::size_t i = 0; i < pieces; ++i) plan.bodies.push_back(std::to_string(i));
            co_return fan_out->spread(std::move(plan));
        };
        serve("start", std::move(handler));
        send("start", broker::Message());
        test::run_until(io, [&] { return broker->counts("start")->completed_total == 1; });
    }

    void send(const std::string& queue, broker::Message message) {
        std::vector<broker::Message> one;
        one.push_back(std::move(message));
        test::run(io, broker->send(queue, std::move(one))).value();
    }

    /// A piece's message as `spread` made it, for a second delivery.
    static broker::Message piece(std::int64_t number, const std::string& id = "job") {
        broker::Message message;
        message.properties[kFanOutProperty] = id;
        message.properties[kPieceProperty] = number;
        message.body = std::to_string(number);
        return message;
    }

    /// Adds 1 to the number that is the body.
    Handler adding() {
        FanOut::PieceWork work = [this](Piece, std::string body) -> asio::awaitable<Result<std::string>> {
            runs += 1;
            co_return std::to_string(std::stoll(body) + 1);
        };
        return fan_out->piece_handler(std::move(work));
    }

    Handler joining() {
        FanOut::JoinWork join = [this](std::string id, std::vector<std::string> results,
                                       std::string body) -> asio::awaitable<Outcome> {
            joins += 1;
            joined = std::move(results);
            joined_id = id + ": " + body;
            co_return Done{};
        };
        return fan_out->join_handler(std::move(join));
    }

    std::int64_t number(const std::string& sql) {
        auto count = [&](store::Connection& c) { return c.integer(sql); };
        return test::run(io, database->read(count));
    }

    asio::io_context io;
    test::TemporaryDirectory directory;
    SystemClock clock;
    test::DatabasePlace place{GetParam()};
    std::unique_ptr<store::Database> local;
    std::unique_ptr<store::Database> shared;
    store::Database* database = nullptr;
    std::unique_ptr<broker::Broker> broker;
    std::optional<Handover> handover;
    std::optional<FanOut> fan_out;
    std::vector<std::unique_ptr<Processor>> processors;
    std::size_t runs = 0;
    std::size_t joins = 0;
    std::vector<std::string> joined;
    std::string joined_id;
};

TEST_P(FanOutTest, TenThousandPiecesRunOnceEachAndAreJoinedInOrder) {
    spread(10'000);
    serve("pieces", adding(), 64);
    serve("joins", joining());
    test::run_until(io, [&] { return joins == 1; });
    EXPECT_EQ(runs, 10'000u);
    ASSERT_EQ(joined.size(), 10'000u);
    for (std::size_t i = 0; i < joined.size(); ++i) ASSERT_EQ(joined[i], std::to_string(i + 1));
    EXPECT_EQ(joined_id, "job: the body");
    test::run_until(io, [&] { return broker->counts("joins")->completed_total == 1; });
    EXPECT_EQ(number("SELECT count(*) FROM fan_out") + number("SELECT count(*) FROM fan_out_piece"), 0);
}

TEST_P(FanOutTest, APieceThatIsDeliveredTwiceCountsOnce) {
    spread(3);
    for (const std::int64_t twice : {0, 1}) send("pieces", piece(twice));
    serve("pieces", adding(), 1);
    test::run_until(io, [&] { return broker->counts("pieces")->completed_total == 5; });
    EXPECT_EQ(runs, 3u);
    EXPECT_EQ(number("SELECT done FROM fan_out"), 3);
    serve("joins", joining());
    test::run_until(io, [&] { return joins == 1; });
    EXPECT_EQ(joined, (std::vector<std::string>{"1", "2", "3"}));
    // What comes when all is over finds nothing to do; a join that was sent twice neither.
    const auto joins_completed = broker->counts("joins")->completed_total;
    send("pieces", piece(2));
    test::run_until(io, [&] { return broker->counts("pieces")->completed_total == 6; });
    broker::Message again;
    again.properties[kJoinProperty] = std::string("job");
    send("joins", std::move(again));
    test::run_until(io, [&] { return broker->counts("joins")->completed_total > joins_completed; });
    EXPECT_EQ(runs, 3u);
    EXPECT_EQ(joins, 1u);
}

TEST_P(FanOutTest, TheLastPieceSendsTheJoinAgainIfItsOwnCompletionWasLost) {
    spread(1);
    EXPECT_EQ(test::run(io, fan_out->finish({"job", 0}, "x", "me"))->follow_ups.size(), 1u);
    EXPECT_EQ(test::run(io, fan_out->finish({"job", 0}, "y", "me"))->follow_ups.size(), 1u);
    EXPECT_EQ(test::run(io, fan_out->finish({"job", 0}, "z", "a copy"))->follow_ups.size(), 0u);
    EXPECT_EQ(*test::run(io, fan_out->results("job")), std::vector<std::string>{"x"});
    EXPECT_EQ(number("SELECT done FROM fan_out"), 1);
}

TEST_P(FanOutTest, TheJoinReadsEachResultOnceByTheKeyOfItsTable) {
    if (shared) GTEST_SKIP() << "the plan is SQLite's";
    auto plan_of = [](store::Connection& connection) {
        auto& rows = connection
                         .prepare(
                             "EXPLAIN QUERY PLAN SELECT result FROM fan_out_piece WHERE fan_out=? "
                             "ORDER BY piece")
                         .bind("job");
        std::string plan;
        while (rows.step()) plan += rows.string(3) + "\n";
        return plan;
    };
    const std::string plan = test::run(io, database->read(plan_of));
    EXPECT_NE(plan.find("SEARCH fan_out_piece USING INDEX"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("SCAN"), std::string::npos) << plan;
}

TEST_P(FanOutTest, APieceThatFailsIsADeadLetterAndTheJoinWaitsForItsRedrive) {
    spread(2);
    bool broken = true;
    FanOut::PieceWork work = [&](Piece at, std::string) -> asio::awaitable<Result<std::string>> {
        runs += 1;
        if (broken && at.number == 1) co_return Error{Errc::invalid_input, "broken on purpose"};
        co_return std::string("ok");
    };
    serve("pieces", fan_out->piece_handler(std::move(work)));
    serve("joins", joining());
    test::run_until(io, [&] { return broker->counts("pieces")->dead_lettered == 1; });
    EXPECT_EQ(test::run(io, fan_out->results("job")).error().code, Errc::unavailable);
    broken = false;
    test::run(io, broker->redrive("pieces", {}, 0, false)).value();
    test::run_until(io, [&] { return joins == 1; });
    EXPECT_EQ(runs, 3u);
    EXPECT_EQ(joined.size(), 2u);
}

TEST_P(FanOutTest, WithoutPiecesTheJoinComesAtOnce) {
    spread(0);
    serve("joins", joining());
    test::run_until(io, [&] { return joins == 1; });
    EXPECT_TRUE(joined.empty());
}

TEST_P(FanOutTest, ASleepOutlivesItsProcessAndSpendsNoDelivery) {
    ManualClock turned;
    {
        Steps steps(*database, turned, "message");
        const auto first = test::run(io, steps.sleep_for("pause", std::chrono::minutes(10)));
        ASSERT_TRUE(first);
        EXPECT_EQ(std::get<RetryAfter>(*first).delay, std::chrono::minutes(10));
        EXPECT_FALSE(std::get<RetryAfter>(*first).spends_delivery);
    }
    turned.advance(std::chrono::minutes(4));
    Steps steps(*database, turned, "message");
    const auto second = test::run(io, steps.sleep_for("pause", std::chrono::minutes(10)));
    ASSERT_TRUE(second);
    EXPECT_EQ(std::get<RetryAfter>(*second).delay, std::chrono::minutes(6)) << "it began before";
    turned.advance(std::chrono::minutes(6));
    EXPECT_FALSE(test::run(io, steps.sleep_for("pause", std::chrono::minutes(10))));
    EXPECT_TRUE(test::run(io, steps.sleep_for("another", std::chrono::minutes(10))));
}

MILLRACE_ON_EVERY_ENGINE(FanOutTest);

}  // namespace
}  // namespace millrace::work
