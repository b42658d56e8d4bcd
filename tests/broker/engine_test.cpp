#include "tests/broker/harness.hpp"

namespace millrace::broker::test {
namespace {

using std::chrono::seconds;

class Engine : public testing::Test {
  protected:
    EmbeddedBroker under_test;
    Loop& loop = under_test.loop;

    Broker& broker() { return *under_test.broker; }

    std::vector<std::int64_t> send(const std::string& queue, std::vector<std::string> bodies) {
        std::vector<Message> messages;
        for (auto& body : bodies) messages.push_back(text_message(std::move(body)));
        auto sent = loop.await(broker().send(queue, std::move(messages)));
        EXPECT_TRUE(sent) << sent.error().detail;
        return sent ? *sent : std::vector<std::int64_t>();
    }

    std::vector<Delivery> receive(const std::string& queue, std::size_t count = 1) {
        ReceiveOptions options;
        options.messages_max = count;
        auto received = loop.await(broker().receive(queue, options));
        EXPECT_TRUE(received) << received.error().detail;
        return received ? std::move(*received) : std::vector<Delivery>();
    }
};

TEST_F(Engine, KeepsMessagesCountsAndNumbersOverARestart) {
    under_test.put("q");
    EXPECT_EQ(send("q", {"a", "b", "c"}), (std::vector<std::int64_t>{1, 2, 3}));
    ASSERT_EQ(receive("q").size(), 1u);
    under_test.restart();
    const auto again = receive("q", 10);
    ASSERT_EQ(again.size(), 3u);
    EXPECT_EQ(again[0].message.body, "a");
    EXPECT_EQ(again[0].delivery_count, 1);
    EXPECT_EQ(again[1].delivery_count, 0);
    for (const Delivery& one : again) EXPECT_TRUE(loop.await(broker().complete(lock_of(one))));
    EXPECT_EQ(broker().counts("q")->bytes, 0u);
    under_test.restart();
    EXPECT_TRUE(receive("q", 10).empty());
    EXPECT_EQ(send("q", {"d"}), (std::vector<std::int64_t>{4}));
}

}  // namespace
}  // namespace millrace::broker::test
