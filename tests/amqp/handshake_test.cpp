#include "tests/amqp/pair.hpp"

namespace millrace::amqp {
namespace {

using namespace amqp::testing;

class Handshake : public ::testing::TestWithParam<Cut> {};
INSTANTIATE_TEST_SUITE_P(HoweverBytesAreCut, Handshake, ::testing::Values(0U, 1U, 2U, 3U));

TEST_P(Handshake, EveryMechanismLetsIn) {
    const std::tuple<std::vector<std::string>, std::string, std::string> cases[] = {
        {{"ANONYMOUS"}, "ANONYMOUS", ""},
        {{"MSSBCBS", "ANONYMOUS"}, "MSSBCBS", ""},
        {{"EXTERNAL", "PLAIN"}, "PLAIN", std::string("\0user\0key", 9)},
        {{}, "", ""},
    };
    for (const auto& [mechanisms, chosen, response] : cases) {
        auto options = client_options();
        options.mechanisms = mechanisms;
        options.sasl_response = std::string("\0user\0key", 9);
        Pair pair(GetParam(), options);
        pair.open();
        EXPECT_EQ(pair.asked.mechanism, chosen);
        EXPECT_EQ(pair.asked.response, response);
        EXPECT_TRUE(pair.client->opened() && pair.server->opened());
    }
}

TEST_P(Handshake, WhoIsRefusedIsToldSoAndNothingFollows) {
    for (const bool sasl : {true, false}) {
        auto options = client_options();
        if (!sasl) options.mechanisms.clear();
        Pair pair(GetParam(), options);
        pair.welcome = false;
        pair.client->start();
        pair.run();
        EXPECT_EQ(pair.server.take<event::Closed>().error->name, "amqp:unauthorized-access");
        EXPECT_EQ(pair.client.count<event::Closed>(), sasl ? 1U : 0U);
        EXPECT_FALSE(pair.server->opened());
        pair.server->receive(frame_of(0, Open{}), 1);
        EXPECT_EQ(pair.server->take_output(), "");
    }
}

TEST_P(Handshake, AClientThatWaitsForNothingIsServed) {
    Open open;
    open.container_id = "pipelined";
    const std::string all = std::string(kSaslHeader) + frame_of(0, SaslInit{"ANONYMOUS", "", ""}) +
                            std::string(kHeader) + frame_of(0, open) + frame_of(0, Begin{});
    Side server(server_options());
    const std::size_t step = GetParam() == 0 ? all.size() : GetParam();
    for (std::size_t at = 0; at < all.size(); at += step) {
        server->receive(std::string_view(all).substr(at, step), 1);
        server.poll();
    }
    server.take<event::SaslAsked>();
    EXPECT_EQ(server.events.size(), 0U);
    server->answer_sasl(true);
    server.poll();
    EXPECT_EQ(server.take<event::Opened>().open.container_id, "pipelined");
    EXPECT_EQ(server.count<event::SessionBegun>(), 1U);
}

TEST_P(Handshake, BothSidesLearnTheClose) {
    for (const bool client_closes : {true, false}) {
        Pair pair(GetParam());
        pair.open();
        Side& closing = client_closes ? pair.client : pair.server;
        Side& other = client_closes ? pair.server : pair.client;
        closing->close(Condition{"amqp:connection:forced", "bye", {}});
        pair.run();
        const auto told = other.take<event::Closed>();
        EXPECT_EQ(told.error->name, "amqp:connection:forced");
        EXPECT_TRUE(told.by_peer);
        EXPECT_TRUE(closing.take<event::Closed>().by_peer);
        EXPECT_TRUE(closing->closed() && other->closed());
        EXPECT_EQ(all_of<Close>(pair.from_client).size() + all_of<Close>(pair.from_server).size(), 2U);
    }
}

TEST_P(Handshake, ClosesMayCross) {
    Pair pair(GetParam());
    pair.open();
    pair.client->close({});
    pair.server->close({});
    pair.run();
    EXPECT_EQ(pair.client.count<event::Closed>(), 1U);
    EXPECT_EQ(pair.server.count<event::Closed>(), 1U);
    EXPECT_EQ(all_of<Close>(pair.from_client).size(), 1U);
    EXPECT_EQ(all_of<Close>(pair.from_server).size(), 1U);
}

TEST(HandshakeCut, AfterEveryByteBothSidesStandStillAndGiveUpLater) {
    Pair whole;
    whole.open();
    const auto link = whole.link(true);
    whole.client->grant(link.client, 1);
    whole.run();
    whole.server->send(link.server, "tag", 0, "payload", false);
    whole.client->close({});
    whole.run();
    for (const bool to_server : {true, false}) {
        const std::string& all = to_server ? whole.from_client : whole.from_server;
        for (std::size_t size = 0; size < all.size(); ++size) {
            Side side(to_server ? server_options() : client_options());
            if (!to_server) side->start();
            side->tick(0);
            for (const char byte : std::string_view(all).substr(0, size)) {
                side->receive(std::string_view(&byte, 1), 0);
                side.poll();
                if (side->opened() && !to_server && side.count<event::Opened>() > 0) {
                    side.take<event::Opened>();
                    side->attach(side->begin(), Attach{.name = "link", .receiver = true});
                }
                if (side.count<event::SaslAsked>() > 0)
                    side.take<event::SaslAsked>(), side->answer_sasl(true);
            }
            ASSERT_FALSE(side->closed()) << "cut after " << size;
            side->tick(240'000);
            side.poll();
            ASSERT_EQ(side.count<event::Closed>(), 1U) << "cut after " << size;
        }
    }
}

TEST(HandshakeErrors, WhoSpeaksSomethingElseIsToldWhatIsSpokenHere) {
    const std::string_view others[] = {"GET / HTTP/1.1\r\n", {"AMQP\0\0\x09\1", 8}, {"AMQP\2\1\0\0", 8}};
    for (const std::string_view other : others) {
        Side server(server_options());
        server->receive(other, 1);
        server.poll();
        EXPECT_EQ(server->take_output(), kSaslHeader);
        EXPECT_EQ(server.count<event::Closed>(), 1U);
        Side client(client_options());
        client->start();
        client->take_output();
        client->receive(other, 1);
        client.poll();
        EXPECT_EQ(client.count<event::Closed>(), 1U);
        EXPECT_EQ(client->take_output(), "");
    }
    Side without_sasl(Alone::plain_server());
    without_sasl->receive(kSaslHeader, 1);
    EXPECT_EQ(without_sasl->take_output(), kHeader);
    EXPECT_TRUE(without_sasl->closed());
}

TEST(HandshakeErrors, SaslOutOfOrderEndsTheConnection) {
    const std::string init = frame_of(0, SaslInit{"ANONYMOUS", "", ""});
    const std::pair<const char*, std::string> to_server[] = {
        {"an outcome", std::string(kSaslHeader) + frame_of(0, SaslOutcome{0})},
        {"an open within SASL", std::string(kSaslHeader) + frame_of(0, Open{})},
        {"a frame that is too large", std::string(kSaslHeader) + std::string("\0\0\x10\x01\2\1\0\0", 8)},
        {"SASL twice", std::string(kSaslHeader) + init + std::string(kSaslHeader)},
    };
    for (const auto& [what, bytes] : to_server) {
        Side server(server_options());
        server->receive(bytes, 1);
        server->answer_sasl(true);
        server.poll();
        EXPECT_EQ(server.count<event::Closed>(), 1U) << what;
        EXPECT_EQ(all_of<Open>(server->take_output()).size(), 0U) << what;
    }
    const std::string offer = frame_of(0, SaslMechanisms{{"ANONYMOUS"}});
    const std::pair<const char*, std::string> to_client[] = {
        {"no mechanism of the client's", frame_of(0, SaslMechanisms{{"SCRAM"}})},
        {"an outcome before mechanisms", frame_of(0, SaslOutcome{0})},
        {"mechanisms twice", offer + offer},
        {"a challenge", offer + frame_of(0, SaslChallenge{"?"})},
        {"a refusal", offer + frame_of(0, SaslOutcome{4})},
    };
    for (const auto& [what, bytes] : to_client) {
        Side client(client_options());
        client->start();
        client->receive(std::string(kSaslHeader) + bytes, 1);
        client.poll();
        EXPECT_EQ(client.count<event::Closed>(), 1U) << what;
        EXPECT_EQ(client.count<event::Opened>(), 0U) << what;
    }
}

TEST(HandshakeErrors, APeerThatFloodsBeforeItIsLetInIsCutOff) {
    Side server(server_options());
    server->receive(std::string(kSaslHeader) + frame_of(0, SaslInit{"ANONYMOUS", "", ""}), 1);
    server->receive(std::string(60'000, 'x'), 1);
    EXPECT_FALSE(server->closed());
    server->receive(std::string(60'000, 'x'), 1);
    EXPECT_TRUE(server->closed());
}

TEST(HandshakeErrors, FramesBeforeTheOpenAndASecondOpenEndTheConnection) {
    for (const Performative& early :
         {Performative(Begin{}), Performative(Flow{}), Performative(SaslInit{})}) {
        Side server(Alone::plain_server());
        server->receive(std::string(kHeader) + frame_of(0, early), 1);
        EXPECT_TRUE(server->closed());
    }
    Alone alone;
    alone.give(Open{});
    EXPECT_EQ(alone.side.take<event::Closed>().error->name, "amqp:not-allowed");
    EXPECT_EQ(all_of<Close>(alone.output()).size(), 1U);
}

TEST(HandshakeErrors, FrameHeadsThatMakeNoSenseEndTheConnection) {
    const std::string_view heads[] = {
        {"\0\0\0\x07\2\0\0\0", 8},                  // shorter than its head
        {"\0\1\0\1\2\0\0\0", 8},                    // longer than the server takes
        {"\0\0\0\x08\1\0\0\0", 8},                  // its body begins within the head
        {"\0\0\0\x08\3\0\0\0", 8},                  // its body begins after its end
        {"\0\0\0\x08\2\1\0\0", 8},                  // of SASL
        {"\0\0\0\x0c\2\0\0\0\0\x53\x10\x46", 12},   // its body is no list
    };
    for (const std::string_view head : heads) {
        Alone alone;
        alone.give(head);
        EXPECT_EQ(alone.side.count<event::Closed>(), 1U);
        EXPECT_EQ(all_of<Close>(alone.output()).size(), 1U);
    }
}

TEST(HandshakeErrors, AnExtendedHeadIsPassedOver) {
    Alone alone;
    std::string frame = frame_of(1, Begin{});
    frame.insert(8, "more");
    frame[3] = static_cast<char>(frame[3] + 4);
    frame[4] = 3;
    alone.give(frame);
    EXPECT_EQ(alone.side.count<event::SessionBegun>(), 1U);
}

TEST(Heartbeats, AreSentWithinHalfThePeersPatienceAndNotWithoutNeed) {
    Side server(Alone::plain_server());
    Open open;
    open.idle_timeout_ms = 1000;
    server->receive(std::string(kHeader) + frame_of(0, open), 0);
    server->take_output();
    std::int64_t last = 0;
    int beats = 0;
    for (std::int64_t now = 0; now < 10'000;) {
        now = server->tick(now);
        server->receive(std::string_view("\0\0\0\x08\2\0\0\0", 8), now);
        server->tick(now);
        if (server->take_output().empty()) continue;
        EXPECT_LE(now - last, 500);
        last = now;
        ++beats;
    }
    EXPECT_EQ(beats, 20);
    EXPECT_FALSE(server->closed());
}

TEST(Heartbeats, OfThePeerWithTheMostPatienceAreDueWhereTheyWouldBeAtAnyTimeOfTheClock) {
    constexpr std::int64_t kHalf = UINT32_MAX / 2;
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1} << 40, INT64_MAX / 2}) {
        auto options = Alone::plain_server();
        options.idle_time = Duration::max();
        Side server(std::move(options));
        Open open;
        open.idle_timeout_ms = UINT32_MAX;
        server->receive(std::string(kHeader) + frame_of(0, open), start);
        const auto said = all_of<Open>(server->take_output());
        ASSERT_EQ(said.size(), 1U);
        EXPECT_EQ(said[0].idle_timeout_ms, UINT32_MAX) << "more cannot be said";
        server->tick(start);
        EXPECT_EQ(server->tick(start + kHalf - 1), start + kHalf);
        EXPECT_EQ(server->take_output(), "");
        EXPECT_EQ(server->tick(start + kHalf), start + 2 * kHalf);
        EXPECT_EQ(server->take_output().size(), 8U);
        EXPECT_EQ(server->tick(start + kHalf - 5), start + 2 * kHalf) << "a clock that goes back";
        EXPECT_EQ(server->take_output(), "");
        EXPECT_FALSE(server->closed());
        server->tick(start + 2 * std::int64_t{UINT32_MAX});
        EXPECT_TRUE(server->closed());
    }
}

TEST(Heartbeats, ASilentPeerIsGivenUpOnceAndWithAWord) {
    auto options = Alone::plain_server();
    options.idle_time = Duration(100);
    Alone alone(options);
    alone.output();
    EXPECT_EQ(alone.side->tick(1100), 1200);
    EXPECT_FALSE(alone.side->closed());
    alone.side->tick(1200);
    alone.side->tick(1300);
    alone.side.poll();
    EXPECT_EQ(alone.side.count<event::Closed>(), 1U);
    EXPECT_EQ(all_of<Close>(alone.output()).size(), 1U);
}

TEST(AfterTheEnd, CommandsWriteNothing) {
    for (const bool closed : {true, false}) {
        Pair pair;
        pair.open();
        const auto receiving = pair.link(true, "a");
        const auto sending = pair.link(false, "b");
        pair.client->grant(receiving.client, 10);
        pair.server->grant(sending.server, 10);
        pair.run();
        pair.server->send(receiving.server, "t", 0, "x", false);
        pair.run();
        const auto delivery = pair.client.take<event::Arrived>().delivery.id;
        pair.client->close({});
        if (closed) pair.run();
        pair.client->take_output();
        Connection& over = pair.client.connection;
        const SessionId session = over.begin();
        over.attach(pair.session, Attach{});
        over.attach(session, Attach{});
        over.accept(receiving.client, Attach{});
        over.refuse(receiving.client, Condition{});
        over.grant(receiving.client, 5);
        over.tell(receiving.client, delivery, Accepted{}, true);
        EXPECT_EQ(over.send(sending.client, "t", 0, "x", true), std::nullopt);
        EXPECT_EQ(over.credit(sending.client), 0U);
        over.drained(sending.client);
        over.detach(sending.client, {});
        over.end(pair.session, {});
        over.close({});
        over.answer_sasl(true);
        over.tick(5000);
        EXPECT_EQ(over.take_output(), "");
    }
}

}  // namespace
}  // namespace millrace::amqp
