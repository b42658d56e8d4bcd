#pragma once

#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

class SessionContract : public MessageSourceContract {
  protected:
    void SetUp() override {
        MILLRACE_NEEDS(has_sessions);
        EntityOptions options;
        options.requires_session = true;
        options.delivery_count_max = 3;
        create("s", options);
    }
    SessionLock accepted(std::optional<std::string> id = std::nullopt) {
        auto lock = accept("s", std::move(id));
        EXPECT_TRUE(lock) << lock.error().detail;
        return lock ? *lock : SessionLock();
    }
    void release(const SessionLock& lock) { loop.await(source().release_session(lock)); }
    Result<std::vector<Delivery>> receive_with(Uuid session) {
        ReceiveOptions options;
        options.session = session;
        return try_receive("s", options);
    }
};

TEST_P(SessionContract, RequiresASessionIdAndASessionToReceive) {
    EXPECT_EQ(error_of(try_send("s", {text_message("a")})), Errc::invalid_input);
    EXPECT_EQ(error_of(receive_with({})), Errc::invalid_input);
    EXPECT_EQ(error_of(receive_with(random_uuid())), Errc::conflict);
    create("q");
    EXPECT_EQ(error_of(accept("q", "a")), Errc::invalid_input);
}

TEST_P(SessionContract, TheHolderGetsTheSessionsMessagesInOrderAndNoOthers) {
    send("s", {session_message("x", "x1"), session_message("y", "y1"), session_message("x", "x2")});
    const SessionLock x = accepted("x");
    EXPECT_EQ(x.session_id, "x");
    send("s", {session_message("y", "y2"), session_message("x", "x3")});
    EXPECT_THAT(bodies(receive("s", 10, x.token)), ElementsAre("x1", "x2", "x3"));
    const SessionLock y = accepted("y");
    EXPECT_THAT(bodies(receive("s", 10, y.token)), ElementsAre("y1", "y2"));
}

TEST_P(SessionContract, TheEmptyIdIsASession) {
    send("s", std::vector<Message>{session_message("", "a")});
    const SessionLock lock = accepted();
    EXPECT_EQ(lock.session_id, "");
    EXPECT_THAT(bodies(receive("s", 1, lock.token)), ElementsAre("a"));
}

TEST_P(SessionContract, OneReceiverHoldsASession) {
    send("s", std::vector<Message>{session_message("x", "a")});
    const SessionLock lock = accepted("x");
    EXPECT_EQ(error_of(accept("s", "x")), Errc::over_limit);
    EXPECT_EQ(error_of(accept("s")), Errc::unavailable);
    release(lock);
    EXPECT_TRUE(accept("s", "x"));
}

TEST_P(SessionContract, ASessionWithoutMessagesMayBeHeldByName) {
    const SessionLock lock = accepted("new");
    ReceiveOptions options;
    options.session = lock.token;
    options.wait = minutes(1);
    auto waiting = loop.begin(source().receive("s", options));
    loop.settle();
    send("s", std::vector<Message>{session_message("new", "a")});
    EXPECT_THAT(bodies(loop.finish(waiting).value()), ElementsAre("a"));
}

TEST_P(SessionContract, TheNextAvailableSessionIsTheOneWithTheOldestMessage) {
    send("s", {session_message("b", "1"), session_message("a", "2"), session_message("b", "3")});
    EXPECT_EQ(accepted().session_id, "b");
    EXPECT_EQ(accepted().session_id, "a");
    EXPECT_EQ(error_of(accept("s")), Errc::unavailable);
}

TEST_P(SessionContract, AReceiverWaitsForTheNextAvailableSession) {
    auto first = loop.begin(source().accept_session("s", std::nullopt, minutes(1)));
    auto second = loop.begin(source().accept_session("s", std::nullopt, minutes(1)));
    loop.settle();
    send("s", {session_message("x", "1"), session_message("y", "2")});
    EXPECT_EQ(loop.finish(first).value().session_id, "x");
    EXPECT_EQ(loop.finish(second).value().session_id, "y");
    auto third = loop.begin(source().accept_session("s", std::nullopt, seconds(10)));
    loop.settle();
    pass(seconds(10));
    EXPECT_EQ(error_of(loop.finish(third)), Errc::unavailable);
}

TEST_P(SessionContract, AnAbandonedMessageComesNextInItsSession) {
    send("s", {session_message("x", "1"), session_message("x", "2")});
    const SessionLock lock = accepted();
    EXPECT_TRUE(abandon(receive_one("s", lock.token)));
    const auto again = receive("s", 10, lock.token);
    EXPECT_THAT(bodies(again), ElementsAre("1", "2"));
    EXPECT_EQ(again[0].delivery_count, 1);
}

TEST_P(SessionContract, MessagesBehindAPostponedOneOfTheSameSessionWait) {
    send("s", {session_message("x", "1"), session_message("x", "2")});
    const SessionLock lock = accepted();
    EXPECT_TRUE(postpone(receive_one("s", lock.token), seconds(5)));
    EXPECT_THAT(receive("s", 10, lock.token), IsEmpty());
    pass(seconds(5));
    EXPECT_THAT(bodies(receive("s", 10, lock.token)), ElementsAre("1", "2"));
}

TEST_P(SessionContract, AReleasedSessionGivesItsMessagesBackUncounted) {
    send("s", {session_message("x", "1"), session_message("x", "2")});
    const SessionLock first = accepted();
    const Delivery one = receive_one("s", first.token);
    release(first);
    EXPECT_EQ(error_of(complete(one)), Errc::conflict);
    release(first);
    const SessionLock second = accepted("x");
    const auto again = receive("s", 10, second.token);
    EXPECT_THAT(bodies(again), ElementsAre("1", "2"));
    EXPECT_EQ(again[0].delivery_count, 0);
}

TEST_P(SessionContract, ASessionWhoseLockRanOutGivesItsMessagesBackCounted) {
    send("s", {session_message("x", "1"), session_message("x", "2")});
    const SessionLock lost = accepted();
    const Delivery one = receive_one("s", lost.token);
    EXPECT_EQ(one.locked_until, lost.locked_until);
    ReceiveOptions options;
    options.session = accepted("other").token;
    options.wait = minutes(10);
    auto waiting = loop.begin(source().receive("s", options));
    loop.settle();
    pass(minutes(1));
    EXPECT_EQ(error_of(complete(one)), Errc::conflict);
    EXPECT_EQ(error_of(receive_with(lost.token)), Errc::conflict);
    EXPECT_EQ(error_of(loop.await(source().renew_session(lost))), Errc::conflict);
    EXPECT_EQ(error_of(loop.finish(waiting)), Errc::conflict) << "a wait ends with its session";
    const SessionLock next = accepted("x");
    const auto again = receive("s", 10, next.token);
    EXPECT_THAT(bodies(again), ElementsAre("1", "2"));
    EXPECT_EQ(again[0].delivery_count, 1);
    EXPECT_EQ(again[1].delivery_count, 0);
}

TEST_P(SessionContract, AMessageInFlightWhenItsSessionRunsOutTooOftenBecomesADeadLetter) {
    send("s", {session_message("x", "poison"), session_message("x", "2")});
    for (int i = 0; i < 3; ++i) {
        const SessionLock lock = accepted("x");
        EXPECT_EQ(receive_one("s", lock.token).delivery_count, i);
        pass(minutes(1));
    }
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("s"))), "MaxDeliveryCountExceeded");
    EXPECT_THAT(bodies(receive("s", 10, accepted("x").token)), ElementsAre("2"));
}

TEST_P(SessionContract, ARenewedSessionHoldsAndItsMessagesWithIt) {
    send("s", std::vector<Message>{session_message("x", "1")});
    const SessionLock lock = accepted();
    const Delivery one = receive_one("s", lock.token);
    for (int i = 0; i < 3; ++i) {
        pass(seconds(50));
        const auto until = loop.await(source().renew_session(lock));
        ASSERT_TRUE(until);
        EXPECT_EQ(*until, subject->clock().now() + minutes(1));
    }
    EXPECT_TRUE(complete(one));
}

TEST_P(SessionContract, KeepsTheStateOfASession) {
    const auto get = [&](const SessionLock& lock) {
        return loop.await(source().session_state(lock)).value();
    };
    const auto set = [&](const SessionLock& lock, std::optional<std::string> state) {
        return loop.await(source().set_session_state(lock, std::move(state)));
    };
    const SessionLock first = accepted("x");
    EXPECT_EQ(get(first), std::nullopt);
    EXPECT_TRUE(set(first, std::string("\0step 2", 7)));
    EXPECT_EQ(get(first), std::string("\0step 2", 7));
    release(first);
    EXPECT_EQ(error_of(set(first, "late")), Errc::conflict);
    EXPECT_EQ(error_of(loop.await(source().session_state(first))), Errc::conflict);
    const SessionLock second = accepted("x");
    EXPECT_EQ(get(second), std::string("\0step 2", 7)) << "it outlives the lock and an empty session";
    EXPECT_TRUE(set(second, ""));
    EXPECT_EQ(get(second), "");
    EXPECT_TRUE(set(second, std::nullopt));
    EXPECT_EQ(get(second), std::nullopt);
    EXPECT_EQ(error_of(set(second, std::string(limits::message_bytes_max + 1, 'x'))), Errc::invalid_input);
}

TEST_P(SessionContract, DeferredMessagesBelongToTheirSession) {
    send("s", std::vector<Message>{session_message("x", "1")});
    const SessionLock x = accepted("x");
    const Delivery one = receive_one("s", x.token);
    EXPECT_TRUE(defer(one));
    const SessionLock y = accepted("y");
    ReceiveOptions options;
    options.session = y.token;
    EXPECT_EQ(error_of(loop.await(source().receive_deferred("s", {one.sequence}, options))), Errc::not_found);
    options.session = x.token;
    auto got = loop.await(source().receive_deferred("s", {one.sequence}, options));
    ASSERT_TRUE(got);
    EXPECT_THAT(bodies(*got), ElementsAre("1"));
    EXPECT_TRUE(complete(got->at(0)));
}

TEST_P(SessionContract, AMessageOfASessionMayBeReceivedAndDeleted) {
    send("s", {session_message("x", "1"), session_message("x", "2")});
    const SessionLock lock = accepted("x");
    ReceiveOptions options;
    options.session = lock.token;
    options.mode = ReceiveMode::receive_and_delete;
    const auto received = try_receive("s", options);
    ASSERT_TRUE(received) << received.error().detail;
    EXPECT_THAT(bodies(*received), ElementsAre("1"));
    EXPECT_TRUE(received->at(0).lock_token.is_nil());
    EXPECT_THAT(bodies(peek("s")), ElementsAre("2"));
}

TEST_P(SessionContract, ASettledMessageOfALostSessionIsAConflictEvenForTheNextHolder) {
    send("s", std::vector<Message>{session_message("x", "1")});
    const SessionLock first = accepted("x");
    const Delivery old = receive_one("s", first.token);
    release(first);
    const SessionLock second = accepted("x");
    const Delivery now = receive_one("s", second.token);
    EXPECT_EQ(error_of(complete(old)), Errc::conflict);
    EXPECT_TRUE(complete(now));
}

}  // namespace millrace::broker::test
