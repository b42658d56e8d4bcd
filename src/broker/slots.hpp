// What is known in memory of each message of one entity: a slot of 56 bytes, found by sequence number.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>

namespace millrace::broker {

/// What may happen to a message next.
enum class Phase : std::uint8_t {
    none,       ///< no message here
    ready,      ///< may be handed out
    locked,     ///< handed out; `due` is the end of the lock
    postponed,  ///< given back until `due`
    deferred,   ///< only by number
    scheduled,  ///< not enqueued before `due`
    expired,    ///< waits for the timer to drop or dead-letter it
    busy,       ///< a write that changes it is under way: nothing else may touch it
};
inline constexpr std::size_t kPhases = 8;

/// One message. Times are milliseconds since 1970.
struct Slot {
    static constexpr std::int64_t kForEver = std::numeric_limits<std::int64_t>::max();

    std::int64_t id = 0;               ///< its row
    std::int64_t enqueued = 0;
    std::int64_t expires = kForEver;
    std::int64_t due = 0;
    std::uint64_t nonce = 0;           ///< the secret half of the lock token
    std::uint32_t bytes = 0;           ///< body and properties
    std::uint32_t session = 0;         ///< number in the entity's session table, 0: none
    std::uint16_t deliveries = 0;      ///< how often it was handed out
    Phase phase = Phase::none;
    bool deferred = false;             ///< locked by its number: goes back to deferred, not to ready
};

/// The slots of one entity in blocks of 256 numbers. A block lives while it holds a message, so that memory
/// follows the number of messages whatever their order of leaving. Insert, find, erase: logarithmic in the
/// number of blocks.
class Slots {
  public:
    /// A new slot for `sequence`, which must have none, in phase `busy`. The address holds until `erase`.
    Slot& insert(std::int64_t sequence);
    /// Null if there is no message of this number.
    Slot* find(std::int64_t sequence) noexcept;
    const Slot* find(std::int64_t sequence) const noexcept;
    void erase(std::int64_t sequence) noexcept;

    /// The only way to change a slot's phase: keeps the counts and the order of ready messages.
    void set_phase(std::int64_t sequence, Slot& slot, Phase phase);

    /// The lowest ready number.
    std::optional<std::int64_t> first_ready() const noexcept;
    std::uint64_t count(Phase phase) const noexcept { return counts_[static_cast<std::size_t>(phase)]; }
    std::uint64_t size() const noexcept { return size_; }

    /// Calls `visit(sequence, slot)` for each message from `from` on in order, until it returns false.
    template <class F>
    void each(std::int64_t from, F visit) {
        for (auto at = blocks_.lower_bound(block_of(from)); at != blocks_.end(); ++at) {
            for (std::size_t i = 0; i < kBlock; ++i) {
                const std::int64_t sequence =
                    at->first * static_cast<std::int64_t>(kBlock) + static_cast<std::int64_t>(i);
                Slot& slot = at->second->slots[i];
                if (sequence < from || slot.phase == Phase::none) continue;
                if (!visit(sequence, slot)) return;
            }
        }
    }

    /// When the oldest ready or locked message was enqueued.
    std::optional<std::int64_t> oldest_enqueued() const noexcept;

  private:
    static constexpr std::size_t kBlock = 256;

    struct Block {
        std::array<Slot, kBlock> slots;
        std::array<std::uint64_t, kBlock / 64> ready{};
        std::uint16_t used = 0;
        std::uint16_t ready_count = 0;
        std::uint16_t live = 0;  ///< ready or locked
    };

    static std::int64_t block_of(std::int64_t sequence) noexcept { return sequence >> 8; }
    static std::size_t index_of(std::int64_t sequence) noexcept {
        return static_cast<std::size_t>(sequence & 255);
    }
    Block* block(std::int64_t number) const noexcept;
    void set_ready(std::int64_t number, Block& block, std::size_t index, bool ready);

    std::map<std::int64_t, std::unique_ptr<Block>> blocks_;
    std::map<std::int64_t, Block*> ready_blocks_;
    // So that a queue that goes empty and back does not allocate.
    std::unique_ptr<Block> spare_;
    std::map<std::int64_t, Block*>::node_type spare_ready_;
    std::array<std::uint64_t, kPhases> counts_{};
    std::uint64_t size_ = 0;
};

}  // namespace millrace::broker
