// The operations of "$management" on a broker: what they do, and what they answer to what is wrong.
#include "tests/amqp/management_fixture.hpp"

namespace millrace::amqp::test {
namespace {

using Management = ManagementTest;

TEST_F(Management, LocksAreRenewedAllOrTheFirstFailureIsAnswered) {
    under_test.put("q");
    send_texts("q", {"a", "b"});
    const auto taken = receive("q");
    under_test.pass(seconds(30));
    auto answer = ask("q", "renew-lock", with({{"lock-tokens", uuids(taken)}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_THAT(items(answer, "expirations"),
                ElementsAre(Value(now() + seconds(60)), Value(now() + seconds(60))));

    under_test.pass(seconds(40));
    EXPECT_TRUE(complete(taken[0]));
    answer = ask("q", "renew-lock", with({{"lock-tokens", uuids(taken)}}));
    EXPECT_EQ(answer.status, 410);
    EXPECT_EQ(answer.condition, condition::kMessageLockLost);
    EXPECT_THAT(answer.description, HasSubstr("The lock supplied is invalid"));
    under_test.pass(seconds(40));
    EXPECT_TRUE(complete(taken[1])) << "the lock behind the lost one was renewed";
}

TEST_F(Management, SeveralValuesComeAsArrayAsListOrAlone) {
    under_test.put("q");
    send_texts("q", {"a", "b", "c"});
    const auto taken = receive("q");
    const std::vector<Value> forms = {Value(taken[0].lock_token), Value(List{{Value(taken[1].lock_token)}}),
                                      Value(uuids({taken[2]}))};
    for (const Value& form : forms) {
        auto answer = ask("q", "update-disposition",
                          with({{"disposition-status", "completed"}, {"lock-tokens", form}}));
        EXPECT_EQ(answer.status, 200) << answer.description;
    }
    EXPECT_THAT(peek("q"), IsEmpty());
}

TEST_F(Management, EveryDispositionDoesWhatItSays) {
    struct Case {
        const char* status;
        broker::State state;
    };
    const Case cases[] = {{"abandoned", broker::State::active},
                          {"defered", broker::State::deferred},
                          {"deferred", broker::State::deferred}};
    under_test.put("q");
    for (const Case& one : cases) {
        send_texts("q", {"x"});
        const Delivery taken = receive_one("q");
        const Map changed = with({{"attempts", std::int32_t{3}}, {"who", "me"}});
        auto answer = ask("q", "update-disposition",
                          with({{"disposition-status", one.status},
                                {"lock-tokens", uuids({taken})},
                                {"properties-to-modify", changed}}));
        ASSERT_EQ(answer.status, 200) << one.status << ": " << answer.description;
        const auto left = peek("q");
        ASSERT_THAT(left, SizeIs(1)) << one.status;
        EXPECT_EQ(left[0].state, one.state) << one.status;
        EXPECT_EQ(left[0].delivery_count, 1) << one.status;
        EXPECT_EQ(left[0].message.properties, to_properties(changed)) << one.status;
        loop.await(broker().purge("q"));
    }
}

TEST_F(Management, ASuspendedMessageIsADeadLetterWithItsReason) {
    under_test.put("q");
    send_texts("q", {"x"});
    const Delivery taken = receive_one("q");
    auto answer = ask("q", "update-disposition",
                      with({{"disposition-status", "suspended"},
                            {"lock-tokens", uuids({taken})},
                            {"deadletter-reason", "broken"},
                            {"deadletter-description", "no head"},
                            {"properties-to-modify", with({{"who", "me"}})}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    const auto letters = peek("q/$DeadLetterQueue");
    ASSERT_THAT(letters, SizeIs(1));
    EXPECT_EQ(reason(letters[0]), "broken");
    EXPECT_EQ(letters[0].message.properties.at(broker::kDeadLetterDescription), broker::Value("no head"));
    EXPECT_EQ(letters[0].message.properties.at("who"), broker::Value("me"));
}

TEST_F(Management, ALostLockStopsNeitherTheOthersNorItsAnswer) {
    under_test.put("q");
    send_texts("q", {"a", "b"});
    const auto taken = receive("q");
    EXPECT_TRUE(abandon(taken[0]));
    const Map arguments = with({{"disposition-status", "completed"}, {"lock-tokens", uuids(taken)}});
    const auto answer = ask("q", "update-disposition", arguments);
    EXPECT_EQ(answer.status, 410);
    EXPECT_EQ(answer.condition, condition::kMessageLockLost);
    EXPECT_THAT(bodies(peek("q")), ElementsAre("a"));
}

TEST_F(Management, PeekShowsEveryStateWithoutALock) {
    under_test.put("q");
    defer_one("q", "deferred");
    send_texts("q", {"locked", "ready"});
    receive("q", 1);
    Message later = text_message("scheduled");
    later.scheduled_at = now() + minutes(5);
    send("q", {later});
    // Numbers of three widths.
    auto answer =
        ask("q", "peek-message",
            with({{"from-sequence-number", std::uint8_t{0}}, {"message-count", std::uint64_t{10}}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_THAT(bodies(messages(answer)), ElementsAre("deferred", "locked", "ready", "scheduled"));
    EXPECT_THAT(peek("q"), SizeIs(4));
    answer = ask("q", "peek-message",
                 with({{"from-sequence-number", std::int64_t{3}}, {"message-count", std::int16_t{1}}}));
    const auto third = messages(answer);
    EXPECT_THAT(bodies(third), ElementsAre("ready"));
    ASSERT_THAT(third, SizeIs(1));
    EXPECT_EQ(third[0].sequence, 3);
    EXPECT_TRUE(third[0].lock_token.is_nil());

    answer = ask("q", "peek-message", with({{"message-count", 1}, {"omit-message-body", true}}));
    EXPECT_THAT(bodies(messages(answer)), ElementsAre(""));
    answer = ask("q", "peek-message", with({{"from-sequence-number", 5}, {"message-count", 1}}));
    EXPECT_EQ(answer.status, 204);
    EXPECT_TRUE(answer.body.empty());
}

TEST_F(Management, APeekAnswersNoMoreThanOneLargeMessageHolds) {
    under_test.put("q");
    const std::string large(400'000, 'x');
    send_texts("q", {large, large, large, large});
    auto answer = ask("q", "peek-message", with({{"message-count", 100}}));
    EXPECT_THAT(messages(answer), SizeIs(2));
    answer = ask("q", "peek-message", with({{"message-count", 100}, {"omit-message-body", true}}));
    EXPECT_THAT(messages(answer), SizeIs(4));
}

TEST_F(Management, PeekOfOneSessionShowsOnlyIts) {
    put_sessions("s");
    send("s", {of_session("a", "one"), of_session("b", "two"), of_session("c", "one"), of_session("d", "")});
    auto answer = ask("s", "peek-message", with({{"message-count", 10}, {"session-id", "one"}}));
    EXPECT_THAT(bodies(messages(answer)), ElementsAre("a", "c"));
    answer = ask("s", "peek-message", with({{"message-count", 10}, {"session-id", ""}}));
    EXPECT_THAT(bodies(messages(answer)), ElementsAre("d"));
    answer = ask("s", "peek-message", with({{"message-count", 10}, {"session-id", Null()}}));
    EXPECT_THAT(messages(answer), SizeIs(4));
    answer = ask("s", "peek-message", with({{"message-count", 10}, {"session-id", "three"}}));
    EXPECT_EQ(answer.status, 204);
}

TEST_F(Management, DeferredMessagesAreReceivedByNumber) {
    under_test.put("q");
    const Delivery first = defer_one("q", "a");
    const Delivery second = defer_one("q", "b");
    const Map locking =
        with({{"sequence-numbers", longs({first.sequence})}, {"receiver-settle-mode", std::uint8_t{1}}});
    auto answer = ask("q", "receive-by-sequence-number", locking);
    ASSERT_EQ(answer.status, 200) << answer.description;
    ASSERT_THAT(messages(answer), SizeIs(1));
    EXPECT_EQ(messages(answer)[0].message.body, "a");
    const std::vector<Value> locked = items(answer, "messages");
    const auto* token = locked[0].as<Map>()->find("lock-token");
    ASSERT_NE(token, nullptr);
    EXPECT_TRUE(loop.await(broker().complete({"q", *token->as<Uuid>()})));

    const Map deleting =
        with({{"sequence-numbers", longs({second.sequence})}, {"receiver-settle-mode", std::uint32_t{0}}});
    answer = ask("q", "receive-by-sequence-number", deleting);
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_THAT(bodies(messages(answer)), ElementsAre("b"));
    EXPECT_THAT(peek("q"), IsEmpty());

    answer = ask("q", "receive-by-sequence-number", deleting);
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(answer.condition, condition::kMessageNotFound);
    answer =
        ask("q", "receive-by-sequence-number", with({{"sequence-numbers", 1}, {"receiver-settle-mode", 2}}));
    EXPECT_EQ(answer.status, 400);
}

TEST_F(Management, DeferredMessagesOfASessionNeedItsLock) {
    put_sessions("s");
    send("s", {of_session("a", "one")});
    hold_session("s", "one");
    const auto taken = receive("s", 1, held["one"].token);
    ASSERT_THAT(taken, SizeIs(1));
    EXPECT_TRUE(loop.await(broker().defer({"s", taken[0].lock_token}, {})));
    const Map arguments = with({{"sequence-numbers", longs({1})},
                                {"receiver-settle-mode", std::uint32_t{1}},
                                {"session-id", "one"}});
    auto answer = ask("s", "receive-by-sequence-number", arguments, "link-7");
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_EQ(link_asked, "link-7");
    EXPECT_THAT(bodies(messages(answer)), ElementsAre("a"));

    under_test.pass(seconds(61));
    answer = ask("s", "receive-by-sequence-number", arguments);
    EXPECT_EQ(answer.status, 410);
    EXPECT_EQ(answer.condition, condition::kSessionLockLost);
    held.clear();
    answer = ask("s", "receive-by-sequence-number", arguments);
    EXPECT_EQ(answer.status, 410);
    EXPECT_EQ(answer.condition, condition::kSessionLockLost);
    answer = ask("s", "receive-by-sequence-number", with({{"sequence-numbers", longs({1})}}));
    EXPECT_EQ(answer.status, 400) << "the queue has sessions and none is named";
}

TEST_F(Management, BatchesOfOldMessagesAreDeleted) {
    under_test.put("q");
    send_texts("q", {"a", "b", "c"});
    under_test.pass(seconds(10));
    const TimePoint middle = now();
    send_texts("q", {"d"});
    auto answer =
        ask("q", "batch-delete-messages", with({{"message-count", 2}, {"enqueued-time-utc", middle}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_EQ(integer_of(answer.body.find("message-count")), 2);
    EXPECT_THAT(bodies(peek("q")), ElementsAre("c", "d"));
    answer = ask("q", "batch-delete-messages", with({{"message-count", 100}, {"enqueued-time-utc", middle}}));
    EXPECT_EQ(integer_of(answer.body.find("message-count")), 1);
    answer = ask("q", "batch-delete-messages", with({{"message-count", 100}, {"enqueued-time-utc", middle}}));
    EXPECT_EQ(answer.status, 204);
}

TEST_F(Management, ABatchOfASessionIsDeletedUnderItsLock) {
    put_sessions("s");
    send("s", {of_session("a", "one"), of_session("b", "two")});
    under_test.pass(seconds(1));
    const Map arguments = with({{"message-count", 9}, {"session-id", "one"}});
    EXPECT_EQ(ask("s", "batch-delete-messages", arguments).condition, condition::kSessionLockLost);
    hold_session("s", "one");
    const auto answer = ask("s", "batch-delete-messages", arguments);
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_THAT(bodies(peek("s")), ElementsAre("b"));
}

class Schedules : public ManagementTest {
  protected:
    Map entry(const std::string& body, std::optional<Duration> delay = minutes(5)) {
        Message message = text_message(body, "id-" + body);
        if (delay) message.scheduled_at = now() + *delay;
        return with({{"message", Binary{write_message(message)}}, {"message-id", "id-" + body}});
    }
};

TEST_F(Schedules, MessagesAreScheduledAndCancelled) {
    under_test.put("q");
    auto answer = ask("q", "schedule-message", with({{"messages", List{{entry("a"), entry("b")}}}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_THAT(items(answer, "sequence-numbers"),
                ElementsAre(Value(std::int64_t{1}), Value(std::int64_t{2})));
    auto waiting = peek("q");
    ASSERT_THAT(waiting, SizeIs(2));
    EXPECT_EQ(waiting[0].state, broker::State::scheduled);
    EXPECT_EQ(waiting[0].message.message_id, "id-a");

    answer = ask("q", "cancel-scheduled-message", with({{"sequence-numbers", longs({1})}}));
    EXPECT_EQ(answer.status, 200) << answer.description;
    EXPECT_THAT(bodies(peek("q")), ElementsAre("b"));
    answer = ask("q", "cancel-scheduled-message", with({{"sequence-numbers", longs({1, 2})}}));
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(answer.condition, condition::kMessageNotFound);
    EXPECT_THAT(bodies(peek("q")), ElementsAre("b")) << "all or none";
    under_test.pass(minutes(6));
    EXPECT_THAT(bodies(receive("q")), ElementsAre("b"));
}

TEST_F(Schedules, TheEntryFillsWhatTheMessageLacks) {
    put_sessions("s");
    Message message = text_message("a");
    message.scheduled_at = now() + minutes(5);
    const Map one = with({{"message", Binary{write_message(message)}},
                          {"message-id", "m"},
                          {"session-id", ""},
                          {"partition-key", ""}});
    const auto answer = ask("s", "schedule-message", with({{"messages", one}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    const auto waiting = peek("s");
    ASSERT_THAT(waiting, SizeIs(1));
    EXPECT_EQ(waiting[0].message.message_id, "m");
    EXPECT_EQ(waiting[0].message.session_id, "");
}

TEST_F(Schedules, WrongMessagesAreRefusedAndNothingIsStored) {
    under_test.put("q");
    under_test.put("q2");
    const std::string whole = write_message(text_message("x"));
    const std::vector<Map> wrong = {
        entry("no time", std::nullopt),
        with({{"message-id", "x"}}),
        with({{"message", "a text"}}),
        with({{"message", Binary{"\xff\xff"}}}),
        with({{"message", Binary{whole.substr(0, whole.size() - 1)}}}),
        with({{"message", Binary{whole}}, {"message-id", 5}}),
    };
    for (const Map& one : wrong) {
        const auto answer = ask("q", "schedule-message", with({{"messages", List{{entry("a"), one}}}}));
        EXPECT_EQ(answer.status, 400) << answer.description;
        EXPECT_EQ(answer.condition, condition::kArgumentError);
    }
    EXPECT_THAT(peek("q"), IsEmpty());
    EXPECT_EQ(ask("q/$DeadLetterQueue", "schedule-message", with({{"messages", entry("a")}})).status, 400);
}

TEST_F(Schedules, AFullQueueIsAQuotaError) {
    EntityOptions options;
    options.bytes_max = 10;
    under_test.put("small", options);
    const auto answer = ask("small", "schedule-message", with({{"messages", entry(std::string(100, 'x'))}}));
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(answer.condition, condition::kResourceLimit);
}

TEST_F(Management, ASessionsLockAndStateAreReachedThroughItsLink) {
    put_sessions("s");
    send("s", {of_session("a", "")});
    hold_session("s", "");
    under_test.pass(seconds(30));
    auto answer = ask("s", "renew-session-lock", with({{"session-id", ""}}), "the-link");
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_EQ(link_asked, "the-link");
    EXPECT_EQ(*answer.body.find("expiration"), Value(now() + seconds(60)));

    answer = ask("s", "get-session-state", with({{"session-id", ""}}));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(*answer.body.find("session-state"), Value(Null()));
    const std::pair<Value, Value> states[] = {
        {Binary{std::string("\0\xff", 2)}, Binary{std::string("\0\xff", 2)}},
        {"a text", Binary{"a text"}},
        {Binary{}, Binary{}},
        {Null(), Null()},
    };
    for (const auto& [set, got] : states) {
        answer = ask("s", "set-session-state", with({{"session-id", ""}, {"session-state", set}}));
        ASSERT_EQ(answer.status, 200) << answer.description;
        answer = ask("s", "get-session-state", with({{"session-id", ""}}));
        EXPECT_EQ(*answer.body.find("session-state"), got);
    }
}

TEST_F(Management, ALostSessionIsToldApartFromALostMessage) {
    put_sessions("s");
    send("s", {of_session("a", "one")});
    hold_session("s", "one");
    const auto taken = receive("s", 1, held["one"].token);
    under_test.pass(seconds(61));
    const Map named = with({{"session-id", "one"}});
    for (const char* operation : {"renew-session-lock", "get-session-state", "set-session-state"}) {
        const auto answer = ask("s", operation, named);
        EXPECT_EQ(answer.status, 410) << operation;
        EXPECT_EQ(answer.condition, condition::kSessionLockLost) << operation;
    }
    const auto answer = ask(
        "s", "update-disposition",
        with({{"disposition-status", "completed"}, {"lock-tokens", uuids(taken)}, {"session-id", "one"}}));
    EXPECT_EQ(answer.condition, condition::kSessionLockLost);
    held.clear();
    EXPECT_EQ(ask("s", "renew-session-lock", named).condition, condition::kSessionLockLost);
    EXPECT_EQ(ask("s", "renew-session-lock", {}).condition, condition::kArgumentError);
}

TEST_F(Management, ASessionOfAnotherQueueIsNotTheOneThatIsMeant) {
    put_sessions("Orders");
    put_sessions("other");
    hold_session("Orders", "one");
    const Map named = with({{"session-id", "one"}});
    EXPECT_EQ(ask("orders", "renew-session-lock", named).status, 200) << "whatever its case";
    EXPECT_EQ(ask("other", "renew-session-lock", named).condition, condition::kSessionLockLost);
}

TEST_F(Management, SessionsAreListedInPages) {
    put_sessions("s");
    send("s", {of_session("a", "one"), of_session("b", "two"), of_session("c", "three")});
    const TimePoint max = std::chrono::sys_days(std::chrono::year(9999) / 12 / 31) + seconds(86399);
    auto page = [&](int skip) {
        return ask("s", "get-message-sessions",
                   with({{"last-updated-time", max}, {"skip", skip}, {"top", 2}}));
    };
    auto answer = page(0);
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_THAT(items(answer, "sessions-ids"), ElementsAre(Value("one"), Value("three")));
    EXPECT_EQ(integer_of(answer.body.find("skip")), 2);
    EXPECT_THAT(items(page(2), "sessions-ids"), ElementsAre(Value("two")));
    EXPECT_EQ(page(3).status, 204);

    hold_session("s", "two");
    under_test.pass(seconds(5));
    ask("s", "set-session-state", with({{"session-id", "two"}, {"session-state", Binary{"x"}}}));
    answer = ask("s", "get-message-sessions", with({{"last-updated-time", now()}, {"skip", 0}, {"top", 9}}));
    EXPECT_THAT(items(answer, "sessions-ids"), ElementsAre(Value("two")));
    EXPECT_EQ(ask("s", "get-message-sessions", with({{"skip", -1}, {"top", 9}})).status, 400);
    EXPECT_EQ(ask("s", "get-message-sessions", with({{"last-updated-time", "now"}, {"top", 9}})).status, 400);
    under_test.put("plain");
    EXPECT_EQ(ask("plain", "get-message-sessions", with({{"top", 9}})).status, 400);
}

TEST_F(Management, WhatIsWrongWithARequestIsAnArgumentError) {
    under_test.put("q");
    Array many{0x81, std::vector<Value>(4097, Value(std::int64_t{1}))};
    struct Case {
        const char* operation;
        Map arguments;
        const char* says;
    };
    const Case cases[] = {
        {"renew-lock", {}, "'lock-tokens' is missing"},
        {"renew-lock", with({{"lock-tokens", List()}}), "'lock-tokens' is empty"},
        {"renew-lock", with({{"lock-tokens", List{{Value(Null())}}}}), "something else than uuids"},
        {"update-disposition", with({{"lock-tokens", random_uuid()}}), "'disposition-status' is missing"},
        {"update-disposition", with({{"disposition-status", "eaten"}, {"lock-tokens", random_uuid()}}),
         "none of completed"},
        {"peek-message", {}, "'message-count' is missing"},
        {"peek-message", with({{"message-count", 0}}), "less than 1"},
        {"peek-message", with({{"message-count", 1.5}}), "not a whole number"},
        {"peek-message", with({{"message-count", 1}, {"from-sequence-number", UINT64_MAX}}), "whole number"},
        {"peek-message", with({{"message-count", 1}, {"session-id", 7}}), "not a string"},
        {"peek-message", with({{"message-count", 1}, {"omit-message-body", 1}}), "not a boolean"},
        {"receive-by-sequence-number", with({{"sequence-numbers", many}}), "more than 4096"},
        {"cancel-scheduled-message", with({{"sequence-numbers", "one"}}),
         "something else than whole numbers"},
        {"schedule-message", with({{"messages", List{{Value("m")}}}}), "something else than maps"},
        {"batch-delete-messages", with({{"message-count", 1}, {"enqueued-time-utc", 0}}), "not a timestamp"},
    };
    for (const Case& one : cases) {
        const auto answer = ask("q", one.operation, one.arguments);
        EXPECT_EQ(answer.status, 400) << one.says;
        EXPECT_EQ(answer.condition, condition::kArgumentError) << one.says;
        EXPECT_THAT(answer.description, HasSubstr(one.says));
    }
}

TEST_F(Management, EveryOperationAsksForItsRight) {
    put_subscription("t", "s");
    const std::string path = "t/Subscriptions/s";
    const Map empty;
    const char* const listening[] = {
        "renew-lock",         "update-disposition",    "peek-message",
        "renew-session-lock", "batch-delete-messages", "get-session-state",
        "set-session-state",  "get-message-sessions",  "receive-by-sequence-number",
        "add-rule",           "remove-rule",           "enumerate-rules"};
    const char* const sending[] = {"schedule-message", "cancel-scheduled-message"};
    auto check = [&](const char* operation, Rights granted, bool allowed) {
        rights = granted;
        const auto answer = ask(path, operation, empty);
        EXPECT_EQ(answer.status, allowed ? 400 : 401) << operation << ": " << answer.description;
        if (!allowed) {
            EXPECT_EQ(answer.condition, condition::kUnauthorized);
        }
    };
    for (const char* operation : listening) {
        check(operation, {true, false, false}, false);
        check(operation, {false, true, false}, true);
        check(operation, {false, false, true}, true);
    }
    for (const char* operation : sending) {
        check(operation, {false, true, false}, false);
        check(operation, {true, false, false}, true);
        check(operation, {false, false, true}, true);
    }
}

TEST_F(Management, UnknownEntitiesAndOperationsAreNamed) {
    const std::pair<const char*, Map> calls[] = {
        {"peek-message", with({{"message-count", 1}})},
        {"cancel-scheduled-message", with({{"sequence-numbers", 1}})},
        {"update-disposition", with({{"disposition-status", "completed"}, {"lock-tokens", random_uuid()}})},
        {"enumerate-rules", with({{"top", 1}})},
        {"remove-rule", with({{"rule-name", "r"}})},
    };
    for (const auto& [operation, arguments] : calls) {
        const auto answer = ask("nowhere", operation, arguments);
        EXPECT_EQ(answer.status, 404) << operation;
        EXPECT_EQ(answer.condition, condition::kNotFound) << operation;
        EXPECT_THAT(answer.description, HasSubstr("The messaging entity 'nowhere' could not be found"));
    }
    const auto answer = ask("nowhere", "make-coffee", {});
    EXPECT_EQ(answer.status, 501);
    EXPECT_EQ(answer.condition, condition::kNotImplemented);
    EXPECT_THAT(answer.description, HasSubstr("com.microsoft:make-coffee"));
}

TEST_F(Management, AServerThatStopsIsBusy) {
    under_test.put("q");
    loop.await(broker().stop());
    const auto answer = ask("q", "peek-message", with({{"message-count", 1}}));
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.condition, condition::kServerBusy);
}

}  // namespace
}  // namespace millrace::amqp::test
