#include "tests/amqp/pair.hpp"

namespace millrace::amqp {
namespace {

using namespace amqp::testing;

class Links : public ::testing::TestWithParam<Cut> {};
INSTANTIATE_TEST_SUITE_P(HoweverBytesAreCut, Links, ::testing::Values(0U, 1U, 2U));

TEST_P(Links, BothDirectionsAreAskedForAndAccepted) {
    Pair pair(GetParam());
    pair.open();
    pair.link(true, "down");
    pair.link(false, "up");
    const auto answers = all_of<Attach>(pair.from_server);
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_EQ(answers[0].name, "down");
    EXPECT_FALSE(answers[0].receiver);
    EXPECT_EQ(answers[0].initial_delivery_count, 0U);
    EXPECT_EQ(answers[0].source->address, "source");
    EXPECT_TRUE(answers[1].receiver);
    EXPECT_EQ(pair.server->links(), 2U);
}

TEST_P(Links, ARefusalIsAnAttachWithoutEndsThenADetach) {
    Pair pair(GetParam());
    pair.open();
    for (const bool receiver : {true, false}) {
        Attach attach;
        attach.name = receiver ? "a" : "b";
        attach.receiver = receiver;
        attach.settle_mode = SettleMode::settled;
        attach.confirm_mode = ConfirmMode::second;
        attach.source = Source{};
        attach.target = Target{};
        const LinkId mine = pair.client->attach(pair.session, attach);
        pair.run();
        pair.server->refuse(pair.server.take<event::LinkAsked>().link, {"amqp:not-found", "no such", {}});
        pair.run();
        EXPECT_TRUE(pair.client.take<event::LinkAnswered>().refused);
        const auto detached = pair.client.take<event::LinkDetached>();
        EXPECT_EQ(detached.link, mine);
        EXPECT_TRUE(detached.closed);
        EXPECT_EQ(detached.error->name, "amqp:not-found");
        pair.client->detach(mine, {});
        pair.run();
        const Attach answer = all_of<Attach>(pair.from_server).back();
        EXPECT_FALSE(answer.source || answer.target);
        EXPECT_EQ(answer.settle_mode, SettleMode::settled);
        EXPECT_EQ(answer.confirm_mode, ConfirmMode::second);
        EXPECT_EQ(pair.client->links() + pair.server->links(), 0U);
    }
}

TEST_P(Links, HandlesAreUsedAnewAfterADetach) {
    Pair pair(GetParam());
    pair.open();
    for (int i = 0; i < 5; ++i) {
        const auto ends = pair.link(i % 2 == 0);
        pair.client->detach(ends.client, {});
        pair.run();
        pair.server->detach(pair.server.take<event::LinkDetached>().link, {});
        pair.run();
        EXPECT_EQ(pair.client.take<event::LinkDetached>().link, ends.client);
        EXPECT_EQ(pair.client->links() + pair.server->links(), 0U);
    }
    for (const Attach& one : all_of<Attach>(pair.from_client)) EXPECT_EQ(one.handle, 0U);
}

TEST_P(Links, DetachesMayCross) {
    Pair pair(GetParam());
    pair.open();
    const auto ends = pair.link(true);
    pair.client->detach(ends.client, {});
    pair.server->detach(ends.server, Condition{"amqp:link:detach-forced", "", {}});
    pair.run();
    EXPECT_EQ(pair.client.take<event::LinkDetached>().link, ends.client);
    EXPECT_EQ(pair.server.take<event::LinkDetached>().link, ends.server);
    EXPECT_EQ(pair.client->links() + pair.server->links(), 0U);
    EXPECT_EQ(all_of<Detach>(pair.from_client).size() + all_of<Detach>(pair.from_server).size(), 2U);
}

TEST_P(Links, ALinkThatIsDetachedBeforeItsAnswerIsGoneOnBothSides) {
    Pair pair(GetParam());
    pair.open();
    Attach attach;
    attach.name = "short";
    attach.receiver = true;
    const LinkId mine = pair.client->attach(pair.session, attach);
    pair.client->detach(mine, {});
    pair.run();
    const auto asked = pair.server.take<event::LinkAsked>();
    pair.server->accept(asked.link, asked.attach);  // which comes too late
    EXPECT_FALSE(pair.server->has_output());
    pair.server->detach(pair.server.take<event::LinkDetached>().link, {});
    pair.run();
    EXPECT_EQ(pair.client.take<event::LinkDetached>().link, mine);
    EXPECT_EQ(pair.client.count<event::LinkAsked>() + pair.client.count<event::LinkAnswered>(), 0U);
    EXPECT_EQ(pair.client->links() + pair.server->links(), 0U);
    EXPECT_EQ(all_of<Attach>(pair.from_server).size(), 1U) << "the peer must know the detach's handle";
}

TEST_P(Links, TheServerMayKickALinkThatItNeverAnswered) {
    Pair pair(GetParam());
    pair.open();
    pair.client->attach(pair.session, Attach{.name = "x", .receiver = true});
    pair.run();
    pair.server->detach(pair.server.take<event::LinkAsked>().link, Condition{"amqp:internal-error", "", {}});
    pair.run();
    EXPECT_TRUE(pair.client.take<event::LinkAnswered>().refused);
    EXPECT_EQ(pair.client.take<event::LinkDetached>().error->name, "amqp:internal-error");
}

TEST_P(Links, SessionsEndFromEitherSideAndWhenBothEndAtOnce) {
    for (const int who : {1, 2, 3}) {
        Pair pair(GetParam());
        pair.open();
        pair.link(true);
        if (who & 1) pair.client->end(pair.session, Condition{"a", "", {}});
        if (who & 2) pair.server->end(pair.server_session, Condition{"b", "", {}});
        pair.run();
        EXPECT_EQ(pair.client.take<event::SessionEnded>().session, pair.session);
        EXPECT_EQ(pair.server.take<event::SessionEnded>().session, pair.server_session);
        EXPECT_EQ(pair.client->links() + pair.server->links(), 0U);
        EXPECT_EQ(all_of<End>(pair.from_client).size() + all_of<End>(pair.from_server).size(), 2U);
        pair.session = pair.client->begin();
        pair.run();
        EXPECT_EQ(pair.client.take<event::SessionBegun>().session, pair.session);
        EXPECT_EQ(all_of<Begin>(pair.from_server).back().remote_channel, 1U)
            << "the peer may still be busy with the end of channel 0";
    }
}

TEST_P(Links, AChannelIsUsedAnewOnceThePeerKnowsNoOther) {
    ConnectionOptions few = server_options();
    few.sessions_max = 3;
    Pair pair(GetParam(), client_options(), few);
    pair.open();
    for (const unsigned channel : {1U, 2U, 0U, 1U}) {
        pair.client->end(pair.session, std::nullopt);
        pair.run();
        pair.session = pair.client->begin();
        pair.run();
        EXPECT_EQ(all_of<Begin>(pair.from_server).back().remote_channel, channel);
    }
}

TEST_P(Links, NothingIsWrittenToAnEndedSession) {
    Pair pair(GetParam());
    pair.open();
    pair.client->attach(pair.session, Attach{.name = "late", .receiver = true});
    pair.client->attach(pair.session, Attach{.name = "later", .receiver = true});
    pair.run();
    const auto asked = pair.server.take<event::LinkAsked>();
    const auto other = pair.server.take<event::LinkAsked>();
    pair.client->end(pair.session, {});
    pair.run();
    pair.server->accept(asked.link, asked.attach);
    pair.server->refuse(other.link, Condition{"amqp:not-found", "", {}});
    pair.server->grant(asked.link, 1);
    EXPECT_FALSE(pair.server->has_output());
    const SessionId ours = pair.client->begin();
    pair.run();
    pair.client->end(ours, {});
    pair.client->take_output();
    pair.client->end(ours, {});
    pair.client->attach(ours, Attach{.name = "never"});
    EXPECT_FALSE(pair.client->has_output());
}

TEST(LinksAlone, LateFramesOnASessionThatWasEndedHereAreIgnored) {
    Alone alone;
    alone.link(0, false);
    alone.side->end(alone.session, {});
    alone.output();
    alone.give(Attach{.name = "late", .handle = 5});
    alone.give(Flow{});
    alone.give(Transfer{.handle = 77, .delivery_id = 1, .delivery_tag = "t"}, "x");
    alone.give(Disposition{});
    alone.give(Detach{.handle = 9});
    EXPECT_EQ(alone.output(), "");
    EXPECT_TRUE(alone.side.events.empty());
    alone.give(End{});
    EXPECT_EQ(alone.side.count<event::SessionEnded>(), 1U);
    EXPECT_EQ(alone.output(), "");
}

TEST(LinksAlone, ABrokenSessionIsToldOnceAndOthersLive) {
    const std::pair<const char*, Performative> breaks[] = {
        {"amqp:session:handle-in-use", Attach{.name = "again", .handle = 0}},
        {"amqp:session:unattached-handle", Detach{.handle = 9}},
        {"amqp:session:unattached-handle", Flow{.handle = 9}},
        {"amqp:session:unattached-handle", Transfer{.handle = 9}},
        {"amqp:not-allowed", Transfer{.handle = 1, .delivery_id = 0, .delivery_tag = "t"}},
    };
    for (const auto& [condition, frame] : breaks) {
        Alone alone;
        alone.give(frame_of(1, Begin{}));
        alone.link(0, false);
        alone.link(1, true);
        alone.output();
        alone.give(frame);
        EXPECT_EQ(all_of<End>(alone.output()).at(0).error->name, condition);
        alone.give(End{});
        EXPECT_EQ(alone.side.take<event::SessionEnded>().error->name, condition);
        EXPECT_EQ(alone.side.count<event::SessionEnded>(), 0U);
        EXPECT_EQ(alone.side->links(), 0U);
        EXPECT_FALSE(alone.side->closed());
    }
}

TEST(LinksAlone, WrongChannelsEndTheConnection) {
    const std::pair<std::uint16_t, Performative> breaks[] = {
        {0, Begin{}},                       // in use
        {7, End{}},                         // unknown
        {7, Begin{.remote_channel = 0}},    // answers what the server was asked for
        {7, Begin{.remote_channel = 9}},    // answers what was never begun
        {5000, Begin{}},                    // beyond channel-max
    };
    for (const auto& [channel, frame] : breaks) {
        Alone alone;
        alone.give(frame_of(channel, frame));
        EXPECT_EQ(alone.side.count<event::Closed>(), 1U);
        EXPECT_EQ(all_of<Close>(alone.output()).size(), 1U);
    }
}

TEST(LinksAlone, SessionsAndLinksHaveLimits) {
    auto options = Alone::plain_server();
    options.sessions_max = 3;
    options.links_max = 2;
    Alone alone(options);
    const auto open = all_of<Open>(alone.output());
    EXPECT_EQ(open.at(0).channel_max, 2);
    alone.link(0, true);
    alone.link(1, true);
    alone.give(Attach{.name = "third", .handle = 2});
    EXPECT_EQ(alone.side.take<event::SessionEnded>().error->name, "amqp:resource-limit-exceeded");
    alone.give(frame_of(1, Begin{}));
    alone.give(frame_of(2, Begin{}));
    EXPECT_FALSE(alone.side->closed());
    alone.give(frame_of(3, Begin{}));
    EXPECT_TRUE(alone.side->closed());
}

TEST(LinksAlone, APeerThatTakesNoMoreSessionsOrLinksIsNotAsked) {
    Side client([] {
        auto options = client_options();
        options.mechanisms.clear();
        return options;
    }());
    const SessionId early = client->begin();
    client.poll();
    EXPECT_EQ(client.take<event::SessionEnded>().session, early);
    client->start();
    client->receive(std::string(kHeader) + frame_of(0, Open{.channel_max = 0}), 1);
    const SessionId first = client->begin(), second = client->begin();
    client.poll();
    EXPECT_EQ(client.take<event::SessionEnded>().session, second);
    client->receive(frame_of(0, Begin{.remote_channel = 0, .handle_max = 0}), 1);
    client->attach(first, Attach{.name = "a"});
    const LinkId refused = client->attach(first, Attach{.name = "b"});
    client.poll();
    EXPECT_EQ(client.take<event::LinkDetached>().link, refused);
    EXPECT_EQ(all_of<Attach>(client->take_output()).size(), 1U);
}

TEST(LinksAlone, AHandleMayBeUsedAnewBeforeItsDetachIsAnswered) {
    Alone alone;
    const LinkId old = alone.link(0, false);
    alone.give(Detach{.handle = 0});
    const LinkId fresh = alone.link(0, false);
    alone.side->detach(old, {});
    alone.give(Transfer{.handle = 0, .delivery_id = 0, .delivery_tag = "t"}, "x");
    EXPECT_EQ(alone.side.take<event::Arrived>().link, fresh);
}

TEST(LinksAlone, MassesOfLinksAreMadeAndUnmadeInNoTime) {
    Alone alone;
    std::string all;
    for (std::uint32_t i = 0; i < 9'000; ++i) all += frame_of(0, Attach{.name = "n", .handle = i});
    alone.give(all);
    EXPECT_EQ(alone.side->links(), 9'000U);
    for (const Event& one : alone.side.events) {
        if (const auto* asked = std::get_if<event::LinkAsked>(&one)) alone.side->accept(asked->link, {});
    }
    all.clear();
    for (std::uint32_t i = 0; i < 9'000; ++i) all += frame_of(0, Detach{.handle = i});
    alone.give(all);
    for (const Event& one : alone.side.events) {
        if (const auto* gone = std::get_if<event::LinkDetached>(&one)) alone.side->detach(gone->link, {});
    }
    EXPECT_EQ(alone.side->links(), 0U);
    EXPECT_EQ(all_of<Detach>(alone.output()).size(), 9'000U);
}

}  // namespace
}  // namespace millrace::amqp
