#pragma once

#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

TEST_P(MessageSourceContract, AnAbandonedMessageComesBackInItsPlaceWithOneDeliveryMore) {
    create("q");
    send_texts("q", {"a", "b", "c"});
    const Delivery first = receive_one("q");
    EXPECT_TRUE(abandon(first, {{"tried", std::int64_t{1}}, {"why", std::string("busy")}}));
    const auto again = receive("q");
    ASSERT_THAT(bodies(again), ElementsAre("a", "b", "c"));
    EXPECT_EQ(again[1].delivery_count, 0);
    EXPECT_EQ(again[0].sequence, first.sequence);
    EXPECT_NE(again[0].lock_token, first.lock_token);
    if (!subject->abilities().rewrites_messages) return;
    EXPECT_EQ(again[0].delivery_count, 1);
    EXPECT_EQ(text(again[0].message, "why"), "busy");
    EXPECT_EQ(again[0].message.properties.at("tried"), Value(std::int64_t{1}));
}

TEST_P(MessageSourceContract, MessagesAbandonedInAnyOrderComeBackInSequence) {
    create("q");
    send_texts("q", {"a", "b", "c", "d"});
    const auto all = receive("q");
    ASSERT_EQ(all.size(), 4u);
    for (const std::size_t i : {2, 0, 3, 1}) EXPECT_TRUE(abandon(all[i]));
    EXPECT_THAT(bodies(receive("q")), ElementsAre("a", "b", "c", "d"));
}

TEST_P(MessageSourceContract, AMessageIsSettledOnce) {
    create("q");
    send_texts("q", {"a"});
    const Delivery one = receive_one("q");
    EXPECT_TRUE(complete(one));
    EXPECT_EQ(error_of(complete(one)), Errc::conflict);
    EXPECT_EQ(error_of(abandon(one)), Errc::conflict);
    if (subject->abilities().defers) {
        EXPECT_EQ(error_of(defer(one)), Errc::conflict);
    }
    EXPECT_EQ(error_of(dead_letter(one, "r")), Errc::conflict);
    EXPECT_EQ(error_of(postpone(one, seconds(1))), Errc::conflict);
    EXPECT_EQ(error_of(renew(one)), Errc::conflict);
}

TEST_P(MessageSourceContract, OfTwoSettlementsAtOnceOneWins) {
    create("q");
    send_texts("q", {"a"});
    const Delivery one = receive_one("q");
    auto first = loop.begin(source().complete(lock_of(one)));
    auto second = loop.begin(source().dead_letter(lock_of(one), "r", "d", Properties()));
    const bool completed = loop.finish(first).has_value();
    const bool buried = loop.finish(second).has_value();
    EXPECT_NE(completed, buried);
    EXPECT_EQ(left(dead_letter_queue_of("q")).size(), buried ? 1u : 0u);
}

TEST_P(MessageSourceContract, AWrongTokenSettlesNothing) {
    create("q");
    send_texts("q", {"a"});
    Delivery one = receive_one("q");
    Delivery forged = one;
    forged.lock_token.bytes[0] ^= 1;
    EXPECT_EQ(error_of(complete(forged)), Errc::conflict);
    forged.lock_token = random_uuid();
    EXPECT_EQ(error_of(complete(forged)), Errc::conflict);
    forged.lock_token = Uuid();
    EXPECT_EQ(error_of(complete(forged)), Errc::conflict);
    EXPECT_TRUE(complete(one));
}

TEST_P(MessageSourceContract, ADeferredMessageIsReceivedOnlyByItsNumber) {
    MILLRACE_NEEDS(defers);
    create("q");
    send_texts("q", {"a", "b"});
    const Delivery one = receive_one("q");
    EXPECT_TRUE(defer(one, {{"waits for", std::string("b")}}));
    EXPECT_THAT(bodies(receive("q")), ElementsAre("b"));
    EXPECT_EQ(error_of(receive_deferred("q", {one.sequence, one.sequence + 1})), Errc::not_found)
        << "all or none";
    auto got = receive_deferred("q", {one.sequence});
    ASSERT_TRUE(got);
    ASSERT_EQ(got->size(), 1u);
    EXPECT_EQ(got->at(0).message.body, "a");
    EXPECT_EQ(got->at(0).delivery_count, 1);
    EXPECT_EQ(got->at(0).state, State::deferred);
    EXPECT_EQ(text(got->at(0).message, "waits for"), "b");
    EXPECT_EQ(error_of(receive_deferred("q", {one.sequence})), Errc::not_found) << "it is locked";
    EXPECT_TRUE(abandon(got->at(0)));
    EXPECT_THAT(receive("q"), IsEmpty()) << "abandoned, it is deferred again";
    got = receive_deferred("q", {one.sequence});
    ASSERT_TRUE(got);
    EXPECT_TRUE(complete(got->at(0)));
    EXPECT_EQ(error_of(receive_deferred("q", {one.sequence})), Errc::not_found);
}

TEST_P(MessageSourceContract, APostponedMessageComesBackInTimeWithoutCostingADelivery) {
    MILLRACE_NEEDS(keeps_time);
    if (!subject->abilities().postpones_for_free) GTEST_SKIP() << "it costs a delivery there";
    EntityOptions options;
    options.delivery_count_max = 2;
    create("q", options);
    send_texts("q", {"a", "b"});
    for (int i = 0; i < 5; ++i) {
        const Delivery one = receive_one("q");
        EXPECT_EQ(one.message.body, "a");
        EXPECT_EQ(one.delivery_count, 0);
        EXPECT_TRUE(postpone(one, seconds(5)));
        const Delivery other = receive_one("q");
        EXPECT_EQ(other.message.body, "b") << "the others go on";
        EXPECT_TRUE(postpone(other, Duration::zero()));
        pass(seconds(4));
        const auto still = receive("q");
        EXPECT_THAT(bodies(still), ElementsAre("b"));
        EXPECT_TRUE(postpone(still.at(0), Duration::zero()));
        pass(seconds(1));
    }
}

TEST_P(MessageSourceContract, APostponedMessageMaySpendItsDelivery) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.delivery_count_max = 2;
    create("q", options);
    send_texts("q", {"a"});
    EXPECT_TRUE(postpone(receive_one("q"), seconds(1), true));
    pass(seconds(1));
    const Delivery second = receive_one("q");
    EXPECT_EQ(second.delivery_count, 1);
    EXPECT_TRUE(postpone(second, seconds(1), true));
    pass(seconds(2));
    EXPECT_THAT(receive("q"), IsEmpty());
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("q"))), "MaxDeliveryCountExceeded");
}

TEST_P(MessageSourceContract, WaitsForAPostponedMessage) {
    MILLRACE_NEEDS(keeps_time);
    create("q");
    send_texts("q", {"a"});
    EXPECT_TRUE(postpone(receive_one("q"), seconds(5)));
    ReceiveOptions options;
    options.wait = minutes(1);
    auto waiting = loop.begin(source().receive("q", options));
    loop.settle();
    EXPECT_FALSE(waiting.done());
    pass(seconds(5));
    EXPECT_THAT(bodies(loop.finish(waiting).value()), ElementsAre("a"));
}

}  // namespace millrace::broker::test
