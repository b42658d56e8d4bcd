// Our client of RabbitMQ against a real one, where tools/fetch_clients.py has fetched it.
#include "tests/amqp/cut_transport.hpp"
#include "tests/amqp/rabbitmq_node.hpp"
#include "tests/broker/harness.hpp"

#include <gmock/gmock.h>

namespace millrace::amqp {
namespace {

using broker::Delivery;
using broker::Message;
using broker::test::lock_of;
using broker::test::Loop;
using broker::test::text_message;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::RabbitNode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RabbitMqTest : public testing::Test {
  protected:
    Loop loop;
    SystemClock clock;
    std::unique_ptr<RemoteQueue> queue;
    std::string name;

    void SetUp() override {
        if (!RabbitNode::is_installed()) GTEST_SKIP() << "no RabbitMQ; tools/fetch_clients.py fetches it";
        ASSERT_NE(RabbitNode::shared().port(), 0) << "RabbitMQ does not start:\n"
                                                  << RabbitNode::shared().said();
        queue = open("guest");
        name = test::name_at_node(std::string("q/") +
                                  testing::UnitTest::GetInstance()->current_test_info()->name());
    }
    void TearDown() override {
        if (queue) loop.await(queue->stop());
    }
    std::unique_ptr<RemoteQueue> open(RemoteOptions options) {
        return make_rabbitmq_queue(loop.io().get_executor(), clock, std::move(options));
    }
    std::unique_ptr<RemoteQueue> open(const std::string& password) {
        return open(RabbitNode::shared().options(password));
    }

    void send(std::vector<Message> messages) {
        const auto sent = loop.await(queue->send(name, std::move(messages)));
        EXPECT_TRUE(sent) << sent.error().detail;
    }
    std::vector<Delivery> receive(std::size_t count = 10, Duration wait = seconds(5)) {
        return receive_from(name, count, wait);
    }
    std::vector<Delivery> receive_from(const std::string& from, std::size_t count, Duration wait) {
        broker::ReceiveOptions options;
        options.messages_max = count;
        options.wait = wait;
        auto received = loop.await(queue->receive(from, options));
        EXPECT_TRUE(received) << received.error().detail;
        return received ? std::move(*received) : std::vector<Delivery>();
    }
    /// All of them, however they come in.
    std::vector<std::string> receive_bodies(std::size_t count) {
        std::vector<std::string> bodies;
        while (bodies.size() < count) {
            const auto some = receive(count - bodies.size());
            if (some.empty()) break;
            for (const auto& one : some) bodies.push_back(one.message.body);
        }
        return bodies;
    }
};

TEST_F(RabbitMqTest, SendsReceivesAndCompletes) {
    Message sent = text_message(std::string("\0\xff", 2) + std::string(200'000, 'x'), "id-1");
    sent.subject = "subject";
    sent.properties["n"] = std::int64_t{7};
    send({sent});
    const auto got = receive();
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].message.body, sent.body);
    EXPECT_EQ(got[0].message.message_id, "id-1");
    EXPECT_EQ(got[0].message.subject, "subject");
    EXPECT_EQ(got[0].message.properties, sent.properties);
    EXPECT_EQ(got[0].entity, name);
    EXPECT_EQ(got[0].delivery_count, 0);
    EXPECT_TRUE(loop.await(queue->renew(lock_of(got[0]))));
    EXPECT_TRUE(loop.await(queue->complete(lock_of(got[0]))));
    EXPECT_EQ(loop.await(queue->complete(lock_of(got[0]))).error().code, Errc::conflict);
    EXPECT_EQ(loop.await(queue->renew(lock_of(got[0]))).error().code, Errc::conflict);
    EXPECT_THAT(receive(10, milliseconds(200)), IsEmpty());
}

TEST_F(RabbitMqTest, KeepsTheOrderAndTakesNoMoreThanAskedFor) {
    std::vector<Message> many;
    std::vector<std::string> bodies;
    for (int i = 0; i < 50; ++i) bodies.push_back(std::to_string(i));
    for (const auto& body : bodies) many.push_back(text_message(body));
    send(std::move(many));
    EXPECT_EQ(receive_bodies(2), std::vector<std::string>(bodies.begin(), bodies.begin() + 2));
    auto first = open("guest");
    queue.swap(first);
    EXPECT_EQ(receive_bodies(48), std::vector<std::string>(bodies.begin() + 2, bodies.end()))
        << "the first receiver holds nothing beyond what it was given";
    EXPECT_THAT(receive(1, milliseconds(200)), IsEmpty()) << "what is held by one comes to no other";
    loop.await(first->stop());
}

TEST_F(RabbitMqTest, AnAbandonedMessageComesAgain) {
    send({text_message("a")});
    const auto first = receive(1);
    ASSERT_EQ(first.size(), 1u);
    EXPECT_TRUE(loop.await(queue->abandon(lock_of(first[0]), {})));
    const auto second = receive(1);
    ASSERT_EQ(second.size(), 1u);
    EXPECT_EQ(second[0].message.body, "a");
    EXPECT_TRUE(loop.await(queue->complete(lock_of(second[0]))));
}

TEST_F(RabbitMqTest, OneThatIsGivenBackLeavesTheOthersWithTheirReceiver) {
    send({text_message("a"), text_message("b"), text_message("c")});
    std::vector<Delivery> held;
    while (held.size() < 3) {
        auto some = receive(3 - held.size());
        ASSERT_FALSE(some.empty());
        for (auto& one : some) held.push_back(std::move(one));
    }
    EXPECT_TRUE(loop.await(queue->abandon(lock_of(held[0]), {})));
    EXPECT_TRUE(loop.await(queue->postpone(lock_of(held[1]), Duration::zero(), true)));
    EXPECT_THAT(receive_bodies(2), ElementsAre("a", "b"));
    EXPECT_THAT(receive(1, milliseconds(200)), IsEmpty()) << "the third is worked on";
    EXPECT_TRUE(loop.await(queue->complete(lock_of(held[2]))));
}

TEST_F(RabbitMqTest, APostponedMessageComesAgainInTime) {
    send({text_message("a")});
    const auto first = receive(1);
    ASSERT_EQ(first.size(), 1u);
    EXPECT_TRUE(loop.await(queue->postpone(lock_of(first[0]), milliseconds(400), false)));
    EXPECT_EQ(loop.await(queue->complete(lock_of(first[0]))).error().code, Errc::conflict);
    EXPECT_THAT(receive(1, milliseconds(100)), IsEmpty());
    EXPECT_EQ(receive(1).size(), 1u);
}

TEST_F(RabbitMqTest, ADeadLetterIsACopyInAQueueOfItsOwn) {
    send({text_message("a", "id-1")});
    const auto one = receive(1);
    ASSERT_EQ(one.size(), 1u);
    EXPECT_TRUE(loop.await(
        queue->dead_letter(lock_of(one[0]), "MalformedPayload", "not JSON", {{"extra", std::int64_t{1}}})));
    EXPECT_THAT(receive(1, milliseconds(200)), IsEmpty());
    const auto dead = receive_from(name + "/$DeadLetterQueue", 1, seconds(5));
    ASSERT_EQ(dead.size(), 1u);
    EXPECT_EQ(dead[0].message.body, "a");
    EXPECT_EQ(dead[0].message.message_id, "id-1");
    EXPECT_EQ(dead[0].message.properties.at(broker::kDeadLetterReason),
              broker::Value(std::string("MalformedPayload")));
    EXPECT_EQ(dead[0].message.properties.at("extra"), broker::Value(std::int64_t{1}));
    EXPECT_EQ(loop.await(queue->dead_letter(lock_of(dead[0]), "r", "d", {})).error().code,
              Errc::invalid_input);
    EXPECT_TRUE(loop.await(queue->complete(lock_of(dead[0]))));
}

TEST_F(RabbitMqTest, AWaitingReceiverGetsTheNextMessageAndOneThatWaitsInVainNothing) {
    broker::ReceiveOptions options;
    options.wait = seconds(10);
    auto waiting = loop.begin(queue->receive(name, options));
    send({text_message("a")});
    const auto got = loop.finish(waiting);
    ASSERT_TRUE(got);
    ASSERT_EQ(got->size(), 1u);
    EXPECT_TRUE(loop.await(queue->complete(lock_of(got->at(0)))));
    EXPECT_THAT(receive(1, milliseconds(100)), IsEmpty());
    send({text_message("b")});
    EXPECT_THAT(receive_bodies(1), ElementsAre("b"));
}

TEST_F(RabbitMqTest, WhatRabbitMqHasNotIsRefusedWithItsName) {
    Message later = text_message("a");
    later.scheduled_at = clock.now() + std::chrono::hours(1);
    const std::vector<std::string> said = {
        loop.await(queue->send(name, {later})).error().detail,
        loop.await(queue->peek(name, 0, 1)).error().detail,
        loop.await(queue->defer({name, random_uuid()}, {})).error().detail,
        loop.await(queue->accept_session(name, std::nullopt, seconds(1))).error().detail,
    };
    EXPECT_THAT(said, ElementsAre("RabbitMQ has no scheduling", "RabbitMQ has no peeking",
                                  "RabbitMQ has no deferring", "RabbitMQ has no sessions"));
}

TEST_F(RabbitMqTest, AWrongPasswordIsRefusedAtOnceAndNotTriedAgain) {
    RemoteOptions options = RabbitNode::shared().options("wrong");
    int connections = 0;
    test::put_around(options, loop.io().get_executor(), [&](std::unique_ptr<Transport> inner) {
        connections += 1;
        return inner;
    });
    auto other = open(std::move(options));
    const auto sent = loop.await(other->send(name, {text_message("a")}));
    ASSERT_TRUE(sent.has_error());
    EXPECT_EQ(sent.error().code, Errc::invalid_input);
    EXPECT_THAT(sent.error().detail, testing::Not(HasSubstr("wrong")));
    EXPECT_EQ(connections, 1);
    loop.await(other->stop());
}

}  // namespace
}  // namespace millrace::amqp
