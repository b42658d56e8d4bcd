// Events per second over the last minute.
#pragma once

#include <array>
#include <cstdint>

namespace millrace::broker {

/// Counts events in one-second buckets; times are milliseconds that do not go back by much.
class Rate {
  public:
    void add(std::int64_t now, std::uint32_t events = 1) noexcept {
        Bucket& bucket = buckets_[index(now)];
        if (bucket.second != now / 1000) bucket = {now / 1000, 0};
        bucket.events += events;
        total_ += events;
    }

    double per_second(std::int64_t now) const noexcept {
        std::uint64_t events = 0;
        for (const Bucket& bucket : buckets_) {
            if (bucket.second > now / 1000 - kSeconds && bucket.second <= now / 1000) events += bucket.events;
        }
        return static_cast<double>(events) / kSeconds;
    }

    std::uint64_t total() const noexcept { return total_; }

  private:
    static constexpr std::int64_t kSeconds = 60;
    struct Bucket {
        std::int64_t second = -1;
        std::uint32_t events = 0;
    };
    static std::size_t index(std::int64_t now) noexcept {
        return static_cast<std::size_t>(now / 1000 % kSeconds);
    }

    std::array<Bucket, kSeconds> buckets_{};
    std::uint64_t total_ = 0;
};

}  // namespace millrace::broker
