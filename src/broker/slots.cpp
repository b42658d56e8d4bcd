#include "broker/slots.hpp"

#include <bit>
#include <cassert>

namespace millrace::broker {

namespace {

bool is_live(Phase phase) noexcept { return phase == Phase::ready || phase == Phase::locked; }

}  // namespace

Slots::Block* Slots::block(std::int64_t number) const noexcept {
    // Most calls are about the newest messages.
    if (!blocks_.empty() && blocks_.rbegin()->first == number) return blocks_.rbegin()->second.get();
    const auto found = blocks_.find(number);
    return found == blocks_.end() ? nullptr : found->second.get();
}

Slot& Slots::insert(std::int64_t sequence) {
    const std::int64_t number = block_of(sequence);
    Block* home = block(number);
    if (home == nullptr) {
        auto fresh = spare_ ? std::move(spare_) : std::make_unique<Block>();
        home = blocks_.emplace_hint(blocks_.end(), number, std::move(fresh))->second.get();
    }
    Slot& slot = home->slots[index_of(sequence)];
    assert(slot.phase == Phase::none);
    slot.phase = Phase::busy;
    home->used += 1;
    counts_[static_cast<std::size_t>(Phase::busy)] += 1;
    size_ += 1;
    return slot;
}

Slot* Slots::find(std::int64_t sequence) noexcept {
    if (sequence < 0) return nullptr;
    Block* home = block(block_of(sequence));
    if (home == nullptr) return nullptr;
    Slot& slot = home->slots[index_of(sequence)];
    return slot.phase == Phase::none ? nullptr : &slot;
}

const Slot* Slots::find(std::int64_t sequence) const noexcept {
    return const_cast<Slots*>(this)->find(sequence);
}

void Slots::erase(std::int64_t sequence) noexcept {
    const std::int64_t number = block_of(sequence);
    Block* home = block(number);
    assert(home != nullptr);
    Slot& slot = home->slots[index_of(sequence)];
    set_phase(sequence, slot, Phase::busy);
    counts_[static_cast<std::size_t>(Phase::busy)] -= 1;
    slot = Slot{};
    size_ -= 1;
    home->used -= 1;
    if (home->used != 0) return;
    const auto found = blocks_.find(number);
    spare_ = std::move(found->second);
    blocks_.erase(found);
}

void Slots::set_phase(std::int64_t sequence, Slot& slot, Phase phase) {
    if (slot.phase == phase) return;
    const std::int64_t number = block_of(sequence);
    Block& home = *block(number);
    counts_[static_cast<std::size_t>(slot.phase)] -= 1;
    counts_[static_cast<std::size_t>(phase)] += 1;
    home.live = static_cast<std::uint16_t>(home.live - is_live(slot.phase) + is_live(phase));
    if ((slot.phase == Phase::ready) != (phase == Phase::ready)) {
        set_ready(number, home, index_of(sequence), phase == Phase::ready);
    }
    slot.phase = phase;
}

void Slots::set_ready(std::int64_t number, Block& block, std::size_t index, bool ready) {
    const std::uint64_t bit = std::uint64_t{1} << (index & 63);
    if (ready) {
        block.ready[index >> 6] |= bit;
        if (block.ready_count++ > 0) return;
        if (spare_ready_.empty()) {
            ready_blocks_.emplace(number, &block);
            return;
        }
        spare_ready_.key() = number;
        spare_ready_.mapped() = &block;
        ready_blocks_.insert(std::move(spare_ready_));
    } else {
        block.ready[index >> 6] &= ~bit;
        if (--block.ready_count == 0) spare_ready_ = ready_blocks_.extract(number);
    }
}

std::optional<std::int64_t> Slots::first_ready() const noexcept {
    if (ready_blocks_.empty()) return std::nullopt;
    const auto& [number, block] = *ready_blocks_.begin();
    std::size_t word = 0;
    while (block->ready[word] == 0) ++word;
    const auto index = word * 64 + static_cast<std::size_t>(std::countr_zero(block->ready[word]));
    return number * static_cast<std::int64_t>(kBlock) + static_cast<std::int64_t>(index);
}

std::optional<std::int64_t> Slots::oldest_enqueued() const noexcept {
    for (const auto& [number, block] : blocks_) {
        if (block->live == 0) continue;
        for (const Slot& slot : block->slots) {
            if (is_live(slot.phase)) return slot.enqueued;
        }
    }
    return std::nullopt;
}

}  // namespace millrace::broker
