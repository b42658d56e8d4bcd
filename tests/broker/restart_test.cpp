// What a broker knows after it, or its process, has ended.
#include "tests/broker/engine_fixture.hpp"

namespace millrace::broker::test {
namespace {

/// Both ways to end: in order, and in the middle of things.
class Restart : public EmbeddedTest, public testing::WithParamInterface<bool> {
  protected:
    void restart() {
        if (GetParam())
            under_test.crash();
        else
            under_test.restart();
    }
};

TEST_P(Restart, KeepsMessagesInOrderWithTheirDeliveryCounts) {
    under_test.put("q");
    send_texts("q", {"a", "b", "c"});
    receive_one("q");
    restart();
    const auto again = receive("q");
    EXPECT_THAT(bodies(again), ElementsAre("a", "b", "c"));
    EXPECT_EQ(again[0].delivery_count, 1);
    EXPECT_EQ(again[1].delivery_count, 0);
    EXPECT_EQ(again[2].sequence, 3);
    for (const auto& one : again) EXPECT_TRUE(complete(one));
    restart();
    EXPECT_THAT(receive("q"), IsEmpty());
    EXPECT_EQ(broker().counts("q")->bytes, 0u);
}

TEST_P(Restart, NeverUsesANumberTwice) {
    under_test.put("q");
    const auto before = send_texts("q", {"a", "b"});
    for (const auto& one : receive("q")) EXPECT_TRUE(complete(one));
    restart();
    const auto after = send_texts("q", {"c"});
    EXPECT_GT(after[0], before[1]);
    if (!GetParam()) {
        EXPECT_EQ(after[0], before[1] + 1) << "a stop in order leaves no gap";
    }
}

TEST_P(Restart, KeepsEveryState) {
    under_test.put("q");
    Message later = text_message("scheduled");
    later.scheduled_at = now() + minutes(5);
    Message brief = text_message("brief");
    brief.time_to_live = minutes(10);
    const auto numbers =
        send("q", {text_message("deferred"), text_message("postponed"), text_message("dead"), brief, later});
    const auto got = receive("q", 3);
    EXPECT_TRUE(loop.await(broker().defer(lock_of(got[0]), Properties())));
    EXPECT_TRUE(loop.await(broker().postpone(lock_of(got[1]), minutes(2), false)));
    EXPECT_TRUE(dead_letter(got[2], "why"));
    restart();
    const EntityCounts counts = *broker().counts("q");
    EXPECT_EQ(counts.active, 1u);
    EXPECT_EQ(counts.deferred, 1u);
    EXPECT_EQ(counts.scheduled, 2u);
    EXPECT_EQ(counts.dead_lettered, 1u);
    EXPECT_THAT(bodies(receive("q")), ElementsAre("brief"));
    under_test.pass(minutes(2));
    const auto ready = receive("q");
    EXPECT_THAT(bodies(ready), ElementsAre("postponed", "brief"));
    EXPECT_EQ(ready[0].delivery_count, 0);
    under_test.pass(minutes(3));
    EXPECT_THAT(bodies(receive("q")), ElementsAre("postponed", "brief", "scheduled"));
    const auto deferred = loop.await(broker().receive_deferred("q", {numbers[0]}, ReceiveOptions()));
    EXPECT_THAT(bodies(deferred.value()), ElementsAre("deferred"));
    under_test.pass(minutes(5));
    EXPECT_THAT(bodies(receive("q")), ElementsAre("postponed", "scheduled")) << "the brief one has expired";
    const Delivery dead = receive_one(dead_letter_queue_of("q"));
    EXPECT_EQ(reason(dead), "why");
    EXPECT_EQ(dead.dead_letter_source, "q");
}

TEST_P(Restart, APostponedMessageThatExpiredIsReadyAsADeadLetter) {
    EntityOptions options;
    options.dead_letter_on_expiration = true;
    options.time_to_live = minutes(1);
    under_test.put("q", options);
    send_texts("q", {"a"});
    EXPECT_TRUE(loop.await(broker().postpone(lock_of(receive_one("q")), hours(1), false)));
    under_test.pass(minutes(1));
    restart();
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("q"))), "TTLExpiredException");
}

TEST_P(Restart, KeepsTheOptionsOfEntities) {
    EntityOptions options;
    options.lock_time = seconds(17);
    options.time_to_live = hours(3);
    options.requires_session = true;
    under_test.put("Sessions", options);
    restart();
    const EntityOptions kept = broker().counts("sessions")->options;
    EXPECT_EQ(kept.lock_time, seconds(17));
    EXPECT_EQ(kept.time_to_live, hours(3));
    EXPECT_TRUE(kept.requires_session);
    EXPECT_EQ(broker().counts()[0].name, "Sessions");
}

TEST_P(Restart, KeepsTheHistoryOfDuplicates) {
    EntityOptions options;
    options.duplicate_window = minutes(1);
    under_test.put("q", options);
    send("q", {text_message("first", "id")});
    EXPECT_TRUE(complete(receive_one("q")));
    restart();
    EXPECT_THAT(send("q", {text_message("second", "id")}), ElementsAre(0));
    under_test.pass(minutes(2));
    restart();
    EXPECT_NE(send("q", {text_message("third", "id")})[0], 0);
}

TEST_P(Restart, KeepsSessionsTheirStateAndTheirOrder) {
    EntityOptions options;
    options.requires_session = true;
    under_test.put("s", options);
    std::vector<Message> messages;
    for (int i = 0; i < 6; ++i) {
        messages.push_back(text_message(std::to_string(i)));
        messages.back().session_id = i % 2 == 0 ? "even" : "odd";
    }
    send("s", messages);
    auto lock = loop.await(broker().accept_session("s", std::string("odd"), Duration::zero())).value();
    EXPECT_TRUE(loop.await(broker().set_session_state(lock, std::string("state"))));
    EXPECT_TRUE(complete(receive("s", 1, lock.token).at(0)));
    restart();
    EXPECT_EQ(error_of(loop.await(broker().renew_session(lock))), Errc::conflict);
    lock = loop.await(broker().accept_session("s", std::nullopt, Duration::zero())).value();
    EXPECT_EQ(lock.session_id, "even");
    EXPECT_THAT(bodies(receive("s", 9, lock.token)), ElementsAre("0", "2", "4"));
    lock = loop.await(broker().accept_session("s", std::nullopt, Duration::zero())).value();
    EXPECT_EQ(loop.await(broker().session_state(lock)).value(), "state");
    EXPECT_THAT(bodies(receive("s", 9, lock.token)), ElementsAre("3", "5"));
}

TEST_P(Restart, DeadLettersAMessageThatWasInFlightOnceTooOften) {
    EntityOptions options;
    options.delivery_count_max = 3;
    under_test.put("q", options);
    send_texts("q", {"poison", "good"});
    for (int start = 0; start < 3; ++start) {
        const Delivery one = receive_one("q");
        EXPECT_EQ(one.message.body, "poison");
        EXPECT_EQ(one.delivery_count, start);
        restart();
    }
    EXPECT_THAT(bodies(receive("q")), ElementsAre("good"));
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("q"))), "MaxDeliveryCountExceeded");
}

TEST_P(Restart, ADeferredMessageIsNotExhaustedByTheDeliveryThatDeferredIt) {
    EntityOptions options;
    options.delivery_count_max = 1;
    under_test.put("q", options);
    const auto numbers = send_texts("q", {"a"});
    EXPECT_TRUE(loop.await(broker().defer(lock_of(receive_one("q")), Properties())));
    restart();
    EXPECT_TRUE(loop.await(broker().receive_deferred("q", numbers, ReceiveOptions())));
    restart();
    EXPECT_EQ(error_of(loop.await(broker().receive_deferred("q", numbers, ReceiveOptions()))),
              Errc::not_found);
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of("q"))), "MaxDeliveryCountExceeded");
}

TEST_P(Restart, ForgetsWhatWasRemoved) {
    EntityOptions options;
    options.duplicate_window = minutes(1);
    under_test.put("q", options);
    under_test.put("other");
    send_texts("q", {"a", "b"});
    EXPECT_TRUE(dead_letter(receive_one("q"), "r"));
    EXPECT_TRUE(loop.await(broker().remove_entity("q")));
    EXPECT_EQ(error_of(broker().counts("q")), Errc::not_found);
    EXPECT_EQ(error_of(broker().counts(dead_letter_queue_of("q"))), Errc::not_found);
    under_test.put("q");
    restart();
    EXPECT_THAT(peek("q"), IsEmpty());
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 0);
    EXPECT_EQ(stored("SELECT count(*) FROM delivery"), 0);
    EXPECT_EQ(stored("SELECT count(*) FROM duplicate"), 0);
    EXPECT_EQ(stored("SELECT count(*) FROM entity"), 4);
}

TEST_P(Restart, KeepsABacklogOfManyMessages) {
    under_test.put("q");
    std::vector<std::string> texts;
    for (int i = 0; i < 50'000; ++i) texts.push_back(std::to_string(i));
    send_texts("q", texts);
    restart();
    EXPECT_EQ(broker().counts("q")->active, 50'000u);
    std::vector<std::string> drained;
    for (auto got = receive("q", 4096); !got.empty(); got = receive("q", 4096)) {
        for (const auto& one : got) drained.push_back(one.message.body);
    }
    EXPECT_EQ(drained, texts);
}

INSTANTIATE_TEST_SUITE_P(Ended, Restart, testing::Bool(),
                         [](const auto& how) { return how.param ? "ByACrash" : "InOrder"; });

}  // namespace
}  // namespace millrace::broker::test
