#include "broker/slots.hpp"

#include <gtest/gtest.h>

#include <random>

namespace millrace::broker {
namespace {

void add(Slots& slots, std::int64_t sequence, Phase phase) {
    Slot& slot = slots.insert(sequence);
    slot.id = sequence * 10;
    slot.enqueued = sequence;
    slots.set_phase(sequence, slot, phase);
}

void change(Slots& slots, std::int64_t sequence, Phase phase) {
    slots.set_phase(sequence, *slots.find(sequence), phase);
}

TEST(Slots, FindsWhatWasInsertedAndNothingElse) {
    Slots slots;
    add(slots, 5, Phase::ready);
    add(slots, 100'000, Phase::deferred);
    EXPECT_EQ(slots.find(5)->id, 50);
    EXPECT_EQ(slots.find(100'000)->id, 1'000'000);
    for (const std::int64_t absent :
         {std::int64_t{0}, std::int64_t{4}, std::int64_t{6}, std::int64_t{99'999}, std::int64_t{-1},
          std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
        EXPECT_EQ(slots.find(absent), nullptr) << absent;
    }
    slots.erase(5);
    EXPECT_EQ(slots.find(5), nullptr);
    EXPECT_EQ(slots.size(), 1u);
}

TEST(Slots, AFreedSlotIsLikeNew) {
    Slots slots;
    add(slots, 5, Phase::ready);
    slots.find(5)->deliveries = 9;
    slots.find(5)->session = 3;
    slots.erase(5);
    const Slot& again = slots.insert(5);
    EXPECT_EQ(again.deliveries, 0);
    EXPECT_EQ(again.session, 0u);
    EXPECT_EQ(again.id, 0);
    EXPECT_EQ(again.phase, Phase::busy);
}

TEST(Slots, TheFirstReadyIsTheLowestWhateverTheOrderOfChanges) {
    Slots slots;
    EXPECT_EQ(slots.first_ready(), std::nullopt);
    for (const std::int64_t sequence : {700, 3, 256, 255, 512}) add(slots, sequence, Phase::ready);
    for (const std::int64_t expected : {3, 255, 256, 512, 700}) {
        EXPECT_EQ(slots.first_ready(), expected);
        change(slots, expected, Phase::locked);
    }
    EXPECT_EQ(slots.first_ready(), std::nullopt);
    change(slots, 256, Phase::ready);
    EXPECT_EQ(slots.first_ready(), 256);
}

TEST(Slots, VisitsMessagesInOrderFromANumberOn) {
    Slots slots;
    for (std::int64_t sequence = 1; sequence <= 1000; sequence += 3) add(slots, sequence, Phase::ready);
    std::vector<std::int64_t> seen;
    slots.each(250, [&](std::int64_t sequence, const Slot&) {
        seen.push_back(sequence);
        return seen.size() < 5;
    });
    EXPECT_EQ(seen, (std::vector<std::int64_t>{250, 253, 256, 259, 262}));
}

TEST(Slots, KnowsTheOldestReadyOrLockedMessage) {
    Slots slots;
    add(slots, 1, Phase::scheduled);
    add(slots, 400, Phase::deferred);
    EXPECT_EQ(slots.oldest_enqueued(), std::nullopt);
    add(slots, 900, Phase::ready);
    add(slots, 901, Phase::ready);
    change(slots, 900, Phase::locked);
    EXPECT_EQ(slots.oldest_enqueued(), 900);
    slots.erase(900);
    EXPECT_EQ(slots.oldest_enqueued(), 901);
}

TEST(Slots, CountsAgreeWithASlowReferenceOverManyRandomChanges) {
    std::mt19937 random(7);
    Slots slots;
    std::map<std::int64_t, Phase> reference;
    const Phase phases[] = {Phase::ready, Phase::locked, Phase::postponed, Phase::deferred, Phase::scheduled};
    for (int step = 0; step < 50'000; ++step) {
        const auto sequence = static_cast<std::int64_t>(random() % 3000);
        const Phase phase = phases[random() % std::size(phases)];
        if (!reference.contains(sequence)) {
            add(slots, sequence, phase);
            reference[sequence] = phase;
        } else if (random() % 3 == 0) {
            slots.erase(sequence);
            reference.erase(sequence);
        } else {
            change(slots, sequence, phase);
            reference[sequence] = phase;
        }
        if (step % 100 != 0) continue;
        std::map<Phase, std::uint64_t> counts;
        std::optional<std::int64_t> first;
        for (const auto& [number, state] : reference) {
            counts[state] += 1;
            if (state == Phase::ready && !first) first = number;
        }
        ASSERT_EQ(slots.first_ready(), first) << "step " << step;
        ASSERT_EQ(slots.size(), reference.size());
        for (const Phase one : phases) ASSERT_EQ(slots.count(one), counts[one]);
        ASSERT_EQ(slots.count(Phase::busy), 0u);
    }
}

}  // namespace
}  // namespace millrace::broker
