#include "tests/amqp/server_fixture.hpp"

namespace millrace::amqp::testing {

namespace {

using std::chrono::minutes;

class ReceivingTest : public ServerTest {
  protected:
    ReceivingTest() { put("q"); }
    /// A client that receives from "q".
    void receive(bool deletes = false) {
        one = client();
        link = one->attach(Client::receiver_from("q", deletes)).link;
    }
    Incoming next() { return one->next<event::Arrived>().delivery; }

    std::unique_ptr<Client> one;
    LinkId link = 0;
};

TEST_F(ReceivingTest, ADrainIsAnsweredAtOnceWithWhatIsThere) {
    receive();
    one->grant(link, 5, true);
    EXPECT_EQ(one->next<event::Drained>().link, link);
    EXPECT_EQ(one->side.count<event::Arrived>(), 0U);
    store("q", "a");
    store("q", "b");
    one->grant(link, 5, true);
    one->next<event::Drained>();
    EXPECT_EQ(one->side.count<event::Arrived>(), 2U);
    // A wait that is under way ends with the drain, too.
    one->grant(link, 5);
    ASSERT_TRUE(until([&] { return one->wire.written(); }));
    one->grant(link, 5, true);
    one->next<event::Drained>();
    store("q", "c");
    EXPECT_EQ(counts("q").active, 1U) << "credit that was given back is not used";
}

TEST_F(ReceivingTest, CreditThatIsTakenBackIsNotUsed) {
    receive();
    one->grant(link, 5);
    one->grant(link, 0);
    auto other = client();
    const LinkId theirs = other->attach(Client::receiver_from("q")).link;
    other->grant(theirs, 1);
    store("q", "a");
    EXPECT_EQ(other->receive().message.body, "a");
}

TEST_F(ReceivingTest, EveryOutcomeIsCarriedOutAndAnswered) {
    receive();
    one->grant(link, 100);
    Map changes;
    changes.set("seen", true);
    Condition burial{"com.microsoft:dead-letter", "", {}};
    burial.info.set("DeadLetterReason", std::string("why"));
    const std::pair<DeliveryState, std::function<std::uint64_t(const broker::EntityCounts&)>> cases[] = {
        {Accepted{}, [](const auto& now) { return now.completed_total; }},
        {Modified{false, true, changes}, [](const auto& now) { return now.deferred; }},
        {Rejected{burial}, [](const auto& now) { return now.dead_lettered; }},
    };
    for (const auto& [outcome, counted] : cases) {
        store("q", "a");
        const DeliveryState answer = one->settle(link, next().id, outcome);
        EXPECT_EQ(answer.index(), outcome.index());
        EXPECT_EQ(error_of(answer), "") << "success is not told as an error";
        EXPECT_EQ(counted(counts("q")), 1U);
    }
    for (const DeliveryState& outcome :
         {DeliveryState(Released{}), DeliveryState(Modified{false, false, changes})}) {
        store("q", "again");
        EXPECT_EQ(one->settle(link, next().id, outcome).index(), outcome.index());
        const Incoming back = next();
        EXPECT_EQ(Client::read(back).delivery_count, 1);
        one->settle(link, back.id, Accepted{});
    }
    const auto dead = loop.await(embedded.broker->peek("q/$DeadLetterQueue", 0, 10));
    ASSERT_EQ(dead->size(), 1U);
    EXPECT_EQ((*dead)[0].message.properties.at("DeadLetterReason"), broker::Value(std::string("why")));
}

TEST_F(ReceivingTest, AnOutcomeThatIsToldSettledIsFinal) {
    receive();
    one->grant(link, 1);
    store("q", "a");
    one->side->tell(link, next().id, Accepted{}, true);
    one->flush();
    EXPECT_TRUE(one->until([&] { return counts("q").completed_total == 1; }));
    EXPECT_EQ(one->side.count<event::StateChanged>(), 0U);
}

TEST_F(ReceivingTest, ALostLockIsAnsweredAsSuch) {
    receive();
    one->grant(link, 1);
    store("q", "a");
    const Incoming held = next();
    embedded.pass(minutes(2));
    EXPECT_EQ(error_of(one->settle(link, held.id, Accepted{})), "com.microsoft:message-lock-lost");
    EXPECT_EQ(counts("q").active, 1U);
}

TEST_F(ReceivingTest, ALockOutlivesItsLinkUntilItsTimeIsOver) {
    receive();
    one->grant(link, 1);
    store("q", "a");
    next();
    one->detach(link);
    EXPECT_EQ(counts("q").locked, 1U);
    embedded.pass(minutes(2));
    EXPECT_EQ(counts("q").active, 1U);
    EXPECT_EQ(server->stats().links, 0U);
}

TEST_F(ReceivingTest, WhatIsReceivedAndDeletedIsGoneAndNeedsNoAnswer) {
    receive(true);
    store("q", "a");
    one->grant(link, 1);
    const Incoming got = next();
    EXPECT_TRUE(got.settled);
    EXPECT_EQ(Client::read(got).message.body, "a");
    EXPECT_EQ(counts("q").locked + counts("q").active, 0U);
}

TEST_F(ReceivingTest, WhatIsDeletedOnReceiveIsNotLostWhereCreditIsTakenBack) {
    receive(true);
    one->grant(link, 10);
    one->grant(link, 1);
    for (const char* body : {"a", "b", "c"}) store("q", body);
    EXPECT_EQ(Client::read(next()).message.body, "a");
    one->grant(link, 10);
    EXPECT_EQ(Client::read(next()).message.body, "b");
    EXPECT_EQ(Client::read(next()).message.body, "c");
}

TEST_F(ReceivingTest, TheDeliveryTagIsTheLockTokenAsDotNetWritesIt) {
    receive();
    one->grant(link, 1);
    store("q", "a");
    const Incoming got = next();
    const Uuid token = Client::read(got).lock_token;
    const Uuid guid = swap_guid(token);
    EXPECT_EQ(got.tag, std::string(reinterpret_cast<const char*>(guid.bytes.data()), 16));
}

/// A message as a client may write it that uses everything.
std::string rich_message(std::string_view body) {
    std::string sections;
    Writer writer(sections);
    writer.descriptor(0x72);
    Map annotations;
    annotations.set_symbol("x-own", Symbol{"kept"});
    writer.map(annotations);
    writer.descriptor(0x73);
    const std::size_t fields = writer.begin_list(6);
    writer.value(Value(std::uint64_t{7}));
    writer.value(Value(Binary{"user"}));
    for (int i = 0; i < 3; ++i) writer.null();
    writer.value(Value(Uuid{}));
    writer.end(fields);
    writer.descriptor(0x74);
    Map properties;
    properties.set("decimal", Decimal{std::string("\x01\x02\x03\x04\x05\x06\x07\x08", 8)});
    properties.set("symbol", Symbol{"s"});
    properties.set("int", std::int32_t{-5});
    properties.set("uri", described(1, std::string("http://x/")));
    writer.map(properties);
    sections += body;
    writer.descriptor(0x78);
    Map footer;
    footer.set_symbol("crc", std::uint32_t{1});
    writer.map(footer);
    return sections;
}

TEST_F(ReceivingTest, WhatASenderWroteComesBackByteForByte) {
    const std::string_view bodies[] = {
        {"\0\x53\x75\xa0\1a\0\x53\x75\xa0\2bc", 13},        // several data sections
        {"\0\x53\x77\xa1\3abc", 8},                         // amqp-value
        {"\0\x53\x76\xc0\3\2\x41\x42\0\x53\x76\x45", 12},   // amqp-sequence
        {"\0\x53\x77\x84\1\2\3\4\5\6\7\x8", 12},            // a decimal
    };
    receive();
    one->grant(link, 10);
    const LinkId sends = one->attach(Client::sender_to("q")).link;
    for (const std::string_view body : bodies) {
        const std::string sent = rich_message(body);
        ASSERT_TRUE(std::holds_alternative<Accepted>(one->send(sends, sent)));
        const std::string got = next().payload;
        const std::string tail = sent.substr(sent.find(body));
        EXPECT_TRUE(got.ends_with(tail)) << "body and footer";
        for (const std::string_view piece :
             {std::string_view("\xa3\5x-own\xa3\4kept"), std::string_view("\x53\7"),
              std::string_view("\xa0\4user"), std::string_view("\xa1\6symbol\xa3\1s"),
              std::string_view("\x84\1\2\3\4\5\6\7\x8")}) {
            EXPECT_NE(got.find(piece), std::string::npos) << ::testing::PrintToString(piece);
        }
    }
}

TEST_F(ReceivingTest, MessagesThatAreDeletedComeThoughTheSessionIsFullOfOthers) {
    put("big");
    receive();
    std::vector<broker::Message> many(4000, broker::test::text_message("x"));
    for (int i = 0; i < 3; ++i) {
        auto copy = many;
        ASSERT_TRUE(loop.await(embedded.broker->send("big", std::move(copy))));
    }
    const LinkId holds = one->attach(Client::receiver_from("big")).link;
    one->grant(holds, 20'000);
    ASSERT_TRUE(one->until([&] { return one->side.count<event::Arrived>() == limits::amqp_unsettled_max; }));
    one->side.events.clear();
    const LinkId deletes = one->attach(Client::receiver_from("q", true)).link;
    store("q", "a");
    one->grant(deletes, 1);
    EXPECT_EQ(next().settled, true);
}

class SessionsTest : public ServerTest {
  protected:
    SessionsTest() { put_sessions("s"); }
    Attached accept(Client& from, Value id) { return from.attach(Client::session_of("s", std::move(id))); }
};

std::string session_in(const Attached& attached) {
    if (!attached.answer.source) return "refused";
    const auto id = text_of(attached.answer.source->filter.find("com.microsoft:session-filter"));
    return std::string(id.value_or("none"));
}

TEST_F(SessionsTest, TheAnswerNamesTheSessionAndTheEndOfItsLock) {
    store("s", "1", "b");
    auto one = client();
    const Attached next = accept(*one, Null{});
    EXPECT_EQ(session_in(next), "b");
    const auto until = integer_of(next.answer.properties.find("com.microsoft:locked-until-utc"));
    const TimePoint end = embedded.clock.now() + minutes(1);
    EXPECT_EQ(until, to_millis(end) * 10'000 + 621'355'968'000'000'000);
    EXPECT_EQ(session_in(accept(*one, std::string(""))), "");
    EXPECT_EQ(refusal_of(accept(*one, std::string("b"))), "com.microsoft:session-cannot-be-locked");
}

TEST_F(SessionsTest, ASessionIsFreeAgainHoweverItsReceiverGoes) {
    enum class Way { detach, end, cut };
    for (const Way way : {Way::detach, Way::end, Way::cut}) {
        const std::string id = "session " + std::to_string(static_cast<int>(way));
        store("s", "1", id);
        auto one = client();
        const LinkId link = accept(*one, id).link;
        one->grant(link, 1);
        EXPECT_EQ(one->receive().delivery_count, 0);
        if (way == Way::detach) one->detach(link);
        if (way == Way::end) {
            one->side->end(one->session, std::nullopt);
            one->flush();
        }
        if (way == Way::cut) one->wire.cut();
        ASSERT_TRUE(until([&] { return server->stats().links == 0 && counts("s").locked == 0; }));
        auto two = client();
        const Attached again = accept(*two, id);
        ASSERT_EQ(refusal_of(again), "accepted") << static_cast<int>(way);
        two->grant(again.link, 1);
        EXPECT_EQ(two->receive().delivery_count, 0) << "the delivery does not count";
        two->settle(again.link, two->side->credit(again.link), Accepted{});
        two->detach(again.link);
    }
}

TEST_F(SessionsTest, AReceiverWhoseSessionLockRunsOutIsToldThoughItIsIdle) {
    store("s", "1", "a");
    auto one = client();
    const LinkId link = accept(*one, std::string("a")).link;
    ASSERT_TRUE(until([&] { return embedded.clock.sleepers() > 0; }));
    embedded.pass(minutes(2));
    const auto ended = one->next<event::LinkDetached>();
    EXPECT_EQ(ended.link, link);
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "com.microsoft:session-lock-lost");
}

TEST_F(SessionsTest, AReceiverThatWaitsIsToldToo) {
    store("s", "1", "a");
    auto one = client();
    const LinkId link = accept(*one, std::string("a")).link;
    one->grant(link, 10);
    const Incoming held = one->next<event::Arrived>().delivery;
    embedded.pass(minutes(2));
    EXPECT_EQ(one->next<event::LinkDetached>().error->name, "com.microsoft:session-lock-lost");
    EXPECT_EQ(counts("s").active, 1U);
}

TEST_F(SessionsTest, AWaitForTheNextSessionEndsBeforeTheClientGivesUp) {
    auto one = client();
    const LinkId link = one->ask(Client::session_of("s", Null{}, 10'000));
    ASSERT_TRUE(one->until([&] { return server->stats().links == 1; }));
    embedded.pass(std::chrono::milliseconds(9'600));
    EXPECT_EQ(refusal_of(one->answer_of(link)), "com.microsoft:timeout");
}

TEST_F(SessionsTest, AWaitEndsWithTheSessionThatComes) {
    auto one = client();
    const LinkId link = one->ask(Client::session_of("s", Null{}, 60'000));
    ASSERT_TRUE(one->until([&] { return server->stats().links == 1; }));
    store("s", "1", "late");
    EXPECT_EQ(session_in(one->answer_of(link)), "late");
}

TEST_F(SessionsTest, AWaitEndsWithItsEntity) {
    auto one = client();
    const LinkId link = one->ask(Client::session_of("s", Null{}, 60'000));
    ASSERT_TRUE(one->until([&] { return server->stats().links == 1; }));
    ASSERT_TRUE(loop.await(embedded.broker->remove_entity("s")));
    EXPECT_EQ(refusal_of(one->answer_of(link)), "amqp:not-found");
}

TEST_F(SessionsTest, WhoGivesUpWaitingGetsNothingMoreAndHoldsNothing) {
    auto one = client();
    const LinkId link = one->ask(Client::session_of("s", Null{}, 60'000));
    ASSERT_TRUE(one->until([&] { return server->stats().links == 1; }));
    one->side->end(one->session, std::nullopt);
    one->flush();
    ASSERT_TRUE(one->until([&] { return server->stats().links == 0; }));
    one->next<event::SessionEnded>();
    store("s", "1", "a");
    one->session = one->begin();
    one->side.events.clear();
    const Attached named = accept(*one, std::string("a"));
    EXPECT_EQ(refusal_of(named), "accepted") << "nobody holds the session";
    EXPECT_EQ(one->side.count<event::Closed>(), 0U);
    EXPECT_NE(named.link, link);
    // The same with a detach.
    const LinkId waits = one->ask(Client::session_of("s", Null{}, 60'000));
    ASSERT_TRUE(one->until([&] { return server->stats().links == 2; }));
    one->side->detach(waits, std::nullopt);
    one->flush();
    ASSERT_TRUE(one->until([&] { return server->stats().links == 1; }));
    one->detach(named.link);
    store("s", "2", "b");
    EXPECT_EQ(refusal_of(accept(*one, std::string("b"))), "accepted");
}

}  // namespace

}  // namespace millrace::amqp::testing
