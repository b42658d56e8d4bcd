#include "quota/ledger.hpp"

#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

namespace millrace::quota {
namespace {

class LedgerTest : public testing::TestWithParam<test::Engine> {
  protected:
    LedgerTest() { open(); }
    ~LedgerTest() override { database->stop(); }

    void open() { database = std::move(place.open(io.get_executor()).value()); }

    Answer reserve(Ledger& ledger, std::vector<Part> parts) {
        Application application;
        application.parts = std::move(parts);
        application.since = clock.now();
        return test::run(io, ledger.reserve("d", limits, std::move(application)));
    }

    PageView view(Ledger& ledger) { return test::run(io, ledger.view("d", limits)); }

    asio::io_context io;
    test::DatabasePlace place{GetParam()};
    std::unique_ptr<store::Database> database;
    ManualClock clock;
    Limits limits{.tokens_per_minute = 1000, .calls_at_once = 4};
};

TEST_P(LedgerTest, TwoProcessesShareOneQuota) {
    Ledger a(*database, clock, "a", {});
    Ledger b(*database, clock, "b", {});
    EXPECT_EQ(reserve(a, {{700, "", 0}}).verdict.kind, Verdict::Kind::granted);
    clock.advance(Page::kBurst * 2);
    EXPECT_EQ(reserve(b, {{400, "", 0}}).verdict.kind, Verdict::Kind::wait);
    EXPECT_EQ(reserve(b, {{300, "", 0}}).verdict.kind, Verdict::Kind::granted);
    EXPECT_EQ(view(a).tokens_used, 1000);
    EXPECT_EQ(view(a).processes, 2u);
}

TEST_P(LedgerTest, WhatWasChargedSurvivesARestart) {
    Ledger before(*database, clock, "a", {});
    ASSERT_EQ(reserve(before, {{900, "", 0}}).verdict.kind, Verdict::Kind::granted);
    database->stop();
    database.reset();
    open();
    Ledger after(*database, clock, "a2", {});
    clock.advance(Page::kLease);
    EXPECT_EQ(reserve(after, {{200, "", 0}}).verdict.why, "tokens");
    clock.advance(Duration(60'400));
    EXPECT_EQ(reserve(after, {{200, "", 0}}).verdict.kind, Verdict::Kind::granted);
}

TEST_P(LedgerTest, AWorkerKilledInTheMiddleOfACallLeavesNothingReserved) {
    Ledger killed(*database, clock, "killed", {});
    ASSERT_EQ(reserve(killed, {{900, "", 0}}).verdict.kind, Verdict::Kind::granted);
    Ledger other(*database, clock, "other", {});
    EXPECT_EQ(view(other).reserved, 900);
    clock.advance(Page::kLease);
    EXPECT_EQ(view(other).reserved, 0);
    EXPECT_EQ(view(other).calls, 0);
}

TEST_P(LedgerTest, ASpendingCapHoldsForWhatIsReservedAndIsLiftedTheNextDay) {
    const std::vector<Cap> caps{{"", "t", Cap::Period::day, 1000}};
    Ledger ledger(*database, clock, "a", caps);
    EXPECT_FALSE(reserve(ledger, {{10, "t", 800}}).capped);
    const Answer answer = reserve(ledger, {{10, "t", 300}});
    ASSERT_TRUE(answer.capped);
    EXPECT_EQ(answer.capped->why, "the spending cap of this day for tenant \"t\" is reached");
    EXPECT_FALSE(reserve(ledger, {{10, "u", 300}}).capped);
    clock.advance(answer.capped->until - clock.now());
    EXPECT_FALSE(reserve(ledger, {{10, "t", 300}}).capped);
}

TEST_P(LedgerTest, WhatACallDidNotCostMayBeSpentAgain) {
    const std::vector<Cap> caps{{"d", "", Cap::Period::month, 1000}};
    Ledger ledger(*database, clock, "a", caps);
    const Answer first = reserve(ledger, {{10, "t", 900}});
    ASSERT_FALSE(first.capped);
    const Bill bill{"t", 900, 100, 7, 3};
    test::run(io, ledger.settle("d", limits, first.verdict.reservation, {.used = 10}, {bill}));
    EXPECT_EQ(view(ledger).micros_today, 100);
    EXPECT_EQ(view(ledger).tokens_today, 10);
    EXPECT_FALSE(reserve(ledger, {{10, "t", 900}}).capped);
    EXPECT_TRUE(reserve(ledger, {{10, "t", 1}}).capped);
}

TEST_P(LedgerTest, APartThatACapForbidsIsLeftOutOfTheRequest) {
    Ledger ledger(*database, clock, "a", {{"", "*", Cap::Period::day, 100}});
    const Answer answer = reserve(ledger, {{10, "a", 50}, {10, "b", 101}, {10, "c", 50}});
    EXPECT_EQ(answer.verdict.parts, 1u);
}

MILLRACE_ON_EVERY_ENGINE(LedgerTest);

TEST_P(LedgerTest, PartsOfOneRequestAreHeldAgainstACapTogether) {
    Ledger all(*database, clock, "a", {{.micros = 100}});
    EXPECT_EQ(reserve(all, {{1, "x", 60}, {1, "y", 60}}).verdict.parts, 1u);
    Ledger each(*database, clock, "b", {{.tenant = "*", .micros = 100}});
    EXPECT_EQ(reserve(each, {{1, "v", 60}, {1, "w", 60}, {1, "v", 60}}).verdict.parts, 2u);
}

TEST(SpendTest, PricesAreForAMillionTokens) {
    const Price price{2.5, 1.25, 10};
    EXPECT_EQ(price.micros(1'000'000, 0), 2'500'000);
    EXPECT_EQ(price.micros(1'000, 100, 1'000), 1'250 + 1'000);
    EXPECT_EQ(price.micros(1, 0), 3);
}

TEST(SpendTest, MonthsEndWhereTheyEnd) {
    const TimePoint when = from_millis(1'800'000'000'000);  // 2027-01-15
    EXPECT_EQ(day_of(when), "2027-01-15");
    EXPECT_EQ(first_day_of(Cap::Period::month, when), "2027-01-01");
    EXPECT_EQ(day_of(next_period(Cap::Period::month, when)), "2027-02-01");
    EXPECT_EQ(day_of(next_period(Cap::Period::day, when)), "2027-01-16");
}

}  // namespace
}  // namespace millrace::quota
