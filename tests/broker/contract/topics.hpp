#pragma once

#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

class RoutingContract : public MessageSourceContract {
  protected:
    void SetUp() override { MILLRACE_NEEDS(has_routes); }
    void create_topic(const std::string& topic, const std::vector<std::string>& subscriptions) {
        EntityOptions options;
        options.kind = EntityKind::topic;
        create(topic, options);
        for (const auto& one : subscriptions) create_subscription(topic, one);
    }
    void create_subscription(const std::string& topic, const std::string& name) {
        EntityOptions options;
        options.kind = EntityKind::subscription;
        create(subscription_path(topic, name), options);
    }
    void create_forwarding(const std::string& name, const std::string& target) {
        EntityOptions options;
        options.forward_to = target;
        create(name, options);
    }
};

TEST_P(RoutingContract, EverySubscriptionGetsACopyOfItsOwn) {
    create_topic("t", {"one", "two"});
    const auto numbers = send_texts("t", {"a", "b"});
    ASSERT_EQ(numbers.size(), 2u);
    const auto one = receive(subscription_path("t", "one"));
    EXPECT_THAT(bodies(one), ElementsAre("a", "b"));
    if (subject->abilities().numbers_every_send) {
        EXPECT_EQ(one[0].enqueued_sequence, numbers[0]);
    }
    EXPECT_EQ(one[1].entity, "t/Subscriptions/one");
    EXPECT_TRUE(dead_letter(one[0], "r"));
    EXPECT_TRUE(complete(one[1]));
    EXPECT_THAT(bodies(receive(subscription_path("t", "two"))), ElementsAre("a", "b"));
    const Delivery dead = receive_one(dead_letter_queue_of(subscription_path("t", "one")));
    EXPECT_EQ(dead.dead_letter_source, "t/Subscriptions/one");
}

TEST_P(RoutingContract, ATopicWithoutSubscriptionsAcceptsAndForgets) {
    create_topic("t", {});
    EXPECT_EQ(send_texts("t", {"a"}).size(), 1u);
    EXPECT_THAT(peek("t"), IsEmpty());
    EXPECT_EQ(error_of(try_receive("t", {})), Errc::invalid_input);
    EXPECT_EQ(error_of(try_send(subscription_path("t", "none"), {text_message("a")})), Errc::not_found);
}

TEST_P(RoutingContract, ASubscriptionTakesNoMessagesFromSenders) {
    create_topic("t", {"one"});
    EXPECT_EQ(error_of(try_send(subscription_path("t", "one"), {text_message("a")})), Errc::invalid_input);
}

TEST_P(RoutingContract, AScheduledMessageOfATopicIsCopiedWhenItsTimeComes) {
    create_topic("t", {"one"});
    Message later = text_message("later");
    later.scheduled_at = subject->clock().now() + minutes(5);
    const auto numbers = send("t", {later, later});
    EXPECT_TRUE(loop.await(source().cancel_scheduled("t", {numbers[0]})));
    EXPECT_THAT(receive(subscription_path("t", "one")), IsEmpty());
    pass(minutes(5));
    EXPECT_THAT(bodies(receive(subscription_path("t", "one"))), ElementsAre("later"));
    EXPECT_THAT(peek("t"), IsEmpty());
}

TEST_P(RoutingContract, ASubscriptionWithSessionsBuriesMessagesWithoutOne) {
    create_topic("t", {});
    EntityOptions options;
    options.kind = EntityKind::subscription;
    options.requires_session = true;
    const std::string path = subscription_path("t", "s");
    create(path, options);
    send("t", {session_message("x", "with"), text_message("without")});
    EXPECT_EQ(accept(path).value().session_id, "x");
    const Delivery dead = receive_one(dead_letter_queue_of(path));
    EXPECT_EQ(dead.message.body, "without");
    EXPECT_EQ(reason(dead), "Session ID is null");
}

TEST_P(RoutingContract, DuplicatesAreDetectedByTheTopic) {
    EntityOptions options;
    options.kind = EntityKind::topic;
    options.duplicate_window = minutes(1);
    create("t", options);
    create_subscription("t", "one");
    send("t", {text_message("first", "id"), text_message("second", "id")});
    EXPECT_THAT(bodies(receive(subscription_path("t", "one"))), ElementsAre("first"));
}

TEST_P(RoutingContract, EverySubscriptionGetsWhatIsLeftOfASendWithDuplicates) {
    EntityOptions options;
    options.kind = EntityKind::topic;
    options.duplicate_window = minutes(1);
    create("t", options);
    create_subscription("t", "one");
    create_subscription("t", "two");
    send("t", {text_message("1", "a"), text_message("2", "a")});
    send("t",
         {text_message("3", "a"), text_message("4", "a"), text_message("5", "b"), text_message("6", "c")});
    for (const std::string name : {"one", "two"}) {
        EXPECT_THAT(bodies(receive(subscription_path("t", name))), ElementsAre("1", "5", "6")) << name;
    }
}

TEST_P(RoutingContract, AMessageIsForwardedToWhereItStays) {
    create("last");
    create_forwarding("middle", "last");
    create_forwarding("first", "middle");
    send_texts("first", {"skipped"});
    const auto numbers = send_texts("first", {"a"});
    auto received = receive("last");
    EXPECT_THAT(bodies(received), ElementsAre("skipped", "a"));
    if (subject->abilities().numbers_every_send) {
        EXPECT_EQ(received[1].enqueued_sequence, numbers[0]) << "the number where it was first enqueued";
    }
    EXPECT_EQ(received[1].entity, "last");
    EXPECT_EQ(error_of(try_receive("first", {})), Errc::invalid_input);
}

TEST_P(RoutingContract, AMessageForwardedMoreThanFourTimesBecomesADeadLetter) {
    create("q5");
    for (int i = 4; i >= 0; --i) create_forwarding("q" + std::to_string(i), "q" + std::to_string(i + 1));
    send_texts("q1", {"four hops"});
    EXPECT_THAT(bodies(receive("q5")), ElementsAre("four hops"));
    send_texts("q0", {"five hops"});
    EXPECT_THAT(receive("q5"), IsEmpty());
    const Delivery dead = receive_one(dead_letter_queue_of("q4"));
    EXPECT_EQ(dead.message.body, "five hops");
    EXPECT_EQ(reason(dead), "MaxTransferHopCountExceeded");
    EXPECT_EQ(dead.dead_letter_source, "q4");
}

TEST_P(RoutingContract, ACircleOfForwardingEndsInADeadLetter) {
    create("b");
    create_forwarding("a", "b");
    create_forwarding("b", "a");
    send_texts("a", {"round"});
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("a"))), "MaxTransferHopCountExceeded");
}

TEST_P(RoutingContract, AMessageWithoutSessionIsNotForwardedToAnEntityThatRequiresOne) {
    EntityOptions options;
    options.requires_session = true;
    create("s", options);
    create_forwarding("q", "s");
    send("q", {session_message("x", "with"), text_message("without")});
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("q"))), "Session ID is null");
    EXPECT_THAT(bodies(receive("s", 10, accept("s").value().token)), ElementsAre("with"));
}

TEST_P(RoutingContract, AScheduledMessageIsForwardedWhenItsTimeComes) {
    create("target");
    create_forwarding("q", "target");
    Message later = text_message("later");
    later.scheduled_at = subject->clock().now() + minutes(5);
    send("q", std::vector<Message>{later});
    EXPECT_THAT(receive("target"), IsEmpty());
    pass(minutes(5));
    EXPECT_THAT(bodies(receive("target")), ElementsAre("later"));
    EXPECT_THAT(peek("q"), IsEmpty());
}

TEST_P(RoutingContract, DeadLettersAreForwardedWithTheirReason) {
    create("graveyard");
    EntityOptions options;
    options.forward_dead_letters_to = "graveyard";
    create("q", options);
    send_texts("q", {"a"});
    EXPECT_TRUE(dead_letter(receive_one("q"), "broken", "in two"));
    EXPECT_THAT(peek(dead_letter_queue_of("q")), IsEmpty());
    const Delivery dead = receive_one("graveyard");
    EXPECT_EQ(dead.message.body, "a");
    EXPECT_EQ(reason(dead), "broken");
    EXPECT_EQ(dead.dead_letter_source, "q");
    EXPECT_EQ(dead.delivery_count, 0);
}

TEST_P(RoutingContract, SubscriptionsForwardToQueues) {
    create("q");
    create_topic("t", {});
    EntityOptions options;
    options.kind = EntityKind::subscription;
    options.forward_to = "q";
    create(subscription_path("t", "one"), options);
    create(subscription_path("t", "two"), options);
    send_texts("t", {"a"});
    EXPECT_THAT(bodies(receive("q")), ElementsAre("a", "a"));
}

}  // namespace millrace::broker::test
