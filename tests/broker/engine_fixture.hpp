// What the tests of the embedded broker share.
#pragma once

#include "tests/broker/harness.hpp"

#include <gmock/gmock.h>

#include <future>

namespace millrace::broker::test {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class EmbeddedTest : public testing::Test {
  protected:
    explicit EmbeddedTest(Broker::Options options = {}) : under_test(options) {}

    EmbeddedBroker under_test;
    Loop& loop = under_test.loop;

    Broker& broker() { return *under_test.broker; }
    TimePoint now() { return under_test.clock.now(); }

    std::vector<std::int64_t> send(const std::string& queue, std::vector<Message> messages) {
        auto sent = loop.await(broker().send(queue, std::move(messages)));
        EXPECT_TRUE(sent) << sent.error().detail;
        return sent ? *sent : std::vector<std::int64_t>();
    }
    std::vector<std::int64_t> send_texts(const std::string& queue, const std::vector<std::string>& bodies) {
        std::vector<Message> messages;
        for (const auto& body : bodies) messages.push_back(text_message(body));
        return send(queue, std::move(messages));
    }
    std::vector<Delivery> receive(const std::string& queue, std::size_t count = 100, Uuid session = {}) {
        ReceiveOptions options;
        options.messages_max = count;
        options.session = session;
        auto received = loop.await(broker().receive(queue, options));
        EXPECT_TRUE(received) << received.error().detail;
        return received ? std::move(*received) : std::vector<Delivery>();
    }
    Delivery receive_one(const std::string& queue) {
        auto received = receive(queue, 1);
        EXPECT_EQ(received.size(), 1u);
        return received.empty() ? Delivery() : std::move(received[0]);
    }
    std::vector<Delivery> peek(const std::string& queue) {
        auto peeked = loop.await(broker().peek(queue, 0, 1000));
        EXPECT_TRUE(peeked) << peeked.error().detail;
        return peeked ? std::move(*peeked) : std::vector<Delivery>();
    }
    Result<void> complete(const Delivery& one) { return loop.await(broker().complete(lock_of(one))); }
    Result<void> abandon(const Delivery& one) {
        return loop.await(broker().abandon(lock_of(one), Properties()));
    }
    Result<void> dead_letter(const Delivery& one, const std::string& reason) {
        return loop.await(broker().dead_letter(lock_of(one), reason, "", Properties()));
    }

    /// The writer stands still until `gate` is set.
    Loop::Pending<bool> hold_writer(std::promise<void>& gate) {
        auto wait_for_gate = [opened = gate.get_future().share()](store::Connection&) {
            opened.wait();
            return true;
        };
        return loop.begin(under_test.database->write(std::move(wait_for_gate)));
    }

    /// The one number that `sql` yields.
    std::int64_t stored(std::string sql) {
        auto work = [sql = std::move(sql)](store::Connection& connection) { return connection.integer(sql); };
        return loop.await(under_test.database->read(std::move(work)));
    }

    static std::vector<std::string> bodies(const std::vector<Delivery>& deliveries) {
        std::vector<std::string> all;
        for (const auto& one : deliveries) all.push_back(one.message.body);
        return all;
    }
    static std::string reason(const Delivery& one) {
        const auto found = one.message.properties.find(kDeadLetterReason);
        return found == one.message.properties.end() ? "(none)" : std::get<std::string>(found->second);
    }
    template <class T>
    static Errc error_of(const Result<T>& result) {
        EXPECT_TRUE(result.has_error());
        return result.has_error() ? result.error().code : Errc{};
    }
};

}  // namespace millrace::broker::test
