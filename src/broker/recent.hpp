// Messages that have just been sent, kept for the receiver that takes them soon: it need not read them back.
#pragma once

#include "broker/codec.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>

namespace millrace::broker {

/// A bounded number of contents by row id. The database stays the truth: anything may be missing here.
class Recent {
  public:
    explicit Recent(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    /// `id` is larger than every id before. Forgets the oldest when it becomes too much.
    void add(std::int64_t id, std::unique_ptr<Content> content) {
        const std::size_t bytes = bytes_of(*content);
        entries_.push_back({id, bytes, std::move(content)});
        bytes_ += bytes;
        while (bytes_ > bytes_max_) drop_front();
    }

    /// Takes the content out; null: not here.
    std::unique_ptr<Content> take(std::int64_t id) {
        const auto found =
            std::lower_bound(entries_.begin(), entries_.end(), id,
                             [](const Entry& entry, std::int64_t wanted) { return entry.id < wanted; });
        if (found == entries_.end() || found->id != id || found->bytes == 0) return nullptr;
        std::unique_ptr<Content> content = std::move(found->content);
        bytes_ -= found->bytes;
        found->bytes = 0;
        while (!entries_.empty() && entries_.front().bytes == 0) entries_.pop_front();
        return content;
    }

    std::size_t bytes() const noexcept { return bytes_; }

  private:
    struct Entry {
        std::int64_t id;
        std::size_t bytes;  ///< 0: taken
        std::unique_ptr<Content> content;
    };

    static std::size_t bytes_of(const Content& content) {
        return sizeof(Entry) + sizeof(Content) + content.message.body.size() +
               64 * content.message.properties.size();
    }
    void drop_front() {
        bytes_ -= entries_.front().bytes;
        entries_.pop_front();
    }

    std::deque<Entry> entries_;
    std::size_t bytes_ = 0;
    std::size_t bytes_max_;
};

}  // namespace millrace::broker
