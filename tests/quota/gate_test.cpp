#include "quota/gate.hpp"

#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>
#include <boost/asio/detached.hpp>

#include <atomic>
#include <functional>
#include <future>

namespace millrace::quota {
namespace {

class GateTest : public testing::TestWithParam<test::Engine> {
  protected:
    ~GateTest() override {
        for (const auto& gate : gates) test::run(io, gate->stop());
        database->stop();
    }

    Gate& open(const std::string& deployment, Limits limits, Ledger& ledger) {
        GateOptions options;
        options.deployment = deployment;
        options.limits = limits;
        gates.push_back(std::make_unique<Gate>(io.get_executor(), ledger, clock, std::move(options)));
        return *gates.back();
    }

    /// A call of `tokens`; its pass is put behind the others, its refusal into `refused`.
    void enter(Gate& gate, std::int64_t tokens, Urgency urgency = Urgency::interactive) {
        auto one = std::make_shared<Applicant>();
        one->part.tokens = tokens;
        one->urgency = urgency;
        one->go = [this](Pass pass) { passes.push_back(std::move(pass)); };
        one->refuse = [this](const Refusal& refusal) { refused.push_back(refusal.why); };
        gate.enter(std::move(one));
    }

    void settle(Gate& gate, std::size_t which, Ending ending = {}) {
        test::run(io, gate.settle(passes[which], std::move(ending), {}));
    }

    void change(std::string sql) {
        auto work = [sql = std::move(sql)](store::Connection& connection) -> Result<void> {
            connection.prepare(sql).run();
            return {};
        };
        ASSERT_TRUE(test::run(io, database->write(std::move(work))));
    }

    /// Until `happened`, a minute at most, which is several leases.
    void pass_time(const std::function<bool()>& happened) {
        for (int seconds = 0; seconds < 60 && !happened(); ++seconds) {
            clock.advance(std::chrono::seconds(1));
            // What the gate has asked of the store is done when this has been.
            (void)test::run(io, ledger.view("other", {}));
            auto nothing = [](store::Connection&) -> Result<void> { return {}; };
            (void)test::run(io, database->write(nothing));
            while (io.poll() > 0) {
            }
        }
    }

    void until_passes(std::size_t count) {
        test::run_until(io, [&] { return passes.size() >= count; });
    }

    asio::io_context io;
    test::DatabasePlace place{GetParam()};
    std::unique_ptr<store::Database> database = std::move(place.open(io.get_executor()).value());
    ManualClock clock;
    Ledger ledger{*database, clock, "this", {}};
    std::vector<std::unique_ptr<Gate>> gates;
    std::vector<Pass> passes;
    std::vector<std::string> refused;
};

TEST_P(GateTest, ADeploymentThatIsThrottledDelaysNoCallToAnother) {
    Gate& throttled = open("throttled", {}, ledger);
    Gate& other = open("other", {}, ledger);
    enter(throttled, 10);
    until_passes(1);
    Ending ending;
    ending.report.throttled = true;
    ending.report.retry_after = Duration(60'000);
    settle(throttled, 0, ending);
    for (int i = 0; i < 100; ++i) enter(throttled, 10);
    for (int i = 0; i < 100; ++i) enter(other, 10);
    until_passes(101);  // the clock has not moved
    EXPECT_EQ(throttled.waiting(), 100u);
    EXPECT_EQ(other.waiting(), 0u);
}

TEST_P(GateTest, AnInteractiveCallGoesAtOnceThoughAHundredBatchCallsWait) {
    Gate& gate = open("d", {.tokens_per_minute = 100'000}, ledger);
    for (int i = 0; i < 300; ++i) enter(gate, 1'000, Urgency::batch);
    test::run_until(io, [&] { return !gate.waits_for().empty(); });
    const std::size_t before = passes.size();
    enter(gate, 1'000);
    until_passes(before + 1);
    EXPECT_EQ(passes.back().group.front()->urgency, Urgency::interactive);
}

TEST_P(GateTest, ACallThatEndsWhileTheNextOneIsAskedForLetsItGoAtOnce) {
    Gate& gate = open("d", {.calls_at_once = 1}, ledger);
    enter(gate, 10);
    until_passes(1);
    for (std::size_t i = 0; i < 200; ++i) {
        enter(gate, 10);
        asio::co_spawn(io, gate.settle(passes[i], {}, {}), asio::detached);
        until_passes(i + 2);  // the clock has not moved
    }
    EXPECT_EQ(gate.waiting(), 0u);
}

TEST_P(GateTest, WhatWaitsIsRefusedWhenTheProcessEnds) {
    Gate& gate = open("d", {.calls_at_once = 1}, ledger);
    enter(gate, 10);
    until_passes(1);
    enter(gate, 10);
    test::run_until(io, [&] { return gate.waits_for() == "calls"; });
    test::run(io, gate.stop());
    EXPECT_EQ(refused.size(), 1u);
    enter(gate, 10);
    EXPECT_EQ(refused.size(), 2u);
}

TEST_P(GateTest, WhatTheStoreGrantsWhileTheProcessEndsIsGivenBack) {
    Gate& gate = open("d", {.tokens_per_minute = 1'000}, ledger);
    // Holds the writer back, so that the end comes while the gate asks.
    std::promise<void> writer_free;
    std::atomic<bool> held = false;
    auto hold = [&](store::Connection&) -> Result<void> {
        held = true;
        writer_free.get_future().wait();
        return {};
    };
    asio::co_spawn(io, database->write(hold), asio::detached);
    while (!held) io.poll();
    enter(gate, 600);
    while (io.poll() > 0) {
    }
    bool ended = false;
    asio::co_spawn(io, gate.stop(), [&](std::exception_ptr) { ended = true; });
    while (io.poll() > 0) {
    }
    EXPECT_EQ(refused.size(), 1u);
    writer_free.set_value();
    test::run_until(io, [&] { return ended; });
    EXPECT_TRUE(passes.empty());
    EXPECT_EQ(test::run(io, ledger.view("d", {})).tokens_used, 0);
    EXPECT_EQ(test::run(io, ledger.view("d", {})).calls, 0);
}

TEST_P(GateTest, ACallThatEndsWhileTheStoreIsAwayIsSettledWhenItIsBack) {
    Gate& gate = open("d", {.calls_at_once = 1}, ledger);
    enter(gate, 10);
    until_passes(1);
    change("ALTER TABLE quota_page RENAME TO away");
    settle(gate, 0);
    enter(gate, 10);
    change("ALTER TABLE away RENAME TO quota_page");
    pass_time([&] { return passes.size() == 2; });
    EXPECT_EQ(passes.size(), 2u);
}

TEST_P(GateTest, ACallThatTheLedgerCountsButNobodyMakesIsForgottenWhileOthersWait) {
    Gate& gate = open("d", {.calls_at_once = 1}, ledger);
    // As after a grant whose answer was lost with the connection.
    Application lost;
    lost.parts = {{10, "", 0}};
    lost.since = clock.now();
    (void)test::run(io, ledger.reserve("d", {.calls_at_once = 1}, lost));
    change("ALTER TABLE quota_page RENAME TO away");
    enter(gate, 10);
    test::run_until(io, [&] { return clock.sleepers() == 2; });  // the gate and its lease
    change("ALTER TABLE away RENAME TO quota_page");
    pass_time([&] { return passes.size() == 1; });
    EXPECT_EQ(passes.size(), 1u);
}

TEST_P(GateTest, AnotherProcessGoesOnWhereThisOneHasLeftOff) {
    Ledger second{*database, clock, "second", {}};
    Gate& here = open("d", {.tokens_per_minute = 1'000}, ledger);
    Gate& there = open("d", {.tokens_per_minute = 1'000}, second);
    enter(here, 900);
    until_passes(1);
    settle(here, 0);
    enter(there, 900);
    test::run_until(io, [&] { return !there.waits_for().empty(); });
    EXPECT_EQ(passes.size(), 1u);
    while (passes.size() < 2) {
        clock.advance(Duration(1'000));
        io.run_one_for(std::chrono::milliseconds(5));
        ASSERT_LT(clock.now() - passes[0].reservation.at, Duration(600'000));
    }
    EXPECT_GE(passes[1].reservation.at - passes[0].reservation.at, Window::kLength);
}

TEST_P(GateTest, ARequestIsSharedByNoMoreThanFitsWhenItIsMade) {
    std::size_t fit = 100;
    GateOptions options;
    options.deployment = "d";
    options.limits = {.calls_at_once = 1};
    options.inputs_max = 100;
    options.inputs_fit = [&fit] { return fit; };
    gates.push_back(std::make_unique<Gate>(io.get_executor(), ledger, clock, std::move(options)));
    Gate& gate = *gates.back();
    const auto enter_shared = [&](std::size_t inputs) {
        auto one = std::make_shared<Applicant>();
        one->part.tokens = 1;
        one->packs = true;
        one->count = inputs;
        one->go = [this](Pass pass) { passes.push_back(std::move(pass)); };
        one->refuse = [this](const Refusal& refusal) { refused.push_back(refusal.why); };
        gate.enter(std::move(one));
    };
    enter_shared(1);
    until_passes(1);
    for (const std::size_t inputs : {2, 2, 2, 5, 1}) enter_shared(inputs);
    fit = 4;  // learned from the call under way
    settle(gate, 0);
    until_passes(2);
    ASSERT_EQ(passes[1].group.size(), 2u);
    settle(gate, 1);
    until_passes(3);
    ASSERT_EQ(passes[2].group.size(), 2u) << "2 and 1: the 5 between them do not fit beside the first";
    settle(gate, 2);
    until_passes(4);
    EXPECT_EQ(passes[3].group.size(), 1u) << "what is larger by itself goes alone";
    EXPECT_EQ(gate.waiting(), 0u);
}

MILLRACE_ON_EVERY_ENGINE(GateTest);

}  // namespace
}  // namespace millrace::quota
