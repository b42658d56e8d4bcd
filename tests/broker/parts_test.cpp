// The small parts of the broker: timers, duplicate history, rates, sessions.
#include "broker/due_heap.hpp"
#include "broker/duplicates.hpp"
#include "broker/rate.hpp"
#include "broker/recent.hpp"
#include "broker/sessions.hpp"

#include <gmock/gmock.h>

#include <map>
#include <random>

namespace millrace::broker {
namespace {

struct Truth {
    std::map<std::int64_t, std::int64_t> moments;
    auto valid() {
        return [this](std::int64_t key, std::int64_t when) {
            const auto found = moments.find(key);
            return found != moments.end() && found->second == when;
        };
    }
};

TEST(DueHeap, GivesOutWhatIsDueAndStillTrue) {
    Truth truth;
    DueHeap heap;
    for (std::int64_t key = 0; key < 10; ++key) {
        truth.moments[key] = 100 - key;
        heap.push(100 - key, key, truth.valid());
    }
    truth.moments.erase(9);
    truth.moments[8] = 500;
    heap.push(500, 8, truth.valid());
    EXPECT_EQ(heap.next(truth.valid()), 93);
    EXPECT_THAT(heap.take_due(95, 100, truth.valid()), testing::ElementsAre(7, 6, 5));
    EXPECT_THAT(heap.take_due(1000, 2, truth.valid()), testing::ElementsAre(4, 3));
    EXPECT_THAT(heap.take_due(1000, 100, truth.valid()), testing::ElementsAre(2, 1, 0, 8));
    EXPECT_EQ(heap.next(truth.valid()), DueHeap::kNone);
}

TEST(DueHeap, StaysSmallHoweverManyMomentsAreCancelled) {
    Truth truth;
    DueHeap heap;
    for (std::int64_t key = 0; key < 1'000'000; ++key) {
        truth.moments[key] = key + 60'000;
        heap.push(key + 60'000, key, truth.valid());
        if (key >= 100) truth.moments.erase(key - 100);
        ASSERT_LE(heap.size(), 2048u);
    }
    EXPECT_EQ(heap.take_due(2'000'000, 1000, truth.valid()).size(), 100u);
}

TEST(Duplicates, KnowsAnIdForTheWindow) {
    Duplicates duplicates;
    duplicates.remember("a", 1, 1000, false);
    EXPECT_EQ(duplicates.look("a", 1059, 60).first, Duplicates::Known::yes);
    EXPECT_EQ(duplicates.look("a", 1060, 60).first, Duplicates::Known::no);
    EXPECT_EQ(duplicates.look("b", 1000, 60).first, Duplicates::Known::no);
    duplicates.remember("a", 2, 1060, false);
    EXPECT_EQ(duplicates.look("a", 1100, 60).first, Duplicates::Known::yes);
    EXPECT_EQ(duplicates.size(), 1u);
}

TEST(Duplicates, APendingIdIsConfirmedOrForgotten) {
    Duplicates duplicates;
    duplicates.remember("a", 7, 1000, true);
    EXPECT_EQ(duplicates.look("a", 1000, 60), std::pair(Duplicates::Known::pending, std::int64_t{7}));
    duplicates.confirm("a");
    EXPECT_EQ(duplicates.look("a", 1000, 60).first, Duplicates::Known::yes);
    duplicates.forget("a");
    EXPECT_EQ(duplicates.look("a", 1000, 60).first, Duplicates::Known::no);
    duplicates.forget("a");
    duplicates.confirm("a");
}

TEST(Duplicates, TrimsWhatIsOldAndNamesItsRows) {
    Duplicates duplicates;
    for (std::int64_t i = 1; i <= 10; ++i) duplicates.remember("id" + std::to_string(i), i, i * 10, i == 8);
    const auto rows = duplicates.trim(50);
    EXPECT_EQ(rows.first, 1);
    EXPECT_EQ(rows.last, 5);
    EXPECT_EQ(duplicates.oldest(-1), 60);
    EXPECT_EQ(duplicates.trim(50).last, 0);
    EXPECT_EQ(duplicates.trim(1000).last, 7) << "a pending one stays, and what came after it";
}

std::unique_ptr<Content> content(std::string body) {
    auto made = std::make_unique<Content>();
    made->message.body = std::move(body);
    return made;
}

TEST(Duplicates, APendingIdAtTheFrontPutsOffTheTrimming) {
    Duplicates seen;
    seen.remember("a", 1, 1000, true);
    seen.remember("b", 2, 1001, false);
    EXPECT_EQ(seen.oldest(7), 7);
    EXPECT_EQ(seen.trim(5000).last, 0);
    seen.confirm("a");
    EXPECT_EQ(seen.oldest(7), 1000);
    EXPECT_EQ(seen.trim(5000).last, 2);
}

TEST(Recent, GivesEachContentOutOnce) {
    Recent recent(1'000'000);
    for (std::int64_t id = 2; id <= 10; id += 2) recent.add(id, 1, content(std::to_string(id)));
    EXPECT_FALSE(recent.take(3));
    EXPECT_FALSE(recent.take(11));
    EXPECT_EQ(recent.take(6)->message.body, "6");
    EXPECT_FALSE(recent.take(6));
    EXPECT_EQ(recent.take(2)->message.body, "2");
    EXPECT_EQ(recent.take(4)->message.body, "4");
    EXPECT_EQ(recent.take(8)->message.body, "8");
    EXPECT_EQ(recent.take(10)->message.body, "10");
    EXPECT_EQ(recent.bytes(), 0u);
}

TEST(Recent, ForgetsTheOldestOverItsBound) {
    Recent recent(100'000);
    for (std::int64_t id = 1; id <= 1000; ++id) {
        recent.add(id, 1000, content(std::string(1000, 'x')));
        EXPECT_LE(recent.bytes(), 100'000u);
    }
    EXPECT_FALSE(recent.take(1));
    EXPECT_TRUE(recent.take(1000));
    recent.add(1001, 200'000, content(std::string(200'000, 'x')));
    EXPECT_FALSE(recent.take(1001)) << "what is larger than the bound is not kept";
    EXPECT_EQ(recent.bytes(), 0u);
}

TEST(Recent, StaysSmallWhenNobodyTakesTheOldest) {
    constexpr std::size_t kBytes = 100'000;
    Recent recent(kBytes);
    recent.add(0, 1, content("never received"));
    for (std::int64_t id = 1; id <= 1'000'000; ++id) {
        recent.add(id, 1, content("x"));
        ASSERT_TRUE(recent.take(id));
        ASSERT_LE(recent.places(), kBytes / 16);
        ASSERT_LE(recent.bytes(), kBytes);
    }
    EXPECT_FALSE(recent.take(0)) << "what was taken behind it has pushed it out";
    EXPECT_EQ(recent.bytes(), 0u);
}

TEST(Recent, CountsAllThatAMessageHolds) {
    Recent recent(100'000);
    recent.add(1, 60'000, content("a long subject, say"));
    auto many = content("");
    for (int i = 0; i < 1000; ++i) many->message.properties[std::to_string(i)] = true;
    recent.add(2, 4000, std::move(many));
    EXPECT_FALSE(recent.take(2)) << "a thousand short properties are no 4000 bytes in memory";
    EXPECT_EQ(recent.bytes(), 0u);
}

TEST(Rate, CountsTheEventsOfTheLastMinute) {
    Rate rate;
    for (int second = 0; second < 120; ++second) rate.add(second * 1000, 6);
    EXPECT_DOUBLE_EQ(rate.per_second(119'500), 6.0);
    EXPECT_DOUBLE_EQ(rate.per_second(149'500), 3.0);
    EXPECT_DOUBLE_EQ(rate.per_second(500'000), 0.0);
    EXPECT_EQ(rate.total(), 720u);
}

TEST(Sessions, ListsUnlockedSessionsWithMessagesOldestFirst) {
    Sessions sessions;
    const auto a = sessions.intern("a");
    const auto b = sessions.intern("b");
    sessions[a].messages = sessions[b].messages = 1;
    sessions[a].ready = {5};
    sessions[b].ready = {3};
    sessions.update(a);
    sessions.update(b);
    EXPECT_EQ(sessions.next_available(), b);
    sessions[b].nonce = 1;
    sessions.update(b);
    EXPECT_EQ(sessions.next_available(), a);
    sessions[a].postponed = {4};
    sessions.update(a);
    EXPECT_EQ(sessions.next_available(), 0u);
}

TEST(Sessions, FreesTheNumbersOfSessionsThatNothingKeeps) {
    Sessions sessions;
    for (int round = 0; round < 1000; ++round) {
        const auto number = sessions.intern("session " + std::to_string(round));
        EXPECT_EQ(number, 1u);
        EXPECT_TRUE(sessions.contains(number));
        sessions.update(number);
        EXPECT_FALSE(sessions.contains(number));
    }
    EXPECT_FALSE(sessions.find("session 5"));
    EXPECT_FALSE(sessions.contains(0));
    EXPECT_FALSE(sessions.contains(2));
}

}  // namespace
}  // namespace millrace::broker
