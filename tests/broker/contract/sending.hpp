#pragma once

#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

TEST_P(MessageSourceContract, HandsOutMessagesInTheOrderInWhichTheyWereSent) {
    create("q");
    const auto numbers = send_numbered("q", {text_message("a"), text_message("b")});
    send_texts("q", {"c"});
    ASSERT_EQ(numbers.size(), 2u);
    const auto received = receive("q");
    ASSERT_THAT(bodies(received), ElementsAre("a", "b", "c"));
    EXPECT_EQ(received[0].entity, "q");
    if (!subject->abilities().numbers_messages) return;
    EXPECT_LT(numbers[0], numbers[1]);
    EXPECT_EQ(received[0].sequence, numbers[0]);
    EXPECT_EQ(received[0].enqueued_sequence, numbers[0]);
}

TEST_P(MessageSourceContract, KeepsEveryFieldOfAMessage) {
    create("q");
    Message sent;
    sent.message_id = "m-1";
    sent.session_id = "s-1";
    sent.correlation_id = "c";
    sent.subject = "subject";
    sent.content_type = "application/json";
    sent.to = "to";
    sent.reply_to = "reply";
    sent.reply_to_session_id = "reply-session";
    sent.partition_key = "s-1";
    sent.time_to_live = Duration(90'000);
    sent.body_format = kAmqpSections;
    sent.body = std::string("\0\x53\x77\xa0\x04\0\xff{}", 9);  // an amqp-value section: 4 bytes
    const Uuid id{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    sent.properties = {{"null", std::monostate()},
                       {"flag", true},
                       {"no", false},
                       {"low", std::int64_t{-9'000'000'000'000'000'000}},
                       {"high", std::uint64_t{18'000'000'000'000'000'000u}},
                       {"real", -0.125},
                       {"text", std::string("naïve\0x", 8)},
                       {"", std::string()},
                       {"id", id},
                       {"time", from_millis(-5)}};
    const TimePoint before = subject->clock().now();
    send("q", std::vector<Message>{sent});
    const Delivery got = receive_one("q");
    EXPECT_EQ(got.message.message_id, sent.message_id);
    EXPECT_EQ(got.message.session_id, sent.session_id);
    EXPECT_EQ(got.message.correlation_id, sent.correlation_id);
    EXPECT_EQ(got.message.subject, sent.subject);
    EXPECT_EQ(got.message.content_type, sent.content_type);
    EXPECT_EQ(got.message.to, sent.to);
    EXPECT_EQ(got.message.reply_to, sent.reply_to);
    EXPECT_EQ(got.message.reply_to_session_id, sent.reply_to_session_id);
    EXPECT_EQ(got.message.time_to_live, sent.time_to_live);
    EXPECT_EQ(got.message.body_format, sent.body_format);
    EXPECT_EQ(got.message.body, sent.body);
    EXPECT_EQ(got.message.properties, sent.properties);
    EXPECT_EQ(got.state, State::active);
    EXPECT_EQ(got.delivery_count, 0);
    EXPECT_FALSE(got.lock_token.is_nil());
    if (!subject->abilities().rewrites_messages) return;
    EXPECT_EQ(got.message.partition_key, sent.partition_key);
    EXPECT_GE(got.enqueued_at, before);
    EXPECT_EQ(got.expires_at, got.enqueued_at + Duration(90'000));
}

TEST_P(MessageSourceContract, MakesAMessageIdOf32HexDigitsIfThereIsNone) {
    MILLRACE_NEEDS(rewrites_messages);
    create("q");
    send_texts("q", {"a", "b"});
    const auto received = receive("q");
    ASSERT_EQ(received.size(), 2u);
    EXPECT_THAT(received[0].message.message_id, testing::MatchesRegex("[0-9a-f]+"));
    EXPECT_EQ(received[0].message.message_id.size(), 32u);
    EXPECT_NE(received[0].message.message_id, received[1].message.message_id);
}

TEST_P(MessageSourceContract, RefusesAMessageOverALimitAndStoresNothingOfTheSend) {
    MILLRACE_NEEDS(keeps_rules);
    create("q");
    const std::string id_limit(128, 'x');
    const std::string umlauts = [] {
        std::string text;
        for (int i = 0; i < 128; ++i) text += "\xc3\xa4";
        return text;
    }();
    struct Case {
        const char* what;
        bool good;
        std::function<void(Message&)> change;
    };
    const Case cases[] = {
        {"id of 128 characters", true, [&](Message& m) { m.message_id = id_limit; }},
        {"id of 129 characters", false, [&](Message& m) { m.message_id = id_limit + "x"; }},
        {"id of 128 characters of two bytes", true, [&](Message& m) { m.message_id = umlauts; }},
        {"id of 129 characters of two bytes", false, [&](Message& m) { m.message_id = umlauts + "x"; }},
        {"session id of 129 characters", false, [&](Message& m) { m.session_id = id_limit + "x"; }},
        {"partition key of 129 characters", false, [&](Message& m) { m.partition_key = id_limit + "x"; }},
        {"body a little under 1 MiB", true,
         [](Message& m) { m.body.assign(limits::message_bytes_max - 100, 'b'); }},
        {"body over 1 MiB", false, [](Message& m) { m.body.assign(limits::message_bytes_max + 1, 'b'); }},
        {"properties over 64 KiB", false,
         [](Message& m) { m.properties["p"] = std::string(limits::properties_bytes_max, 'p'); }},
        {"negative time to live", false, [](Message& m) { m.time_to_live = Duration(-1); }},
    };
    std::size_t stored = 0;
    for (const Case& one : cases) {
        std::vector<Message> messages{text_message("first"), text_message("second")};
        one.change(messages[1]);
        if (one.good && messages[1].body.size() + 1000 > subject->abilities().send_bytes_max) continue;
        const auto sent = try_send("q", messages);
        EXPECT_EQ(sent.has_value(), one.good) << one.what;
        if (!one.good) {
            EXPECT_EQ(error_of(sent), Errc::invalid_input) << one.what;
        }
        if (one.good) stored += 2;
    }
    EXPECT_EQ(peek("q").size(), stored);
}

TEST_P(MessageSourceContract, AnEmptySendStoresNothing) {
    create("q");
    EXPECT_THAT(send("q", std::vector<Message>()), IsEmpty());
    EXPECT_THAT(left("q"), IsEmpty());
}

TEST_P(MessageSourceContract, AnswersNotFoundForAnUnknownEntity) {
    MILLRACE_NEEDS(keeps_rules);
    const LockRef lock{"nowhere", random_uuid()};
    EXPECT_EQ(error_of(try_send("nowhere", {text_message("a")})), Errc::not_found);
    EXPECT_EQ(error_of(try_receive("nowhere", {})), Errc::not_found);
    EXPECT_EQ(error_of(loop.await(source().peek("nowhere", 0, 1))), Errc::not_found);
    EXPECT_EQ(error_of(loop.await(source().complete(lock))), Errc::not_found);
    EXPECT_EQ(error_of(loop.await(source().cancel_scheduled("nowhere", {1}))), Errc::not_found);
    EXPECT_EQ(error_of(receive_deferred("nowhere", {1})), Errc::not_found);
    EXPECT_EQ(error_of(accept("nowhere")), Errc::not_found);
}

TEST_P(MessageSourceContract, ComparesEntityNamesWithoutRegardToCase) {
    MILLRACE_NEEDS(keeps_rules);
    create("Orders/New");
    send_texts("orders/new", {"a"});
    const Delivery got = receive_one("ORDERS/NEW");
    EXPECT_EQ(got.entity, subject->abilities().knows_spelling ? "Orders/New" : "ORDERS/NEW");
    EXPECT_TRUE(dead_letter(got, "r"));
    EXPECT_EQ(receive("orders/new/$deadletterqueue").size(), 1u);
}

TEST_P(MessageSourceContract, TakesNoMessagesForADeadLetterQueue) {
    MILLRACE_NEEDS(keeps_rules);
    create("q");
    EXPECT_EQ(error_of(try_send(dead_letter_queue_of("q"), {text_message("a")})), Errc::invalid_input);
}

TEST_P(MessageSourceContract, AcceptsADuplicateAndDropsItWithinTheWindow) {
    MILLRACE_NEEDS(keeps_rules);
    EntityOptions options;
    options.duplicate_window = seconds(60);
    create("q", options);
    Message later = text_message("scheduled", "s");
    later.scheduled_at = subject->clock().now() + minutes(10);
    const auto first =
        send("q", {text_message("1", "a"), text_message("2", "b"), text_message("3", "a"), later});
    ASSERT_EQ(first.size(), 4u);
    const bool numbers = subject->abilities().numbers_every_send;
    EXPECT_EQ(first[0] != 0, numbers);
    EXPECT_EQ(first[1] != 0, numbers);
    EXPECT_EQ(first[2], 0);
    EXPECT_THAT(send("q", {text_message("4", "b")}), ElementsAre(0));
    EXPECT_THAT(send("q", {text_message("5", "s")}), ElementsAre(0)) << "a scheduled message counts";
    for (const auto& one : receive("q")) EXPECT_TRUE(complete(one));
    EXPECT_THAT(send("q", {text_message("6", "a")}), ElementsAre(0)) << "a completed message counts";
    pass(seconds(61));
    send("q", {text_message("7", "a")});
    EXPECT_THAT(bodies(receive("q")), ElementsAre("7"));
}

TEST_P(MessageSourceContract, StoresOneOfManyEqualMessagesSentAtOnce) {
    MILLRACE_NEEDS(keeps_rules);
    EntityOptions options;
    options.duplicate_window = seconds(60);
    create("q", options);
    std::vector<Loop::Pending<Result<std::vector<std::int64_t>>>> sends;
    for (int i = 0; i < 20; ++i) sends.push_back(loop.begin(source().send("q", {text_message("x", "same")})));
    int stored = 0;
    for (auto& one : sends) {
        const auto sent = loop.finish(one);
        ASSERT_TRUE(sent);
        if (sent->at(0) != 0) ++stored;
    }
    EXPECT_EQ(stored, subject->abilities().numbers_every_send ? 1 : 0);
    EXPECT_EQ(receive("q").size(), 1u);
}

TEST_P(MessageSourceContract, RefusesASendThatWouldOverfillTheEntity) {
    MILLRACE_NEEDS(keeps_rules);
    EntityOptions options;
    options.bytes_max = 10'000;
    create("q", options);
    const std::string half(4'500, 'x');
    send_texts("q", {half, half});
    EXPECT_EQ(error_of(try_send("q", {text_message(half)})), Errc::over_limit);
    Delivery one = receive_one("q");
    EXPECT_EQ(error_of(try_send("q", {text_message(half)})), Errc::over_limit) << "locked messages count";
    EXPECT_TRUE(dead_letter(one, "r"));
    EXPECT_EQ(error_of(try_send("q", {text_message(half)})), Errc::over_limit) << "dead letters count";
    EXPECT_TRUE(complete(receive_one("q")));
    EXPECT_TRUE(try_send("q", {text_message(half)}));
}

}  // namespace millrace::broker::test
