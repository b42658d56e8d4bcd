#include "tests/amqp/server_fixture.hpp"

namespace millrace::amqp::testing {

namespace {

using broker::EntityKind;
using broker::EntityOptions;
using broker::EntityStatus;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr char kRoot[] = "root", kRootKey[] = "secret";

class KeyedServerTest : public ServerTest {
  protected:
    KeyedServerTest() {
        keys = std::make_shared<AccessKeys>(std::vector<AccessKey>{{kRoot, kRootKey, {true, true, true}, ""},
                                                                   {"in", "i", {.send = true}, "orders"},
                                                                   {"out", "o", {.listen = true}, ""}});
        put("orders");
        put("other");
    }
    std::string token(const char* name, const char* key, Duration time = minutes(20)) {
        return make_sas_token("sb://test/orders", name, key, embedded.clock.now() + time);
    }
};

TEST_F(KeyedServerTest, EveryMechanismIsLetInExceptAWrongKey) {
    serve();
    for (const char* mechanism : {"ANONYMOUS", "MSSBCBS", "EXTERNAL"}) {
        ConnectionOptions wanted = client_options();
        wanted.mechanisms = {mechanism};
        Client one(loop, server->port(), wanted);
        one.next<event::Opened>();
    }
    ConnectionOptions plain = client_options();
    plain.mechanisms = {"PLAIN"};
    plain.sasl_response = std::string("\0root\0secret", 12);
    Client right(loop, server->port(), plain);
    right.open();
    EXPECT_EQ(refusal_of(right.attach(Client::sender_to("other"))), "accepted");
    plain.sasl_response = std::string("\0root\0wrong", 11);
    Client wrong(loop, server->port(), plain);
    const auto closed = wrong.next<event::Closed>();
    ASSERT_TRUE(closed.error);
    EXPECT_EQ(closed.error->name, "amqp:unauthorized-access");
}

TEST_F(KeyedServerTest, WithoutSaslAClientIsNobodyUntilItShowsAToken) {
    ConnectionOptions bare = client_options();
    bare.mechanisms = {};
    auto one = client(bare);
    EXPECT_EQ(refusal_of(one->attach(Client::sender_to("orders"))), "amqp:unauthorized-access");
    const auto cbs = one->node("$cbs");
    EXPECT_EQ(one->put_token(cbs, token(kRoot, "wrong")), 401);
    EXPECT_EQ(one->put_token(cbs, token(kRoot, kRootKey, -seconds(1))), 401);
    EXPECT_EQ(one->put_token(cbs, "no token at all"), 401);
    EXPECT_EQ(refusal_of(one->attach(Client::sender_to("orders"))), "amqp:unauthorized-access");
    EXPECT_EQ(one->put_token(cbs, token(kRoot, kRootKey)), 202);
    EXPECT_EQ(refusal_of(one->attach(Client::sender_to("orders"))), "accepted");
}

TEST_F(KeyedServerTest, AKeyOpensWhatItsRightsSay) {
    auto one = client();
    const auto cbs = one->node("$cbs");
    ASSERT_EQ(one->put_token(cbs, token("in", "i")), 202);
    EXPECT_EQ(refusal_of(one->attach(Client::sender_to("orders"))), "accepted");
    EXPECT_EQ(refusal_of(one->attach(Client::receiver_from("orders"))), "amqp:unauthorized-access");
    EXPECT_EQ(refusal_of(one->attach(Client::sender_to("other"))), "amqp:unauthorized-access");
    EXPECT_EQ(refusal_of(one->attach(Client::sender_to("orders/$management"))), "accepted");
    EXPECT_EQ(refusal_of(one->attach(Client::sender_to("other/$management"))), "amqp:unauthorized-access");
}

TEST_F(KeyedServerTest, LinksEndWithTheLastTokenThatGaveTheirRight) {
    auto one = client();
    const auto cbs = one->node("$cbs");
    ASSERT_EQ(one->put_token(cbs, token("in", "i", minutes(10))), 202);
    ASSERT_EQ(one->put_token(cbs, token("out", "o", minutes(5))), 202);
    const LinkId sends = one->attach(Client::sender_to("orders")).link;
    const LinkId receives = one->attach(Client::receiver_from("orders")).link;
    embedded.clock.advance(minutes(5));
    auto ended = one->next<event::LinkDetached>();
    EXPECT_EQ(ended.link, receives);  // though the right to send is left
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "amqp:unauthorized-access");
    EXPECT_TRUE(std::holds_alternative<Accepted>(one->send_text(sends, "still")));
    ASSERT_EQ(one->put_token(cbs, token("in", "i", minutes(10))), 202);  // renewed in time
    embedded.clock.advance(minutes(6));
    EXPECT_TRUE(std::holds_alternative<Accepted>(one->send_text(sends, "renewed")));
    embedded.clock.advance(minutes(4));
    ended = one->next<event::LinkDetached>();
    EXPECT_EQ(ended.link, sends);
    EXPECT_EQ(ended.error->name, "amqp:unauthorized-access");
}

TEST_F(ServerTest, AnAddressMayBeWrittenInEveryForm) {
    put("some/Queue");
    auto one = client();
    for (const char* address : {"some/Queue", "/some/queue", "SOME%2FQUEUE", "sb://host:5671/some/queue",
                                "amqps://host/some%2Fqueue", "some/queue/$DeadLetterQueue"}) {
        const Attached got = one->attach(Client::receiver_from(address));
        EXPECT_EQ(refusal_of(got), "accepted") << address;
        ASSERT_TRUE(got.answer.source);
        EXPECT_EQ(got.answer.source->address, address) << "the address comes back as it was written";
        EXPECT_EQ(got.answer.confirm_mode, ConfirmMode::second);
        EXPECT_EQ(got.answer.initial_delivery_count, 0U);
        EXPECT_EQ(got.answer.max_message_size, limits::message_bytes_max);
    }
}

TEST_F(ServerTest, WhatCannotBeOpenedIsRefusedWithItsCondition) {
    EntityOptions wanted;
    wanted.kind = EntityKind::topic;
    put("topic", wanted);
    wanted.kind = EntityKind::subscription;
    put("topic/Subscriptions/s", wanted);
    wanted = {};
    wanted.status = EntityStatus::disabled;
    put("off", wanted);
    wanted.status = EntityStatus::receive_disabled;
    put("send-only", wanted);
    put_sessions("ordered");
    put("plain");
    auto one = client();
    Attach coordinator = Client::sender_to("plain"), dynamic = Client::receiver_from("plain"),
           nowhere = Client::sender_to("plain"), lengthy = Client::sender_to("plain");
    coordinator.target->coordinator = true;
    dynamic.source = Source{.dynamic = true};
    nowhere.target->address.reset();
    lengthy.source->address = std::string(5000, 'x');
    const std::pair<Attach, const char*> cases[] = {
        {Client::sender_to("missing"), "amqp:not-found"},
        {Client::receiver_from("missing/$management"), "amqp:not-found"},
        {Client::receiver_from("topic"), "amqp:not-allowed"},
        {Client::sender_to("topic/Subscriptions/s"), "amqp:not-allowed"},
        {Client::sender_to("plain/$DeadLetterQueue"), "amqp:not-allowed"},
        {Client::sender_to("off"), "com.microsoft:entity-disabled"},
        {Client::receiver_from("off"), "com.microsoft:entity-disabled"},
        {Client::receiver_from("send-only"), "com.microsoft:entity-disabled"},
        {Client::sender_to("send-only"), "accepted"},
        {Client::receiver_from("ordered"), "amqp:not-allowed"},
        {Client::session_of("plain", std::string("a")), "amqp:not-allowed"},
        {coordinator, "amqp:not-implemented"},
        {dynamic, "amqp:not-implemented"},
        {nowhere, "amqp:not-implemented"},
        {lengthy, "amqp:not-allowed"},
    };
    for (const auto& [attach, expected] : cases) {
        const Attached got = one->attach(attach);
        EXPECT_EQ(refusal_of(got), expected) << attach.name;
        if (!got.refused) continue;
        EXPECT_FALSE(got.answer.source || got.answer.target) << attach.name;
        if (got.refused->name != condition::kNotFound) continue;
        EXPECT_THAT(got.refused->description, HasSubstr("The messaging entity 'missing' could not be found"));
    }
    EXPECT_EQ(server->stats().links, 1U) << "a link that was refused is forgotten";
}

TEST_F(ServerTest, ALinkNameThatFillsAFrameEndsTheSession) {
    put("q");
    auto one = client();
    Attach attach = Client::sender_to("q");
    attach.name = std::string(5000, 'n');
    one->ask(attach);
    const auto ended = one->next<event::SessionEnded>();
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "amqp:invalid-field");
}

TEST_F(ServerTest, OneRefusedMessageLosesNoneOfThoseThatCameWithIt) {
    const std::string large(5000, 'x');
    for (const bool damaged : {false, true}) {
        const std::string queue = damaged ? "damaged" : "ordered";
        put_sessions(queue);
        auto one = client();
        const LinkId link = one->attach(Client::sender_to(queue)).link;
        ASSERT_TRUE(one->until([&] { return one->side->credit(link) > 0; }));
        for (const char* name : {"1", "2", "3", "4"}) {
            broker::Message message = broker::test::text_message(name + large, name);
            const bool refused = message.message_id == "2";
            if (!refused) message.session_id = "a";
            const std::string sections = refused && damaged ? "no sections" : write_message(message);
            one->side->send(link, message.message_id, kPlainFormat, sections, false);
        }
        one->flush();
        std::string accepted;
        for (int i = 0; i < 4; ++i) {
            const auto told = one->next<event::StateChanged>();
            if (std::holds_alternative<Accepted>(told.state)) accepted += told.tag;
        }
        std::ranges::sort(accepted);
        EXPECT_EQ(accepted, "134");
        auto peeked = loop.await(embedded.broker->peek(queue, 0, 10));
        ASSERT_TRUE(peeked);
        ASSERT_EQ(peeked->size(), 3U);
        for (const broker::Delivery& delivery : *peeked)
            EXPECT_EQ(delivery.message.body, delivery.message.message_id + large);
    }
}

TEST_F(ServerTest, ABatchIsStoredWholeOrNotAtAll) {
    put_sessions("ordered");
    put("q");
    auto one = client();
    const LinkId plain = one->attach(Client::sender_to("q")).link;
    std::vector<broker::Message> batch{broker::test::text_message("1"), broker::test::text_message("2")};
    EXPECT_TRUE(std::holds_alternative<Accepted>(one->send(plain, write_batch(batch), kBatchFormat)));
    EXPECT_EQ(counts("q").active, 2U);
    const LinkId ordered = one->attach(Client::sender_to("ordered")).link;
    batch[0].session_id = "a";
    EXPECT_EQ(error_of(one->send(ordered, write_batch(batch), kBatchFormat)), "amqp:not-allowed");
    EXPECT_EQ(counts("ordered").active, 0U);
    EXPECT_EQ(error_of(one->send(plain, "no sections")), "amqp:decode-error");
}

TEST_F(ServerTest, AMessageThatIsTooLargeIsRejectedAndTheLinkGoesOn) {
    put("q");
    auto one = client();
    const LinkId link = one->attach(Client::sender_to("q")).link;
    EXPECT_EQ(error_of(one->send_text(link, std::string(limits::message_bytes_max, 'x'))),
              "amqp:link:message-size-exceeded");
    EXPECT_TRUE(std::holds_alternative<Accepted>(one->send_text(link, "small")));
}

TEST_F(ServerTest, ASettledMessageIsStoredWithoutAnAnswer) {
    put("q");
    auto one = client();
    const LinkId link = one->attach(Client::sender_to("q")).link;
    ASSERT_TRUE(one->until([&] { return one->side->credit(link) > 0; }));
    one->side->send(link, "t", kPlainFormat, write_message(broker::test::text_message("x")), true);
    EXPECT_TRUE(one->until([&] { return counts("q").active == 1; }));
    EXPECT_EQ(one->side.count<event::StateChanged>(), 0U);
}

TEST_F(ServerTest, ManyLinksOfOneSessionMayBeFasterThanTheDisk) {
    put("q");
    auto one = client();
    std::vector<LinkId> links;
    for (int i = 0; i < 20; ++i) {
        Attach attach = Client::sender_to("q");
        attach.name += std::to_string(i);
        links.push_back(one->attach(attach).link);
    }
    const std::string message = write_message(broker::test::text_message("x"));
    for (const LinkId link : links) {
        ASSERT_TRUE(one->until([&] { return one->side->credit(link) >= 700; }));
        for (int i = 0; i < 700; ++i) one->side->send(link, std::to_string(i), kPlainFormat, message, false);
    }
    one->flush();
    EXPECT_TRUE(one->until([&] { return one->side.count<event::StateChanged>() == 14'000; }));
    EXPECT_EQ(one->side.count<event::SessionEnded>(), 0U);
    EXPECT_EQ(counts("q").active, 14'000U);
}

TEST_F(ServerTest, AStoppedServerAnswersWhatItTookAndSaysWhyItGoes) {
    put("q");
    auto one = client();
    const LinkId link = one->attach(Client::sender_to("q")).link;
    Client silent(loop, server->port());  // which has not got as far as its open
    Wire mute(loop, server->port());
    ASSERT_TRUE(one->until([&] { return one->side->credit(link) > 0; }));
    one->side->send(link, "t", kPlainFormat, write_message(broker::test::text_message("x")), false);
    one->flush();
    ASSERT_TRUE(until([&] { return server->stats().received_total == 1 || counts("q").active == 1; }));
    auto stopping = loop.begin([](Server& server) -> boost::asio::awaitable<bool> {
        co_await server.stop(minutes(1));
        co_return true;
    }(*server));
    EXPECT_TRUE(std::holds_alternative<Accepted>(one->next<event::StateChanged>().state));
    const auto closed = one->next<event::Closed>();
    ASSERT_TRUE(closed.error);
    EXPECT_EQ(closed.error->name, "amqp:connection:forced");
    EXPECT_TRUE(until([&] { return stopping.done(); })) << "who never spoke holds up nobody";
    EXPECT_EQ(server->stats().connections, 0U);
    EXPECT_EQ(server->stats().links, 0U);
}

}  // namespace

}  // namespace millrace::amqp::testing
