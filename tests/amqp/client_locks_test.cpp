// What our clients remember of the deliveries that they have handed out.
#include "amqp/client_locks.hpp"

#include "tests/amqp/live_server.hpp"

#include <gmock/gmock.h>

namespace millrace::amqp {
namespace {

using broker::test::lock_of;
using broker::test::Loop;
using std::chrono::seconds;

constexpr std::size_t kMany = 1000;  // so many are remembered before any is forgotten

TEST(ClientLocks, ForgetWhatRanOutOnceTheyAreMany) {
    ClientLocks locks;
    const TimePoint start = from_millis(1'800'000'000'000);
    for (std::size_t i = 0; i < kMany; ++i) {
        ClientLock lock;
        lock.locked_until = start;
        locks.add(random_uuid(), std::move(lock), start);
    }
    EXPECT_EQ(locks.size(), kMany);
    locks.add(random_uuid(), ClientLock(), start + Duration(1));
    EXPECT_EQ(locks.size(), 1u);
}

TEST(ClientLocks, KeepTheMessagesOfASessionAsLongAsItLives) {
    bool lives = true;
    const Uuid session = random_uuid();
    ClientLocks locks([&](const Uuid& token) {
        EXPECT_EQ(token, session);
        return lives;
    });
    const TimePoint start = from_millis(1'800'000'000'000);
    for (std::size_t i = 0; i < kMany; ++i) {
        ClientLock lock;
        lock.session = session;
        lock.locked_until = start;
        locks.add(random_uuid(), std::move(lock), start);
    }
    locks.add(random_uuid(), ClientLock(), start + Duration(1));
    EXPECT_EQ(locks.size(), kMany + 1);
    lives = false;
    for (std::size_t i = 0; i < kMany + 2; ++i) locks.add(random_uuid(), ClientLock(), start + Duration(1));
    EXPECT_LE(locks.size(), kMany);
}

TEST(ClientLocks, ForgetAMessageWhoseLinkHasEndedUnlessItIsBusy) {
    Loop loop;
    ClientLocks locks;
    const auto never_opened = std::make_shared<ReceiverLink>(loop.io().get_executor(), ReceiverOptions());
    for (const auto& link : {std::shared_ptr<ReceiverLink>(), never_opened}) {
        ClientLock lock;
        lock.link = link;
        lock.copy = broker::Message();
        const Uuid token = random_uuid();
        locks.add(token, std::move(lock), TimePoint());
        {
            const BusyLock busy(locks, token);
            EXPECT_EQ(locks.open_link(token), nullptr);
            EXPECT_EQ(locks.size(), 1u);
        }
        EXPECT_EQ(locks.open_link(token), nullptr);
        EXPECT_EQ(locks.size(), 0u);
        EXPECT_EQ(locks.open_link(token), nullptr);
    }
}

class ServiceBusLocks : public testing::Test {
  protected:
    test::LiveServer live;
    std::unique_ptr<RemoteQueue> queue = live.client();

    ServiceBusLocks() { live.loop.be_patient(Duration(5)); }
    ~ServiceBusLocks() override { live.loop.await(queue->stop()); }

    std::vector<broker::Delivery> receive(std::size_t count, const Uuid& session) {
        std::vector<broker::Delivery> all;
        while (all.size() < count) {
            broker::ReceiveOptions options;
            options.messages_max = count - all.size();
            options.session = session;
            auto some = live.loop.await(queue->receive("s", options));
            if (!some || some->empty()) break;
            for (auto& one : *some) all.push_back(std::move(one));
        }
        return all;
    }
};

TEST_F(ServiceBusLocks, ManyMessagesOfARenewedSessionStayWithTheirReceiver) {
    broker::EntityOptions options;
    options.requires_session = true;
    options.lock_time = seconds(60);
    live.embedded.put("s", options);
    std::vector<broker::Message> messages(kMany + 1);
    for (auto& one : messages) one.session_id = "x";
    ASSERT_TRUE(live.loop.await(live.broker().send("s", std::move(messages))));
    const auto session = live.loop.await(queue->accept_session("s", "x", Duration::zero()));
    ASSERT_TRUE(session) << session.error().detail;
    const auto held = receive(kMany, session->token);
    ASSERT_EQ(held.size(), kMany);
    live.pass(seconds(40));
    ASSERT_TRUE(live.loop.await(queue->renew_session(*session)));
    live.pass(seconds(40));
    EXPECT_EQ(receive(1, session->token).size(), 1u);
    live.settle();
    EXPECT_EQ(live.broker().counts("s")->locked, kMany + 1) << "none was given back";
    const auto completed = live.loop.await(queue->complete(lock_of(held[0])));
    EXPECT_TRUE(completed) << completed.error().detail;
}

}  // namespace
}  // namespace millrace::amqp
