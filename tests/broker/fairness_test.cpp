// Queues whose tenants take turns.
#include "tests/broker/engine_fixture.hpp"

namespace millrace::broker::test {
namespace {

using Engine = EmbeddedTest;

Message of_tenant(const std::string& tenant, const std::string& text) {
    Message message = text_message(text);
    message.properties["tenant"] = tenant;
    return message;
}

TEST_F(Engine, TenantsOfAFairQueueTakeTurnsHoweverManyMessagesOneOfThemHas) {
    EntityOptions options;
    options.fair = true;
    under_test.put("q", options);
    std::vector<Message> messages;
    for (int i = 0; i < 1000; ++i) messages.push_back(of_tenant("a", "a" + std::to_string(i)));
    ASSERT_TRUE(loop.await(broker().send("q", std::move(messages))));
    EXPECT_EQ(std::string(receive_one("q").message.body), "a0");
    ASSERT_TRUE(loop.await(broker().send("q", {of_tenant("b", "b0"), of_tenant("b", "b1")})));
    std::vector<std::string> order;
    for (int i = 0; i < 6; ++i) order.push_back(std::string(receive_one("q").message.body));
    EXPECT_THAT(order, ElementsAre("a1", "b0", "a2", "b1", "a3", "a4"));
    under_test.restart();
    order.clear();
    for (int i = 0; i < 4; ++i) order.push_back(std::string(receive_one("q").message.body));
    EXPECT_EQ(std::ranges::count_if(order, [](const auto& text) { return text[0] == 'b'; }), 2);
}

TEST_F(Engine, BatchMessagesOfAFairQueueWaitForTheOthersAlsoAfterARestart) {
    EntityOptions options;
    options.fair = true;
    under_test.put("q", options);
    std::vector<Message> messages;
    for (const char* tenant : {"a", "a", "b"}) {
        messages.push_back(of_tenant(tenant, std::string("batch ") + tenant));
        messages.back().properties["priority"] = std::string("batch");
    }
    Message nobodys = text_message("batch");
    nobodys.properties["priority"] = std::string("batch");
    messages.push_back(std::move(nobodys));
    ASSERT_TRUE(loop.await(broker().send("q", std::move(messages))));
    EXPECT_EQ(std::string(receive_one("q").message.body), "batch a");
    ASSERT_TRUE(
        loop.await(broker().send("q", {of_tenant("a", "a0"), of_tenant("a", "a1"), text_message("n0")})));
    EXPECT_EQ(std::string(receive_one("q").message.body), "a0");
    EXPECT_EQ(std::string(receive_one("q").message.body), "n0");
    under_test.restart();
    std::vector<std::string> order;
    for (int i = 0; i < 7; ++i) order.push_back(std::string(receive_one("q").message.body));
    EXPECT_THAT(std::vector(order.begin(), order.begin() + 3),
                ::testing::UnorderedElementsAre("a0", "a1", "n0"));
    EXPECT_THAT(std::vector(order.begin() + 3, order.end()),
                ::testing::UnorderedElementsAre("batch a", "batch a", "batch b", "batch"));
}

TEST_F(Engine, AReceiverOfAFairQueueMayTakeOnlyBatchOrOnlyInteractiveWork) {
    EntityOptions options;
    options.fair = true;
    under_test.put("q", options);
    std::vector<Message> messages;
    for (const char* text : {"batch 0", "batch 1"}) {
        messages.push_back(of_tenant("a", text));
        messages.back().properties["priority"] = std::string("batch");
    }
    messages.push_back(of_tenant("a", "now"));
    ASSERT_TRUE(loop.await(broker().send("q", std::move(messages))));
    const auto take = [&](LaneKind lanes) {
        std::vector<std::string> texts;
        const ReceiveOptions wish{.messages_max = 10, .lanes = lanes};
        for (const Delivery& one : *loop.await(broker().receive("q", wish)))
            texts.emplace_back(one.message.body);
        return texts;
    };
    EXPECT_THAT(take(LaneKind::interactive), ElementsAre("now"));
    EXPECT_THAT(take(LaneKind::interactive), ElementsAre());
    EXPECT_THAT(take(LaneKind::batch), ElementsAre("batch 0", "batch 1"));
}

TEST_F(Engine, AMessageGoesToTheWaitingReceiverOfItsLaneNotToTheOneInFront) {
    EntityOptions options;
    options.fair = true;
    under_test.put("q", options);
    const auto waiting = [&](LaneKind lanes) {
        return loop.begin(broker().receive("q", {.wait = std::chrono::seconds(60), .lanes = lanes}));
    };
    auto interactive = waiting(LaneKind::interactive);
    auto batch = waiting(LaneKind::batch);
    Message slow = of_tenant("a", "batch");
    slow.properties["priority"] = std::string("batch");
    ASSERT_TRUE(loop.await(broker().send("q", {slow})));
    EXPECT_EQ(std::string(loop.finish(batch)->front().message.body), "batch");
    ASSERT_TRUE(loop.await(broker().send("q", {of_tenant("a", "now")})));
    EXPECT_EQ(std::string(loop.finish(interactive)->front().message.body), "now");
}

TEST_F(Engine, AQueueMayTurnFairAndBack) {
    under_test.put("q");
    ASSERT_TRUE(loop.await(broker().send("q", {of_tenant("a", "a0"), of_tenant("a", "a1")})));
    EntityOptions options;
    options.fair = true;
    under_test.put("q", options);
    ASSERT_TRUE(loop.await(broker().send("q", {of_tenant("b", "b0")})));
    EXPECT_EQ(std::string(receive_one("q").message.body), "a0");
    EXPECT_EQ(std::string(receive_one("q").message.body), "b0");
    options.fair = false;
    under_test.put("q", options);
    EXPECT_EQ(std::string(receive_one("q").message.body), "a1");
    EXPECT_EQ(broker().counts("q")->active, 0u);
}

}  // namespace
}  // namespace millrace::broker::test
