// Connections to a real RabbitMQ that are cut: nothing is lost, and nothing comes back that was settled.
#include "broker/entity.hpp"
#include "tests/amqp/cut_transport.hpp"
#include "tests/amqp/rabbitmq_node.hpp"
#include "tests/broker/harness.hpp"

#include <gmock/gmock.h>

#include <set>

namespace millrace::amqp {
namespace {

using broker::Delivery;
using broker::test::lock_of;
using broker::test::Loop;
using broker::test::text_message;
using std::chrono::seconds;
using test::Cut;
using test::RabbitNode;

constexpr int kAttempts = 4;
constexpr int kStepsMax = 400;

/// Breaks off when it has handed on what holds some words.
class EndsAfterReading final : public Transport {
  public:
    EndsAfterReading(std::unique_ptr<Transport> inner, std::string words)
        : inner_(std::move(inner)), words_(std::move(words)) {}

    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer room) override {
        if (seen_) {
            inner_->close();
            co_return Error{Errc::unavailable, "cut by the test"};
        }
        auto reading = inner_->read_some(room);
        auto got = co_await std::move(reading);
        if (got) read_.append(static_cast<const char*>(room.data()), *got);
        seen_ = read_.find(words_) != std::string::npos;
        co_return got;
    }
    asio::awaitable<Result<void>> write(std::string_view bytes) override { return inner_->write(bytes); }
    asio::awaitable<void> shut_down() override { return inner_->shut_down(); }
    void close() noexcept override { inner_->close(); }

  private:
    std::unique_ptr<Transport> inner_;
    std::string words_;
    std::string read_;
    bool seen_ = false;
};

class RabbitMqCutTest : public testing::Test {
  protected:
    Loop loop;
    SystemClock clock;
    Cut cut;
    std::unique_ptr<RemoteQueue> client;
    std::unique_ptr<RemoteQueue> witness;  ///< whose connection nobody cuts
    std::string prefix = test::name_at_node("cut");

    void SetUp() override {
        if (!RabbitNode::is_installed()) GTEST_SKIP() << "no RabbitMQ; tools/fetch_clients.py fetches it";
        ASSERT_NE(RabbitNode::shared().port(), 0) << RabbitNode::shared().said();
    }
    void TearDown() override {
        if (client) loop.await(client->stop());
        if (witness) loop.await(witness->stop());
    }
    std::unique_ptr<RemoteQueue> open(RemoteOptions options) {
        return make_rabbitmq_queue(loop.io().get_executor(), clock, std::move(options));
    }
    void connect(Cut how, const test::Wrap& wrap) {
        if (client) loop.await(client->stop());
        // RabbitMQ 4 takes 64 sessions of one connection, and each queue needs one.
        if (witness) loop.await(witness->stop());
        witness = open(RabbitNode::shared().options());
        cut = how;
        RemoteOptions options = RabbitNode::shared().options();
        test::put_around(options, loop.io().get_executor(), wrap);
        client = open(std::move(options));
    }

    /// Again until it is told that the queue has it; each attempt has an id of its own.
    void send(const std::string& queue, const std::string& body) {
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            const std::string id = body + std::to_string(attempt);
            const auto sent = loop.await(client->send(queue, {text_message(body, id)}));
            if (sent) return;
            EXPECT_EQ(sent.error().code, Errc::unavailable) << sent.error().detail;
        }
        ADD_FAILURE() << "one cut failed all sends";
    }
    static std::vector<Delivery> receive(Loop& loop, RemoteQueue& from, const std::string& queue,
                                         std::size_t count = 10) {
        broker::ReceiveOptions options;
        options.messages_max = count;
        options.wait = seconds(10);
        auto received = loop.await(from.receive(queue, options));
        if (!received) {
            EXPECT_EQ(received.error().code, Errc::unavailable) << received.error().detail;
            return {};
        }
        return std::move(*received);
    }
    /// Receives until something with `body` is there; answers the ids of all that came.
    std::set<std::string> ids_until(const std::string& queue, const std::string& body) {
        std::set<std::string> ids;
        for (bool found = false; !found;) {
            const auto some = receive(loop, *witness, queue);
            for (const Delivery& one : some) {
                ids.insert(one.message.message_id);
                found = found || one.message.body == body;
            }
            if (some.empty()) {
                ADD_FAILURE() << "\"" << body << "\" is lost";
                break;
            }
        }
        return ids;
    }

    /// One life of three messages; true if it was cut.
    bool live_once(int step) {
        SCOPED_TRACE("cut at step " + std::to_string(step));
        const std::string queue = prefix + "/" + std::to_string(step);
        connect(Cut{step, false}, test::cutting(cut));
        for (const char* body : {"completed", "buried", "abandoned"}) send(queue, body);
        std::set<std::string> gone;  // completed by a connection that is not cut any more
        std::set<std::string> settled;
        for (int attempt = 0; attempt < 2 * kAttempts && settled.size() < 3; ++attempt) {
            for (const Delivery& one : receive(loop, *client, queue, 1)) settle(one, settled, gone);
        }
        EXPECT_EQ(settled.size(), 3u) << "one cut is in the way of all attempts";
        const bool was_cut = cut.done;
        if (!was_cut) gone.insert("completed0");
        loop.await(client->stop());
        const auto dead = ids_until(broker::dead_letter_queue_of(queue), "buried");
        const auto there = ids_until(queue, "abandoned");
        for (const std::string& id : gone) EXPECT_FALSE(there.contains(id)) << id << " comes again";
        EXPECT_TRUE(was_cut || (dead.size() == 1 && there.size() == 1));
        return was_cut;
    }
    void settle(const Delivery& one, std::set<std::string>& settled, std::set<std::string>& gone) {
        const std::string& body = one.message.body;
        const bool whole = cut.done;
        Result<void> done;
        if (body == "completed")
            done = loop.await(client->complete(lock_of(one)));
        else if (body == "buried")
            done = loop.await(client->dead_letter(lock_of(one), "reason", "why", {}));
        else
            done = loop.await(client->abandon(lock_of(one), {}));
        if (done) {
            settled.insert(body);
            if (whole && body != "abandoned") gone.insert(one.message.message_id);
        } else {
            EXPECT_THAT(done.error().code, testing::AnyOf(Errc::conflict, Errc::unavailable));
        }
    }
};

TEST_F(RabbitMqCutTest, ACutAnywhereLosesNothingAndBringsNothingBackThatWasSettledLater) {
    int step = 1;
    while (step < kStepsMax && live_once(step) && !HasFailure()) ++step;
    EXPECT_GT(step, 20) << "an exchange has more steps than this";
    EXPECT_LT(step, kStepsMax);
}

TEST_F(RabbitMqCutTest, WhatWasDeletedWithBeingSentIsHandedOutThoughTheConnectionBreaks) {
    const std::string queue = prefix + "/deleted";
    connect(Cut(), [](std::unique_ptr<Transport> inner) {
        return std::make_unique<EndsAfterReading>(std::move(inner), "the only one");
    });
    ASSERT_TRUE(loop.await(witness->send(queue, {text_message("the only one")})));
    broker::ReceiveOptions options;
    options.messages_max = 10;
    options.wait = seconds(10);
    options.mode = broker::ReceiveMode::receive_and_delete;
    const auto received = loop.await(client->receive(queue, options));
    ASSERT_TRUE(received) << received.error().detail;
    ASSERT_EQ(received->size(), 1u);
    EXPECT_EQ(received->at(0).message.body, "the only one");
}

}  // namespace
}  // namespace millrace::amqp
