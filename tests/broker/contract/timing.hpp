#pragma once

#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

TEST_P(MessageSourceContract, AMessageWhoseLockRanOutComesBack) {
    MILLRACE_NEEDS(keeps_time);
    create("q");
    send_texts("q", {"a", "b"});
    const Delivery lost = receive_one("q");
    pass(seconds(59));
    EXPECT_THAT(bodies(peek("q")), ElementsAre("a", "b"));
    pass(seconds(1));
    EXPECT_EQ(error_of(complete(lost)), Errc::conflict);
    const Delivery again = receive_one("q");
    EXPECT_EQ(again.message.body, "a");
    EXPECT_EQ(again.delivery_count, 1);
    EXPECT_EQ(error_of(complete(lost)), Errc::conflict) << "the new lock is not the old one's";
    EXPECT_TRUE(complete(again));
}

TEST_P(MessageSourceContract, TheEntitySaysHowLongALockLasts) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.lock_time = seconds(5);
    create("q", options);
    send_texts("q", {"a"});
    const TimePoint before = subject->clock().now();
    const Delivery one = receive_one("q");
    EXPECT_GE(one.locked_until, before + seconds(5));
    EXPECT_LE(one.locked_until, subject->clock().now() + seconds(5));
    pass(seconds(5));
    EXPECT_EQ(receive("q").size(), 1u);
}

TEST_P(MessageSourceContract, ARenewedLockHoldsAsLongAsItIsRenewed) {
    MILLRACE_NEEDS(keeps_time);
    create("q");
    send_texts("q", {"a"});
    const Delivery one = receive_one("q");
    for (int i = 0; i < 5; ++i) {
        pass(seconds(50));
        const auto until = renew(one);
        ASSERT_TRUE(until) << until.error().detail;
        EXPECT_EQ(*until, subject->clock().now() + minutes(1));
        EXPECT_THAT(receive("q"), IsEmpty());
    }
    pass(seconds(60));
    EXPECT_EQ(error_of(renew(one)), Errc::conflict);
    EXPECT_EQ(receive_one("q").delivery_count, 1);
}

TEST_P(MessageSourceContract, ALockRenewedTwiceAtTheSameMomentRunsOutOnce) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.delivery_count_max = 2;
    create("q", options);
    send_texts("q", {"a"});
    for (int delivery = 0; delivery < 2; ++delivery) {
        const Delivery one = receive_one("q");
        EXPECT_EQ(one.delivery_count, delivery);
        EXPECT_TRUE(renew(one));
        EXPECT_TRUE(renew(one));
        pass(minutes(1));
    }
    EXPECT_EQ(receive(dead_letter_queue_of("q")).size(), 1u);
}

TEST_P(MessageSourceContract, AScheduledMessageComesAtItsTimeWithANewNumber) {
    MILLRACE_NEEDS(keeps_time);
    create("q");
    Message later = text_message("later");
    later.scheduled_at = subject->clock().now() + minutes(5);
    Message past = text_message("past");
    past.scheduled_at = subject->clock().now() - minutes(5);
    const auto scheduled = send("q", std::vector<Message>{later});
    const auto now = send("q", std::vector<Message>{past});
    const Delivery first = receive_one("q");
    EXPECT_EQ(first.message.body, "past") << "the past means now";
    EXPECT_TRUE(complete(first));
    ReceiveOptions options;
    options.wait = minutes(10);
    auto waiting = loop.begin(source().receive("q", options));
    pass(minutes(5));
    const auto received = loop.finish(waiting);
    ASSERT_TRUE(received);
    ASSERT_EQ(received->size(), 1u);
    const Delivery& one = received->at(0);
    EXPECT_EQ(one.message.body, "later");
    EXPECT_GT(one.sequence, now[0]);
    EXPECT_EQ(one.enqueued_at, *later.scheduled_at);
    EXPECT_EQ(one.state, State::active);
    EXPECT_EQ(error_of(loop.await(source().cancel_scheduled("q", scheduled))), Errc::not_found);
}

TEST_P(MessageSourceContract, CancelsScheduledMessagesAllOrNone) {
    MILLRACE_NEEDS(keeps_time);
    create("q");
    Message later = text_message("later");
    later.scheduled_at = subject->clock().now() + minutes(5);
    const auto numbers = send("q", {later, later, text_message("now")});
    EXPECT_EQ(error_of(loop.await(source().cancel_scheduled("q", {numbers[0], numbers[2]}))),
              Errc::not_found);
    EXPECT_EQ(peek("q").size(), 3u);
    EXPECT_TRUE(loop.await(source().cancel_scheduled("q", {numbers[0], numbers[1], numbers[0]})));
    EXPECT_THAT(bodies(peek("q")), ElementsAre("now"));
    pass(minutes(6));
    EXPECT_THAT(bodies(receive("q")), ElementsAre("now"));
}

TEST_P(MessageSourceContract, AMessageExpiresAfterTheShorterOfItsOwnAndTheEntitysTimeToLive) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.time_to_live = minutes(2);
    create("q", options);
    Message brief = text_message("1 minute");
    brief.time_to_live = minutes(1);
    Message lasting = text_message("1 hour");
    lasting.time_to_live = std::chrono::hours(1);
    Message endless = text_message("for ever");
    endless.time_to_live = Duration::max();
    send("q", {brief, lasting, endless, text_message("default")});
    pass(minutes(1));
    EXPECT_THAT(bodies(peek("q")), ElementsAre("1 hour", "for ever", "default"));
    pass(minutes(1));
    EXPECT_THAT(peek("q"), IsEmpty());
    EXPECT_THAT(peek(dead_letter_queue_of("q")), IsEmpty()) << "expired messages are dropped";
}

TEST_P(MessageSourceContract, AnExpiredMessageBecomesADeadLetterIfTheEntityWantsIt) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.time_to_live = minutes(2);
    options.dead_letter_on_expiration = true;
    create("q", options);
    send_texts("q", {"a"});
    pass(minutes(2));
    EXPECT_THAT(receive("q"), IsEmpty());
    const Delivery dead = receive_one(dead_letter_queue_of("q"));
    EXPECT_EQ(reason(dead), "TTLExpiredException");
    EXPECT_EQ(dead.message.body, "a");
}

TEST_P(MessageSourceContract, ALockedMessageExpiresWhenItIsUnlockedAndADeferredOneNever) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.time_to_live = seconds(30);
    options.dead_letter_on_expiration = true;
    create("q", options);
    send_texts("q", {"done", "abandoned", "timed out", "deferred"});
    const auto all = receive("q");
    EXPECT_TRUE(defer(all[3]));
    pass(seconds(40));
    EXPECT_TRUE(complete(all[0])) << "a lock outlives the message";
    EXPECT_TRUE(abandon(all[1]));
    EXPECT_THAT(receive("q"), IsEmpty());
    pass(seconds(30));
    EXPECT_THAT(bodies(peek("q")), ElementsAre("deferred"));
    EXPECT_THAT(bodies(receive(dead_letter_queue_of("q"))),
                testing::UnorderedElementsAre("abandoned", "timed out"));
    EXPECT_TRUE(receive_deferred("q", {all[3].sequence}));
}

TEST_P(MessageSourceContract, TheTimeToLiveOfAScheduledMessageBeginsWhenItIsEnqueued) {
    MILLRACE_NEEDS(keeps_time);
    create("q");
    Message later = text_message("later");
    later.scheduled_at = subject->clock().now() + minutes(5);
    later.time_to_live = minutes(1);
    send("q", std::vector<Message>{later});
    pass(minutes(5));
    const auto peeked = peek("q");
    ASSERT_EQ(peeked.size(), 1u);
    EXPECT_EQ(peeked[0].expires_at, *later.scheduled_at + minutes(1));
    pass(minutes(1));
    EXPECT_THAT(receive("q"), IsEmpty());
}

}  // namespace millrace::broker::test
