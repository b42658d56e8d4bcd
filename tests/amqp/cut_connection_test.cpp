// A connection that is cut at every step of an exchange loses nothing and settles nothing twice.
#include "broker/entity.hpp"
#include "tests/amqp/cut_transport.hpp"
#include "tests/amqp/live_server.hpp"

#include <gmock/gmock.h>

namespace millrace::amqp {
namespace {

using broker::Delivery;
using broker::test::lock_of;
using broker::test::text_message;
using std::chrono::minutes;
using std::chrono::seconds;
using test::Cut;
using test::LiveServer;

struct Way {
    const char* name;
    /// Settles a delivery.
    asio::awaitable<Result<void>> (*settle)(broker::MessageSource&, broker::LockRef);
    bool stays;  ///< in the queue
    bool buried;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

const Way kWays[] = {
    {"Complete",
     [](broker::MessageSource& source, broker::LockRef lock) { return source.complete(std::move(lock)); },
     false, false},
    {"Abandon",
     [](broker::MessageSource& source, broker::LockRef lock) { return source.abandon(std::move(lock), {}); },
     true, false},
    {"DeadLetter",
     [](broker::MessageSource& source, broker::LockRef lock) {
         return source.dead_letter(std::move(lock), "reason", "why", {});
     },
     false, true},
    {"Postpone",
     [](broker::MessageSource& source, broker::LockRef lock) {
         return source.postpone(std::move(lock), Duration::zero(), true);
     },
     true, false},
};

class CutConnectionTest : public testing::TestWithParam<Way> {
  protected:
    LiveServer live;
    Cut cut;
    std::unique_ptr<RemoteQueue> client;

    void SetUp() override { live.loop.be_patient(Duration(5)); }
    void TearDown() override {
        if (client) live.loop.await(client->stop());
    }
    void connect(int cut_at) {
        if (client) live.loop.await(client->stop());
        cut = Cut{cut_at, false};
        RemoteOptions options = live.options_for_client();
        test::put_around(options, live.loop.io().get_executor(), test::cutting(cut));
        client = live.client(std::move(options));
    }

    /// As a sender does: again with the same id until it is told that the queue has it.
    void send(const std::string& queue) {
        for (int attempt = 0; attempt < 3; ++attempt) {
            const auto sent = live.loop.await(client->send(queue, {text_message("body", "id")}));
            if (sent) return;
            ASSERT_EQ(sent.error().code, Errc::unavailable) << sent.error().detail;
        }
        FAIL() << "one cut failed three sends";
    }
    /// A message that is locked for nobody comes again when its lock has run out.
    Delivery receive(const std::string& queue) {
        for (int attempt = 0; attempt < 4; ++attempt) {
            const auto received = live.loop.await(client->receive(queue, broker::ReceiveOptions()));
            if (received && received->size() == 1) return received->at(0);
            EXPECT_TRUE(received || received.error().code == Errc::unavailable);
            live.settle();
            live.pass(minutes(1));
        }
        ADD_FAILURE() << "the message does not come";
        return {};
    }
    std::size_t count(const std::string& queue) {
        return live.loop.await(live.broker().peek(queue, 0, 10)).value().size();
    }
    /// One message's life; true if the cut came within it.
    bool live_once(const Way& way, int cut_at) {
        SCOPED_TRACE("cut at step " + std::to_string(cut_at));
        const std::string queue = "q" + std::to_string(cut_at);
        broker::EntityOptions options;
        options.duplicate_window = minutes(30);
        live.embedded.put(queue, options);
        connect(cut_at);
        send(queue);
        const Delivery delivery = receive(queue);
        const auto settled = live.loop.await(way.settle(*client, lock_of(delivery)));
        const bool cut_before_end = cut.done;
        live.settle();
        live.pass(minutes(2));
        const std::size_t here = count(queue);
        const std::size_t dead = count(broker::dead_letter_queue_of(queue));
        if (settled) {
            EXPECT_EQ(here, way.stays ? 1u : 0u);
            EXPECT_EQ(dead, way.buried ? 1u : 0u);
        } else {
            // It is not known whether it was done; nothing else was.
            EXPECT_TRUE(settled.error().code == Errc::conflict || settled.error().code == Errc::unavailable);
            EXPECT_TRUE(here + dead == 1 || (!way.stays && !way.buried)) << here << " and " << dead;
            EXPECT_LE(here + dead, 1u);
        }
        return cut_before_end;
    }
};

TEST_P(CutConnectionTest, LosesNothingAndSettlesNothingTwice) {
    int step = 1;
    while (step < 400 && live_once(GetParam(), step)) ++step;
    EXPECT_GT(step, 20) << "an exchange has more steps than this";
    EXPECT_LT(step, 400);
}

INSTANTIATE_TEST_SUITE_P(Ways, CutConnectionTest, testing::ValuesIn(kWays),
                         [](const auto& way) { return std::string(way.param.name); });

using ReconnectTest = CutConnectionTest;

TEST_F(ReconnectTest, AWaitingReceiverOutlivesARestartOfTheServer) {
    live.embedded.put("q");
    connect(0);
    broker::ReceiveOptions options;
    options.wait = minutes(5);
    auto waiting = live.loop.begin(client->receive("q", options));
    live.settle();
    const unsigned short port = live.server->port();
    live.loop.await(live.server->stop(Duration::zero()));
    live.settle();
    EXPECT_FALSE(waiting.done());
    live.start(port);
    const auto sent = live.loop.await(client->send("q", {text_message("a", "id")}));
    ASSERT_TRUE(sent) << sent.error().detail;
    const auto received = live.loop.finish(waiting);
    ASSERT_TRUE(received) << received.error().detail;
    ASSERT_EQ(received->size(), 1u);
    EXPECT_TRUE(live.loop.await(client->complete(lock_of(received->at(0)))));
}

TEST_F(ReconnectTest, ADeliveryIsSettledOverTheNextConnection) {
    live.embedded.put("q");
    connect(0);
    ASSERT_TRUE(live.loop.await(client->send("q", {text_message("a")})));
    const auto received = live.loop.await(client->receive("q", broker::ReceiveOptions()));
    ASSERT_TRUE(received && received->size() == 1);
    const unsigned short port = live.server->port();
    live.loop.await(live.server->stop(Duration::zero()));
    live.start(port);
    const auto settled = live.loop.await(client->complete(lock_of(received->at(0))));
    EXPECT_TRUE(settled) << settled.error().detail;
    EXPECT_EQ(count("q"), 0u);
}

TEST_F(ReconnectTest, WithoutAServerCallsAnswerUnavailableInTime) {
    RemoteOptions options = live.options_for_client();
    live.loop.await(live.server->stop(Duration::zero()));
    options.connect_wait = Duration(200);
    client = live.client(options);
    const auto sent = live.loop.await(client->send("q", {text_message("a")}));
    ASSERT_TRUE(sent.has_error());
    EXPECT_EQ(sent.error().code, Errc::unavailable);
    EXPECT_THAT(sent.error().detail, testing::HasSubstr("can't connect to 127.0.0.1"));
}

TEST_F(ReconnectTest, AWrongKeyIsRefusedWithoutBeingShown) {
    live.embedded.put("q");
    RemoteOptions options = live.options_for_client();
    options.target.secret = "SECRET";
    client = live.client(options);
    const auto sent = live.loop.await(client->send("q", {text_message("a")}));
    ASSERT_TRUE(sent.has_error());
    EXPECT_EQ(sent.error().code, Errc::invalid_input);
    EXPECT_THAT(sent.error().detail, testing::HasSubstr("refused the key"));
    EXPECT_THAT(sent.error().detail, testing::Not(testing::HasSubstr("SECRET")));
}

TEST_F(ReconnectTest, TokensAreRenewedBeforeTheyEnd) {
    live.embedded.put("q");
    connect(0);
    for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(live.loop.await(client->send("q", {text_message("a")}))) << i;
        live.settle();
        live.pass(minutes(46));
        live.settle();
    }
    EXPECT_EQ(live.server->stats().connections_total, 1u);
    EXPECT_EQ(count("q"), 6u);
}

TEST_F(ReconnectTest, AWebSocketCarriesTheSame) {
    live.embedded.put("q");
    RemoteOptions options = live.options_for_client();
    options.target.endpoint.websocket = true;
    client = live.client(options);
    const std::string large(900'000, 'x');
    ASSERT_TRUE(live.loop.await(client->send("q", {text_message(large)})));
    const auto received = live.loop.await(client->receive("q", broker::ReceiveOptions()));
    ASSERT_TRUE(received && received->size() == 1);
    EXPECT_TRUE(received->at(0).message.body == large);
    EXPECT_TRUE(live.loop.await(client->complete(lock_of(received->at(0)))));
    EXPECT_EQ(count("q"), 0u);
}

TEST_F(ReconnectTest, ACancelledReceiveLeavesTheMessageToTheNext) {
    live.embedded.put("q");
    connect(0);
    broker::ReceiveOptions options;
    options.wait = minutes(5);
    for (int turn = 0; turn < 30; ++turn) {
        auto waiting = live.loop.begin(client->receive("q", options));
        if (turn % 3 == 0) live.settle();
        auto sending = live.loop.begin(client->send("q", {text_message(std::to_string(turn))}));
        for (int steps = 0; steps < turn * 4; ++steps) live.loop.io().run_one_for(Duration(1));
        waiting.cancel();
        ASSERT_TRUE(live.loop.finish(sending));
        std::vector<Delivery> got;
        try {
            const auto received = live.loop.finish(waiting);
            if (received) got = *received;
        } catch (const boost::system::system_error&) {
        }
        if (got.empty()) got = live.loop.await(client->receive("q", options)).value();
        ASSERT_EQ(got.size(), 1u) << turn;
        EXPECT_EQ(got[0].message.body, std::to_string(turn));
        EXPECT_TRUE(live.loop.await(client->complete(lock_of(got[0]))));
    }
    EXPECT_EQ(count("q"), 0u);
}

TEST_F(ReconnectTest, AStoppedClientAnswersUnavailable) {
    live.embedded.put("q");
    connect(0);
    broker::ReceiveOptions options;
    options.wait = minutes(5);
    auto waiting = live.loop.begin(client->receive("q", options));
    live.settle();
    live.loop.await(client->stop());
    live.loop.await(client->stop());
    EXPECT_TRUE(live.loop.finish(waiting).has_error());
    EXPECT_EQ(live.loop.await(client->send("q", {text_message("a")})).error().code, Errc::unavailable);
}

TEST_F(ReconnectTest, APostponedMessageStaysLockedUntilItsTimeHasCome) {
    live.embedded.put("q");
    connect(0);
    ASSERT_TRUE(live.loop.await(client->send("q", {text_message("a")})));
    const auto first = live.loop.await(client->receive("q", broker::ReceiveOptions())).value();
    ASSERT_EQ(first.size(), 1u);
    EXPECT_TRUE(live.loop.await(client->postpone(lock_of(first[0]), minutes(3), false)));
    for (int i = 0; i < 17; ++i) {
        live.settle();
        live.pass(seconds(10));
        EXPECT_TRUE(live.loop.await(client->receive("q", broker::ReceiveOptions())).value().empty()) << i;
    }
    live.settle();
    live.pass(seconds(15));
    live.settle();
    const auto again = live.loop.await(client->receive("q", broker::ReceiveOptions())).value();
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].delivery_count, 1) << "one delivery was spent, for three lock times of waiting";
}

}  // namespace
}  // namespace millrace::amqp
