// Thousands of random operations on a queue, each compared with a reference that is too simple to be wrong.
#include "tests/broker/engine_fixture.hpp"

#include <map>
#include <random>
#include <set>

namespace millrace::broker::test {
namespace {

constexpr int kDeliveriesMax = 3;
constexpr Duration kLock = minutes(1);

/// A message as the reference knows it.
struct Item {
    enum class Phase { ready, locked, postponed, deferred, scheduled };
    std::string id;
    Phase phase = Phase::ready;
    int deliveries = 0;
    bool by_number = false;            ///< locked by its number
    TimePoint due{};                   ///< end of lock, postponement or schedule
    std::optional<Duration> time_to_live;
    TimePoint expires = kNever;
    LockRef lock;
};

/// What a queue should hold: messages by number, and the ids of its dead letters.
struct Reference {
    std::map<std::int64_t, Item> items;
    std::multiset<std::string> dead;
    std::int64_t next = 1;

    void bury(std::int64_t sequence) {
        dead.insert(items.at(sequence).id);
        items.erase(sequence);
    }

    void unlock(std::int64_t sequence) {
        Item& item = items.at(sequence);
        if (item.deliveries >= kDeliveriesMax) return bury(sequence);
        item.phase = item.by_number ? Item::Phase::deferred : Item::Phase::ready;
        item.by_number = false;
    }

    void tick(TimePoint now) {
        for (const std::int64_t sequence : due(Item::Phase::locked, now)) unlock(sequence);
        for (const std::int64_t sequence : due(Item::Phase::postponed, now))
            items.at(sequence).phase = Item::Phase::ready;
        for (const std::int64_t sequence : due(Item::Phase::scheduled, now)) {
            Item item = items.at(sequence);
            items.erase(sequence);
            item.phase = Item::Phase::ready;
            items[next++] = item;
        }
        std::vector<std::int64_t> expired;
        for (const auto& [sequence, item] : items) {
            const bool may = item.phase == Item::Phase::ready || item.phase == Item::Phase::postponed;
            if (may && item.expires <= now) expired.push_back(sequence);
        }
        for (const std::int64_t sequence : expired) bury(sequence);
    }

    void restart() {
        std::vector<std::int64_t> exhausted;
        for (auto& [sequence, item] : items) {
            const bool deferred = item.phase == Item::Phase::deferred || item.by_number;
            if (item.deliveries >= kDeliveriesMax + (deferred ? 1 : 0)) exhausted.push_back(sequence);
            if (item.phase == Item::Phase::locked)
                item.phase = deferred ? Item::Phase::deferred : Item::Phase::ready;
            item.by_number = false;
        }
        for (const std::int64_t sequence : exhausted) bury(sequence);
    }

    /// Numbers of those in `phase` whose moment has come, earliest first.
    std::vector<std::int64_t> due(Item::Phase phase, TimePoint now) const {
        std::vector<std::pair<TimePoint, std::int64_t>> found;
        for (const auto& [sequence, item] : items) {
            if (item.phase == phase && item.due <= now) found.emplace_back(item.due, sequence);
        }
        std::sort(found.begin(), found.end());
        std::vector<std::int64_t> sequences;
        for (const auto& [when, sequence] : found) sequences.push_back(sequence);
        return sequences;
    }

    std::vector<std::int64_t> in(Item::Phase phase) const {
        std::vector<std::int64_t> sequences;
        for (const auto& [sequence, item] : items) {
            if (item.phase == phase) sequences.push_back(sequence);
        }
        return sequences;
    }

    /// What has expired is not handed out, even if the timer has not seen it yet.
    std::vector<std::int64_t> ready(TimePoint now) const {
        std::vector<std::int64_t> sequences = in(Item::Phase::ready);
        std::erase_if(sequences, [&](std::int64_t sequence) { return items.at(sequence).expires <= now; });
        return sequences;
    }
};

class Model : public EmbeddedTest, public testing::WithParamInterface<unsigned> {
  protected:
    using Phase = Item::Phase;
    std::mt19937 random{GetParam()};
    Reference reference;
    int sent = 0;

    unsigned pick(unsigned below) { return static_cast<unsigned>(random() % below); }
    template <class T>
    T one_of(const std::vector<T>& choices) {
        return choices[pick(static_cast<unsigned>(choices.size()))];
    }

    void send_some() {
        std::vector<Message> messages;
        std::vector<Item> items;
        for (unsigned i = 0, count = 1 + pick(4); i < count; ++i) {
            Item item;
            item.id = "m" + std::to_string(sent++);
            Message message = text_message(std::string(pick(200), 'x'), item.id);
            if (pick(4) == 0) message.time_to_live = item.time_to_live = seconds(10 + pick(200));
            if (pick(4) == 0) {
                // Moments that differ, so that the order of activation is known.
                item.due = now() + seconds(1 + pick(200)) + Duration(sent % 900);
                item.phase = Phase::scheduled;
                message.scheduled_at = item.due;
            }
            const TimePoint begin = item.phase == Phase::scheduled ? item.due : now();
            if (item.time_to_live) item.expires = begin + *item.time_to_live;
            messages.push_back(message);
            items.push_back(item);
        }
        const auto numbers = EmbeddedTest::send("q", messages);
        ASSERT_EQ(numbers.size(), items.size());
        for (std::size_t i = 0; i < items.size(); ++i) {
            ASSERT_EQ(numbers[i], reference.next);
            reference.items[reference.next++] = items[i];
        }
    }

    void note_lock(const Delivery& one, bool by_number) {
        Item& item = reference.items.at(one.sequence);
        EXPECT_EQ(one.message.message_id, item.id);
        EXPECT_EQ(one.delivery_count, item.deliveries);
        item.deliveries += 1;
        item.phase = Phase::locked;
        item.by_number = by_number;
        item.due = now() + kLock;
        item.lock = lock_of(one);
    }

    void receive_some() {
        const std::size_t count = 1 + pick(6);
        auto expected = reference.ready(now());
        if (expected.size() > count) expected.resize(count);
        std::vector<std::int64_t> got;
        for (const auto& one : receive("q", count)) {
            got.push_back(one.sequence);
            note_lock(one, false);
        }
        ASSERT_EQ(got, expected);
    }

    void receive_a_deferred() {
        const auto deferred = reference.in(Phase::deferred);
        if (deferred.empty()) return;
        const auto got = loop.await(broker().receive_deferred("q", {one_of(deferred)}, ReceiveOptions()));
        ASSERT_TRUE(got);
        note_lock(got->at(0), true);
    }

    void settle_one() {
        const auto locked = reference.in(Phase::locked);
        if (locked.empty()) return;
        const std::int64_t sequence = one_of(locked);
        Item& item = reference.items.at(sequence);
        const LockRef lock = item.lock;
        switch (pick(7)) {
            case 0:
            case 1:
                ASSERT_TRUE(loop.await(broker().complete(lock)));
                reference.items.erase(sequence);
                break;
            case 2:
                ASSERT_TRUE(loop.await(broker().abandon(lock, Properties())));
                reference.unlock(sequence);
                break;
            case 3:
                ASSERT_TRUE(loop.await(broker().defer(lock, Properties())));
                item.phase = Phase::deferred;
                item.by_number = false;
                break;
            case 4:
                ASSERT_TRUE(loop.await(broker().dead_letter(lock, "r", "d", Properties())));
                reference.bury(sequence);
                break;
            case 5:
                ASSERT_TRUE(loop.await(broker().renew(lock)));
                item.due = now() + kLock;
                break;
            default: postpone(sequence, lock); break;
        }
        EXPECT_EQ(loop.await(broker().complete({"q", random_uuid()})).error().code, Errc::conflict);
    }

    void postpone(std::int64_t sequence, const LockRef& lock) {
        const Duration delay = seconds(pick(3) * 20);
        const bool spends = pick(3) == 0;
        ASSERT_TRUE(loop.await(broker().postpone(lock, delay, spends)));
        Item& item = reference.items.at(sequence);
        if (spends && item.deliveries >= kDeliveriesMax) return reference.bury(sequence);
        if (!spends) item.deliveries -= 1;
        item.phase = item.by_number ? Phase::deferred : Phase::ready;
        item.by_number = false;
        if (item.phase == Phase::deferred || delay == Duration::zero()) return;
        item.phase = Phase::postponed;
        item.due = now() + delay;
    }

    void cancel_one() {
        const auto scheduled = reference.in(Phase::scheduled);
        if (scheduled.empty()) return;
        const std::int64_t sequence = one_of(scheduled);
        ASSERT_TRUE(loop.await(broker().cancel_scheduled("q", {sequence})));
        reference.items.erase(sequence);
    }

    void tick(Duration time) {
        under_test.pass(time);
        reference.tick(now());
    }

    void restart(bool crash) {
        if (crash)
            under_test.crash();
        else
            under_test.restart();
        reference.restart();
        tick(Duration::zero());
        // A crash may leave a gap in the numbers: learn where they go on.
        const auto probe = send_texts("q", {"probe"});
        ASSERT_GE(probe[0], reference.next);
        reference.next = probe[0];
        Item item;
        item.id = peek("q").back().message.message_id;
        reference.items[reference.next++] = item;
    }

    void compare() {
        std::vector<std::string> expected;
        std::vector<std::string> actual;
        const State states[] = {State::active, State::active, State::active, State::deferred,
                                State::scheduled};
        const auto line = [](std::int64_t sequence, const std::string& id, int count, State state) {
            return std::to_string(sequence) + " " + id + " " + std::to_string(count) + " " +
                   std::to_string(static_cast<int>(state));
        };
        for (const auto& [sequence, item] : reference.items) {
            const State state =
                item.by_number ? State::deferred : states[static_cast<std::size_t>(item.phase)];
            expected.push_back(line(sequence, item.id, item.deliveries, state));
        }
        for (const auto& one : peek("q")) {
            actual.push_back(line(one.sequence, one.message.message_id, one.delivery_count, one.state));
        }
        ASSERT_EQ(actual, expected);
        std::multiset<std::string> dead;
        for (const auto& one : peek(dead_letter_queue_of("q"))) dead.insert(one.message.message_id);
        ASSERT_EQ(dead, reference.dead);
        const EntityCounts counts = *broker().counts("q");
        EXPECT_EQ(counts.active, reference.ready(now()).size());
        EXPECT_EQ(counts.locked, reference.in(Phase::locked).size());
        EXPECT_EQ(counts.deferred, reference.in(Phase::deferred).size());
        EXPECT_EQ(counts.scheduled,
                  reference.in(Phase::scheduled).size() + reference.in(Phase::postponed).size());
        EXPECT_EQ(counts.bytes,
                  static_cast<std::uint64_t>(stored("SELECT coalesce(sum(bytes),0) FROM message")));
    }

    void step() {
        const unsigned kind = pick(100);
        if (kind < 18)
            send_some();
        else if (kind < 50)
            receive_some();
        else if (kind < 80)
            settle_one();
        else if (kind < 84)
            receive_a_deferred();
        else if (kind < 87)
            cancel_one();
        else if (kind < 98)
            tick(seconds(pick(25)));
        else
            restart(kind == 99);
    }
};

TEST_P(Model, TheBrokerDoesWhatTheReferenceDoes) {
    EntityOptions options;
    options.delivery_count_max = kDeliveriesMax;
    options.lock_time = kLock;
    options.dead_letter_on_expiration = true;
    under_test.put("q", options);
    for (int i = 0; i < 600 && !HasFatalFailure(); ++i) {
        SCOPED_TRACE("step " + std::to_string(i));
        step();
        if (HasFatalFailure()) return;
        compare();
        if (reference.dead.size() > 40) {
            ASSERT_TRUE(loop.await(broker().drop_dead_letters("q", DeadLetterFilter())));
            reference.dead.clear();
        }
    }
    EXPECT_GT(sent, 150);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Model, testing::Values(1u, 2u, 3u, 53u));

}  // namespace
}  // namespace millrace::broker::test
