#include "http/simulator_window.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::http {

Duration SlidingWindow::wait_for(std::int64_t amount, TimePoint now) {
    forget(now);
    if (limit_ == 0) return Duration::zero();
    std::int64_t left = used_;
    Duration wait = Duration::zero();
    for (const Use& use : uses_) {
        if (left + amount <= limit_) return wait;
        left -= use.amount;
        wait = use.when + length_ - now;
    }
    return left + amount <= limit_ ? wait : length_;
}

void SlidingWindow::use(std::int64_t amount, TimePoint now) {
    if (limit_ == 0) return;
    forget(now);
    used_ += amount;
    if (!uses_.empty() && uses_.back().when == now)
        uses_.back().amount += amount;
    else
        uses_.push_back({now, amount});
}

std::int64_t SlidingWindow::remaining(TimePoint now) {
    forget(now);
    return std::max<std::int64_t>(0, limit_ - used_);
}

Duration SlidingWindow::reset(TimePoint now) {
    forget(now);
    return uses_.empty() ? Duration::zero() : uses_.back().when + length_ - now;
}

void SlidingWindow::forget(TimePoint now) {
    while (!uses_.empty() && uses_.front().when + length_ <= now) {
        used_ -= uses_.front().amount;
        uses_.pop_front();
    }
}

void FixedWindow::turn(TimePoint now) {
    const std::int64_t minute = now.time_since_epoch() / SlidingWindow::kWindow;
    if (minute != minute_) used_ = 0;
    minute_ = minute;
}

Duration FixedWindow::wait_for(std::int64_t amount, TimePoint now) {
    turn(now);
    if (limit_ == 0 || used_ + amount <= limit_) return Duration::zero();
    return SlidingWindow::kWindow - now.time_since_epoch() % SlidingWindow::kWindow;
}

void FixedWindow::use(std::int64_t amount, TimePoint now) {
    turn(now);
    used_ += amount;
}

std::int64_t FixedWindow::remaining(TimePoint now) {
    turn(now);
    return std::max<std::int64_t>(0, limit_ - used_);
}

Duration FixedWindow::reset(TimePoint now) {
    turn(now);
    if (used_ == 0) return Duration::zero();
    return SlidingWindow::kWindow - now.time_since_epoch() % SlidingWindow::kWindow;
}

void TokenBucket::fill(TimePoint now) {
    const double share = static_cast<double>((now - filled_).count()) / SlidingWindow::kWindow.count();
    const auto full = static_cast<double>(limit_);
    level_ = std::min(full, level_ + std::max(0.0, share) * full);
    filled_ = now;
}

Duration TokenBucket::time_for(double amount) const {
    if (amount <= 0 || limit_ == 0) return Duration::zero();
    const double millis = amount / static_cast<double>(limit_) * SlidingWindow::kWindow.count();
    return Duration(static_cast<std::int64_t>(std::ceil(millis)));
}

Duration TokenBucket::wait_for(std::int64_t amount, TimePoint now) {
    fill(now);
    return std::min(SlidingWindow::kWindow, time_for(static_cast<double>(amount) - level_));
}

void TokenBucket::use(std::int64_t amount, TimePoint now) {
    fill(now);
    if (limit_ != 0) level_ -= static_cast<double>(amount);
}

void TokenBucket::set_limit(std::int64_t limit) noexcept {
    limit_ = limit;
    level_ = std::min(level_, static_cast<double>(limit));
}

std::int64_t TokenBucket::remaining(TimePoint now) {
    fill(now);
    return std::max<std::int64_t>(0, static_cast<std::int64_t>(level_));
}

Duration TokenBucket::reset(TimePoint now) {
    fill(now);
    return time_for(static_cast<double>(limit_) - level_);
}

}  // namespace millrace::http
