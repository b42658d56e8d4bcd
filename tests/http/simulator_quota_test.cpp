#include "http/simulator_quota.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace millrace::http {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const TimePoint kStart = from_millis(1'800'000'000'000);   // a full minute

QuotaOptions tokens(std::int64_t limit, QuotaRule rule = QuotaRule::sliding) {
    QuotaOptions options;
    options.rule = rule;
    options.tokens_per_minute = limit;
    return options;
}

TEST(SimulatedQuota, CountsWhatEachRuleCounts) {
    const QuotaDemand demand{30, 12, 500};
    EXPECT_EQ(Quota(tokens(1), kStart).tokens_of(demand), 30);
    EXPECT_EQ(Quota(tokens(1, QuotaRule::openai), kStart).tokens_of(demand), 500);
    EXPECT_EQ(Quota(tokens(1, QuotaRule::openai), kStart).tokens_of({30, 12, 5}), 12);
    EXPECT_EQ(Quota(tokens(1, QuotaRule::azure), kStart).tokens_of(demand), 512);
}

TEST(SimulatedQuota, OfAzureStartsAnewWithEachMinute) {
    Quota quota(tokens(100, QuotaRule::azure), kStart);
    EXPECT_EQ(quota.admit(100, kStart + seconds(59)).wait, Duration::zero());
    const auto refused = quota.admit(1, kStart + seconds(59));
    EXPECT_EQ(refused.what, "tokens");
    EXPECT_EQ(refused.wait, seconds(1));
    EXPECT_EQ(quota.admit(100, kStart + seconds(60)).wait, Duration::zero());
}

TEST(SimulatedQuota, AsABucketGivesTwiceItsLimitAfterARest) {
    QuotaOptions options = tokens(60);
    options.window = WindowKind::bucket;
    Quota quota(options, kStart);
    EXPECT_EQ(quota.admit(60, kStart).wait, Duration::zero());
    EXPECT_EQ(quota.admit(10, kStart).wait, seconds(10));
    for (int second = 1; second < 60; ++second)
        EXPECT_EQ(quota.admit(1, kStart + seconds(second)).wait, Duration::zero()) << second;
    EXPECT_GT(quota.admit(61, kStart + minutes(60)).wait, Duration::zero()) << "more than it ever holds";
}

TEST(SimulatedQuota, HoldsRequestsInShortWindowsToo) {
    for (const auto& [window, at_once] : {std::pair(seconds(1), 10), std::pair(seconds(10), 100)}) {
        QuotaOptions options;
        options.requests_per_minute = 600;
        options.request_window = window;
        Quota quota(options, kStart);
        for (int i = 0; i < at_once; ++i) EXPECT_EQ(quota.admit(1, kStart).wait, Duration::zero()) << i;
        const auto refused = quota.admit(1, kStart);
        EXPECT_EQ(refused.what, "requests");
        EXPECT_EQ(refused.wait, Duration(window));
        EXPECT_EQ(quota.admit(1, kStart + window).wait, Duration::zero());
        EXPECT_EQ(quota.state("requests", kStart + window).limit, 600);
    }
}

TEST(SimulatedQuota, OfAzureTellsOfItsShortWindow) {
    QuotaOptions options;
    options.rule = QuotaRule::azure;
    options.requests_per_minute = 60;
    Quota quota(options, kStart);
    EXPECT_EQ(quota.state("requests", kStart).limit, 10);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(quota.admit(1, kStart).wait, Duration::zero());
    EXPECT_EQ(quota.admit(1, kStart).wait, seconds(10));
}

TEST(SimulatedQuota, OfOpenAiCountsCallsThatWereTurnedAway) {
    QuotaOptions options = tokens(10, QuotaRule::openai);
    options.requests_per_minute = 3;
    Quota quota(options, kStart);
    EXPECT_EQ(quota.admit(10, kStart).what, "");
    EXPECT_EQ(quota.admit(10, kStart).what, "tokens");
    EXPECT_EQ(quota.admit(10, kStart).what, "tokens");
    EXPECT_EQ(quota.admit(1, kStart).what, "requests");
    EXPECT_EQ(quota.state("requests", kStart).remaining, 0);
}

TEST(SimulatedQuota, ChangesWhenItIsTold) {
    QuotaOptions options = tokens(100);
    options.changes = parse_quota_changes("5m:tpm=10,300500ms:rpm=7").value();
    Quota quota(options, kStart);
    EXPECT_EQ(quota.state("tokens", kStart + seconds(299)).limit, 100);
    EXPECT_EQ(quota.state("tokens", kStart + seconds(300)).limit, 10);
    EXPECT_EQ(quota.state("requests", kStart + seconds(300)).limit, 0);
    EXPECT_EQ(quota.state("requests", kStart + seconds(301)).limit, 7);
    EXPECT_EQ(quota.admit(11, kStart + seconds(400)).what, "tokens");
}

TEST(SimulatedQuota, IsSharedWithSomebodyElse) {
    QuotaOptions options = tokens(6000);
    options.requests_per_minute = 600;
    options.foreign = 0.33;
    Quota quota(options, kStart);
    const TimePoint later = kStart + minutes(10);
    EXPECT_NEAR(static_cast<double>(quota.state("tokens", later).remaining), 6000 * 0.67, 30);
    EXPECT_NEAR(static_cast<double>(quota.state("requests", later).remaining), 600 * 0.67, 5);
    EXPECT_EQ(quota.admit(4100, later).what, "tokens");
    EXPECT_EQ(quota.admit(3900, later).what, "");
}

TEST(SimulatedQuota, NeverAdmitsMoreThanItsLimitInAnyMinuteAligned) {
    for (const QuotaRule rule : {QuotaRule::sliding, QuotaRule::openai, QuotaRule::azure}) {
        Quota quota(tokens(1000, rule), kStart);
        std::mt19937 random(7);
        std::int64_t minute = 0, used = 0;
        for (TimePoint now = kStart; now < kStart + minutes(20); now += Duration(random() % 900)) {
            const std::int64_t amount = random() % 200 + 1;
            const std::int64_t this_minute = (now - kStart) / minutes(1);
            if (this_minute != minute) used = 0;
            minute = this_minute;
            if (quota.admit(amount, now).wait == Duration::zero()) used += amount;
            EXPECT_LE(used, 1000);
        }
    }
}

TEST(SimulatedQuota, RefusesMalformedWords) {
    for (const char* text : {"x", "300s", "300s:tpm", "300s:tpm=", "300s:tpm=-1", "s:tpm=1", "300h:tpm=1",
                             "300s:tps=1", "300s:tpm=1x", ",", "300s:tpm=1,,"})
        EXPECT_FALSE(parse_quota_changes(text)) << text;
    EXPECT_TRUE(parse_quota_changes("")->empty());
    EXPECT_EQ(parse_quota_changes("60:rpm=5")->front().at, seconds(60));
    EXPECT_FALSE(parse_quota_rule("aws"));
    EXPECT_FALSE(parse_window_kind("round"));
    EXPECT_EQ(parse_window_kind("").value(), std::nullopt);
    EXPECT_EQ(parse_window_kind("bucket").value(), WindowKind::bucket);
}

}  // namespace
}  // namespace millrace::http
