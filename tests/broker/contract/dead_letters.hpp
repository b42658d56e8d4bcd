#pragma once

#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

TEST_P(MessageSourceContract, ADeadLetterKeepsItsMessageAndSaysWhy) {
    create("q");
    Message sent = text_message("a", "id-1");
    sent.properties["mine"] = std::string("kept");
    sent.session_id = "s";
    send("q", {text_message("before"), sent});
    const auto received = receive("q");
    ASSERT_EQ(received.size(), 2u);
    EXPECT_TRUE(dead_letter(received[1], "MalformedPayload", "not JSON", {{"extra", true}}));
    EXPECT_TRUE(abandon(received[0]));
    EXPECT_THAT(left("q"), ElementsAre("before"));
    const Delivery dead = receive_one(dead_letter_queue_of("q"));
    EXPECT_EQ(dead.message.body, "a");
    EXPECT_EQ(dead.message.message_id, "id-1");
    EXPECT_EQ(dead.message.session_id, "s");
    EXPECT_EQ(text(dead.message, "mine"), "kept");
    EXPECT_EQ(dead.message.properties.at("extra"), Value(true));
    EXPECT_EQ(reason(dead), "MalformedPayload");
    EXPECT_EQ(text(dead.message, kDeadLetterDescription), "not JSON");
    if (subject->abilities().numbers_messages) {
        EXPECT_EQ(dead.dead_letter_source, "q");
        EXPECT_EQ(dead.sequence, 1) << "a number of the dead-letter queue's own";
    }
    EXPECT_TRUE(complete(dead));
    EXPECT_THAT(left(dead_letter_queue_of("q")), IsEmpty());
}

TEST_P(MessageSourceContract, ShortensAReasonOfMoreThan4096Characters) {
    create("q");
    send_texts("q", {"a"});
    std::string text_4096;
    for (int i = 0; i < 4096; ++i) text_4096 += "\xc3\xa4";
    EXPECT_TRUE(dead_letter(receive_one("q"), text_4096 + "x", text_4096));
    const Delivery dead = receive_one(dead_letter_queue_of("q"));
    EXPECT_EQ(reason(dead), text_4096);
    EXPECT_EQ(text(dead.message, kDeadLetterDescription), text_4096);
}

TEST_P(MessageSourceContract, AMessageAbandonedOnceTooOftenBecomesADeadLetter) {
    MILLRACE_NEEDS(rewrites_messages);
    EntityOptions options;
    options.delivery_count_max = 3;
    create("q", options);
    send_texts("q", {"a"});
    for (int delivery = 0; delivery < 3; ++delivery) {
        const Delivery one = receive_one("q");
        EXPECT_EQ(one.delivery_count, delivery);
        EXPECT_TRUE(abandon(one, {{"last", std::int64_t{delivery}}}));
    }
    EXPECT_THAT(receive("q"), IsEmpty());
    const Delivery dead = receive_one(dead_letter_queue_of("q"));
    EXPECT_EQ(reason(dead), "MaxDeliveryCountExceeded");
    EXPECT_NE(text(dead.message, kDeadLetterDescription), "(none)");
    EXPECT_EQ(dead.message.properties.at("last"), Value(std::int64_t{2}));
}

TEST_P(MessageSourceContract, AMessageWhoseLockRunsOutOnceTooOftenBecomesADeadLetter) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.delivery_count_max = 2;
    create("q", options);
    send_texts("q", {"a"});
    for (int delivery = 0; delivery < 2; ++delivery) {
        EXPECT_EQ(receive_one("q").delivery_count, delivery);
        pass(minutes(1));
    }
    EXPECT_THAT(receive("q"), IsEmpty());
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("q"))), "MaxDeliveryCountExceeded");
}

TEST_P(MessageSourceContract, ADeadLetterIsNeverDeadLetteredNorExpires) {
    MILLRACE_NEEDS(keeps_time);
    EntityOptions options;
    options.delivery_count_max = 1;
    options.time_to_live = seconds(30);
    create("q", options);
    send_texts("q", {"a"});
    EXPECT_TRUE(dead_letter(receive_one("q"), "r"));
    const std::string queue = dead_letter_queue_of("q");
    for (int i = 0; i < 5; ++i) {
        const Delivery dead = receive_one(queue);
        EXPECT_EQ(dead.expires_at, kNever);
        EXPECT_EQ(error_of(dead_letter(dead, "again")), Errc::invalid_input);
        EXPECT_TRUE(abandon(dead));
        pass(minutes(10));
    }
    EXPECT_EQ(receive(queue).size(), 1u);
}

TEST_P(MessageSourceContract, AReceiverWaitsForADeadLetter) {
    create("q");
    send_texts("q", {"a"});
    ReceiveOptions options;
    options.wait = minutes(1);
    auto waiting = loop.begin(source().receive(dead_letter_queue_of("q"), options));
    EXPECT_TRUE(dead_letter(receive_one("q"), "r"));
    EXPECT_THAT(bodies(loop.finish(waiting).value()), ElementsAre("a"));
}

}  // namespace millrace::broker::test
