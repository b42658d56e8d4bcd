// The message ids an entity has seen within its duplicate-detection window.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace millrace::broker {

/// An id is remembered as pending before its message is stored, and confirmed or withdrawn when the write has
/// ended.
class Duplicates {
  public:
    enum class Known {
        no,
        pending,  ///< a message of this id is being stored: wait for the outcome
        yes,
    };

    /// What is known of `message_id`, and the row it is known by.
    std::pair<Known, std::int64_t> look(std::string_view message_id, std::int64_t now,
                                        std::int64_t window) const {
        const auto found = index_.find(message_id);
        if (found == index_.end()) return {Known::no, 0};
        const Seen& seen = *found->second;
        if (seen.pending) return {Known::pending, seen.row};
        return {seen.seen + window > now ? Known::yes : Known::no, seen.row};
    }

    /// `row` is the id of its row in the history table; rows ascend.
    void remember(const std::string& message_id, std::int64_t row, std::int64_t now, bool pending) {
        forget(message_id);
        history_.push_back({message_id, row, now, pending});
        index_.emplace(history_.back().message_id, std::prev(history_.end()));
    }

    void confirm(std::string_view message_id) {
        const auto found = index_.find(message_id);
        if (found != index_.end()) found->second->pending = false;
    }

    void forget(std::string_view message_id) {
        const auto found = index_.find(message_id);
        if (found == index_.end()) return;
        const auto entry = found->second;
        index_.erase(found);
        history_.erase(entry);
    }

    /// When the oldest entry was seen; `otherwise` if there is none, or if it is pending: then nothing can be
    /// trimmed before it is confirmed or withdrawn.
    std::int64_t oldest(std::int64_t otherwise) const {
        return history_.empty() || history_.front().pending ? otherwise : history_.front().seen;
    }

    /// Rows [first, last] that `trim` has let go of; none if last is 0.
    struct Rows {
        std::int64_t first = 0;
        std::int64_t last = 0;
    };

    /// Forgets what was seen at `until` or earlier.
    Rows trim(std::int64_t until) {
        Rows rows;
        while (!history_.empty() && history_.front().seen <= until && !history_.front().pending) {
            if (rows.first == 0) rows.first = history_.front().row;
            rows.last = history_.front().row;
            index_.erase(history_.front().message_id);
            history_.pop_front();
        }
        return rows;
    }

    std::size_t size() const noexcept { return history_.size(); }

  private:
    struct Seen {
        std::string message_id;
        std::int64_t row;
        std::int64_t seen;
        bool pending;
    };

    std::list<Seen> history_;
    std::unordered_map<std::string_view, std::list<Seen>::iterator> index_;
};

}  // namespace millrace::broker
