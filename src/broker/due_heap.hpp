// Moments at which something has to happen to a message or a session, earliest first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace millrace::broker {

/// A heap of (moment, key) whose entries are never taken back: whoever cancels or moves a moment just changes
/// the truth, and `valid(key, moment)` says whether an entry still agrees with it. Entries that no longer do
/// are dropped when they reach the front, and all at once when they would be the majority, so that memory
/// follows the valid ones.
class DueHeap {
  public:
    static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

    template <class Valid>
    void push(std::int64_t when, std::int64_t key, Valid valid) {
        if (entries_.size() >= compact_at_) compact(valid);
        entries_.push_back({when, key});
        std::push_heap(entries_.begin(), entries_.end(), Later{});
    }

    /// The earliest valid moment, or kNone.
    template <class Valid>
    std::int64_t next(Valid valid) {
        while (!entries_.empty() && !valid(entries_.front().key, entries_.front().when)) pop();
        return entries_.empty() ? kNone : entries_.front().when;
    }

    /// Takes out up to `count_max` keys whose moment is `now` or earlier. A moment that was pushed twice
    /// comes twice.
    template <class Valid>
    std::vector<std::int64_t> take_due(std::int64_t now, std::size_t count_max, Valid valid) {
        std::vector<std::int64_t> keys;
        while (keys.size() < count_max && next(valid) <= now && !entries_.empty()) {
            keys.push_back(entries_.front().key);
            pop();
        }
        return keys;
    }

    std::size_t size() const noexcept { return entries_.size(); }

  private:
    struct Entry {
        std::int64_t when;
        std::int64_t key;
    };
    struct Later {
        bool operator()(const Entry& a, const Entry& b) const noexcept { return a.when > b.when; }
    };
    static constexpr std::size_t kCompactMin = 1024;

    void pop() {
        std::pop_heap(entries_.begin(), entries_.end(), Later{});
        entries_.pop_back();
    }

    template <class Valid>
    void compact(Valid valid) {
        std::erase_if(entries_, [&](const Entry& entry) { return !valid(entry.key, entry.when); });
        std::make_heap(entries_.begin(), entries_.end(), Later{});
        compact_at_ = std::max(kCompactMin, entries_.size() * 2);
    }

    std::vector<Entry> entries_;
    std::size_t compact_at_ = kCompactMin;
};

}  // namespace millrace::broker
