#include "tests/amqp/pair.hpp"

namespace millrace::amqp {
namespace {

using namespace amqp::testing;

class Deliveries : public ::testing::TestWithParam<Cut> {};
INSTANTIATE_TEST_SUITE_P(HoweverBytesAreCut, Deliveries, ::testing::Values(0U, 1U, 2U));

TEST_P(Deliveries, ArriveAsTheyWereSentWithinCredit) {
    Pair pair(GetParam());
    pair.open();
    const auto ends = pair.link(true);
    EXPECT_EQ(pair.server->send(ends.server, "t", 0, "x", false), std::nullopt) << "no credit";
    pair.client->grant(ends.client, 2);
    pair.run();
    EXPECT_EQ(pair.server.take<event::CreditChanged>().link, ends.server);
    EXPECT_EQ(pair.server->credit(ends.server), 2U);
    pair.server->send(ends.server, "t1", 0x80013700, "first", false);
    pair.server->send(ends.server, "t2", 0, "", true);
    EXPECT_EQ(pair.server->send(ends.server, "t3", 0, "third", false), std::nullopt);
    pair.run();
    const auto first = pair.client.take<event::Arrived>().delivery;
    EXPECT_EQ(std::tie(first.tag, first.format, first.payload), std::make_tuple("t1", 0x80013700U, "first"));
    EXPECT_FALSE(first.settled);
    const auto second = pair.client.take<event::Arrived>().delivery;
    EXPECT_EQ(second.payload, "");
    EXPECT_TRUE(second.settled);
    EXPECT_EQ(pair.client->granted(ends.client), 0U);
}

TEST_P(Deliveries, AreCutIntoFramesThatThePeerTakes) {
    for (const std::uint32_t frame : {512U, 700U, 4096U, 65'536U}) {
        auto options = client_options();
        options.frame_bytes_max = frame;
        Pair pair(GetParam(), options);
        pair.open();
        const auto ends = pair.link(true);
        pair.client->grant(ends.client, 100);
        pair.run();
        std::vector<std::string> payloads;
        for (const std::size_t size : {0U, 1U, 440U, 460U, 480U, 511U, 512U, 513U, 5'000U, 70'000U}) {
            payloads.emplace_back(size, static_cast<char>('a' + payloads.size()));
            pair.server->send(ends.server, std::string(16, 't'), 0, payloads.back(), false);
        }
        pair.run();
        for (const std::string& payload : payloads) {
            EXPECT_TRUE(pair.client.take<event::Arrived>().delivery.payload == payload) << payload.size();
        }
        EXPECT_FALSE(pair.client->closed());
        EXPECT_EQ(pair.server->backlog_bytes(), 0U);
    }
}

TEST_P(Deliveries, EveryStateReachesTheSender) {
    Pair pair(GetParam());
    pair.open();
    const auto ends = pair.link(false);
    Modified modified{true, false, {}};
    modified.annotations.set_symbol("k", std::string("v"));
    const DeliveryState states[] = {Accepted{}, Released{}, Rejected{},    Rejected{Condition{"c", "d", {}}},
                                    modified,   Modified{}, Received{1, 2}};
    pair.server->grant(ends.server, 10);
    pair.run();
    for (const DeliveryState& state : states) {
        const auto id = pair.client->send(ends.client, "tag", 0, "x", false);
        pair.run();
        pair.server->tell(ends.server, pair.server.take<event::Arrived>().delivery.id, state, true);
        pair.run();
        const auto told = pair.client.take<event::StateChanged>();
        EXPECT_EQ(std::tie(told.link, told.delivery, told.tag), std::make_tuple(ends.client, *id, "tag"));
        EXPECT_TRUE(told.state == state);
        EXPECT_TRUE(told.settled);
    }
}

TEST_P(Deliveries, InSecondModeTheSenderSettlesWhatTheReceiverToldOf) {
    Pair pair(GetParam());
    pair.open();
    const auto ends = pair.link(true, "peek", ConfirmMode::second);
    pair.client->grant(ends.client, 1);
    pair.run();
    const auto id = pair.server->send(ends.server, std::string(16, 'l'), 0, "x", false);
    pair.run();
    const auto delivery = pair.client.take<event::Arrived>().delivery;
    pair.client->tell(ends.client, delivery.id, Accepted{}, false);
    pair.run();
    const auto told = pair.server.take<event::StateChanged>();
    EXPECT_EQ(told.delivery, *id);
    EXPECT_EQ(told.tag, std::string(16, 'l'));
    EXPECT_FALSE(told.settled);
    pair.server->tell(ends.server, *id, Rejected{Condition{"com.microsoft:message-lock-lost", "", {}}}, true);
    pair.run();
    const auto answer = pair.client.take<event::StateChanged>();
    EXPECT_EQ(answer.delivery, delivery.id);
    EXPECT_TRUE(answer.settled);
    EXPECT_TRUE(std::holds_alternative<Rejected>(answer.state));
    pair.server->tell(ends.server, *id, Accepted{}, true);
    pair.client->tell(ends.client, delivery.id, Accepted{}, true);
    EXPECT_FALSE(pair.server->has_output() || pair.client->has_output()) << "both have forgotten it";
}

TEST_P(Deliveries, StatesThatEndNothingAreNotTold) {
    Pair pair(GetParam());
    pair.open();
    const auto ends = pair.link(true, "peek", ConfirmMode::second);
    pair.client->grant(ends.client, 1);
    pair.run();
    pair.server->send(ends.server, "t", 0, "x", false);
    pair.run();
    const auto delivery = pair.client.take<event::Arrived>().delivery;
    for (const DeliveryState& state :
         {DeliveryState(), DeliveryState(Received{1, 2}), DeliveryState(OtherState{0x34})})
        pair.client->tell(ends.client, delivery.id, state, false);
    pair.run();
    EXPECT_EQ(pair.server.count<event::StateChanged>(), 0U);
    pair.client->tell(ends.client, delivery.id, Accepted{}, false);
    pair.run();
    EXPECT_EQ(pair.server.count<event::StateChanged>(), 1U) << "none of them counts as an answer";
}

TEST_P(Deliveries, SettlementsInARowLeaveAsOneRange) {
    Pair pair(GetParam());
    pair.open();
    const auto ends = pair.link(false);
    pair.server->grant(ends.server, 10);
    pair.run();
    for (int i = 0; i < 10; ++i) pair.client->send(ends.client, "t", 0, "x", false);
    pair.run();
    for (const std::uint32_t id : {0U, 1U, 2U, 3U, 5U, 6U, 4U, 9U, 8U})
        pair.server->tell(ends.server, id, Accepted{}, true);
    pair.server->tell(ends.server, 7, Released{}, true);
    pair.run();
    std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges;
    for (const auto& one : all_of<Disposition>(pair.from_server)) ranges.emplace_back(one.first, one.last);
    const decltype(ranges) expected = {{0, 3}, {5, 6}, {4, 4}, {9, 9}, {8, 8}, {7, 7}};
    EXPECT_EQ(ranges, expected);
    EXPECT_EQ(pair.client.count<event::StateChanged>(), 10U);
}

TEST_P(Deliveries, IdsWrapAround) {
    for (const std::uint32_t first : {UINT32_MAX - 4, UINT32_MAX, 0U}) {
        auto options = server_options();
        options.first_id = first;
        Pair pair(GetParam(), client_options(), options);
        pair.open();
        const auto ends = pair.link(true, "l", ConfirmMode::second);
        pair.client->grant(ends.client, 20);
        pair.run();
        for (int i = 0; i < 10; ++i) pair.server->send(ends.server, std::to_string(i), 0, "x", false);
        pair.run();
        for (int i = 0; i < 10; ++i) {
            const auto id = pair.client.take<event::Arrived>().delivery.id;
            EXPECT_EQ(id, first + static_cast<std::uint32_t>(i));
            pair.client->tell(ends.client, id, Accepted{}, false);
        }
        pair.run();
        for (int i = 0; i < 10; ++i) {
            const auto told = pair.server.take<event::StateChanged>();
            EXPECT_EQ(told.tag, std::to_string(i)) << "in the order of the ids";
            pair.server->tell(ends.server, told.delivery, Accepted{}, true);
        }
        EXPECT_EQ(all_of<Disposition>(pair.from_client).size(), 1U);
        pair.run();
        EXPECT_EQ(pair.client.count<event::StateChanged>(), 10U);
        EXPECT_EQ(all_of<Disposition>(pair.from_server).size(), 1U);
        pair.client->grant(ends.client, 20);
        pair.run();
        EXPECT_EQ(pair.server->credit(ends.server), 20U);
    }
}

TEST_P(Deliveries, TheSessionsWindowClosesAndOpensWithoutALoss) {
    auto options = client_options();
    options.frame_bytes_max = 512;
    Pair pair(GetParam(), options);
    pair.open();
    const auto ends = pair.link(true);
    pair.client->grant(ends.client, 5'000);
    pair.run();
    for (int i = 0; i < 5'000; ++i) pair.server->send(ends.server, "t", 0, std::string(1'000, 'x'), false);
    EXPECT_GT(pair.server->backlog_bytes(), 5'000'000U);
    pair.run();
    EXPECT_EQ(pair.client.count<event::Arrived>(), 5'000U);
    EXPECT_EQ(pair.server->backlog_bytes(), 0U);
}

TEST_P(Deliveries, DrainUsesUpOrGivesBackCredit) {
    for (const int sent : {0, 1, 3}) {
        Pair pair(GetParam());
        pair.open();
        const auto ends = pair.link(true);
        pair.client->grant(ends.client, 3, true);
        pair.run();
        EXPECT_TRUE(pair.server->draining(ends.server));
        for (int i = 0; i < sent; ++i) pair.server->send(ends.server, "t", 0, "x", false);
        pair.server->drained(ends.server);
        EXPECT_FALSE(pair.server->draining(ends.server));
        EXPECT_EQ(pair.server->credit(ends.server), 0U);
        pair.run();
        EXPECT_EQ(pair.client.take<event::Drained>().link, ends.client);
        EXPECT_EQ(pair.client.count<event::Drained>(), 0U);
        EXPECT_EQ(pair.client.count<event::Arrived>(), static_cast<std::size_t>(sent));
        EXPECT_EQ(pair.client->granted(ends.client), 0U);
        pair.client->grant(ends.client, 1);
        pair.run();
        pair.server->send(ends.server, "t", 0, "after", false);
        pair.run();
        EXPECT_EQ(pair.client.count<event::Arrived>(), static_cast<std::size_t>(sent) + 1);
    }
}

TEST_P(Deliveries, LoweredCreditCrossesDeliveriesOnTheirWay) {
    Pair pair(GetParam());
    pair.open();
    const auto ends = pair.link(true);
    pair.client->grant(ends.client, 3);
    pair.run();
    for (int i = 0; i < 3; ++i) pair.server->send(ends.server, "t", 0, "x", false);
    pair.client->grant(ends.client, 0);
    pair.run();
    EXPECT_EQ(pair.client.count<event::Arrived>(), 3U);
    EXPECT_EQ(pair.client.count<event::LinkDetached>() + pair.server.count<event::LinkDetached>(), 0U);
    EXPECT_EQ(pair.server->credit(ends.server), 0U);
}

TEST_P(Deliveries, TooManyUnsettledHoldCreditBackUntilSomeAreSettled) {
    auto options = server_options();
    options.unsettled_max = 8;
    Pair pair(GetParam(), client_options(), options);
    pair.open();
    const auto ends = pair.link(true);
    pair.client->grant(ends.client, 100);
    pair.run();
    pair.server.events.clear();
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(pair.server->send(ends.server, "t", 0, "x", false));
    EXPECT_EQ(pair.server->credit(ends.server), 0U);
    EXPECT_FALSE(pair.server->send(ends.server, "t", 0, "x", false));
    pair.run();
    pair.client->tell(ends.client, pair.client.take<event::Arrived>().delivery.id, Accepted{}, true);
    pair.run();
    EXPECT_EQ(pair.server.count<event::CreditChanged>(), 0U);
    pair.client->tell(ends.client, pair.client.take<event::Arrived>().delivery.id, Accepted{}, true);
    pair.run();
    EXPECT_EQ(pair.server.count<event::CreditChanged>(), 1U);
    EXPECT_EQ(pair.server->credit(ends.server), 2U);
}

TEST_P(Deliveries, ADetachDropsWhatWaitsForTheWindowAndOthersGoOn) {
    for (const bool by_peer : {true, false}) {
        auto options = client_options();
        options.frame_bytes_max = 512;
        Pair pair(GetParam(), options);
        pair.open();
        const auto gone = pair.link(true, "gone"), stays = pair.link(true, "stays");
        pair.client->grant(gone.client, 1'000);
        pair.client->grant(stays.client, 1'000);
        pair.run();
        pair.server->send(gone.server, "t", 0, std::string(3'000'000, 'x'), false);  // more than one window
        pair.server->send(stays.server, "t", 0, "after", false);
        Side& detaching = by_peer ? pair.client : pair.server;
        detaching->detach(by_peer ? gone.client : gone.server, {});
        pair.run();
        EXPECT_EQ(pair.client.take<event::Arrived>().delivery.payload, "after");
        EXPECT_EQ(pair.client.count<event::Arrived>(), 0U);
        if (by_peer)
            pair.server->detach(gone.server, {});
        else
            pair.client->detach(gone.client, {});
        pair.run();
        EXPECT_EQ(pair.server->links(), 1U);
        EXPECT_EQ(pair.server->backlog_bytes(), 0U);
        EXPECT_EQ(pair.client.count<event::SessionEnded>() + pair.server.count<event::SessionEnded>(), 0U);
    }
}

}  // namespace
}  // namespace millrace::amqp
