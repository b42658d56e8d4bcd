#include "quota/window.hpp"

#include <algorithm>

namespace millrace::quota {

namespace {

std::int64_t number_of(TimePoint at) { return to_millis(at) / Window::kSlot.count(); }

TimePoint end_of(const Window::Slot& slot) {
    return from_millis((slot.number + 1) * Window::kSlot.count()) + Window::kLength + Window::kSlack;
}

}  // namespace

void Window::advance(TimePoint now) {
    while (!slots_.empty() && end_of(slots_.front()) <= now) {
        tokens_ -= slots_.front().tokens;
        requests_ -= slots_.front().requests;
        slots_.pop_front();
    }
}

void Window::charge(TimePoint now, std::int64_t tokens, std::int64_t requests) {
    const std::int64_t number = number_of(now);
    if (slots_.empty() || slots_.back().number < number) slots_.push_back({number, 0, 0});
    slots_.back().tokens += tokens;
    slots_.back().requests += requests;
    tokens_ += tokens;
    requests_ += requests;
}

/// The slot `number`, or the first one behind its place.
std::deque<Window::Slot>::iterator Window::slot_at(std::int64_t number) {
    return std::lower_bound(slots_.begin(), slots_.end(), number,
                            [](const Slot& one, std::int64_t wanted) { return one.number < wanted; });
}

void Window::refund(TimePoint at, std::int64_t tokens, std::int64_t requests) {
    const std::int64_t number = number_of(at);
    const auto slot = slot_at(number);
    if (slot == slots_.end() || slot->number != number) return;
    tokens = std::min(tokens, slot->tokens);
    requests = std::min(requests, slot->requests);
    slot->tokens -= tokens;
    slot->requests -= requests;
    tokens_ -= tokens;
    requests_ -= requests;
}

void Window::move(TimePoint from, TimePoint to, std::int64_t tokens) {
    const std::int64_t number = number_of(to);
    if (number <= number_of(from)) return;
    const bool gone = slots_.empty() || slots_.front().number > number_of(from);
    Slot moved{number, tokens, 1};
    if (!gone) {
        moved.tokens = tokens_;
        moved.requests = requests_;
        refund(from, tokens, 1);
        moved.tokens -= tokens_;
        moved.requests -= requests_;
    }
    auto slot = slot_at(number);
    if (slot == slots_.end() || slot->number != number) slot = slots_.insert(slot, {number, 0, 0});
    slot->tokens += moved.tokens;
    slot->requests += moved.requests;
    tokens_ += moved.tokens;
    requests_ += moved.requests;
}

void Window::restart(TimePoint now) {
    if (slots_.empty()) return;
    slots_.clear();
    slots_.push_back({number_of(now), tokens_, requests_});
}

std::int64_t Window::tokens_around(TimePoint at) const noexcept {
    std::int64_t sum = 0;
    const std::int64_t number = number_of(at);
    for (auto slot = slots_.rbegin(); slot != slots_.rend() && slot->number >= number; ++slot)
        if (slot->number <= number + 1) sum += slot->tokens;
    return sum;
}

TimePoint Window::when_free(std::int64_t tokens, std::int64_t requests) const noexcept {
    TimePoint when{};
    for (const Slot& slot : slots_) {
        if (tokens <= 0 && requests <= 0) break;
        tokens -= slot.tokens;
        requests -= slot.requests;
        when = end_of(slot);
    }
    return when;
}

void Window::restore(Slot slot) {
    slots_.push_back(slot);
    tokens_ += slot.tokens;
    requests_ += slot.requests;
}

}  // namespace millrace::quota
