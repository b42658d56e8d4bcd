// Where pages of a listing ended: who asks for the next one goes on there, and nothing is counted again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace millrace::broker {

/// The latest ends of pages, of listings that each have a key.
class PageEnds {
  public:
    /// The last item of the page that ended before item `index`; none: it is not known.
    std::optional<std::string> end_of(std::int64_t listing, std::size_t index) const {
        for (auto end = ends_.rbegin(); end != ends_.rend(); ++end)
            if (end->listing == listing && end->index == index) return end->last;
        return std::nullopt;
    }
    /// Item `index` of `listing` is the first behind `last`.
    void remember(std::int64_t listing, std::size_t index, std::string last) {
        std::erase_if(ends_, [&](const End& one) { return one.listing == listing && one.index == index; });
        if (ends_.size() == kEndsMax) ends_.pop_front();
        ends_.push_back({listing, index, std::move(last)});
    }

  private:
    static constexpr std::size_t kEndsMax = 8;  // listings at the same time
    struct End {
        std::int64_t listing;
        std::size_t index;
        std::string last;
    };
    std::deque<End> ends_;
};

}  // namespace millrace::broker
