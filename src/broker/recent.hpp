// Messages that have just been sent, kept for the receiver that takes them soon: it need not read them back.
#pragma once

#include "broker/codec.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>

namespace millrace::broker {

/// Contents by row id in a bounded number of bytes. The database stays the truth: anything may be missing
/// here.
class Recent {
  public:
    explicit Recent(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    /// `id` is larger than every id before; `size` is what the message takes in the database, in bytes.
    /// Forgets the oldest when it becomes too much.
    void add(std::int64_t id, std::size_t size, std::unique_ptr<Content> content) {
        const std::size_t bytes =
            size + sizeof(Content) + kPropertyBytes * content->message.properties.size();
        entries_.push_back({id, bytes, std::move(content)});
        bytes_ += bytes + sizeof(Entry);
        while (bytes_ > bytes_max_) drop_front();
        drop_taken();
    }

    /// Takes the content out; null: not here.
    std::unique_ptr<Content> take(std::int64_t id) {
        const auto found =
            std::lower_bound(entries_.begin(), entries_.end(), id,
                             [](const Entry& entry, std::int64_t wanted) { return entry.id < wanted; });
        if (found == entries_.end() || found->id != id || !found->content) return nullptr;
        std::unique_ptr<Content> content = std::move(found->content);
        bytes_ -= found->bytes;
        found->bytes = 0;
        drop_taken();
        return content;
    }

    /// What is kept, with the places of what was taken out behind something older.
    std::size_t bytes() const noexcept { return bytes_; }
    std::size_t places() const noexcept { return entries_.size(); }

  private:
    struct Entry {
        std::int64_t id;
        std::size_t bytes;  ///< of the content
        std::unique_ptr<Content> content;  ///< null: taken
    };

    // A map's node: four words, the name and the value, of which the database has only the letters.
    static constexpr std::size_t kPropertyBytes = 4 * sizeof(void*) + sizeof(Properties::value_type);

    void drop_front() {
        bytes_ -= entries_.front().bytes + sizeof(Entry);
        entries_.pop_front();
    }
    void drop_taken() {
        while (!entries_.empty() && !entries_.front().content) drop_front();
    }

    std::deque<Entry> entries_;
    std::size_t bytes_ = 0;
    std::size_t bytes_max_;
};

}  // namespace millrace::broker
