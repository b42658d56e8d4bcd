#include "work/processor.hpp"
#include "base/async.hpp"
#include "broker/broker.hpp"
#include "telemetry/log.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <atomic>

namespace millrace::work {
namespace {

using broker::Broker;
using broker::Delivery;
using broker::EntityOptions;
using broker::Message;
using std::chrono::seconds;

class ProcessorTest : public testing::Test {
  protected:
    void SetUp() override {
        database_ = std::move(*store::Database::open(io_.get_executor(), {directory_.path()}));
        auto opened = test::run(io_, Broker::open(*database_, clock_, {}));
        ASSERT_TRUE(opened);
        broker_ = std::move(*opened);
        broker_->start();
        EntityOptions options;
        options.lock_time = seconds(10);
        options.delivery_count_max = 3;
        ASSERT_TRUE(test::run(io_, broker_->put_entity("jobs", options)));
        ASSERT_TRUE(test::run(io_, broker_->put_entity("next", options)));
        options.requires_session = true;
        ASSERT_TRUE(test::run(io_, broker_->put_entity("ordered", options)));
    }

    void TearDown() override {
        test::run(io_, broker_->stop());
        database_->stop();
    }

    void send(const std::string& queue, std::string body, std::optional<std::string> session = {}) {
        std::vector<Message> messages(1);
        messages[0].body = std::move(body);
        messages[0].session_id = std::move(session);
        ASSERT_TRUE(test::run(io_, broker_->send(queue, std::move(messages))));
    }

    std::unique_ptr<Processor> make(Handler handler, std::string queue = "jobs", std::size_t concurrency = 4,
                                    bool sessions = false, Duration session_idle = seconds(5)) {
        ProcessorOptions options;
        options.queue = std::move(queue);
        options.concurrency = concurrency;
        options.sessions = sessions;
        options.session_idle = session_idle;
        return make(std::move(options), std::move(handler));
    }

    std::unique_ptr<Processor> make(ProcessorOptions options, Handler handler) {
        auto complete = [this](broker::LockRef lock, Done done) -> asio::awaitable<Result<void>> {
            std::vector<std::pair<std::string, Message>> follow_ups;
            for (auto& one : done.follow_ups) follow_ups.emplace_back(one.entity, std::move(one.message));
            co_return co_await broker_->complete_with(std::move(lock), std::move(follow_ups),
                                                      std::move(done.with));
        };
        return std::make_unique<Processor>(io_.get_executor(), *broker_, clock_, complete, std::move(options),
                                           std::move(handler));
    }

    broker::EntityCounts counts(const std::string& queue = "jobs") { return *broker_->counts(queue); }

    asio::io_context io_;
    test::TemporaryDirectory directory_;
    ManualClock clock_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<Broker> broker_;
};

TEST_F(ProcessorTest, AHandlerThatTakesThreeLockDurationsRunsOnce) {
    int runs = 0;
    auto processor = make([&](Delivery) -> asio::awaitable<Outcome> {
        runs += 1;
        co_await clock_.sleep_for(seconds(30));
        co_return Done{};
    });
    send("jobs", "slow");
    processor->start();
    test::run_until(io_, [&] { return runs == 1; });
    int turned_seconds = 0;
    while (counts().completed_total == 0) {
        test::run_until(io_, [&] { return clock_.sleepers() >= 3 || counts().completed_total == 1; });
        clock_.advance(seconds(1));
        turned_seconds += 1;
        io_.restart();
        io_.poll();
    }
    EXPECT_GE(turned_seconds, 30);
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(processor->stats().locks_lost, 0u);
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, AFailureIsLoggedWithItsMessageAndTrace) {
    std::vector<std::string> lines;
    telemetry::LogOptions log;
    log.sink = [&](std::string_view line) { lines.emplace_back(line); };
    telemetry::configure_log(log);
    auto processor = make([](Delivery delivery) -> asio::awaitable<Outcome> {
        if (delivery.message.message_id == "broken") throw std::runtime_error("secret content");
        if (delivery.message.message_id == "untraced") co_return DeadLetter{"NoTrace", "secret content"};
        co_return Done{};
    });
    std::vector<Message> messages(3);
    messages[0].message_id = "broken";
    messages[0].properties["Diagnostic-Id"] =
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    messages[1].message_id = "untraced";
    messages[2].message_id = "fine";
    ASSERT_TRUE(test::run(io_, broker_->send("jobs", std::move(messages))));
    processor->start();
    test::run_until(io_, [&] { return counts().dead_lettered == 2 && counts().completed_total == 1; });
    test::run(io_, processor->stop(seconds(1)));
    telemetry::configure_log({});
    std::sort(lines.begin(), lines.end());
    ASSERT_EQ(lines.size(), 2u);
    const std::string all = lines[0] + "\n" + lines[1];
    EXPECT_NE(all.find("dead letter at=jobs message=broken trace_id=4bf92f3577b34da6a3ce929d0e0e4736 "
                       "why=UnexpectedException"),
              std::string::npos)
        << all;
    EXPECT_NE(all.find("dead letter at=jobs message=untraced why=NoTrace"), std::string::npos) << all;
    EXPECT_EQ(all.find("secret"), std::string::npos) << all;
}

TEST_F(ProcessorTest, DoneCompletesAndSendsItsFollowUpsInOneTransaction) {
    bool told = false;
    auto processor = make([&](Delivery delivery) -> asio::awaitable<Outcome> {
        Done done;
        Message message;
        message.body = "after " + delivery.message.body;
        done.follow_ups.push_back({"next", message});
        done.then = [&] { told = true; };
        co_return done;
    });
    send("jobs", "one");
    processor->start();
    test::run_until(io_, [&] { return told; });
    EXPECT_EQ(counts().active + counts().locked, 0u);
    auto next = test::run(io_, broker_->receive("next", {}));
    ASSERT_EQ(next->size(), 1u);
    EXPECT_EQ(next->front().message.body, "after one");
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, WorkWhoseRowsFailIsNotCompleted) {
    std::atomic<bool> failed_once = false;  // set on the writer thread
    auto processor = make([&](Delivery) -> asio::awaitable<Outcome> {
        Done done;
        done.with = [&failed_once](store::Connection&) -> Result<void> {
            failed_once = true;
            return Error{Errc::conflict, "no"};
        };
        co_return done;
    });
    send("jobs", "one");
    processor->start();
    test::run_until(io_, [&] { return failed_once && processor->stats().running == 0; });
    EXPECT_EQ(counts().completed_total, 0u);
    EXPECT_EQ(counts().locked, 1u);
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, WaitingForQuotaSpendsNoDelivery) {
    int runs = 0;
    int last_count = -1;
    auto processor = make([&](Delivery delivery) -> asio::awaitable<Outcome> {
        runs += 1;
        last_count = delivery.delivery_count;
        if (runs <= 20) co_return RetryAfter{seconds(1), "quota", false};
        co_return Done{};
    });
    send("jobs", "one");
    processor->start();
    for (int run = 1; run <= 20; ++run) {
        test::run_until(io_, [&] {
            return processor->stats().retried == static_cast<std::uint64_t>(run) &&
                   processor->stats().running == 0;
        });
        clock_.advance(seconds(1));
    }
    test::run_until(io_, [&] { return counts().completed_total == 1; });
    EXPECT_EQ(runs, 21);
    EXPECT_EQ(last_count, 0);
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, AFailureThatSpendsDeliveriesEndsInTheDeadLetterQueue) {
    int runs = 0;
    auto processor = make([&](Delivery) -> asio::awaitable<Outcome> {
        runs += 1;
        co_return RetryAfter{seconds(1), "server error", true};
    });
    send("jobs", "one");
    processor->start();
    for (int run = 1; run <= 3; ++run) {
        test::run_until(io_, [&] { return runs == run && processor->stats().running == 0; });
        clock_.advance(seconds(1));
    }
    test::run_until(io_, [&] { return counts().dead_lettered == 1; });
    EXPECT_EQ(runs, 3);
    auto dead = test::run(io_, broker_->peek("jobs/$DeadLetterQueue", 1, 1));
    EXPECT_EQ(std::get<std::string>(dead->front().message.properties["DeadLetterReason"]),
              reason::delivery_count_exceeded);
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, AnExceptionDeadLettersWithItsTextOnOneLine) {
    auto processor = make([](Delivery) -> asio::awaitable<Outcome> {
        throw std::runtime_error("bad\nthing");
        co_return Done{};
    });
    send("jobs", "one");
    processor->start();
    test::run_until(io_, [&] { return counts().dead_lettered == 1; });
    auto dead = test::run(io_, broker_->peek("jobs/$DeadLetterQueue", 1, 1));
    auto& properties = dead->front().message.properties;
    EXPECT_EQ(std::get<std::string>(properties["DeadLetterReason"]), reason::unexpected_exception);
    EXPECT_EQ(std::get<std::string>(properties["DeadLetterErrorDescription"]), "bad thing");
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, ALongDescriptionIsCutBetweenCharacters) {
    std::string text = "a";
    for (std::size_t i = 0; i < limits::dead_letter_text_chars_max; ++i) text += "\u20ac";
    auto processor = make([text](Delivery) -> asio::awaitable<Outcome> {
        throw std::runtime_error(text);
        co_return Done{};
    });
    send("jobs", "one");
    processor->start();
    test::run_until(io_, [&] { return counts().dead_lettered == 1; });
    auto dead = test::run(io_, broker_->peek("jobs/$DeadLetterQueue", 1, 1));
    EXPECT_EQ(std::get<std::string>(dead->front().message.properties["DeadLetterErrorDescription"]),
              text.substr(0, text.size() - 3));
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, ABrokenMachineIsNotTheMessagesFault) {
    int runs = 0;
    auto processor = make([&](Delivery delivery) -> asio::awaitable<Outcome> {
        runs += 1;
        EXPECT_EQ(delivery.delivery_count, 0);
        if (runs <= 5) throw MachineError("disk full", true);
        co_return Done{};
    });
    send("jobs", "one");
    processor->start();
    for (int run = 1; run <= 5; ++run) {
        test::run_until(io_, [&] { return runs == run && processor->stats().running == 0; });
        clock_.advance(seconds(10));
    }
    test::run_until(io_, [&] { return counts().completed_total == 1; });
    EXPECT_EQ(counts().dead_lettered, 0u);
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, NeverRunsMoreHandlersThanItsConcurrency) {
    Signal gate(io_.get_executor());
    int running = 0;
    int most = 0;
    auto processor = make(
        [&](Delivery) -> asio::awaitable<Outcome> {
            most = std::max(most, ++running);
            co_await gate.wait();
            running -= 1;
            co_return Done{};
        },
        "jobs", 3);
    for (int i = 0; i < 10; ++i) send("jobs", std::to_string(i));
    processor->start();
    while (counts().completed_total < 10) {
        test::run_until(io_, [&] { return running > 0 || counts().completed_total == 10; });
        gate.notify();
        io_.restart();
        io_.poll();
    }
    EXPECT_EQ(most, 3);
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, InteractiveWorkFindsAPlaceHoweverMuchBatchWorkRuns) {
    EntityOptions fair;
    fair.fair = true;
    ASSERT_TRUE(test::run(io_, broker_->put_entity("fair", fair)));
    std::vector<Message> messages(10);
    for (Message& one : messages) one.properties["priority"] = std::string("batch");
    ASSERT_TRUE(test::run(io_, broker_->send("fair", std::move(messages))));
    Signal ended(io_.get_executor());
    bool ends = false;
    std::size_t batch = 0;
    bool interactive = false;
    auto processor = make({.queue = "fair", .concurrency = 2, .lanes = true},
                          [&](Delivery delivery) -> asio::awaitable<Outcome> {
                              const bool slow = !delivery.message.properties.empty();
                              slow ? void(batch += 1) : void(interactive = true);
                              while (slow && !ends) co_await ended.wait();
                              co_return Done{};
                          });
    processor->start();
    test::run_until(io_, [&] { return batch == 2; });
    send("fair", "now");
    test::run_until(io_, [&] { return interactive && counts("fair").completed_total == 1; });
    EXPECT_EQ(batch, 2u);
    ends = true;
    ended.notify();
    test::run_until(io_, [&] { return counts("fair").completed_total == 11; });
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, StopLetsRunningWorkEndAndTakesNoMore) {
    Signal gate(io_.get_executor());
    int started = 0;
    auto processor = make(
        [&](Delivery) -> asio::awaitable<Outcome> {
            started += 1;
            co_await gate.wait();
            co_return Done{};
        },
        "jobs", 1);
    send("jobs", "first");
    send("jobs", "second");
    processor->start();
    test::run_until(io_, [&] { return started == 1; });
    bool stopped = false;
    asio::co_spawn(io_, processor->stop(seconds(60)), [&](std::exception_ptr) { stopped = true; });
    io_.restart();
    io_.poll();
    EXPECT_FALSE(stopped);
    gate.notify();
    test::run_until(io_, [&] { return stopped; });
    EXPECT_EQ(started, 1);
    EXPECT_EQ(counts().completed_total, 1u);
    EXPECT_EQ(counts().active, 1u);
}

TEST_F(ProcessorTest, WhatRunsBeyondTheDrainIsCancelledAndItsMessageGoesBackUnspent) {
    int started = 0, cancelled = 0;
    auto processor = make([&](Delivery) -> asio::awaitable<Outcome> {
        started += 1;
        try {
            co_await clock_.sleep_until(kNever);
            co_await asio::post(io_.get_executor(), asio::use_awaitable);
        } catch (const boost::system::system_error&) {
            cancelled += 1;
            throw;
        }
        co_return Done{};
    });
    send("jobs", "stuck");
    processor->start();
    test::run_until(io_, [&] { return started == 1; });
    test::run(io_, processor->stop(Duration::zero()));
    EXPECT_EQ(cancelled, 1);
    EXPECT_EQ(processor->stats().running, 0u);
    EXPECT_EQ(processor->stats().dead_lettered, 0u);
    EXPECT_EQ(counts().dead_lettered, 0u);
    broker::ReceiveOptions options;
    options.wait = seconds(1);
    auto received = test::run(io_, broker_->receive("jobs", options));
    ASSERT_TRUE(received);
    ASSERT_EQ(received->size(), 1u);
    EXPECT_EQ(received->front().message.body, "stuck");
    EXPECT_EQ(received->front().delivery_count, 0) << "a stop of the server is not the message's fault";
}

TEST_F(ProcessorTest, MessagesOfASessionRunOneAfterTheOtherInOrder) {
    std::map<std::string, std::vector<std::string>> seen;
    std::map<std::string, int> running;
    auto processor = make(
        [&](Delivery delivery) -> asio::awaitable<Outcome> {
            const std::string session = *delivery.message.session_id;
            EXPECT_EQ(++running[session], 1);
            co_await asio::post(io_.get_executor(), asio::use_awaitable);
            seen[session].push_back(delivery.message.body);
            running[session] -= 1;
            co_return Done{};
        },
        "ordered", 2, true);
    for (int i = 0; i < 6; ++i) {
        send("ordered", std::to_string(i), "a");
        send("ordered", std::to_string(i), "b");
    }
    processor->start();
    test::run_until(io_, [&] { return counts("ordered").completed_total == 12; });
    const std::vector<std::string> in_order{"0", "1", "2", "3", "4", "5"};
    EXPECT_EQ(seen["a"], in_order);
    EXPECT_EQ(seen["b"], in_order);
    test::run(io_, processor->stop(seconds(1)));
}

TEST_F(ProcessorTest, ASessionIsKeptWhileItsNextMessageIsWaitedFor) {
    int runs = 0;
    auto processor = make(
        [&](Delivery) -> asio::awaitable<Outcome> {
            runs += 1;
            co_return Done{};
        },
        "ordered", 1, true, seconds(30));
    const auto take = [&] {
        return test::run(io_, broker_->accept_session("ordered", std::string("a"), Duration(0)));
    };
    send("ordered", "one", "a");
    processor->start();
    test::run_until(io_, [&] { return counts("ordered").completed_total == 1; });
    for (int second = 0; second < 25; ++second) {
        test::run_until(io_, [&] { return clock_.sleepers() >= 2; });
        clock_.advance(seconds(1));
        auto taken = take();
        ASSERT_TRUE(taken.has_error()) << "after " << second << " seconds";
        EXPECT_EQ(taken.error().code, Errc::over_limit);
    }
    send("ordered", "two", "a");
    test::run_until(io_, [&] { return counts("ordered").completed_total == 2; });
    EXPECT_EQ(runs, 2);
    test::run(io_, processor->stop(seconds(1)));
}

TEST(Backoff, GrowsWithAttemptsUpToItsBound) {
    struct Case {
        int attempt;
        double random;
        Duration expected;
    };
    for (const Case& one :
         {Case{1, 0.999, Duration(1000)}, Case{2, 0.5, Duration(1001)}, Case{4, 0.5, Duration(4001)},
          Case{30, 0.5, Duration(30001)}, Case{3, 0.0, Duration(1)}}) {
        EXPECT_EQ(backoff(one.attempt, one.random), one.expected) << one.attempt;
    }
}

}  // namespace
}  // namespace millrace::work
