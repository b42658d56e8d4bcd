// What the client does about a peer that has fallen silent, or takes connections and drops them.
#include "base/async.hpp"
#include "tests/amqp/cut_transport.hpp"
#include "tests/amqp/live_server.hpp"

#include <gmock/gmock.h>

namespace millrace::amqp {
namespace {

using broker::test::lock_of;
using broker::test::text_message;
using test::LiveServer;

/// What a test does with the bytes of a client.
struct Line {
    bool swallows = false;  ///< what is written goes nowhere, and nobody is told
    bool stuck = false;     ///< what is written is not taken
    std::string garbles;    ///< text whose type, the two bytes before it, is nonsense when it is read
    int connections = 0;
};

class LineTransport final : public Transport {
  public:
    LineTransport(asio::any_io_executor io, std::unique_ptr<Transport> inner, Line& line)
        : never_(io), inner_(std::move(inner)), line_(line) {
        line_.connections += 1;
    }

    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer room) override {
        auto reading = inner_->read_some(room);
        auto got = co_await std::move(reading);
        if (!got || line_.garbles.empty()) co_return got;
        char* const begin = static_cast<char*>(room.data());
        const auto at = std::string_view(begin, *got).find(line_.garbles);
        if (at != std::string_view::npos) begin[at - 2] = '\xff';
        co_return got;
    }
    asio::awaitable<Result<void>> write(std::string_view bytes) override {
        if (line_.swallows) co_return Result<void>();
        if (line_.stuck) co_await never_.wait();
        auto writing = inner_->write(bytes);
        co_return co_await std::move(writing);
    }
    asio::awaitable<void> shut_down() override { return inner_->shut_down(); }
    void close() noexcept override { inner_->close(); }

  private:
    Signal never_;
    std::unique_ptr<Transport> inner_;
    Line& line_;
};

class ClientLinkTest : public testing::Test {
  protected:
    LiveServer live;
    Line line;
    RemoteOptions options = live.options_for_client();
    std::unique_ptr<RemoteQueue> client;

    void SetUp() override {
        live.embedded.put("q");
        options.operation_time = Duration(200);
    }
    void TearDown() override {
        if (client) live.loop.await(client->stop());
    }
    void connect() {
        const auto io = live.loop.io().get_executor();
        test::put_around(options, io, [this, io](std::unique_ptr<Transport> inner) {
            return std::make_unique<LineTransport>(io, std::move(inner), line);
        });
        client = live.client(options);
    }
    Result<void> send() {
        const auto sent = live.loop.await(client->send("q", {text_message("a")}));
        if (!sent) return sent.error();
        return {};
    }
    std::vector<broker::Delivery> receive() {
        auto received = live.loop.await(client->receive("q", broker::ReceiveOptions()));
        return received ? std::move(*received) : std::vector<broker::Delivery>();
    }
};

TEST_F(ClientLinkTest, ALinkThatDoesNotAnswerIsReplacedByAnother) {
    connect();
    ASSERT_TRUE(send());
    EXPECT_TRUE(live.loop.await(client->complete(lock_of(receive().at(0)))));
    line.swallows = true;
    EXPECT_TRUE(receive().empty()) << "nobody has heard the question";
    live.settle();
    line.swallows = false;
    ASSERT_TRUE(send());
    EXPECT_EQ(receive().size(), 1u);
    EXPECT_EQ(line.connections, 1);
}

TEST_F(ClientLinkTest, APeerThatTakesNothingIsGivenUp) {
    connect();
    ASSERT_TRUE(send());
    line.stuck = true;
    EXPECT_TRUE(send().has_error());
    while (client->is_connected()) live.loop.io().run_one();
    line.stuck = false;
    EXPECT_TRUE(send());
    EXPECT_EQ(line.connections, 2);
}

TEST_F(ClientLinkTest, AnUnreadableDeferredMessageCostsItsNeighboursNothing) {
    connect();
    broker::Message bad = text_message("bad");
    bad.properties["kind"] = std::string("garbled");
    ASSERT_TRUE(live.loop.await(client->send("q", {bad, text_message("good")})));
    std::vector<std::int64_t> numbers;
    for (int i = 0; i < 2; ++i) {
        const auto one = receive().at(0);
        numbers.push_back(one.sequence);
        ASSERT_TRUE(live.loop.await(client->defer(lock_of(one), {})));
    }
    line.garbles = "garbled";
    const auto both = live.loop.await(client->receive_deferred("q", numbers, broker::ReceiveOptions()));
    ASSERT_TRUE(both) << both.error().detail;
    ASSERT_EQ(both->size(), 1u);
    EXPECT_EQ(both->at(0).message.body, "good");
    live.pass(std::chrono::minutes(2));
    const auto alone = live.loop.await(client->receive_deferred("q", {numbers[0]}, broker::ReceiveOptions()));
    ASSERT_TRUE(alone.has_error());
    EXPECT_EQ(alone.error().code, Errc::corrupt);
}

TEST_F(ClientLinkTest, APeerThatDropsAFreshConnectionIsLeftAloneForAWhile) {
    options.backoff_first = options.backoff_max = std::chrono::minutes(10);
    options.connect_wait = Duration(200);
    connect();
    ASSERT_TRUE(send());
    const unsigned short port = live.server->port();
    live.loop.await(live.server->stop(Duration::zero()));
    live.start(port);
    while (client->is_connected()) live.loop.io().run_one();
    const auto sent = send();
    ASSERT_TRUE(sent.has_error());
    EXPECT_EQ(sent.error().code, Errc::unavailable);
    EXPECT_EQ(line.connections, 1);
}

}  // namespace
}  // namespace millrace::amqp
