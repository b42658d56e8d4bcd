// Peers that mean no good, or are gone without a word: what they may cost, and that others do not notice.
#include "tests/amqp/server_fixture.hpp"

namespace millrace::amqp::testing {

namespace {

using std::chrono::milliseconds;

class HostileServerTest : public ServerTest {
  protected:
    HostileServerTest() { put("q"); }
    /// An honest client sends and receives.
    void expect_service(const std::string& queue = "q") {
        auto one = client();
        const LinkId sends = one->attach(Client::sender_to(queue)).link;
        const LinkId receives = one->attach(Client::receiver_from(queue, true)).link;
        EXPECT_TRUE(std::holds_alternative<Accepted>(one->send_text(sends, "hello")));
        one->grant(receives, 1);
        EXPECT_EQ(one->receive().message.body, "hello");
    }
    bool until_alone() {
        return until([&] { return server->stats().connections == 0; });
    }
};

std::string open_frame() {
    Open open;
    open.container_id = "by hand";
    return frame_of(0, open);
}

TEST_F(HostileServerTest, GarbageEndsItsOwnConnectionOnly) {
    serve();
    std::mt19937 random(7);
    for (int round = 0; round < 60; ++round) {
        std::string garbage;
        if (round % 3 > 0) garbage += kHeader;
        if (round % 3 > 1) garbage += open_frame();
        for (int i = 0; i < 3000; ++i) garbage.push_back(static_cast<char>(random()));
        Wire wire(loop, server->port());
        wire.write(garbage);
        EXPECT_TRUE(until([&] { return wire.ended(); })) << round;
    }
    EXPECT_TRUE(until_alone());
    expect_service();
}

TEST_F(HostileServerTest, WhoFallsSilentIsGivenUpAtEveryStage) {
    options.idle_time = milliseconds(50);
    serve();
    Begin begin;
    begin.incoming_window = 1;
    const std::string stages[] = {std::string(kHeader) + open_frame(),
                                  std::string(kHeader) + open_frame() + frame_of(0, begin),
                                  std::string(kSaslHeader), std::string(kHeader)};
    for (const std::string& stage : stages) {
        Wire wire(loop, server->port());
        wire.write(stage);
        EXPECT_TRUE(until([&] { return wire.ended(); }));
    }
    EXPECT_TRUE(until_alone());
}

TEST_F(HostileServerTest, APeerThatReadsNothingIsGivenABoundedLotAndTheRestStaysInTheQueue) {
    const std::string body(64 * 1024, 'x');
    for (int i = 0; i < 20; ++i) {
        std::vector<broker::Message> some(40, broker::test::text_message(body));
        ASSERT_TRUE(loop.await(embedded.broker->send("q", std::move(some))));
    }
    auto one = client();
    std::vector<LinkId> links;
    for (int i = 0; i < 30; ++i) {
        Attach attach = Client::receiver_from("q");
        attach.name += std::to_string(i);
        links.push_back(one->attach(attach).link);
    }
    one->wire.read(false);
    for (const LinkId link : links) one->side->grant(link, 10'000);
    one->flush();
    ASSERT_TRUE(until([&] { return one->wire.written() && counts("q").locked > 0; }));
    put("other");
    expect_service("other");
    const std::uint64_t delivered = server->stats().delivered_total;
    // What the kernel holds for both ends, and the output.
    EXPECT_LT(delivered * body.size(), 24 * limits::kMiB);
    one->wire.read(true);
    EXPECT_TRUE(one->until([&] { return one->side.count<event::Arrived>() == 800; })) << "then all comes";
}

TEST_F(HostileServerTest, AWindowThatOpensLateIsSeenThoughMuchWaitsForIt) {
    const std::string body(200 * 1024, 'x');
    std::vector<broker::Message> some(60, broker::test::text_message(body));
    ASSERT_TRUE(loop.await(embedded.broker->send("q", std::move(some))));
    serve();
    Wire wire(loop, server->port());
    Begin begin;  // whose window is shut
    Attach attach = Client::receiver_from("q");
    Flow credit;
    credit.next_incoming_id = 0;
    credit.handle = 0;
    credit.delivery_count = 0;
    credit.link_credit = 1000;
    wire.write(std::string(kHeader) + open_frame() + frame_of(0, begin) + frame_of(0, attach) +
               frame_of(0, credit));
    ASSERT_TRUE(until([&] { return server->stats().delivered_total * body.size() > 4 * limits::kMiB; }));
    Flow window;
    window.next_incoming_id = 0;
    window.incoming_window = 1'000'000;
    wire.write(frame_of(0, window));
    std::size_t bytes = 0;
    EXPECT_TRUE(until([&] { return (bytes += wire.take().size()) > 60 * body.size(); }));
}

TEST_F(HostileServerTest, WhoGivesNoCreditHoldsNoMessage) {
    store("q", "a");
    auto one = client();
    one->attach(Client::receiver_from("q"));
    auto two = client();
    const LinkId link = two->attach(Client::receiver_from("q")).link;
    two->grant(link, 1);
    EXPECT_EQ(two->receive().message.body, "a");
}

TEST_F(HostileServerTest, MessagesThatNeverEndAreBoundedPerConnection) {
    serve();
    Wire wire(loop, server->port());
    Begin begin;
    begin.incoming_window = 1000;
    std::string bytes = std::string(kHeader) + open_frame() + frame_of(0, begin);
    const std::string part(60'000, 'x');
    for (std::uint32_t handle = 0; handle < 40; ++handle) {
        Attach attach = Client::sender_to("q");
        attach.name += std::to_string(handle);
        attach.handle = handle;
        attach.initial_delivery_count = 0;
        bytes += frame_of(0, attach);
    }
    wire.write(bytes);
    ASSERT_TRUE(until([&] { return server->stats().links == 40; }));
    bytes.clear();
    for (std::uint32_t i = 0; i < 40 * 12; ++i) {
        Transfer transfer;
        transfer.handle = i / 12;
        transfer.delivery_id = i / 12;
        transfer.delivery_tag = "t";
        transfer.more = true;
        bytes += frame_of(0, transfer, part);
    }
    wire.write(bytes);
    EXPECT_TRUE(until([&] { return wire.ended(); }));
    const auto closes = all_of<Close>(wire.take());
    ASSERT_EQ(closes.size(), 1U);
    EXPECT_EQ(closes[0].error->name, "amqp:resource-limit-exceeded");
    expect_service();
}

TEST_F(HostileServerTest, OfManyWhoNeverEndTheirMessagesTheLargestIsCutOff) {
    options.bytes_max = 4 * limits::kMiB;
    serve();
    Begin begin;
    begin.incoming_window = 1000;
    Attach attach = Client::sender_to("q");
    attach.initial_delivery_count = 0;
    Transfer transfer;
    transfer.delivery_id = 0;
    transfer.delivery_tag = "t";
    transfer.more = true;
    const std::string part = frame_of(0, transfer, std::string(50'000, 'x'));
    std::vector<std::unique_ptr<Wire>> wires;
    for (int i = 0; i < 10; ++i) {
        wires.push_back(std::make_unique<Wire>(loop, server->port()));
        wires.back()->write(std::string(kHeader) + open_frame() + frame_of(0, begin) + frame_of(0, attach));
    }
    ASSERT_TRUE(until([&] { return server->stats().links == 10; }));
    wires[0]->write(part);
    for (std::size_t i = 1; i < 10; ++i) {
        for (int piece = 0; piece < 12; ++piece) wires[i]->write(part);
    }
    const auto ended = [&] {
        return std::count_if(wires.begin(), wires.end(), [](const auto& one) { return one->ended(); });
    };
    EXPECT_TRUE(until([&] { return ended() > 0; }));
    expect_service();
    EXPECT_FALSE(wires[0]->ended()) << "who holds little goes on";
    EXPECT_LT(ended(), 8);
    wires[0]->take();
    transfer.more = false;
    wires[0]->write(frame_of(0, transfer, "x"));
    std::string answer;
    EXPECT_TRUE(until([&] {
        answer += wires[0]->take();
        return !all_of<Disposition>(answer).empty();
    })) << "and may end its message";
}

TEST_F(HostileServerTest, RequestsByTheHundredAreAllAnswered) {
    store("q", std::string(100'000, 'x'));
    auto one = client();
    const auto node = one->node("q/$management");
    Request request;
    request.reply_to = "answers";
    request.properties.set("operation", std::string("com.microsoft:peek-message"));
    Map arguments;
    arguments.set("from-sequence-number", std::int64_t{0});
    arguments.set("message-count", std::int32_t{1});
    request.body = arguments;
    one->wire.read(false);
    for (int i = 0; i < 90; ++i) {
        request.message_id = static_cast<std::uint64_t>(i);
        one->side->send(node.requests, std::to_string(i), kPlainFormat, write_request(request), true);
    }
    one->flush();
    ASSERT_TRUE(until([&] { return one->wire.written(); }));
    one->wire.read(true);
    EXPECT_TRUE(one->until([&] { return one->side.count<event::Arrived>() == 90; }));
}

}  // namespace

}  // namespace millrace::amqp::testing
