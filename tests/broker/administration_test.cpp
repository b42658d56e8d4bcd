// What an administrator does to entities: statuses, deletion when idle, many messages at once, what is in
// sessions.
#include "tests/broker/engine_fixture.hpp"

namespace millrace::broker::test {
namespace {

using namespace std::string_literals;

class Administration : public EmbeddedTest {
  protected:
    void set_status(const std::string& name, EntityStatus status, EntityKind kind = EntityKind::queue) {
        EntityOptions options;
        options.kind = kind;
        options.status = status;
        under_test.put(name, options);
    }
    bool can_send(const std::string& name) {
        std::vector<Message> messages{text_message("x")};
        const auto sent = loop.await(broker().send(name, std::move(messages)));
        if (!sent) {
            EXPECT_EQ(sent.error().code, Errc::invalid_input);
        }
        return sent.has_value();
    }
    bool can_receive(const std::string& name) {
        const auto received = loop.await(broker().receive(name, ReceiveOptions()));
        if (!received) {
            EXPECT_EQ(received.error().code, Errc::invalid_input);
        }
        return received.has_value();
    }
    void create_sessions(const std::string& name) {
        EntityOptions options;
        options.requires_session = true;
        under_test.put(name, options);
    }
    void send_to_session(const std::string& name, const std::string& session, const std::string& body) {
        Message message = text_message(body);
        message.session_id = session;
        send(name, std::vector<Message>{message});
    }
    SessionLock accept(const std::string& name, const std::string& session) {
        return loop.await(broker().accept_session(name, session, Duration::zero())).value();
    }
    std::uint64_t delete_messages(const std::string& name, std::size_t count, TimePoint older_than,
                                  Uuid session = {}) {
        return loop.await(broker().delete_messages(name, count, older_than, session)).value();
    }
};

TEST_F(Administration, AStatusSaysWhatMayBeDone) {
    const struct {
        EntityStatus status;
        bool send;
        bool receive;
    } cases[] = {{EntityStatus::active, true, true},
                 {EntityStatus::disabled, false, false},
                 {EntityStatus::send_disabled, false, true},
                 {EntityStatus::receive_disabled, true, false}};
    for (const auto& one : cases) {
        set_status("q", one.status);
        EXPECT_EQ(broker().status("q").value(), one.status);
        EXPECT_EQ(may_send(one.status), one.send);
        EXPECT_EQ(may_receive(one.status), one.receive);
        EXPECT_EQ(can_send("q"), one.send);
        EXPECT_EQ(can_receive("q"), one.receive);
        under_test.restart();
        EXPECT_EQ(broker().status("q").value(), one.status);
    }
    EXPECT_EQ(error_of(broker().status("none")), Errc::not_found);
}

TEST_F(Administration, WhatADisabledEntityHoldsIsKeptAndCanBeSettled) {
    under_test.put("q");
    send_texts("q", {"held", "waiting"});
    const Delivery held = receive_one("q");
    set_status("q", EntityStatus::disabled);
    EXPECT_THAT(bodies(peek("q")), ElementsAre("held", "waiting"));
    EXPECT_TRUE(complete(held));
    set_status("q", EntityStatus::active);
    EXPECT_THAT(bodies(receive("q")), ElementsAre("waiting"));
}

TEST_F(Administration, DisablingEndsTheReceivesThatWait) {
    under_test.put("q");
    create_sessions("s");
    ReceiveOptions options;
    options.wait = minutes(1);
    auto waiting = loop.begin(broker().receive("q", options));
    auto accepting = loop.begin(broker().accept_session("s", std::nullopt, minutes(1)));
    loop.settle();
    set_status("q", EntityStatus::receive_disabled);
    EXPECT_EQ(error_of(loop.finish(waiting)), Errc::invalid_input);
    EntityOptions sessions;
    sessions.requires_session = true;
    sessions.status = EntityStatus::disabled;
    under_test.put("s", sessions);
    EXPECT_EQ(error_of(loop.finish(accepting)), Errc::invalid_input);
    EXPECT_EQ(error_of(loop.await(broker().accept_session("s", std::nullopt, Duration::zero()))),
              Errc::invalid_input);
}

TEST_F(Administration, ADisabledSubscriptionStillGetsItsCopies) {
    set_status("t", EntityStatus::active, EntityKind::topic);
    const std::string path = subscription_path("t", "s");
    set_status(path, EntityStatus::disabled, EntityKind::subscription);
    EXPECT_TRUE(can_send("t"));
    EXPECT_FALSE(can_receive(path));
    set_status(path, EntityStatus::active, EntityKind::subscription);
    EXPECT_THAT(bodies(receive(path)), ElementsAre("x"));
}

TEST_F(Administration, NobodyReceivesFromSubscriptionsOfADisabledTopic) {
    set_status("t", EntityStatus::disabled, EntityKind::topic);
    const std::string path = subscription_path("t", "s");
    set_status(path, EntityStatus::active, EntityKind::subscription);
    EXPECT_FALSE(can_send("t"));
    EXPECT_FALSE(can_receive(path));
    EXPECT_FALSE(may_receive(broker().status(path).value()));
    set_status("t", EntityStatus::send_disabled, EntityKind::topic);
    EXPECT_TRUE(can_receive(path));
}

TEST_F(Administration, WhatCannotBeForwardedToADisabledEntityWaits) {
    under_test.put("target");
    EntityOptions forwarding;
    under_test.put("q", forwarding);
    send_texts("q", {"before"});
    set_status("target", EntityStatus::send_disabled);
    forwarding.forward_to = "target";
    under_test.put("q", forwarding);
    under_test.pass(seconds(1));
    EXPECT_THAT(bodies(peek("q")), ElementsAre("before"));
    set_status("target", EntityStatus::active);
    under_test.pass(seconds(1));
    EXPECT_THAT(bodies(receive("target")), ElementsAre("before"));
    set_status("target", EntityStatus::disabled);
    std::vector<Message> more{text_message("more")};
    EXPECT_EQ(error_of(loop.await(broker().send("q", std::move(more)))), Errc::over_limit);
}

TEST_F(Administration, OptionsHaveTheirLimits) {
    const auto problem = [](auto change, EntityKind kind = EntityKind::queue) {
        EntityOptions options;
        options.kind = kind;
        change(options);
        const std::string name = kind == EntityKind::subscription ? "t/Subscriptions/s" : "q";
        return check_entity(name, options).has_error();
    };
    EXPECT_TRUE(problem([](auto& options) { options.delete_on_idle = minutes(5) - Duration(1); }));
    EXPECT_FALSE(problem([](auto& options) { options.delete_on_idle = minutes(5); }));
    EXPECT_TRUE(problem([](auto& options) { options.user_metadata = std::string(1025, 'x'); }));
    EXPECT_FALSE(problem([](auto& options) { options.user_metadata = std::string(1024, 'x'); }));
    EXPECT_TRUE(problem([](auto& options) { options.status = EntityStatus::send_disabled; },
                        EntityKind::subscription));
}

TEST_F(Administration, EveryOptionSurvivesARestart) {
    EntityOptions options;
    options.kind = EntityKind::topic;
    under_test.put("t", options);
    options.kind = EntityKind::subscription;
    options.status = EntityStatus::receive_disabled;
    options.delete_on_idle = hours(2);
    options.user_metadata = "whose it is";
    options.dead_letter_on_filter_error = false;
    under_test.put("t/Subscriptions/s", options);
    under_test.restart();
    EXPECT_EQ(broker().counts("t/Subscriptions/s")->options, options);
}

TEST_F(Administration, AnEntityThatNobodyUsesIsRemoved) {
    EntityOptions options;
    options.delete_on_idle = minutes(5);
    under_test.put("q", options);
    under_test.put("kept");
    send_texts("q", {"x"});
    under_test.pass(minutes(4));
    receive_one("q");
    under_test.pass(minutes(4));
    EXPECT_TRUE(broker().counts("q")) << "it was received from";
    under_test.put("q", options);
    under_test.pass(minutes(1) - Duration(1));
    EXPECT_TRUE(broker().counts("q"));
    under_test.pass(Duration(1));
    EXPECT_EQ(error_of(broker().counts("q")), Errc::not_found);
    EXPECT_TRUE(broker().counts("kept"));
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 0);
}

TEST_F(Administration, WhoWaitsForMessagesKeepsAnEntityAlive) {
    EntityOptions options;
    options.delete_on_idle = minutes(5);
    under_test.put("q", options);
    ReceiveOptions patient;
    patient.wait = minutes(7);
    auto waiting = loop.begin(broker().receive("q", patient));
    loop.settle();
    under_test.pass(minutes(6));
    EXPECT_TRUE(broker().counts("q"));
    under_test.pass(minutes(1));
    EXPECT_TRUE(loop.finish(waiting));
    under_test.pass(minutes(5));
    EXPECT_FALSE(broker().counts("q"));
}

TEST_F(Administration, CopiesDoNotKeepASubscriptionAliveButReceivesKeepItsTopic) {
    EntityOptions options;
    options.kind = EntityKind::topic;
    options.delete_on_idle = minutes(20);
    under_test.put("t", options);
    options.kind = EntityKind::subscription;
    options.delete_on_idle = minutes(10);
    under_test.put("t/Subscriptions/s", options);
    options.delete_on_idle.reset();
    under_test.put("t/Subscriptions/kept", options);
    under_test.pass(minutes(9));
    send_texts("t", {"x"});
    under_test.pass(minutes(1));
    EXPECT_FALSE(broker().counts("t/Subscriptions/s"));
    receive("t/Subscriptions/kept");
    under_test.pass(minutes(19));
    EXPECT_TRUE(broker().counts("t"));
    under_test.pass(minutes(1));
    EXPECT_FALSE(broker().counts("t"));
    EXPECT_FALSE(broker().counts("t/Subscriptions/kept"));
}

TEST_F(Administration, AnIdleTimeBeginsAnewWithTheProcess) {
    EntityOptions options;
    options.delete_on_idle = minutes(5);
    under_test.put("q", options);
    under_test.clock.advance(hours(1));
    under_test.restart();
    under_test.pass(minutes(4));
    EXPECT_TRUE(broker().counts("q")) << "its users could not reach it";
    under_test.pass(minutes(1));
    EXPECT_FALSE(broker().counts("q"));
}

TEST_F(Administration, KnowsWhenAnEntityWasMadeChangedAndUsed) {
    const TimePoint begin = now();
    under_test.put("q");
    under_test.pass(minutes(1));
    send_texts("q", {"x"});
    under_test.pass(minutes(1));
    EntityOptions options;
    under_test.put("q", options);
    EXPECT_EQ(broker().counts("q")->updated_at, begin) << "nothing was changed";
    options.lock_time = seconds(30);
    under_test.put("q", options);
    for (int restarts = 0; restarts < 2; ++restarts) {
        const EntityCounts counts = *broker().counts("q");
        EXPECT_EQ(counts.created_at, begin);
        EXPECT_EQ(counts.accessed_at, begin + minutes(1));
        EXPECT_EQ(counts.updated_at, begin + minutes(2));
        under_test.restart();
    }
    under_test.pass(minutes(2));
    send_texts("q", {"y"});
    const TimePoint used = now();
    under_test.pass(seconds(1));
    send_texts("q", {"z"});
    under_test.crash();
    EXPECT_EQ(broker().counts("q")->accessed_at, used) << "stored at most once a minute";
}

TEST_F(Administration, DeletesReadyMessagesThatAreOldEnough) {
    under_test.put("q");
    send_texts("q", {"locked", "1", "2", "3"});
    const Delivery locked = receive_one("q");
    under_test.pass(seconds(1));
    const TimePoint border = now();
    send_texts("q", {"young"});
    EXPECT_EQ(delete_messages("q", 2, border), 2u);
    EXPECT_THAT(bodies(peek("q")), ElementsAre("locked", "3", "young"));
    EXPECT_EQ(delete_messages("q", 100, border), 1u);
    EXPECT_EQ(delete_messages("q", 100, border), 0u);
    EXPECT_TRUE(complete(locked));
    under_test.restart();
    EXPECT_THAT(bodies(peek("q")), ElementsAre("young"));
}

TEST_F(Administration, DeletesMoreMessagesThanOneTransactionTakes) {
    under_test.put("q");
    const std::vector<std::string> many(1'100, "x");
    send_texts("q", many);
    EXPECT_EQ(delete_messages("q", 1'050, now() + seconds(1)), 1'050u);
    EXPECT_EQ(broker().counts("q")->active, 50u);
}

TEST_F(Administration, DeletesMessagesOfTheSessionThatIsHeld) {
    create_sessions("s");
    for (const std::string id : {"a", "b", "a"}) send_to_session("s", id, id);
    const SessionLock lock = accept("s", "a");
    EXPECT_EQ(delete_messages("s", 100, now() + seconds(1), lock.token), 2u);
    EXPECT_THAT(bodies(peek("s")), ElementsAre("b"));
    EXPECT_EQ(error_of(loop.await(broker().delete_messages("s", 1, now(), Uuid()))), Errc::invalid_input);
    loop.await(broker().release_session(lock));
    EXPECT_EQ(error_of(loop.await(broker().delete_messages("s", 1, now(), lock.token))), Errc::conflict);
}

TEST_F(Administration, PeeksIntoOneSession) {
    create_sessions("s");
    for (const std::string body : {"a1", "b1", "a2", "a3"}) send_to_session("s", body.substr(0, 1), body);
    const auto of_session = [](const std::string& id, std::int64_t from, std::size_t count) {
        return PeekOptions{.session_id = id, .from = from, .messages_max = count};
    };
    const auto peeked = [&](const std::string& id, std::int64_t from, std::size_t count) {
        return bodies(loop.await(broker().peek("s", of_session(id, from, count))).value());
    };
    EXPECT_THAT(peeked("a", 0, 100), ElementsAre("a1", "a2", "a3"));
    EXPECT_THAT(peeked("a", 2, 1), ElementsAre("a2"));
    EXPECT_THAT(peeked("none", 0, 100), IsEmpty());
    under_test.put("q");
    EXPECT_EQ(error_of(loop.await(broker().peek("q", of_session("a", 0, 1)))), Errc::invalid_input);
}

TEST_F(Administration, APeekTakesNoMoreThanItMayButAlwaysOneMessage) {
    under_test.put("q");
    send_texts("q", {std::string(600, 'a'), std::string(600, 'b'), "c", std::string(5000, 'd')});
    const auto peeked = [&](std::int64_t from, std::size_t bytes) {
        PeekOptions options{.from = from, .messages_max = 100, .bytes_max = bytes};
        std::vector<std::size_t> sizes;
        for (const auto& one : loop.await(broker().peek("q", options)).value())
            sizes.push_back(one.message.body.size());
        return sizes;
    };
    EXPECT_THAT(peeked(1, 1000), ElementsAre(600));
    EXPECT_THAT(peeked(1, 2000), ElementsAre(600, 600, 1));
    EXPECT_THAT(peeked(4, 1), ElementsAre(5000));
}

TEST_F(Administration, APeekWithoutBodiesCountsWhatItHandsOut) {
    under_test.put("q");
    const std::string front = "\x00\x53\x70\xc0\x04\x02\x40\x50\x09"s;
    Message rich = text_message(front + "\x00\x53\x75\xb0\x00\x00\x13\x88"s + std::string(5000, 'b'));
    rich.body_format = kAmqpSections;
    Message wide = text_message(std::string(5000, 'b'));
    wide.properties["wide"] = std::string(5000, 'p');
    send("q", {text_message(std::string(5000, 'b')), rich, wide, wide, text_message("last")});
    const auto peeked = [&](std::int64_t from) {
        PeekOptions options{.from = from, .messages_max = 100, .bytes_max = 9000, .bodies = false};
        return loop.await(broker().peek("q", options)).value();
    };
    const auto first = peeked(1);
    EXPECT_THAT(bodies(first), ElementsAre("", front, ""));
    EXPECT_EQ(std::get<std::string>(first.at(2).message.properties.at("wide")).size(), 5000U);
    EXPECT_THAT(bodies(peeked(4)), ElementsAre("", ""));
}

TEST_F(Administration, TheLockOfASessionIsCheckedWithoutADatabase) {
    create_sessions("s");
    const SessionLock lock = accept("s", "a");
    EXPECT_TRUE(broker().check_session(lock));
    under_test.pass(minutes(1));
    EXPECT_EQ(error_of(broker().check_session(lock)), Errc::conflict);
    const SessionLock again = accept("s", "a");
    EXPECT_TRUE(broker().check_session(again));
    EXPECT_EQ(error_of(broker().check_session(lock)), Errc::conflict);
    EXPECT_TRUE(loop.await(broker().remove_entity("s")));
    EXPECT_EQ(error_of(broker().check_session(again)), Errc::not_found);
}

TEST_F(Administration, ThePageThatFollowsBeginsBehindTheLastIdWhateverHasGone) {
    create_sessions("s");
    for (const std::string id : {"", "a", "c", "e", "f"}) send_to_session("s", id, "x");
    EXPECT_TRUE(loop.await(broker().set_session_state(accept("s", "d"), std::string("state"))));
    const auto listed = [&](std::size_t skip, std::size_t top) {
        return loop.await(broker().sessions("s", std::nullopt, skip, top)).value();
    };
    EXPECT_THAT(listed(0, 2), ElementsAre("", "a"));
    const SessionLock lock = accept("s", "a");
    EXPECT_TRUE(complete(receive("s", 1, lock.token).at(0)));
    EXPECT_THAT(listed(2, 2), ElementsAre("c", "d")) << "nothing is passed over";
    EXPECT_THAT(listed(4, 2), ElementsAre("e", "f"));
    EXPECT_THAT(listed(3, 2), ElementsAre("e", "f")) << "no page has ended there: it is counted";
}

TEST_F(Administration, ListsSessionsThatHaveMessagesOrAState) {
    create_sessions("s");
    send_to_session("s", "with message", "x");
    EXPECT_TRUE(loop.await(broker().set_session_state(accept("s", "early"), std::string("state"))));
    under_test.pass(minutes(1));
    const TimePoint since = now();
    EXPECT_TRUE(loop.await(broker().set_session_state(accept("s", "late"), std::string("state"))));
    accept("s", "nothing but a lock");
    const auto listed = [&](std::optional<TimePoint> from, std::size_t skip, std::size_t top) {
        return loop.await(broker().sessions("s", from, skip, top)).value();
    };
    EXPECT_THAT(listed(std::nullopt, 0, 100), ElementsAre("early", "late", "with message"));
    EXPECT_THAT(listed(std::nullopt, 1, 1), ElementsAre("late"));
    EXPECT_THAT(listed(since, 0, 100), ElementsAre("late"));
    EXPECT_THAT(listed(std::nullopt, 3, 100), IsEmpty());
}

TEST_F(Administration, DeferredMessagesThatAreTooLargeTogetherStayWhereTheyAre) {
    under_test.put("q");
    send_texts("q", {std::string(600, 'a'), std::string(600, 'b')});
    std::vector<std::int64_t> numbers;
    for (const Delivery& one : receive("q", 2)) {
        numbers.push_back(one.sequence);
        ASSERT_TRUE(loop.await(broker().defer(lock_of(one), {})));
    }
    ReceiveOptions options;
    options.bytes_max = 1000;
    const auto fetch = [&](std::vector<std::int64_t> of) {
        return loop.await(broker().receive_deferred("q", std::move(of), options));
    };
    EXPECT_EQ(error_of(fetch(numbers)), Errc::invalid_input);
    EXPECT_EQ(broker().counts("q")->deferred, 2u);
    options.bytes_max = 1;
    EXPECT_EQ(fetch({numbers[1]}).value().size(), 1u);
}

}  // namespace
}  // namespace millrace::broker::test
