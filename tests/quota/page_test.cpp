#include "quota/page.hpp"

#include "tests/quota/provider_model.hpp"

#include <gtest/gtest.h>

namespace millrace::quota {
namespace {

using test::ProviderModel;
using test::Simulation;
using Kind = Verdict::Kind;

constexpr TimePoint kStart = Simulation::start;

Verdict ask(Page& page, const Limits& limits, TimePoint now, std::int64_t tokens, std::string_view id = "a",
            Urgency urgency = Urgency::interactive, TimePoint since = kNever) {
    const std::int64_t parts[] = {tokens};
    return page.admit(limits, now, {parts, {}, urgency, since == kNever ? now : since}, id);
}

struct Case {
    const char* name;
    ProviderModel::Rule rule;
    std::size_t holders;
    std::int64_t limit;
};

class PageUnderLoad : public testing::TestWithParam<Case> {};

TEST_P(PageUnderLoad, UsesTheQuotaForHoursWithoutEverExceedingIt) {
    ProviderModel provider(GetParam().rule, GetParam().limit);
    Simulation::Options options;
    options.limits.tokens_per_minute = GetParam().limit;
    options.holders = GetParam().holders;
    Simulation simulation(provider, options);
    simulation.run(std::chrono::hours(2));
    EXPECT_LE(provider.fullest(std::chrono::minutes(1)), GetParam().limit);
    EXPECT_EQ(simulation.throttles(kStart), 0);
    const double share = static_cast<double>(provider.granted(kStart, simulation.now())) /
                         (static_cast<double>(GetParam().limit) * 120);
    EXPECT_GE(share, 0.97);
    EXPECT_LT(simulation.longest_wait(), Duration(60'000));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, PageUnderLoad,
    testing::Values(Case{"OneProcessFixedMinutes", ProviderModel::Rule::fixed_minutes, 1, 120'000},
                    Case{"OneProcessSliding", ProviderModel::Rule::sliding, 1, 120'000},
                    Case{"FourProcessesFixedMinutes", ProviderModel::Rule::fixed_minutes, 4, 120'000},
                    Case{"FourProcessesSliding", ProviderModel::Rule::sliding, 4, 1'000'000}),
    [](const auto& one) { return std::string(one.param.name); });

/// Documents of 20 to 2,000 tokens, 32 at once, that share requests.
Simulation::Options documents(std::int64_t limit, Counting counting) {
    Simulation::Options options;
    options.limits.tokens_per_minute = limit;
    options.limits.requests_per_minute = 600;
    options.limits.request_window = Duration(10'000);
    options.limits.counting = counting;
    options.overestimate = counting == Counting::usage ? 1.3 : 1;
    options.pieces = 32;
    options.tokens_min = 20;
    options.tokens_max = 1'000;
    return options;
}

TEST_P(PageUnderLoad, HeadersOfTheMomentOfTheAnswerAreNotTakenForSomebodyElsesUse) {
    ProviderModel provider(GetParam().rule, GetParam().limit);
    Simulation::Options options = documents(GetParam().limit, Counting::estimate);
    options.holders = GetParam().holders;
    options.counts_late = true;
    Simulation simulation(provider, options);
    simulation.run(std::chrono::minutes(10));
    EXPECT_EQ(simulation.throttles(kStart), 0);
    const double share = static_cast<double>(provider.granted(kStart, simulation.now())) /
                         (static_cast<double>(GetParam().limit) * 10);
    EXPECT_GE(share, 0.985);
}

TEST_P(PageUnderLoad, DocumentsThatShareRequestsUseTheQuotaAtAnEvenPace) {
    for (const Counting counting : {Counting::estimate, Counting::usage}) {
        ProviderModel provider(GetParam().rule, GetParam().limit);
        Simulation::Options options = documents(GetParam().limit, counting);
        options.holders = GetParam().holders;
        Simulation simulation(provider, options);
        simulation.run(std::chrono::minutes(10));
        EXPECT_LE(provider.fullest(std::chrono::minutes(1)), GetParam().limit);
        const std::int64_t ten_seconds = GetParam().limit / 6;
        EXPECT_LE(provider.fullest(std::chrono::seconds(10)), 2 * ten_seconds);
        EXPECT_EQ(simulation.throttles(kStart), 0);
        const double share = static_cast<double>(provider.granted(kStart, simulation.now())) /
                             (static_cast<double>(GetParam().limit) * 10);
        EXPECT_GE(share, 0.985);
    }
}

class PageBesideAnother : public testing::TestWithParam<ProviderModel::Rule> {};

TEST_P(PageBesideAnother, LeavesAForeignConsumerItsThirdAndUsesTheRest) {
    for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
        ProviderModel provider(GetParam(), 240'000);
        Simulation::Options options = documents(240'000, Counting::usage);
        options.foreign_share = 1.0 / 3;
        options.seed = seed;
        options.counts_late = seed % 2 == 0;
        Simulation simulation(provider, options);
        simulation.run(std::chrono::minutes(11));
        const TimePoint from = kStart + std::chrono::minutes(1);
        EXPECT_EQ(simulation.throttles(from), 0) << seed;
        const double share = static_cast<double>(provider.granted(from, simulation.now())) / (160'000.0 * 10);
        EXPECT_GE(share, 0.97) << seed;
    }
}

TEST_P(PageBesideAnother, FollowsAQuotaThatIsHalvedAndLaterGivenBack) {
    ProviderModel provider(GetParam(), 240'000);
    Simulation::Options options;
    options.limits.tokens_per_minute = 240'000;
    options.change = [](TimePoint now, ProviderModel& model) {
        const bool halved =
            now >= kStart + std::chrono::minutes(5) && now < kStart + std::chrono::minutes(10);
        model.set_limit(halved ? 120'000 : 240'000);
    };
    Simulation simulation(provider, options);
    simulation.run(std::chrono::minutes(15));
    const auto at = [](int minutes) { return kStart + std::chrono::minutes(minutes); };
    EXPECT_EQ(simulation.throttles(at(6)), 0);
    EXPECT_GE(provider.granted(at(6), at(10)), 120'000 * 4 * 97 / 100);
    EXPECT_GE(provider.granted(at(11), at(15)), 240'000 * 4 * 97 / 100);
}

TEST_P(PageBesideAnother, LearnsALimitThatNobodyTold) {
    ProviderModel provider(GetParam(), 100'000);
    Simulation::Options options;
    options.limits.tokens_per_minute = 200'000;  // what the operator believes
    options.headers = false;
    Simulation simulation(provider, options);
    simulation.run(std::chrono::minutes(30));
    EXPECT_GE(provider.granted(kStart + std::chrono::minutes(2), simulation.now()), 100'000 * 28 * 9 / 10);
    EXPECT_LE(simulation.throttles(kStart + std::chrono::minutes(2)), 20);
}

INSTANTIATE_TEST_SUITE_P(Rules, PageBesideAnother,
                         testing::Values(ProviderModel::Rule::fixed_minutes, ProviderModel::Rule::sliding),
                         [](const auto& one) {
                             return one.param == ProviderModel::Rule::sliding ? "Sliding" : "FixedMinutes";
                         });

TEST(PageTest, ACallThatIsLargerThanTheWholeQuotaIsRefusedAtOnce) {
    Page page;
    const Limits limits{.tokens_per_minute = 1000};
    EXPECT_EQ(ask(page, limits, kStart, 1001).kind, Kind::too_large);
    EXPECT_EQ(ask(page, limits, kStart, 1000).kind, Kind::granted);
}

TEST(PageTest, ThreeRequestsAMinuteDrainABacklogInNearlyTheLeastTime) {
    Page page;
    const Limits limits{.tokens_per_minute = 10'000, .requests_per_minute = 3};
    TimePoint now = kStart;
    for (int calls = 0; calls < 30;) {
        const Verdict verdict = ask(page, limits, now, 3'000);
        if (verdict.kind == Kind::granted)
            calls += 1;
        else
            now = verdict.again;
    }
    EXPECT_LE(now - kStart, std::chrono::minutes(9) + Duration(20'000));
}

TEST(PageTest, ThePartsThatFitShareOneRequest) {
    Page page;
    const Limits limits{.tokens_per_minute = 1000, .requests_per_minute = 1};
    const std::int64_t parts[] = {400, 400, 400};
    const Verdict verdict = page.admit(limits, kStart, {parts, {}, Urgency::interactive, kStart}, "a");
    EXPECT_EQ(verdict.parts, 2u);
    EXPECT_EQ(verdict.reservation.tokens, 800);
    EXPECT_EQ(page.window().requests(), 1);
}

TEST(PageTest, ASharedRequestTakesNoMoreThanItsPaceOrItsShareOfTheRequests) {
    const std::vector<std::int64_t> parts(100, 100);
    const auto parts_at = [&](std::int64_t requests) {
        Page page;
        const Limits limits{.tokens_per_minute = 60'000, .requests_per_minute = requests};
        return page.admit(limits, kStart, {parts, {}, Urgency::interactive, kStart}, "a").parts;
    };
    EXPECT_EQ(parts_at(0), 10u);  // a second's worth
    EXPECT_EQ(parts_at(600), 10u);
    EXPECT_EQ(parts_at(20), 30u);
}

TEST(PageTest, WhatACallDidNotUseIsGivenBackWhereTheProviderCountsUse) {
    for (const Counting counting : {Counting::usage, Counting::estimate}) {
        Page page;
        const Limits limits{.tokens_per_minute = 1000, .counting = counting};
        const Verdict verdict = ask(page, limits, kStart, 900);
        page.settle(limits, kStart, verdict.reservation, {.used = 100}, "a");
        EXPECT_EQ(page.window().tokens(), counting == Counting::usage ? 100 : 900);
        EXPECT_EQ(page.reserved(), 0);
        EXPECT_EQ(page.calls(), 0);
    }
}

TEST(PageTest, ACallThatWasNeverSentCostsNothing) {
    Page page;
    const Limits limits{.tokens_per_minute = 1000, .requests_per_minute = 1};
    const Verdict verdict = ask(page, limits, kStart, 900);
    page.settle(limits, kStart, verdict.reservation, {.kind = Ending::Kind::unsent}, "a");
    EXPECT_EQ(page.window().tokens(), 0);
    EXPECT_EQ(page.window().requests(), 0);
    EXPECT_EQ(ask(page, limits, kStart, 1000).kind, Kind::granted);
}

TEST(PageTest, ACallThatWasSentLateCountsSoMuchLonger) {
    Page page;
    const Limits limits{.tokens_per_minute = 1000, .requests_per_minute = 1};
    const Verdict verdict = ask(page, limits, kStart, 900);
    const TimePoint sent = kStart + Duration(3'000);
    page.settle(limits, kStart + Duration(5'000), verdict.reservation, {.sent_at = sent}, "a");
    EXPECT_EQ(page.window().tokens(), 900);
    page.advance(sent + Window::kLength);
    EXPECT_EQ(page.window().tokens(), 900);
    EXPECT_EQ(page.window().requests(), 1);
    page.advance(sent + Window::kLength + Window::kSlack + Window::kSlot);
    EXPECT_EQ(page.window().tokens(), 0);
    EXPECT_EQ(page.window().requests(), 0);
}

TEST(PageTest, ACallThatWasSentLateIsNotTakenForSomebodyElsesUse) {
    Page page;
    const Limits limits{.tokens_per_minute = 60'000};
    const Verdict verdict = ask(page, limits, kStart, 6'000);
    Ending ending{.sent_at = kStart + Duration(600)};
    ending.report.limit_tokens = 60'000;
    ending.report.remaining_tokens = 54'000;
    page.settle(limits, kStart + Duration(900), verdict.reservation, ending, "a");
    EXPECT_EQ(page.token_limit(limits), 60'000);
}

TEST(PageTest, ALateCallThatTakesLongerThanTheWindowIsCounted) {
    const Limits limits{.tokens_per_minute = 1000};
    const TimePoint sent = kStart + Duration(10'000);
    const TimePoint late = kStart + Duration(65'000);
    for (const bool told : {true, false}) {
        Page page;
        const Verdict verdict = ask(page, limits, kStart, 900);
        if (told) page.sent(sent, verdict.reservation, sent);
        page.advance(late);
        EXPECT_EQ(page.window().tokens(), told ? 900 : 0);
        page.settle(limits, late, verdict.reservation, {.sent_at = sent, .told = told}, "a");
        EXPECT_EQ(page.window().tokens(), 900) << told;
        page.advance(sent + Window::kLength + Window::kSlack + Window::kSlot);
        EXPECT_EQ(page.window().tokens(), 0);
    }
}

TEST(PageTest, WhatALateCallDidNotUseIsGivenBackWhereItCounts) {
    Page page;
    const Limits limits{.tokens_per_minute = 1000, .counting = Counting::usage};
    const Verdict verdict = ask(page, limits, kStart, 900);
    const TimePoint sent = kStart + Duration(10'000);
    page.sent(sent, verdict.reservation, sent);
    page.settle(limits, sent, verdict.reservation, {.used = 100, .sent_at = sent, .told = true}, "a");
    EXPECT_EQ(page.window().tokens(), 100);
}

TEST(PageTest, TheReservationsOfADeadProcessEndWithItsLease) {
    Page page;
    const Limits limits{.calls_at_once = 1};
    ASSERT_EQ(ask(page, limits, kStart, 10, "dead").kind, Kind::granted);
    EXPECT_EQ(ask(page, limits, kStart + Page::kLease - Duration(1), 10, "b").why, "calls");
    EXPECT_EQ(ask(page, limits, kStart + Page::kLease, 10, "b").kind, Kind::granted);
    page.advance(kStart + 2 * Page::kLease);
    EXPECT_EQ(page.reserved(), 0);
}

TEST(PageTest, RequestsKeepTheirDistanceWhereTheProviderChecksShortWindows) {
    for (const int seconds : {1, 10}) {
        Page page;
        const Limits limits{.requests_per_minute = 600, .request_window = std::chrono::seconds(seconds)};
        std::vector<TimePoint> granted;
        TimePoint now = kStart;
        while (granted.size() < 600) {
            const Verdict verdict = ask(page, limits, now, 1);
            if (verdict.kind == Kind::granted)
                granted.push_back(now);
            else
                now = verdict.again;
        }
        const std::size_t most = static_cast<std::size_t>(10 * seconds);
        for (std::size_t i = most; i < granted.size(); ++i)
            ASSERT_GE(granted[i] - granted[i - most], Duration(seconds * 1000));
        EXPECT_LE(granted.back() - granted.front(), Duration(65'000));
    }
}

TEST(PageTest, BatchWorkLetsInteractiveWorkGoFirst) {
    Page page;
    const Limits limits{.tokens_per_minute = 100'000, .calls_at_once = 1};
    const Verdict running = ask(page, limits, kStart, 10, "a", Urgency::batch);
    ASSERT_EQ(running.kind, Kind::granted);
    EXPECT_EQ(ask(page, limits, kStart, 10, "b", Urgency::interactive).why, "calls");
    page.settle(limits, kStart, running.reservation, {.used = 10}, "a");
    EXPECT_EQ(ask(page, limits, kStart, 10, "a", Urgency::batch).why, "turn");
    EXPECT_EQ(ask(page, limits, kStart, 10, "b", Urgency::interactive).kind, Kind::granted);
}

TEST(PageTest, InteractiveCallsDoNotWaitForBatchCallsThatAllEndTogether) {
    Page page;
    const Limits limits{.calls_at_once = 16};
    const Duration call(300);
    struct Running {
        TimePoint end;
        Verdict verdict;
    };
    std::vector<Running> running;
    TimePoint last_wait = kStart;
    std::vector<TimePoint> asking;
    const auto fill = [&](TimePoint now) {
        for (Verdict more = ask(page, limits, now, 1, "a", Urgency::batch); more.kind == Kind::granted;
             more = ask(page, limits, now, 1, "a", Urgency::batch))
            running.push_back({now + call, more});
    };
    for (TimePoint now = kStart; now < kStart + std::chrono::seconds(60); now += Duration(1)) {
        const auto ended =
            std::partition(running.begin(), running.end(), [&](const Running& one) { return one.end > now; });
        for (auto one = ended; one != running.end(); ++one)
            page.settle(limits, now, one->verdict.reservation, {.used = 1}, "a");
        running.erase(ended, running.end());
        // Three to four of them run at once, for one comes before the third one ends.
        if ((now - kStart).count() % 97 == 0) asking.push_back(now);
        while (!asking.empty()) {
            const Verdict verdict = ask(page, limits, now, 1, "a", Urgency::interactive, asking.front());
            if (verdict.kind != Kind::granted) break;
            if (now > asking.front()) last_wait = now;
            running.push_back({now + call, verdict});
            asking.erase(asking.begin());
        }
        fill(now);
        EXPECT_GE(running.size(), 14u);  // and nothing lies idle but what is kept for them
        EXPECT_LE(running.size(), 16u);
    }
    // At first nobody knows how many there will be, and then those that waited run beside the others.
    EXPECT_LE(last_wait, kStart + 2 * call);
}

TEST(PageTest, WhatIsKeptForInteractiveWorkGoesBackToBatchWorkWhenNoneComes) {
    Page page;
    const Limits limits{.calls_at_once = 16};
    const auto batch_calls = [&](TimePoint now) {
        Page copy = page;
        int calls = 0;
        while (ask(copy, limits, now, 1, "a", Urgency::batch).kind == Kind::granted) calls += 1;
        return calls;
    };
    EXPECT_EQ(batch_calls(kStart), 15);
    std::vector<Verdict> interactive;
    for (int i = 0; i < 12; ++i) interactive.push_back(ask(page, limits, kStart, 1));
    EXPECT_EQ(batch_calls(kStart), 3);
    for (const Verdict& one : interactive) page.settle(limits, kStart, one.reservation, {.used = 1}, "a");
    EXPECT_EQ(batch_calls(kStart), 8);  // half of them at most
    page = Page::parse(page.text());
    EXPECT_EQ(batch_calls(kStart), 8);
    page.renew(kStart + Page::kLease / 2, {.id = "a"});
    EXPECT_EQ(batch_calls(kStart + std::chrono::seconds(61)), 15);
}

TEST(PageTest, BatchWorkLeavesRoomForAnInteractiveCall) {
    Page page;
    const Limits limits{.tokens_per_minute = 100'000};
    TimePoint now = kStart;
    for (int calls = 0; calls < 10'000; ++calls) {
        const Verdict verdict = ask(page, limits, now, 500, "a", Urgency::batch);
        if (verdict.kind != Kind::granted) now = verdict.again;
        if (calls % 10 == 0) {
            Page copy = page;
            EXPECT_EQ(ask(copy, limits, now, 1'000, "b").kind, Kind::granted) << calls;
        }
    }
}

TEST(PageTest, AnAgedCallGoesBeforeSmallerOnes) {
    Page page;
    const Limits limits{.tokens_per_minute = 1000};
    ASSERT_EQ(ask(page, limits, kStart, 900).kind, Kind::granted);
    const TimePoint since = kStart + Page::kBurst;
    const Verdict large = ask(page, limits, since, 500, "large");
    ASSERT_EQ(large.why, "tokens");
    EXPECT_EQ(ask(page, limits, since + Duration(100), 5, "b").kind, Kind::granted);
    EXPECT_EQ(ask(page, limits, since + Page::kAging, 5, "b").why, "turn");
    EXPECT_EQ(ask(page, limits, large.again, 500, "large", Urgency::interactive, since).kind, Kind::granted);
}

TEST(PageTest, AThrottledDeploymentRestsAsLongAsItsProviderAsks) {
    Page page;
    const Limits limits{.tokens_per_minute = 100'000};
    const Verdict verdict = ask(page, limits, kStart, 100);
    Ending ending;
    ending.report.throttled = true;
    ending.report.retry_after = Duration(37'000);
    page.settle(limits, kStart, verdict.reservation, ending, "a");
    const Verdict next = ask(page, limits, kStart + Duration(1), 100);
    EXPECT_EQ(next.why, "throttled");
    EXPECT_EQ(next.again, kStart + Duration(37'000));
    EXPECT_EQ(ask(page, limits, next.again, 100).kind, Kind::granted);
}

TEST(PageTest, AThrottleThatSaysNothingRestsLongerEachTime) {
    Page page;
    const Limits limits{.calls_at_once = 8};
    TimePoint now = kStart;
    std::vector<std::int64_t> pauses;
    for (int i = 0; i < 9; ++i) {
        const Verdict verdict = ask(page, limits, now, 0);
        ASSERT_EQ(verdict.kind, Kind::granted);
        Ending ending;
        ending.report.throttled = true;
        page.settle(limits, now, verdict.reservation, ending, "a");
        pauses.push_back((page.frozen_until() - now).count() / 1000);
        now = page.frozen_until();
    }
    EXPECT_EQ(pauses, (std::vector<std::int64_t>{1, 2, 4, 8, 16, 32, 60, 60, 60}));
}

TEST(PageTest, AClockThatIsSetBackLeavesNothingWaitingForTheOldTime) {
    Page page;
    const Limits limits{.tokens_per_minute = 1'000, .requests_per_minute = 10};
    const Verdict before = ask(page, limits, kStart, 900);
    ASSERT_EQ(before.kind, Kind::granted);
    const TimePoint now = kStart - std::chrono::hours(1);
    EXPECT_EQ(ask(page, limits, now, 900).kind, Kind::wait);  // it still holds what it held
    page.settle(limits, now, before.reservation, {}, "a");
    EXPECT_EQ(page.calls(), 0);
    EXPECT_EQ(ask(page, limits, now + std::chrono::seconds(62), 900).kind, Kind::granted);
}

TEST(PageTest, AnotherHostsClockThatIsBehindChangesNothing) {
    Page page;
    const Limits limits{.tokens_per_minute = 1'000};
    ASSERT_EQ(ask(page, limits, kStart, 900).kind, Kind::granted);
    for (int i = 0; i < 10; ++i) page.advance(kStart + std::chrono::seconds(i % 2 == 0 ? -300 : i));
    EXPECT_EQ(page.window().tokens(), 900);
    page.advance(kStart + std::chrono::seconds(61));
    EXPECT_EQ(page.window().tokens(), 0);
}

TEST(PageTest, IsTheSameAfterItWasStored) {
    ProviderModel provider(ProviderModel::Rule::sliding, 50'000);
    Simulation::Options options;
    options.limits.tokens_per_minute = 50'000;
    options.foreign_share = 0.2;
    Simulation simulation(provider, options);
    simulation.run(std::chrono::minutes(3));
    const std::string text = simulation.page().text();
    Page page = Page::parse(text);
    EXPECT_EQ(page.text(), text);
    EXPECT_EQ(page.window().tokens(), simulation.page().window().tokens());
    EXPECT_GT(page.window().tokens(), 0);
    EXPECT_EQ(page.token_limit(options.limits), simulation.page().token_limit(options.limits));
    EXPECT_EQ(Page::parse("no JSON").window().tokens(), 0);
}

}  // namespace
}  // namespace millrace::quota
