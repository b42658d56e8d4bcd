// Messages that are to go on to an entity that is full or gone.
#include "tests/broker/engine_fixture.hpp"

namespace millrace::broker::test {
namespace {

class Forwarding : public EmbeddedTest {
  protected:
    static constexpr std::size_t kRoom = 1000;

    void put_target(std::uint64_t bytes_max = kRoom) {
        EntityOptions options;
        options.bytes_max = bytes_max;
        under_test.put("target", options);
    }
    void fill_target() { send_texts("target", {std::string(kRoom - 200, 'f')}); }
    void empty_target() { EXPECT_TRUE(complete(receive_one("target"))); }
    void forward(const std::string& name) {
        EntityOptions options;
        options.forward_to = "target";
        under_test.put(name, options);
    }
    void forward_dead_letters(const std::string& name) {
        EntityOptions options;
        options.forward_dead_letters_to = "target";
        options.delivery_count_max = 1;
        under_test.put(name, options);
    }
    asio::awaitable<bool> ticking() {
        co_await broker().tick();
        co_return true;
    }
    static std::string large(char letter) { return std::string(kRoom / 4, letter); }
};

TEST_F(Forwarding, WhatAnEntityHoldsWaitsInItsOrderWhileTheTargetIsFull) {
    put_target();
    fill_target();
    under_test.put("q");
    send_texts("q", {large('a'), large('b')});
    forward("q");
    broker().start();
    for (int second = 0; second < 3; ++second) {
        // The timer sleeps while nothing changes.
        while (under_test.clock.sleepers() == 0) loop.io().run_one();
        EXPECT_EQ(broker().counts("q")->active, 2u);
        EXPECT_EQ(broker().counts("target")->active, 1u);
        under_test.clock.advance(seconds(1));
        loop.settle();
    }
    while (under_test.clock.sleepers() == 0) loop.io().run_one();
    empty_target();
    under_test.clock.advance(seconds(1));
    while (broker().counts("target")->active < 2) loop.io().run_one();
    EXPECT_THAT(bodies(receive("target")), ElementsAre(large('a'), large('b')));
    EXPECT_THAT(peek("q"), IsEmpty());
}

TEST_F(Forwarding, WhatIsSentWhileOthersWaitStaysBehindThem) {
    put_target();
    fill_target();
    under_test.put("q");
    send_texts("q", {large('a'), large('b')});
    forward("q");
    under_test.pass(Duration(0));
    EXPECT_EQ(send_texts("q", {"c"}).size(), 1u) << "the target has no room for this yet";
    empty_target();
    send_texts("q", {"d", "e"});
    EXPECT_THAT(receive("target"), IsEmpty());
    EXPECT_EQ(broker().counts("q")->active, 5u);
    under_test.pass(seconds(1));
    EXPECT_THAT(bodies(receive("target")), ElementsAre(large('a'), large('b'), "c", "d", "e"));
    send_texts("q", {"f"});
    EXPECT_THAT(bodies(receive("target")), ElementsAre("f")) << "nothing waits any more";
}

TEST_F(Forwarding, TheMessagesOfASessionStayInOrderWhileTheyWait) {
    EntityOptions options;
    options.bytes_max = kRoom;
    options.requires_session = true;
    under_test.put("target", options);
    const auto of_session = [](const std::string& session, const std::string& body) {
        Message message = text_message(body);
        message.session_id = session;
        return message;
    };
    send("target", {of_session("full", std::string(kRoom - 200, 'f'))});
    under_test.put("q");
    send("q", {of_session("s", large('a'))});
    forward("q");
    under_test.pass(Duration(0));
    send("q", {of_session("s", "b"), of_session("t", "x")});
    auto full = loop.await(broker().accept_session("target", "full", Duration(0)));
    EXPECT_TRUE(complete(receive("target", 1, full->token).at(0)));
    send("q", {of_session("s", "c")});
    under_test.pass(seconds(1));
    auto session = loop.await(broker().accept_session("target", "s", Duration(0)));
    ASSERT_TRUE(session);
    EXPECT_THAT(bodies(receive("target", 100, session->token)), ElementsAre(large('a'), "b", "c"));
}

TEST_F(Forwarding, AnExpiredMessageThatWaitsForTheTargetIsNotAReceiversToGiveBack) {
    put_target();
    fill_target();
    EntityOptions options;
    options.requires_session = true;
    options.dead_letter_on_expiration = true;
    options.forward_dead_letters_to = "target";
    under_test.put("q", options);
    Message message = text_message(large('a'));
    message.session_id = "s";
    message.time_to_live = seconds(1);
    send("q", {message});
    under_test.pass(seconds(1));
    EXPECT_EQ(broker().counts("q")->locked, 1u) << "it waits for room";
    const auto session = loop.await(broker().accept_session("q", "s", Duration(0)));
    ASSERT_TRUE(session);
    loop.await(broker().release_session(*session));
    const auto waiting = peek("q");
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_EQ(waiting[0].delivery_count, 0) << "it was never delivered";
    empty_target();
    under_test.pass(seconds(1));
    EXPECT_EQ(reason(receive_one("target")), "TTLExpiredException");
}

TEST_F(Forwarding, WhatIsSentWhileOthersAreOnTheirWayStaysBehindThem) {
    put_target(0);
    under_test.put("q");
    send_texts("q", {"a", "b"});
    forward("q");
    auto tick = loop.begin(ticking());
    auto third = loop.begin(broker().send("q", {text_message("c")}));
    auto fourth = loop.begin(broker().send("q", {text_message("d")}));
    EXPECT_TRUE(loop.finish(tick));
    EXPECT_TRUE(loop.finish(third));
    EXPECT_TRUE(loop.finish(fourth));
    under_test.pass(Duration(0));
    EXPECT_THAT(bodies(receive("target")), ElementsAre("a", "b", "c", "d"));
}

TEST_F(Forwarding, ACircleOfEntitiesThatHoldMessagesEndsInDeadLetters) {
    under_test.put("q");
    under_test.put("target");
    send_texts("q", {"a", "b"});
    send_texts("target", {"c", "d"});
    EntityOptions back;
    back.forward_to = "q";
    under_test.put("target", back);
    forward("q");
    send_texts("q", {"e"});
    under_test.pass(Duration(0));
    EXPECT_EQ(broker().counts("q")->active + broker().counts("target")->active, 0u);
    EXPECT_EQ(broker().counts("q")->dead_lettered + broker().counts("target")->dead_lettered, 5u);
}

TEST_F(Forwarding, AScheduledMessageWaitsWhileTheTargetIsFull) {
    put_target();
    fill_target();
    forward("q");
    Message later = text_message(large('a'));
    later.scheduled_at = now() + minutes(1);
    send("q", {later});
    under_test.pass(minutes(1));
    EXPECT_EQ(broker().counts("q")->scheduled, 1u);
    empty_target();
    under_test.pass(seconds(1));
    EXPECT_THAT(bodies(receive("target")), ElementsAre(large('a')));
}

TEST_F(Forwarding, ADeadLetterIsRefusedAndStaysLockedWhileItsTargetIsFull) {
    put_target();
    fill_target();
    forward_dead_letters("q");
    send_texts("q", {large('a')});
    const Delivery one = receive_one("q");
    EXPECT_EQ(error_of(dead_letter(one, "r")), Errc::over_limit);
    EXPECT_TRUE(loop.await(broker().renew(lock_of(one))));
    empty_target();
    EXPECT_TRUE(dead_letter(one, "r"));
    EXPECT_EQ(reason(receive_one("target")), "r");
}

TEST_F(Forwarding, AnExhaustedMessageWaitsWhileItsTargetIsFullAlsoOverARestart) {
    put_target();
    fill_target();
    forward_dead_letters("q");
    send_texts("q", {large('a')});
    receive_one("q");
    under_test.pass(minutes(5));
    EXPECT_EQ(broker().counts("q")->locked, 1u);
    under_test.restart();
    EXPECT_THAT(receive("q"), IsEmpty());
    under_test.pass(minutes(5));
    EXPECT_EQ(broker().counts("q")->locked, 1u);
    empty_target();
    under_test.pass(seconds(1));
    EXPECT_EQ(reason(receive_one("target")), "MaxDeliveryCountExceeded");
}

TEST_F(Forwarding, ADeadLetterWhoseTargetGoesMeanwhileStaysWithItsEntity) {
    put_target();
    forward_dead_letters("q");
    send_texts("q", {"a"});
    const Delivery one = receive_one("q");
    auto removing = loop.begin(broker().remove_entity("target"));
    EXPECT_TRUE(dead_letter(one, "r"));
    EXPECT_TRUE(loop.finish(removing));
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("q"))), "r");
}

TEST_F(Forwarding, ARedriveEndsWhereTheTargetIsFull) {
    put_target();
    fill_target();
    under_test.put("q");
    send_texts("q", {"small", large('a'), "small"});
    for (const Delivery& one : receive("q")) EXPECT_TRUE(dead_letter(one, "r"));
    forward("q");
    const auto refused = loop.await(broker().redrive("q", DeadLetterFilter(), 0, false));
    EXPECT_EQ(error_of(refused), Errc::over_limit);
    EXPECT_THAT(refused.error().detail, testing::HasSubstr("1 messages were moved"));
    EXPECT_EQ(broker().counts("q")->dead_lettered, 2u);
    empty_target();
    EXPECT_EQ(loop.await(broker().redrive("q", DeadLetterFilter(), 0, false))->moved, 2u);
}

TEST_F(Forwarding, ARedriveIntoTheFullEntityItselfTakesNoMoreRoom) {
    put_target();
    send_texts("target", {large('a')});
    EXPECT_TRUE(dead_letter(receive_one("target"), "r"));
    put_target(1);
    EXPECT_EQ(loop.await(broker().redrive("target", DeadLetterFilter(), 0, false))->moved, 1u);
}

TEST_F(Forwarding, AnEntityForwardsOnlyToAQueueOrTopicThatIsThere) {
    put_target();
    EntityOptions topic, subscription, dead_letters;
    topic.kind = EntityKind::topic;
    under_test.put("t", topic);
    subscription.kind = EntityKind::subscription;
    under_test.put("t/Subscriptions/s", subscription);
    for (const std::string target : {"nowhere", "t/Subscriptions/s", "target/$DeadLetterQueue"}) {
        EntityOptions options;
        options.forward_to = target;
        EXPECT_EQ(error_of(loop.await(broker().put_entity("q", options))), Errc::invalid_input) << target;
        dead_letters.forward_dead_letters_to = target;
        EXPECT_EQ(error_of(loop.await(broker().put_entity("target", dead_letters))), Errc::invalid_input);
        subscription.forward_to = target;
        auto creating = broker().create_subscription("t/Subscriptions/new", subscription, Rule());
        EXPECT_EQ(error_of(loop.await(std::move(creating))), Errc::invalid_input) << target;
    }
    EXPECT_FALSE(broker().counts("q"));
    EXPECT_EQ(broker().counts("target")->options.forward_dead_letters_to, "");
    dead_letters.forward_dead_letters_to = "T";
    under_test.put("target", dead_letters);
}

TEST_F(Forwarding, AMessageThatSomebodyDeletedIsForgotten) {
    under_test.put("q");
    send_texts("q", {"a"});
    put_target();
    forward("q");
    auto steal = [](store::Connection& connection) -> Result<void> {
        connection.execute("DELETE FROM message");
        return {};
    };
    EXPECT_TRUE(loop.await(under_test.database->write(std::move(steal))));
    under_test.pass(Duration(0));
    EXPECT_EQ(broker().counts("q")->active, 0u);
    EXPECT_THAT(receive("target"), IsEmpty());
}

}  // namespace
}  // namespace millrace::broker::test
