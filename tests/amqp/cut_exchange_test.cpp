// A connection that is cut at every step of what is not settling: sessions, scheduling, renewing.
#include "broker/entity.hpp"
#include "tests/amqp/cut_transport.hpp"
#include "tests/amqp/live_server.hpp"

#include <gmock/gmock.h>

namespace millrace::amqp {
namespace {

using broker::Delivery;
using broker::EntityOptions;
using broker::Message;
using broker::SessionLock;
using broker::test::lock_of;
using broker::test::text_message;
using std::chrono::minutes;
using std::chrono::seconds;
using test::Cut;
using test::LiveServer;
using testing::AnyOf;
using testing::Eq;

constexpr int kAttempts = 4;
constexpr int kStepsMax = 400;

class CutExchangeTest : public testing::Test {
  protected:
    LiveServer live;
    Cut cut;
    std::unique_ptr<RemoteQueue> client;

    void SetUp() override { live.loop.be_patient(Duration(5)); }
    void TearDown() override {
        if (client) live.loop.await(client->stop());
    }

    /// Runs `exchange` with a cut at step 1, 2, … until it ends before its cut comes. `exchange` answers
    /// whether it was cut.
    void at_every_step(const std::function<bool(const std::string& queue)>& exchange) {
        int step = 1;
        for (; step < kStepsMax; ++step) {
            SCOPED_TRACE("cut at step " + std::to_string(step));
            connect(step);
            if (!exchange("q" + std::to_string(step)) || HasFatalFailure()) break;
        }
        EXPECT_GT(step, 20) << "an exchange has more steps than this";
        EXPECT_LT(step, kStepsMax);
    }
    void connect(int cut_at) {
        if (client) live.loop.await(client->stop());
        cut = Cut{cut_at, false};
        RemoteOptions options = live.options_for_client();
        test::put_around(options, live.loop.io().get_executor(), test::cutting(cut));
        client = live.client(std::move(options));
    }

    template <class T>
    static bool may_come_of_a_cut(const Result<T>& result) {
        return result || result.error().code == Errc::unavailable || result.error().code == Errc::conflict;
    }
    std::vector<std::string> bodies(const std::string& queue) {
        std::vector<std::string> all;
        for (const Delivery& one : live.loop.await(live.broker().peek(queue, 0, 10)).value())
            all.push_back(one.message.body);
        return all;
    }
    /// As a sender does: again with the same id until it is told that the queue has it. Answers its number,
    /// 0 if an earlier attempt was stored.
    std::int64_t send(const std::string& queue, Message message) {
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            const auto sent = live.loop.await(client->send(queue, {message}));
            if (sent) return sent->at(0);
            EXPECT_EQ(sent.error().code, Errc::unavailable) << sent.error().detail;
        }
        ADD_FAILURE() << "one cut failed all sends";
        return 0;
    }
    /// A message that is locked for nobody comes again when its lock has run out.
    Delivery receive(const std::string& queue) {
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            const auto received = live.loop.await(client->receive(queue, broker::ReceiveOptions()));
            if (received && received->size() == 1) return received->at(0);
            EXPECT_TRUE(may_come_of_a_cut(received));
            live.pass(minutes(1));
        }
        ADD_FAILURE() << "the message does not come";
        return {};
    }
    /// The lock that a cut link held is free as soon as the server has noticed.
    SessionLock accept(const std::string& queue) {
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            const auto lock =
                live.loop.await(client->accept_session(queue, std::string("x"), Duration::zero()));
            if (lock) return *lock;
            EXPECT_THAT(lock.error().code, AnyOf(Eq(Errc::unavailable), Eq(Errc::over_limit)));
            live.settle();
        }
        ADD_FAILURE() << "the session stays locked";
        return {};
    }
};

TEST_F(CutExchangeTest, ASessionItsStateAndItsMessagesOutliveACutAnywhere) {
    at_every_step([&](const std::string& queue) {
        EntityOptions options;
        options.requires_session = true;
        live.embedded.put(queue, options);
        std::vector<Message> messages{text_message("1"), text_message("2")};
        for (Message& one : messages) one.session_id = "x";
        EXPECT_TRUE(live.loop.await(live.broker().send(queue, std::move(messages))));

        const SessionLock lock = accept(queue);
        const auto stored = live.loop.await(client->set_session_state(lock, "half"));
        const auto renewed = live.loop.await(client->renew_session(lock));
        broker::ReceiveOptions wanted;
        wanted.session = lock.token;
        const auto received = live.loop.await(client->receive(queue, wanted));
        bool completed = false;
        if (received && !received->empty()) {
            EXPECT_EQ(received->at(0).message.body, "1");
            const auto settled = live.loop.await(client->complete(lock_of(received->at(0))));
            EXPECT_TRUE(may_come_of_a_cut(settled)) << settled.error().detail;
            completed = settled.has_value();
        }
        live.loop.await(client->release_session(lock));
        const bool was_cut = cut.done;
        EXPECT_TRUE(may_come_of_a_cut(stored)) << stored.error().detail;
        EXPECT_TRUE(may_come_of_a_cut(renewed)) << renewed.error().detail;
        EXPECT_TRUE(may_come_of_a_cut(received)) << received.error().detail;
        EXPECT_TRUE(was_cut || (stored && renewed && completed)) << "without a cut all of it is done";
        if (renewed) {
            EXPECT_EQ(*renewed, live.clock.now() + minutes(1));
        }

        // Whoever comes next finds all that was confirmed, and no more than was asked for.
        cut.done = true;
        live.settle();
        const SessionLock next = accept(queue);
        const auto state = live.loop.await(client->session_state(next)).value();
        EXPECT_TRUE(state == "half" || (!stored && !state));
        const std::vector<std::string> one{"2"}, both{"1", "2"};
        const auto there = bodies(queue);
        EXPECT_TRUE(there == one || (!completed && there == both));
        live.loop.await(client->release_session(next));
        return was_cut;
    });
}

TEST_F(CutExchangeTest, AScheduledMessageComesOnceAndACancelledOneNever) {
    at_every_step([&](const std::string& queue) {
        EntityOptions options;
        options.duplicate_window = minutes(30);
        live.embedded.put(queue, options);
        Message kept = text_message("kept", "1");
        Message cancelled = text_message("cancelled", "2");
        kept.scheduled_at = cancelled.scheduled_at = live.clock.now() + minutes(10);
        send(queue, kept);
        const std::int64_t number = send(queue, cancelled);
        bool certain = false;
        if (number != 0) {
            const auto done = live.loop.await(client->cancel_scheduled(queue, {number}));
            EXPECT_TRUE(may_come_of_a_cut(done)) << done.error().detail;
            certain = done.has_value();
        }
        const bool was_cut = cut.done;
        EXPECT_TRUE(was_cut || certain);
        live.pass(minutes(10));
        const std::vector<std::string> one{"kept"}, both{"kept", "cancelled"};
        const auto there = bodies(queue);
        EXPECT_TRUE(there == one || (!certain && there == both)) << testing::PrintToString(there);
        return was_cut;
    });
}

TEST_F(CutExchangeTest, ALockWhoseRenewalWasConfirmedHolds) {
    at_every_step([&](const std::string& queue) {
        live.embedded.put(queue);
        EXPECT_TRUE(live.loop.await(live.broker().send(queue, {text_message("a")})));
        const Delivery one = receive(queue);
        live.pass(seconds(30));
        const auto renewed = live.loop.await(client->renew(lock_of(one)));
        EXPECT_TRUE(may_come_of_a_cut(renewed)) << renewed.error().detail;
        EXPECT_TRUE(cut.done || renewed);
        if (renewed) {
            EXPECT_EQ(*renewed, live.clock.now() + minutes(1));
        }
        live.pass(seconds(45));
        const bool cut_before = cut.done;
        const auto settled = live.loop.await(client->complete(lock_of(one)));
        const bool cut_meanwhile = cut.done && !cut_before;  // then a conflict may mean that it was done
        const bool was_cut = cut.done;
        if (renewed && !cut_meanwhile) {
            EXPECT_TRUE(settled) << "75 seconds after it came: " << settled.error().detail;
        }
        EXPECT_TRUE(bodies(queue).empty() == settled.has_value() || cut_meanwhile);
        return was_cut;
    });
}

}  // namespace
}  // namespace millrace::amqp
