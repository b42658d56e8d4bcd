#include "http/simulator_window.hpp"

#include <algorithm>

namespace millrace::http {

Duration SlidingWindow::wait_for(std::int64_t amount, TimePoint now) {
    forget(now);
    if (limit_ == 0) return Duration::zero();
    std::int64_t left = used_;
    Duration wait = Duration::zero();
    for (const Use& use : uses_) {
        if (left + amount <= limit_) return wait;
        left -= use.amount;
        wait = use.when + kWindow - now;
    }
    return left + amount <= limit_ ? wait : kWindow;
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
    return uses_.empty() ? Duration::zero() : uses_.back().when + kWindow - now;
}

void SlidingWindow::forget(TimePoint now) {
    while (!uses_.empty() && uses_.front().when + kWindow <= now) {
        used_ -= uses_.front().amount;
        uses_.pop_front();
    }
}

}  // namespace millrace::http
