#include "index/versions.hpp"

#include <gtest/gtest.h>

namespace millrace::index {
namespace {

TEST(Versions, AreSeenFromTheirBirthUntilTheirDeath) {
    Versions versions(10);
    VersionState* first = versions.create(1, 0);
    EXPECT_FALSE(first->visible(10));
    const Stamp one = versions.begin(10);
    versions.change(one, first, {});
    versions.settle(one, true);
    VersionState* second = versions.create(2, 0);
    const Stamp two = versions.begin(one);
    versions.change(two, second, {1});
    versions.settle(two, true);
    for (const auto& [state, sees_first, sees_second] : {std::tuple{Stamp{10}, false, false},
                                                         {one, true, false},
                                                         {two, false, true},
                                                         {two + 1, false, true}}) {
        EXPECT_EQ(first->visible(state), sees_first) << state;
        EXPECT_EQ(second->visible(state), sees_second) << state;
    }
}

TEST(Versions, LoadedOnesAreSeenInEveryState) {
    Versions versions(7);
    VersionState* version = versions.create(1, 0);
    versions.load(version);
    EXPECT_TRUE(version->visible(7));
    EXPECT_EQ(versions.take(1), version);
    EXPECT_EQ(versions.take(1), nullptr);
}

/// Version 1 is live; version 2 was to replace it, but the transaction is rolled back.
struct RolledBack {
    RolledBack() {
        versions.load(old);
        stamp = versions.begin(4);
        versions.change(stamp, young, {1});
    }

    Versions versions{4};
    VersionState* old = versions.create(1, 0);
    VersionState* young = versions.create(2, 0);
    Stamp stamp = 0;
};

TEST(Versions, ARolledBackChangeIsTakenBackByItsOwner) {
    RolledBack test;
    test.versions.settle(test.stamp, false);
    EXPECT_TRUE(test.old->visible(test.stamp + 100));
    EXPECT_FALSE(test.young->visible(test.stamp + 100));
    EXPECT_EQ(test.versions.take(2), nullptr);
}

TEST(Versions, ARolledBackChangeIsTakenBackBeforeTheNextOneTakesEffect) {
    RolledBack test;
    const Stamp next = test.versions.begin(4);
    EXPECT_GT(next, test.stamp) << "a stamp is never used twice";
    VersionState* third = test.versions.create(3, 0);
    test.versions.change(next, third, {1});
    test.versions.settle(test.stamp, false);
    test.versions.settle(next, true);
    EXPECT_FALSE(test.young->visible(next));
    EXPECT_FALSE(test.old->visible(next));
    EXPECT_TRUE(test.old->visible(4));
    EXPECT_TRUE(third->visible(next));
}

TEST(Versions, TwoChangesOfOneGroupAreTakenBackTogether) {
    RolledBack test;
    VersionState* third = test.versions.create(3, 0);
    const Stamp next = test.versions.begin(test.stamp);
    test.versions.change(next, third, {2});
    const Stamp after = test.versions.begin(4);
    for (const Stamp state : {Stamp{4}, test.stamp, next, after}) {
        EXPECT_TRUE(test.old->visible(state));
        EXPECT_FALSE(test.young->visible(state));
        EXPECT_FALSE(third->visible(state));
    }
}

TEST(Versions, AnObjectUsedAgainIsUnseenUntilItsNewBirth) {
    Versions versions(1);
    VersionState* version = versions.create(1, 0);
    versions.load(version);
    const Stamp death = versions.begin(1);
    versions.change(death, nullptr, {1});
    versions.settle(death, true);
    versions.recycle(versions.take(1));
    VersionState* again = versions.create(2, 5);
    EXPECT_EQ(again, version);
    EXPECT_FALSE(again->visible(death));
    EXPECT_FALSE(again->visible(0));
}

}  // namespace
}  // namespace millrace::index
