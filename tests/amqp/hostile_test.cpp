// Deliveries and flows as no honest peer writes them, or only an odd one.
#include "tests/amqp/pair.hpp"

namespace millrace::amqp {
namespace {

using namespace amqp::testing;

Transfer part(std::uint32_t handle, std::uint32_t id, bool more) {
    return {.handle = handle, .delivery_id = id, .delivery_tag = "t" + std::to_string(id), .more = more};
}

Flow credit_flow(std::uint32_t handle, std::uint32_t credit, std::uint32_t delivery_count = 0) {
    Flow flow;
    flow.next_incoming_id = 0;
    flow.incoming_window = 1'000;
    flow.handle = handle;
    flow.delivery_count = delivery_count;
    flow.link_credit = credit;
    return flow;
}

TEST(Transfers, OfSeveralLinksMayInterleave) {
    Alone alone;
    const LinkId a = alone.link(0, false), b = alone.link(1, false);
    alone.give(part(0, 0, true), "a1");
    alone.give(part(1, 1, true), "b1");
    alone.give(Transfer{.handle = 0, .more = true}, "a2");
    alone.give(Transfer{.handle = 1}, "b2");
    alone.give(Transfer{.handle = 0, .delivery_id = 0, .settled = true}, "a3");
    const auto first = alone.side.take<event::Arrived>(), second = alone.side.take<event::Arrived>();
    EXPECT_EQ(std::tie(first.link, first.delivery.payload), std::make_tuple(b, "b1b2"));
    EXPECT_EQ(std::tie(second.link, second.delivery.payload), std::make_tuple(a, "a1a2a3"));
    EXPECT_TRUE(second.delivery.settled);
}

TEST(Transfers, AnAbortedDeliveryIsForgottenAndCostsItsCredit) {
    Alone alone;
    const LinkId link = alone.link(0, false, 3);
    alone.give(part(0, 0, true), "lost");
    alone.give(Transfer{.handle = 0, .aborted = true}, "ignored");
    Transfer at_once = part(0, 1, false);
    at_once.aborted = true;
    alone.give(at_once, "ignored");
    alone.give(part(0, 2, false), "kept");
    EXPECT_EQ(alone.side.take<event::Arrived>().delivery.payload, "kept");
    EXPECT_EQ(alone.side.count<event::Arrived>(), 0U);
    EXPECT_EQ(alone.side->granted(link), 0U);
}

TEST(Transfers, ThatBreakTheRulesEndTheConnection) {
    Transfer no_id = part(0, 0, false), no_tag = part(0, 0, false), long_tag = part(0, 0, false);
    no_id.delivery_id.reset();
    no_tag.delivery_tag.reset();
    long_tag.delivery_tag = std::string(33, 't');
    const std::pair<const char*, std::vector<Transfer>> cases[] = {
        {"no id", {no_id}},
        {"no tag", {no_tag}},
        {"a tag of 33 bytes", {long_tag}},
        {"the id of an unsettled delivery", {part(0, 5, false), part(0, 5, false)}},
        {"another delivery within one", {part(0, 5, true), part(0, 6, false)}},
        {"two deliveries of one id", {part(0, 5, true), part(1, 5, false), Transfer{.handle = 0}}},
    };
    for (const auto& [what, transfers] : cases) {
        Alone alone;
        alone.link(0, false);
        alone.link(1, false);
        for (const Transfer& one : transfers) alone.give(one, "x");
        EXPECT_EQ(alone.side.count<event::Closed>(), 1U) << what;
        EXPECT_EQ(all_of<Close>(alone.output()).size(), 1U) << what;
    }
}

TEST(Transfers, BeyondTheCreditDetachTheLink) {
    Alone alone;
    const LinkId link = alone.link(0, false, 2);
    for (std::uint32_t id = 0; id < 4; ++id) alone.give(part(0, id, false), "x");
    EXPECT_EQ(alone.side.count<event::Arrived>(), 2U);
    EXPECT_EQ(all_of<Detach>(alone.output()).at(0).error->name, "amqp:link:transfer-limit-exceeded");
    alone.give(Detach{.handle = 0});
    EXPECT_EQ(alone.side.take<event::LinkDetached>().link, link);
    EXPECT_EQ(alone.side->links(), 0U);
}

TEST(Transfers, BeyondTheCreditAreTakenByAClient) {
    Pair pair;
    pair.open();
    const LinkId link = pair.link(true).client;
    pair.client->grant(link, 1);
    pair.run();
    for (std::uint32_t id = 0; id < 3; ++id) pair.client->receive(frame_of(0, part(0, id, false), "x"), 0);
    pair.client.poll();
    EXPECT_EQ(pair.client.count<event::Arrived>(), 3U);
    EXPECT_EQ(pair.client->granted(link), 0U);
    EXPECT_EQ(all_of<Detach>(pair.client->take_output()).size(), 0U);
}

TEST(Transfers, OfAMessageThatIsTooLargeArriveWithoutItAndTheLinkGoesOn) {
    auto options = Alone::plain_server();
    options.message_bytes_max = 1'000;
    options.partial_bytes_max = 2'000;
    Alone alone(options);
    alone.link(0, false);
    alone.give(part(0, 0, false), std::string(1'000, 'x'));
    EXPECT_FALSE(alone.side.take<event::Arrived>().delivery.too_large);
    alone.give(part(0, 1, true), std::string(600, 'x'));
    for (int i = 0; i < 10; ++i) alone.give(Transfer{.handle = 0, .more = true}, std::string(600, 'x'));
    alone.give(Transfer{.handle = 0}, std::string(401, 'x'));
    const auto refused = alone.side.take<event::Arrived>().delivery;
    EXPECT_TRUE(refused.too_large);
    EXPECT_EQ(refused.id, 1U);
    EXPECT_EQ(refused.payload, "");
    alone.give(part(0, 2, false), "small");
    EXPECT_EQ(alone.side.take<event::Arrived>().delivery.payload, "small");
    EXPECT_FALSE(alone.side->closed());
}

TEST(Transfers, BegunOnManyLinksHaveALimitThatDetachesGiveBack) {
    auto options = Alone::plain_server();
    options.partial_bytes_max = 1'000;
    Alone alone(options);
    for (std::uint32_t handle = 0; handle < 20; ++handle) {
        alone.link(handle, false);
        alone.give(part(handle, handle, true), std::string(900, 'x'));
        alone.give(Detach{.handle = handle});
    }
    EXPECT_FALSE(alone.side->closed());
    alone.link(20, false);
    alone.link(21, false);
    alone.give(part(20, 20, true), std::string(900, 'x'));
    alone.give(part(21, 21, true), std::string(101, 'x'));
    EXPECT_EQ(alone.side.take<event::Closed>().error->name, "amqp:resource-limit-exceeded");
}

TEST(Transfers, TooManyUnsettledEndTheSessionAndSettledOnesDoNotCount) {
    auto options = Alone::plain_server();
    options.unsettled_max = 3;
    Alone alone(options);
    alone.link(0, false, 10);
    for (std::uint32_t id = 0; id < 3; ++id) alone.give(part(0, id, false), "x");
    Transfer settled = part(0, 3, false);
    settled.settled = true;
    alone.give(settled, "x");
    EXPECT_EQ(alone.side.count<event::Arrived>(), 4U);
    alone.give(part(0, 4, false), "x");
    EXPECT_EQ(alone.side.take<event::SessionEnded>().error->name, "amqp:resource-limit-exceeded");
}

TEST(Transfers, TheWindowIsOpenedBeforeItCloses) {
    Alone alone;
    const LinkId link = alone.link(0, false, 10'000);
    alone.output();
    for (std::uint32_t id = 0; id < 5'000; ++id) {
        Transfer settled = part(0, id, false);
        settled.settled = true;
        alone.give(settled, "x");
    }
    EXPECT_EQ(alone.side->granted(link), 5'000U);
    const auto flows = all_of<Flow>(alone.output());
    ASSERT_EQ(flows.size(), 2U);
    EXPECT_EQ(flows[0].next_incoming_id, 2049U);
    EXPECT_EQ(flows[0].incoming_window, 4096U);
    EXPECT_FALSE(flows[0].handle);
}

TEST(Flows, WindowsAndCreditsOfEverySizeCount) {
    for (const std::uint32_t all : {1U, 5U, 0x7fffffffU, 0x80000000U, UINT32_MAX}) {
        Alone alone;
        const LinkId link = alone.link(0, true);
        Flow flow = credit_flow(0, all);
        flow.incoming_window = all;
        alone.give(flow);
        EXPECT_EQ(alone.side->credit(link), std::min(all, 10'000U));
        alone.side->send(link, "t", 0, "x", true);
        EXPECT_EQ(alone.side->backlog_bytes() > 0, true);
        EXPECT_EQ(all_of<Transfer>(alone.output()).size(), 1U) << all;
        alone.give(flow);  // written before the delivery was seen
        EXPECT_EQ(alone.side->credit(link), std::min(all - 1, 10'000U)) << all;
        flow.next_incoming_id = flow.delivery_count = 1;
        alone.give(flow);
        EXPECT_EQ(alone.side->credit(link), std::min(all, 10'000U)) << all;
        alone.side->send(link, "t", 0, "x", true);
        EXPECT_EQ(all_of<Transfer>(alone.output()).size(), 1U) << all;
    }
}

TEST(Flows, CreditForALinkThatIsNotAcceptedYetIsToldWhenItIs) {
    Alone alone;
    alone.give(Attach{.name = "early", .handle = 0, .receiver = true});
    alone.output();
    Flow flow = credit_flow(0, 7);
    flow.echo = true;
    alone.give(flow);
    for (const Flow& answer : all_of<Flow>(alone.output())) EXPECT_FALSE(answer.handle) << "not named yet";
    EXPECT_EQ(alone.side.count<event::CreditChanged>(), 0U);
    const LinkId link = alone.side.take<event::LinkAsked>().link;
    alone.side->accept(link, Attach{});
    alone.side.poll();
    EXPECT_EQ(alone.side.take<event::CreditChanged>().link, link);
    EXPECT_EQ(alone.side->credit(link), 7U);
}

TEST(Flows, AnEchoIsAnsweredWithTheStateOfWhatItAsksFor) {
    Alone alone;
    const LinkId link = alone.link(3, true);
    alone.give(credit_flow(3, 5));
    alone.side->send(link, "t", 0, "x", true);
    alone.output();
    Flow of_session;
    of_session.incoming_window = 10;
    of_session.echo = true;
    alone.give(of_session);
    Flow of_link = credit_flow(3, 5);
    of_link.echo = true;
    alone.give(of_link);
    const auto answers = all_of<Flow>(alone.output());
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_FALSE(answers[0].handle || answers[0].echo || answers[1].echo);
    EXPECT_EQ(answers[0].next_outgoing_id, 1U);
    EXPECT_EQ(answers[1].delivery_count, 1U);
    EXPECT_EQ(answers[1].link_credit, 4U);
}

TEST(Flows, WhatWaitsForTheWindowIsNeitherCountedNorOvertakenByADrain) {
    Alone alone;
    const LinkId link = alone.link(0, true);
    Flow flow = credit_flow(0, 5);
    flow.incoming_window = 0;
    flow.drain = true;
    alone.give(flow);
    alone.side->send(link, "t", 0, "x", true);
    alone.side->send(link, "t", 0, "x", true);
    alone.side->drained(link);
    flow.echo = true;
    flow.handle.reset();
    alone.output();
    alone.give(flow);
    EXPECT_EQ(all_of<Transfer>(alone.output()).size(), 0U);
    flow.echo = false;
    flow.incoming_window = 1;
    alone.give(flow);
    EXPECT_EQ(all_of<Flow>(alone.output()).size(), 0U);
    EXPECT_TRUE(alone.side->draining(link));
    flow.next_incoming_id = 1;
    alone.give(flow);
    const auto frames = frames_of(alone.output());
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_TRUE(std::holds_alternative<Transfer>(frames[0].performative));
    const auto& answer = std::get<Flow>(frames[1].performative);
    EXPECT_EQ(answer.delivery_count, 5U);
    EXPECT_EQ(answer.link_credit, 0U);
    EXPECT_TRUE(answer.drain);
    EXPECT_FALSE(alone.side->draining(link));
}

TEST(Flows, CreditThatWaitsForTheWindowIsUsedOnce) {
    Alone alone;
    const LinkId link = alone.link(0, true);
    Flow flow = credit_flow(0, 5);
    flow.incoming_window = 0;
    flow.echo = true;
    alone.give(flow);
    alone.side->send(link, "t", 0, "x", true);
    alone.side->send(link, "t", 0, "x", true);
    alone.output();
    alone.give(flow);
    EXPECT_EQ(alone.side->credit(link), 3U);
    const auto answers = all_of<Flow>(alone.output());
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].delivery_count, 0U);
    EXPECT_EQ(answers[0].link_credit, 5U);
}

TEST(Flows, ASenderThatCountsWhatWasNeverGrantedIsNotBelieved) {
    Alone alone;
    const LinkId link = alone.link(0, false, 5);
    alone.give(credit_flow(0, 0, 6));
    EXPECT_EQ(alone.side->granted(link), 5U);
    alone.give(credit_flow(0, 0, 2));
    EXPECT_EQ(alone.side->granted(link), 3U);
}

TEST(Dispositions, OfMassesOfDeliveriesBecomeEventsBitByBit) {
    Alone alone;
    const LinkId link = alone.link(0, true);
    Flow flow = credit_flow(0, 10'000);
    flow.incoming_window = 10'000;
    alone.give(flow);
    for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(alone.side->send(link, "t", 0, "x", false));
    Disposition all{true, 0, UINT32_MAX, false, Accepted{}};
    Disposition heavy{true, 10, 20, true, Rejected{Condition{"c", std::string(1'000, 'd'), {}}}};
    alone.side->receive(frame_of(0, all) + frame_of(0, heavy) + frame_of(0, End{}), 1);
    std::uint32_t next = 0, settled = 10;
    while (const auto told = alone.side->poll()) {
        if (std::holds_alternative<event::CreditChanged>(*told)) continue;
        if (std::holds_alternative<event::SessionEnded>(*told)) break;
        const auto& state = std::get<event::StateChanged>(*told);
        EXPECT_EQ(state.delivery, state.settled ? settled++ : next++);
        if (next == 5'000) alone.side->tell(link, 6'000, Accepted{}, true);
        if (next == 6'000) ++next;
    }
    EXPECT_EQ(next, 10'000U);
    EXPECT_EQ(settled, 21U);
}

TEST(Dispositions, OfWhatIsNotThereChangeNothing) {
    Alone alone;
    const LinkId link = alone.link(0, true), other = alone.link(1, true);
    alone.give(credit_flow(0, 10));
    const auto id = alone.side->send(link, "t", 0, "x", false);
    alone.output();
    alone.side->tell(other, *id, Accepted{}, true);
    alone.side->tell(link, *id + 1, Accepted{}, true);
    alone.side->tell(link + 100, *id, Accepted{}, true);
    EXPECT_EQ(alone.output(), "");
    alone.side.events.clear();
    alone.give(Disposition{true, 1, 9, true, Accepted{}});
    alone.give(Disposition{false, 0, 9, true, Accepted{}});
    EXPECT_TRUE(alone.side.events.empty());
    alone.give(Disposition{true, 0, 0, true, Accepted{}});
    EXPECT_EQ(alone.side.count<event::StateChanged>(), 1U);
}

TEST(Events, OfOneChunkAreMadeAsTheyArePolled) {
    Alone alone;
    alone.link(0, false, 5'000);
    alone.output();
    std::string all;
    for (std::uint32_t id = 0; id < 5'000; ++id) {
        Transfer settled = part(0, id, false);
        settled.settled = true;
        all += frame_of(0, settled, "x");
    }
    alone.side->receive(all + all.substr(0, 10), 1);
    EXPECT_FALSE(alone.side->has_output()) << "the window is not opened for what is not taken yet";
    std::uint32_t next = 0;
    while (const auto one = alone.side->poll()) {
        EXPECT_EQ(std::get<event::Arrived>(*one).delivery.id, next++);
    }
    EXPECT_EQ(next, 5'000U);
}

}  // namespace
}  // namespace millrace::amqp
