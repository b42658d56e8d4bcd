// What only the embedded broker has: transactions with other rows, counts, administration, its own clockwork.
#include "tests/broker/engine_fixture.hpp"

namespace millrace::broker::test {
namespace {

using Engine = EmbeddedTest;
using With = std::function<Result<void>(store::Connection&)>;

With insert_step(const std::string& name) {
    return [name](store::Connection& connection) -> Result<void> {
        connection.prepare("INSERT INTO step(message,name,result,stored) VALUES('m',?,'r',0)")
            .bind(name)
            .run();
        return {};
    };
}

With refuse_after(With first) {
    return [first](store::Connection& connection) -> Result<void> {
        auto done = first(connection);
        if (!done) return done;
        return Error{Errc::conflict, "refused by the test"};
    };
}

TEST_F(Engine, ASendAndItsRowsAreOneTransaction) {
    under_test.put("q");
    auto sent = loop.await(broker().send_with("q", {text_message("a")}, insert_step("one")));
    ASSERT_TRUE(sent);
    EXPECT_EQ(stored("SELECT count(*) FROM step"), 1);
    sent = loop.await(broker().send_with("q", {text_message("b")}, refuse_after(insert_step("two"))));
    EXPECT_EQ(error_of(sent), Errc::conflict);
    EXPECT_EQ(stored("SELECT count(*) FROM step"), 1);
    EXPECT_THAT(bodies(peek("q")), ElementsAre("a"));
    EXPECT_THAT(send_texts("q", {"c"}), ElementsAre(2)) << "a refused send uses no number";
    EXPECT_EQ(broker().counts("q")->bytes,
              static_cast<std::uint64_t>(stored("SELECT sum(bytes) FROM message")));
}

TEST_F(Engine, ACompletionItsFollowUpsAndItsRowsAreOneTransaction) {
    under_test.put("in");
    under_test.put("out");
    under_test.put("log");
    send_texts("in", {"work"});
    const Delivery one = receive_one("in");
    std::vector<std::pair<std::string, Message>> follow_ups{{"out", text_message("next")},
                                                            {"log", text_message("done")}};
    EXPECT_EQ(error_of(loop.await(
                  broker().complete_with(lock_of(one), follow_ups, refuse_after(insert_step("x"))))),
              Errc::conflict);
    EXPECT_THAT(peek("out"), IsEmpty());
    EXPECT_EQ(stored("SELECT count(*) FROM step"), 0);
    follow_ups.emplace_back("nowhere", text_message("lost"));
    EXPECT_EQ(error_of(loop.await(broker().complete_with(lock_of(one), follow_ups, nullptr))),
              Errc::not_found);
    EXPECT_THAT(peek("out"), IsEmpty());
    EXPECT_EQ(broker().counts("in")->locked, 1u) << "the lock is still held";
    follow_ups.pop_back();
    EXPECT_TRUE(loop.await(broker().complete_with(lock_of(one), follow_ups, insert_step("x"))));
    EXPECT_THAT(bodies(receive("out")), ElementsAre("next"));
    EXPECT_THAT(bodies(receive("log")), ElementsAre("done"));
    EXPECT_THAT(peek("in"), IsEmpty());
    EXPECT_EQ(stored("SELECT count(*) FROM step"), 1);
    EXPECT_EQ(error_of(loop.await(broker().complete_with(lock_of(one), follow_ups, nullptr))),
              Errc::conflict);
    EXPECT_EQ(broker().counts("out")->active, 0u);
}

TEST_F(Engine, AFollowUpMayTakeTheRoomOfWhatItCompletesAndNoMore) {
    EntityOptions options;
    options.bytes_max = 2000;
    under_test.put("q", options);
    const std::string half(900, 'x');
    send("q", {text_message(half, "1"), text_message(half, "2")});
    const Delivery one = receive_one("q");
    std::vector<std::pair<std::string, Message>> next{{"q", text_message(half, "3")},
                                                      {"q", text_message(half, "4")}};
    EXPECT_EQ(error_of(loop.await(broker().complete_with(lock_of(one), next, nullptr))), Errc::over_limit);
    next.pop_back();
    next[0].second.body = half + half;
    EXPECT_EQ(error_of(loop.await(broker().complete_with(lock_of(one), next, nullptr))), Errc::over_limit);
    next[0].second.body = half;
    EXPECT_TRUE(loop.await(broker().complete_with(lock_of(one), next, nullptr)));
    EXPECT_EQ(broker().counts("q")->bytes,
              static_cast<std::uint64_t>(stored("SELECT sum(bytes) FROM message")));
    EXPECT_EQ(receive("q").size(), 2u);
}

TEST_F(Engine, ALockThatRunsOutWhileItIsSettledHoldsUntilTheSettlementHasEnded) {
    under_test.put("q");
    send_texts("q", {"a"});
    const Delivery one = receive_one("q");
    auto completing = loop.begin(broker().complete_with(lock_of(one), {}, refuse_after(insert_step("x"))));
    under_test.clock.advance(minutes(2));
    auto ticking = loop.begin([](Broker& engine) -> asio::awaitable<bool> {
        co_await engine.tick();
        co_return true;
    }(broker()));
    loop.finish(ticking);
    EXPECT_EQ(error_of(loop.finish(completing)), Errc::conflict);
    under_test.pass(Duration(0));
    EXPECT_EQ(receive_one("q").delivery_count, 1);
}

TEST_F(Engine, CountsWhatAnEntityHolds) {
    under_test.put("q");
    Message later = text_message("later");
    later.scheduled_at = now() + minutes(1);
    send("q", {text_message("a"), text_message("b"), text_message("c"), text_message("d"), text_message("e"),
               later});
    under_test.pass(seconds(3));
    const auto got = receive("q", 4);
    EXPECT_TRUE(complete(got[0]));
    EXPECT_TRUE(dead_letter(got[1], "r"));
    EXPECT_TRUE(loop.await(broker().defer(lock_of(got[2]), Properties())));
    const EntityCounts counts = *broker().counts("q");
    EXPECT_EQ(counts.name, "q");
    EXPECT_EQ(counts.active, 1u);
    EXPECT_EQ(counts.locked, 1u);
    EXPECT_EQ(counts.scheduled, 1u);
    EXPECT_EQ(counts.deferred, 1u);
    EXPECT_EQ(counts.dead_lettered, 1u);
    EXPECT_EQ(counts.enqueued_total, 5u);
    EXPECT_EQ(counts.completed_total, 1u);
    EXPECT_EQ(counts.dead_lettered_total, 1u);
    EXPECT_EQ(counts.oldest_age, seconds(3));
    EXPECT_NEAR(counts.enqueued_per_second, 5.0 / 60, 1e-9);
    EXPECT_NEAR(counts.completed_per_second, 1.0 / 60, 1e-9);
    EXPECT_EQ(counts.bytes, static_cast<std::uint64_t>(stored("SELECT sum(bytes) FROM message")));
    EXPECT_EQ(broker().counts().size(), 1u) << "a dead-letter queue is counted in its owner";
    EXPECT_FALSE(broker().counts(dead_letter_queue_of("q"))->oldest_age == std::nullopt);
}

TEST_F(Engine, RedrivesDeadLettersThatMatch) {
    EntityOptions options;
    options.duplicate_window = minutes(10);
    options.time_to_live = minutes(10);
    under_test.put("q", options);
    send("q",
         {text_message("1", "a"), text_message("2", "b"), text_message("3", "c"), text_message("4", "d")});
    for (const auto& one : receive("q")) EXPECT_TRUE(dead_letter(one, one.sequence == 3 ? "odd" : "usual"));
    DeadLetterFilter filter;
    filter.reason = "usual";
    filter.messages_max = 2;
    auto result = loop.await(broker().redrive("q", filter, 0, true));
    EXPECT_EQ(result->matched, 2u);
    EXPECT_EQ(result->moved, 0u);
    EXPECT_THAT(receive("q"), IsEmpty()) << "a dry run moves nothing";
    under_test.pass(minutes(9));
    result = loop.await(broker().redrive("q/$DeadLetterQueue", filter, 0, false));
    EXPECT_EQ(result->moved, 2u);
    under_test.pass(minutes(9));
    const auto back = receive("q");
    EXPECT_THAT(bodies(back), ElementsAre("1", "2")) << "their time to live begins again";
    EXPECT_EQ(back[0].message.message_id, "a");
    EXPECT_EQ(back[0].delivery_count, 0);
    EXPECT_EQ(back[0].dead_letter_source, "");
    EXPECT_EQ(reason(back[0]), "usual");
    EXPECT_GT(back[0].sequence, 4);
    filter = {};
    filter.message_id = "c";
    EXPECT_EQ(loop.await(broker().redrive("q", filter, 0, false))->moved, 1u);
    EXPECT_THAT(bodies(receive("q")), ElementsAre("3"));
    EXPECT_THAT(bodies(peek(dead_letter_queue_of("q"))), ElementsAre("4"));
}

TEST_F(Engine, RedrivesAtTheGivenPace) {
    under_test.put("q");
    send_texts("q", {"1", "2", "3", "4", "5"});
    for (const auto& one : receive("q")) EXPECT_TRUE(dead_letter(one, "r"));
    auto redriving = loop.begin(broker().redrive("q", DeadLetterFilter(), 2.0, false));
    for (std::size_t moved = 1; moved <= 5; ++moved) {
        while (peek("q").size() < moved) {
        }
        if (moved == 5) break;
        while (under_test.clock.sleepers() == 0) loop.io().run_one();
        under_test.clock.advance(Duration(499));
        loop.settle();
        EXPECT_EQ(under_test.clock.sleepers(), 1u) << "it is not time for the next one";
        EXPECT_EQ(peek("q").size(), moved);
        under_test.clock.advance(Duration(1));
        loop.settle();
    }
    EXPECT_EQ(loop.finish(redriving)->moved, 5u);
}

TEST_F(Engine, DropsDeadLettersThatMatch) {
    under_test.put("q");
    send_texts("q", {"1", "2", "3"});
    for (const auto& one : receive("q")) EXPECT_TRUE(dead_letter(one, one.sequence == 2 ? "odd" : "usual"));
    DeadLetterFilter filter;
    filter.reason = "usual";
    EXPECT_EQ(loop.await(broker().drop_dead_letters("q", filter)).value(), 2u);
    EXPECT_THAT(bodies(peek(dead_letter_queue_of("q"))), ElementsAre("2"));
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 1);
}

TEST_F(Engine, PurgesAllButLockedMessages) {
    under_test.put("q");
    Message later = text_message("later");
    later.scheduled_at = now() + minutes(1);
    std::vector<Message> many(1500, text_message("x"));
    many.push_back(later);
    send("q", many);
    const auto got = receive("q", 2);
    EXPECT_TRUE(loop.await(broker().defer(lock_of(got[1]), Properties())));
    EXPECT_EQ(loop.await(broker().purge("q")).value(), 1500u);
    EXPECT_EQ(peek("q").size(), 1u);
    EXPECT_TRUE(complete(got[0]));
    EXPECT_EQ(broker().counts("q")->bytes, 0u);
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 0);
}

TEST_F(Engine, ChangesWhatMayBeChangedOfAnEntity) {
    under_test.put("q");
    send_texts("q", {"a"});
    EntityOptions options;
    options.lock_time = seconds(10);
    options.delivery_count_max = 1;
    under_test.put("Q", options);
    EXPECT_EQ(receive_one("q").locked_until, now() + seconds(10));
    under_test.pass(seconds(10));
    EXPECT_EQ(receive(dead_letter_queue_of("q")).size(), 1u);
    options.requires_session = true;
    EXPECT_EQ(error_of(loop.await(broker().put_entity("q", options))), Errc::conflict);
    options = {};
    options.kind = EntityKind::topic;
    EXPECT_EQ(error_of(loop.await(broker().put_entity("q", options))), Errc::conflict);
    options.kind = EntityKind::subscription;
    EXPECT_EQ(error_of(loop.await(broker().put_entity("none/Subscriptions/s", options))), Errc::not_found);
    EXPECT_EQ(error_of(loop.await(broker().put_entity("q/Subscriptions/s", options))), Errc::not_found);
}

TEST_F(Engine, OneOfTwoCreationsAtOnceWins) {
    auto first = loop.begin(broker().put_entity("q", EntityOptions()));
    auto second = loop.begin(broker().put_entity("Q", EntityOptions()));
    EXPECT_TRUE(loop.finish(first));
    EXPECT_EQ(error_of(loop.finish(second)), Errc::conflict);
    send_texts("q", {"a"});
}

TEST_F(Engine, RemovesATopicWithItsSubscriptions) {
    EntityOptions options;
    options.kind = EntityKind::topic;
    under_test.put("t", options);
    options.kind = EntityKind::subscription;
    under_test.put("t/Subscriptions/a", options);
    under_test.put("t/Subscriptions/b", options);
    send_texts("t", {"x"});
    EXPECT_TRUE(loop.await(broker().remove_entity("t/Subscriptions/b")));
    send_texts("t", {"y"});
    EXPECT_THAT(bodies(receive("t/Subscriptions/a")), ElementsAre("x", "y"));
    ReceiveOptions wait;
    wait.wait = minutes(1);
    auto waiting = loop.begin(broker().receive("t/Subscriptions/a", wait));
    loop.settle();
    EXPECT_TRUE(loop.await(broker().remove_entity("T")));
    EXPECT_EQ(error_of(loop.finish(waiting)), Errc::not_found);
    EXPECT_EQ(stored("SELECT (SELECT count(*) FROM entity) + (SELECT count(*) FROM message)"), 0);
}

TEST_F(Engine, AStopWaitsForTheDeletionOfWhatArrivedWhereNoEntityIsLeft) {
    under_test.put("q");
    std::promise<void> gate;
    auto held = hold_writer(gate);
    auto sending = loop.begin(broker().send("q", std::vector<Message>(3000)));
    loop.settle();
    auto removing = loop.begin(broker().remove_entity("q"));
    loop.settle();
    gate.set_value();
    EXPECT_TRUE(loop.finish(held));
    EXPECT_TRUE(loop.finish(sending));
    EXPECT_TRUE(loop.finish(removing));
    loop.await(broker().stop());
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 0);
}

TEST_F(Engine, AStopEndsEveryWaitAndRefusesWhatComesLater) {
    under_test.put("q");
    EntityOptions options;
    options.requires_session = true;
    under_test.put("s", options);
    broker().start();
    ReceiveOptions wait;
    wait.wait = hours(1);
    auto receiving = loop.begin(broker().receive("q", wait));
    auto accepting = loop.begin(broker().accept_session("s", std::nullopt, hours(1)));
    auto lock = loop.await(broker().accept_session("s", std::string("x"), Duration(0))).value();
    wait.session = lock.token;
    auto in_session = loop.begin(broker().receive("s", wait));
    auto sending = loop.begin(broker().send("q", {text_message("a")}));
    loop.settle();
    loop.await(broker().stop());
    EXPECT_TRUE(sending.done()) << "a stop waits for writes under way";
    EXPECT_TRUE(loop.finish(sending) || true);
    EXPECT_EQ(error_of(loop.finish(accepting)), Errc::unavailable);
    EXPECT_EQ(error_of(loop.finish(in_session)), Errc::unavailable);
    (void)loop.finish(receiving);
    EXPECT_EQ(error_of(loop.await(broker().send("q", {text_message("b")}))), Errc::unavailable);
    loop.await(broker().stop());
}

TEST_F(Engine, DoesByItselfWhatIsDueOnceItIsStarted) {
    under_test.put("q");
    broker().start();
    send_texts("q", {"a"});
    receive_one("q");
    Message later = text_message("later");
    later.scheduled_at = now() + seconds(30);
    send("q", {later});
    ReceiveOptions wait;
    wait.wait = hours(1);
    auto first = loop.begin(broker().receive("q", wait));
    auto second = loop.begin(broker().receive("q", wait));
    auto third = loop.begin(broker().receive("q", wait));
    const auto advance = [&](Duration time) {
        do loop.settle();
        while (under_test.clock.sleepers() == 0 && loop.io().run_one() != 0);
        under_test.clock.advance(time);
    };
    advance(seconds(30));
    EXPECT_THAT(bodies(loop.finish(first).value()), ElementsAre("later"));
    advance(seconds(30));
    EXPECT_THAT(bodies(loop.finish(second).value()), ElementsAre("a"));
    EXPECT_FALSE(third.done());
    advance(hours(2));
    while (!third.done()) {
        loop.settle();
        under_test.clock.advance(seconds(1));
    }
    SUCCEED();
}

TEST_F(Engine, AReceiverCancelledWhileItsDeliveryIsWrittenGivesItBackUncounted) {
    under_test.put("q");
    send_texts("q", {"a"});
    std::promise<void> gate;
    auto standing = hold_writer(gate);
    auto receiving = loop.begin(broker().receive("q", ReceiveOptions()));
    loop.settle();
    EXPECT_EQ(broker().counts("q")->active, 0u) << "the delivery waits to be written";
    receiving.cancel();
    loop.settle();
    gate.set_value();
    loop.finish(standing);
    try {
        EXPECT_THAT(loop.finish(receiving).value(), IsEmpty());
    } catch (const boost::system::system_error&) {
    }
    ReceiveOptions wait;
    wait.wait = minutes(1);
    const auto again = loop.await(broker().receive("q", wait)).value();
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].delivery_count, 0);
    under_test.crash();
    EXPECT_EQ(receive_one("q").delivery_count, 1) << "only the delivery that was seen counts";
}

TEST_F(Engine, WhoeverIsCancelledWhileItLooksAtDeadLettersLeavesThemReady) {
    under_test.put("q");
    send_texts("q", {"a", "b"});
    for (const Delivery& one : receive("q")) EXPECT_TRUE(dead_letter(one, "r"));
    auto redriving = loop.begin(broker().redrive("q", DeadLetterFilter(), 0, false));
    auto dropping = loop.begin(broker().drop_dead_letters("q", DeadLetterFilter()));
    redriving.cancel();
    dropping.cancel();
    EXPECT_THROW(loop.finish(redriving), boost::system::system_error);
    EXPECT_THROW(loop.finish(dropping), boost::system::system_error);
    EXPECT_THAT(bodies(receive(dead_letter_queue_of("q"))), ElementsAre("a", "b"));
}

TEST_F(Engine, ASessionLockThatItsReceiverNeverGotIsGivenBack) {
    EntityOptions options;
    options.requires_session = true;
    under_test.put("s", options);
    auto accepting = loop.begin(broker().accept_session("s", std::nullopt, hours(1)));
    loop.settle();
    Message message = text_message("a");
    message.session_id = "x";
    auto sending = loop.begin(broker().send("s", {message}));
    accepting.cancel();
    loop.finish(sending).value();
    loop.settle();
    EXPECT_TRUE(accepting.done());
    EXPECT_TRUE(loop.await(broker().accept_session("s", std::string("x"), Duration(0))));
}

TEST_F(Engine, ASessionThatNothingKeepsEndsOnceWhenItsLockRunsOut) {
    EntityOptions options;
    options.requires_session = true;
    under_test.put("s", options);
    ReceiveOptions wait;
    wait.session = loop.await(broker().accept_session("s", std::string("a"), Duration(0)))->token;
    wait.wait = hours(1);
    auto waiting = loop.begin(broker().receive("s", wait));
    loop.settle();
    under_test.pass(minutes(1));
    EXPECT_EQ(error_of(loop.finish(waiting)), Errc::conflict);
    const auto b = loop.await(broker().accept_session("s", std::string("b"), Duration(0)));
    const auto c = loop.await(broker().accept_session("s", std::string("c"), Duration(0)));
    ASSERT_TRUE(b && c);
    EXPECT_TRUE(loop.await(broker().renew_session(*b)));
    EXPECT_TRUE(loop.await(broker().renew_session(*c)));
    EXPECT_EQ(error_of(loop.await(broker().accept_session("s", std::string("b"), Duration(0)))),
              Errc::over_limit);
}

TEST_F(Engine, WhatAnEntityHoldsGoesOnOnceItForwards) {
    under_test.put("q");
    under_test.put("target");
    send_texts("q", {"locked", "a", "b"});
    const Delivery locked = receive_one("q");
    EntityOptions options;
    options.forward_to = "target";
    under_test.put("q", options);
    under_test.pass(Duration(0));
    EXPECT_THAT(bodies(receive("target")), ElementsAre("a", "b"));
    EXPECT_TRUE(abandon(locked));
    under_test.pass(Duration(0));
    EXPECT_THAT(bodies(receive("target")), ElementsAre("locked"));
    EXPECT_THAT(peek("q"), IsEmpty());
}

TEST_F(Engine, ATopicBoundsTheTimeToLiveOfItsCopies) {
    EntityOptions options;
    options.kind = EntityKind::topic;
    options.time_to_live = minutes(1);
    under_test.put("t", options);
    options = {};
    options.kind = EntityKind::subscription;
    under_test.put("t/Subscriptions/s", options);
    Message brief = text_message("brief");
    brief.time_to_live = seconds(30);
    send("t", {brief, text_message("long")});
    const auto copies = peek("t/Subscriptions/s");
    EXPECT_EQ(copies.at(0).expires_at, now() + seconds(30));
    EXPECT_EQ(copies.at(1).expires_at, now() + minutes(1));
}

TEST_F(Engine, AMessageWhosePropertiesAreDamagedBecomesADeadLetterAndHoldsNobodyUp) {
    under_test.put("q");
    Message good = text_message("a");
    good.subject = "subject";
    send("q", {good, text_message("b")});
    auto damage = [](store::Connection& connection) -> Result<void> {
        connection.execute("UPDATE message SET properties=x'02077375626a02' WHERE sequence=1");
        return {};
    };
    EXPECT_TRUE(loop.await(under_test.database->write(std::move(damage))));
    under_test.restart();
    EXPECT_THAT(bodies(receive("q")), ElementsAre("b"));
    ReceiveOptions wait;
    wait.wait = minutes(1);
    const auto dead = loop.await(broker().receive(dead_letter_queue_of("q"), wait)).value();
    ASSERT_EQ(dead.size(), 1u);
    EXPECT_EQ(dead[0].message.body, "a");
    EXPECT_EQ(reason(dead[0]), "DamagedProperties");
}

TEST_F(Engine, TrimsTheHistoryOfDuplicates) {
    EntityOptions options;
    options.duplicate_window = minutes(1);
    under_test.put("q", options);
    for (int i = 0; i < 10; ++i) {
        send("q", {text_message("x", "id" + std::to_string(i))});
        under_test.pass(seconds(30));
    }
    EXPECT_LE(stored("SELECT count(*) FROM duplicate"), 4);
    EXPECT_GE(stored("SELECT count(*) FROM duplicate"), 2);
}

// Its failure is that it does not end.
TEST_F(Engine, ASendThatOutlastsTheDuplicateWindowDoesNotKeepTheTimerBusy) {
    EntityOptions options;
    options.duplicate_window = minutes(1);
    under_test.put("q", options);
    std::promise<void> gate;
    auto standing = hold_writer(gate);
    auto sending = loop.begin(broker().send("q", {text_message("x", "id")}));
    loop.settle();
    broker().start();
    under_test.pass(minutes(5));
    EXPECT_EQ(under_test.clock.sleepers(), 1u) << "the timer sleeps";
    gate.set_value();
    loop.finish(standing);
    EXPECT_EQ(loop.finish(sending)->size(), 1u);
    while (stored("SELECT count(*) FROM duplicate") > 0) loop.settle();
}

}  // namespace
}  // namespace millrace::broker::test
