// The processor on a queue that refuses, breaks or holds: what a remote one does.
#include "telemetry/log.hpp"
#include "tests/support/run.hpp"
#include "work/processor.hpp"

#include <gtest/gtest.h>

namespace millrace::work {
namespace {

using broker::Delivery;
using broker::LockRef;
using broker::SessionLock;
using std::chrono::milliseconds;
using std::chrono::seconds;

const Error kAway{Errc::unavailable, "the queue is away"};

/// Hands out as many messages as it is asked for, and answers as it is told to.
class Scripted final : public broker::MessageSource {
  public:
    explicit Scripted(Clock& clock) : clock_(clock) {}

    int delivery_count = 0;
    std::size_t messages_left = SIZE_MAX;
    Result<void> settling;
    int accepts = 0, renewals = 0, handed_out = 0;
    std::vector<Duration> postponed;

    using Numbers = std::vector<std::int64_t>;
    using Deliveries = Result<std::vector<Delivery>>;
    asio::awaitable<Result<Numbers>> send(std::string, std::vector<broker::Message>) override {
        co_return kAway;
    }
    asio::awaitable<Result<void>> cancel_scheduled(std::string, Numbers) override { co_return kAway; }
    asio::awaitable<Deliveries> receive(std::string entity, broker::ReceiveOptions options) override {
        std::vector<Delivery> some;
        while (messages_left > 0 && some.size() < options.messages_max) {
            messages_left -= 1;
            handed_out += 1;
            Delivery one;
            one.entity = entity;
            one.delivery_count = delivery_count;
            one.lock_token = random_uuid();
            one.locked_until = clock_.now() + seconds(10);
            some.push_back(std::move(one));
        }
        if (some.empty()) co_await clock_.sleep_for(options.wait);
        co_return some;
    }
    asio::awaitable<Deliveries> receive_deferred(std::string, Numbers, broker::ReceiveOptions) override {
        co_return kAway;
    }
    asio::awaitable<Deliveries> peek(std::string, std::int64_t, std::size_t) override { co_return kAway; }
    asio::awaitable<Result<TimePoint>> renew(LockRef) override {
        renewals += 1;
        co_return kAway;
    }
    asio::awaitable<Result<void>> complete(LockRef) override { co_return settling; }
    asio::awaitable<Result<void>> abandon(LockRef, broker::Properties) override { co_return settling; }
    asio::awaitable<Result<void>> defer(LockRef, broker::Properties) override { co_return settling; }
    asio::awaitable<Result<void>> dead_letter(LockRef, std::string, std::string,
                                              broker::Properties) override {
        co_return settling;
    }
    asio::awaitable<Result<void>> postpone(LockRef, Duration delay, bool) override {
        postponed.push_back(delay);
        co_return Result<void>();
    }
    asio::awaitable<Result<SessionLock>> accept_session(std::string, std::optional<std::string>,
                                                        Duration) override {
        accepts += 1;
        co_return kAway;
    }
    asio::awaitable<Result<TimePoint>> renew_session(SessionLock) override { co_return kAway; }
    asio::awaitable<void> release_session(SessionLock) override { co_return; }
    asio::awaitable<Result<std::optional<std::string>>> session_state(SessionLock) override {
        co_return kAway;
    }
    asio::awaitable<Result<void>> set_session_state(SessionLock, std::optional<std::string>) override {
        co_return kAway;
    }

  private:
    Clock& clock_;
};

class ProcessorSourceTest : public testing::Test {
  protected:
    asio::io_context io;
    ManualClock clock;
    Scripted source{clock};
    ProcessorOptions options;
    std::unique_ptr<Processor> processor;
    std::vector<std::string> lines;

    void SetUp() override {
        telemetry::LogOptions log;
        log.sink = [this](std::string_view line) { lines.emplace_back(line); };
        telemetry::configure_log(log);
        options.queue = "jobs";
        options.concurrency = 2;
    }
    void TearDown() override {
        if (processor) test::run(io, processor->stop(Duration::zero()));
        telemetry::configure_log({});
    }
    void start(Handler handler) {
        auto complete = [this](LockRef lock, Done) { return source.complete(std::move(lock)); };
        processor = std::make_unique<Processor>(io.get_executor(), source, clock, complete, options,
                                                std::move(handler));
        processor->start();
        settle();
    }
    void settle() {
        io.restart();
        // Far more than a turn takes: whoever works without a pause is not waited for.
        for (int steps = 0; steps < 10'000 && io.poll_one() > 0; ++steps) {
        }
    }
    void pass(Duration time) {
        for (Duration gone{}; gone < time; gone += milliseconds(100)) {
            clock.advance(milliseconds(100));
            settle();
        }
    }
    static Handler answering(Outcome outcome) {
        return [outcome](Delivery) -> asio::awaitable<Outcome> { co_return outcome; };
    }
};

TEST_F(ProcessorSourceTest, AQueueThatHasNoSessionBeforeTheWaitIsOverIsLeftAloneForAWhile) {
    options.sessions = true;
    options.concurrency = 1;
    start(answering(Done{}));
    EXPECT_EQ(source.accepts, 1);
    pass(seconds(5));
    EXPECT_EQ(source.accepts, 6) << "once a second";
    EXPECT_EQ(lines.size(), 6u);
}

TEST_F(ProcessorSourceTest, ALockThatCannotBeRenewedIsTriedLessAndLessOftenAndLoggedOnce) {
    source.messages_left = 1;
    options.receive_wait = std::chrono::hours(1);
    start([this](Delivery) -> asio::awaitable<Outcome> {
        co_await clock.sleep_for(std::chrono::minutes(5));
        co_return Done{};
    });
    pass(std::chrono::minutes(2));
    EXPECT_GE(source.renewals, 20) << "it goes on";
    EXPECT_LE(source.renewals, 35);
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find("renew"), std::string::npos) << lines[0];
}

TEST_F(ProcessorSourceTest, AMessageWhoseSettlementFailsIsGivenBack) {
    source.messages_left = 2;
    source.settling = Error{Errc::corrupt, "no"};
    int runs = 0;
    start([&runs](Delivery) -> asio::awaitable<Outcome> {
        if (++runs == 1) co_return Done{};
        co_return DeadLetter{"Reason", "why"};
    });
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(source.postponed, std::vector<Duration>(2, seconds(30)));
}

TEST_F(ProcessorSourceTest, AMessageWhoseLockIsLostIsNotGivenBack) {
    source.messages_left = 1;
    source.settling = Error{Errc::conflict, "lost"};
    start(answering(DeadLetter{"Reason", "why"}));
    EXPECT_TRUE(source.postponed.empty());
    EXPECT_EQ(processor->stats().locks_lost, 1u);
}

TEST_F(ProcessorSourceTest, HeldMessagesTakePlacesUntilTheirTimeHasCome) {
    options.holds_postponed = true;
    start(answering(RetryAfter{seconds(5), "the disk is full", false}));
    EXPECT_EQ(source.handed_out, 2) << "no more than there are places, though the queue is full of them";
    pass(seconds(4));
    EXPECT_EQ(source.handed_out, 2);
    pass(seconds(1));
    EXPECT_EQ(source.handed_out, 4);
}

TEST_F(ProcessorSourceTest, AHeldMessageWaitsLongerWithEachDeliveryThatThatCosts) {
    options.holds_postponed = true;
    options.concurrency = 1;
    source.messages_left = 1;
    source.delivery_count = 6;
    start(answering(RetryAfter{seconds(5), "the disk is full", false}));
    EXPECT_EQ(source.postponed, std::vector<Duration>{seconds(64)});
}

TEST_F(ProcessorSourceTest, WhereAQueueKeepsWhatIsPostponedTheOthersGoOn) {
    source.messages_left = 6;
    start(answering(RetryAfter{seconds(5), "quota", false}));
    EXPECT_EQ(source.postponed, std::vector<Duration>(6, seconds(5)));
}

}  // namespace
}  // namespace millrace::work
