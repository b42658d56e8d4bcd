#include "broker/entity_state.hpp"

namespace millrace::broker {

namespace {

constexpr std::int64_t kForEver = Slot::kForEver;
// How late the stored time of the last access may be.
constexpr std::int64_t kAccessMillis = 60'000;

// Each asks whether a heap's entry still agrees with the slot or session it speaks of.
struct LockHolds {
    const EntityState& entity;
    bool operator()(std::int64_t sequence, std::int64_t when) const {
        const Slot* slot = entity.slots.find(sequence);
        return slot != nullptr && slot->phase == Phase::locked && slot->due == when;
    }
};

struct TimerHolds {
    const EntityState& entity;
    bool operator()(std::int64_t sequence, std::int64_t when) const {
        const Slot* slot = entity.slots.find(sequence);
        return slot != nullptr && (slot->phase == Phase::scheduled || slot->phase == Phase::postponed) &&
               slot->due == when;
    }
};

struct ExpiryHolds {
    const EntityState& entity;
    bool operator()(std::int64_t sequence, std::int64_t when) const {
        const Slot* slot = entity.slots.find(sequence);
        return slot != nullptr && slot->expires == when;
    }
};

struct SessionHolds {
    Sessions& sessions;
    bool operator()(std::int64_t number, std::int64_t when) const {
        if (!sessions.contains(static_cast<std::uint32_t>(number))) return false;
        const Session& session = sessions[static_cast<std::uint32_t>(number)];
        return session.nonce != 0 && session.locked_until == when;
    }
};

}  // namespace

std::int64_t after(std::int64_t now, Duration time) {
    return time.count() >= kForEver - now ? kForEver : now + time.count();
}

void EntityState::set_phase(std::int64_t sequence, Slot& slot, Phase phase) {
    if (slot.session != 0 && slot.phase != phase) {
        Session& session = sessions[slot.session];
        if (auto* before = session.numbers_in(slot.phase)) before->erase(sequence);
        if (auto* after = session.numbers_in(phase)) after->insert(sequence);
        sessions.update(slot.session);
    }
    if (lanes && (slot.phase == Phase::ready) != (phase == Phase::ready))
        lanes->set_ready(sequence, phase == Phase::ready);
    slots.set_phase(sequence, slot, phase);
}

void EntityState::apply_fairness() {
    const bool fair = options.fair && !is_dead_letter_queue;
    if (fair == (lanes != nullptr)) return;
    lanes.reset();
    if (!fair) return;
    lanes = std::make_unique<Lanes>();
    slots.each(0, [&](std::int64_t sequence, Slot& slot) {
        lanes->add(sequence, "");
        lanes->set_ready(sequence, slot.phase == Phase::ready);
        return true;
    });
}

std::optional<std::int64_t> EntityState::first_ready(LaneKind kind) const {
    return lanes ? lanes->first_ready(kind) : slots.first_ready();
}

void EntityState::erase(std::int64_t sequence) {
    Slot& slot = *slots.find(sequence);
    account->bytes -= slot.bytes;
    if (slot.session != 0) {
        set_phase(sequence, slot, Phase::busy);
        const std::uint32_t session = slot.session;
        sessions[session].messages -= 1;
        sessions.update(session);
    }
    if (lanes) lanes->remove(sequence);
    slots.erase(sequence);
}

bool EntityState::may_be_delivered_again(const Slot& slot) const noexcept {
    return is_dead_letter_queue || slot.deliveries < options.delivery_count_max;
}

std::int64_t EntityState::expiry(std::int64_t now, const std::optional<Duration>& wish) const noexcept {
    std::int64_t when = kForEver;
    if (is_dead_letter_queue) return when;
    if (wish) when = after(now, *wish);
    if (options.time_to_live) when = std::min(when, after(now, *options.time_to_live));
    return when;
}

void EntityState::add_lock(std::int64_t sequence, std::int64_t until) {
    locks.push(until, sequence, LockHolds{*this});
}

void EntityState::add_timer(std::int64_t sequence, std::int64_t due) {
    timers.push(due, sequence, TimerHolds{*this});
}

void EntityState::add_expiry(std::int64_t sequence, std::int64_t when) {
    if (when != kForEver) expiries.push(when, sequence, ExpiryHolds{*this});
}

void EntityState::add_session_lock(std::uint32_t number, std::int64_t until) {
    session_locks.push(until, number, SessionHolds{sessions});
}

std::int64_t EntityState::idle_due() const noexcept {
    if (!options.delete_on_idle || is_dead_letter_queue) return kForEver;
    return after(std::max({accessed, updated, idle_since}), *options.delete_on_idle);
}

std::int64_t EntityState::access_due() const noexcept {
    return accessed > accessed_stored ? accessed_stored + kAccessMillis : kForEver;
}

bool EntityState::holds_back() const noexcept {
    return !options.forward_to.empty() && (forwarding || arriving > 0 || slots.first_ready());
}

std::int64_t EntityState::next_due() {
    std::int64_t due = std::min(locks.next(LockHolds{*this}), timers.next(TimerHolds{*this}));
    due = std::min(due, expiries.next(ExpiryHolds{*this}));
    due = std::min(due, session_locks.next(SessionHolds{sessions}));
    if (!options.forward_to.empty() && slots.first_ready()) due = std::min(due, forward_at);
    return std::min(due, next_trim());
}

std::vector<std::int64_t> EntityState::take_expired_locks(std::int64_t now) {
    return locks.take_due(now, kBatch, LockHolds{*this});
}

std::vector<std::int64_t> EntityState::take_due_timers(std::int64_t now) {
    return timers.take_due(now, kBatch, TimerHolds{*this});
}

std::vector<std::int64_t> EntityState::take_expiries(std::int64_t now) {
    return expiries.take_due(now, kBatch, ExpiryHolds{*this});
}

std::vector<std::int64_t> EntityState::take_expired_sessions(std::int64_t now) {
    return session_locks.take_due(now, kBatch, SessionHolds{sessions});
}

std::int64_t EntityState::next_trim() const noexcept {
    if (!options.duplicate_window) return kForEver;
    const std::int64_t oldest = duplicates.oldest(kForEver);
    const std::int64_t window = options.duplicate_window->count();
    return oldest == kForEver ? kForEver : oldest + window + window / 8;
}

EntityCounts EntityState::counts(std::int64_t now) const {
    EntityCounts counts;
    counts.name = name;
    counts.options = options;
    counts.active = slots.count(Phase::ready);
    counts.locked = slots.count(Phase::locked) + slots.count(Phase::busy);
    counts.scheduled = slots.count(Phase::scheduled) + slots.count(Phase::postponed);
    counts.deferred = slots.count(Phase::deferred);
    counts.dead_lettered = dead_letters ? dead_letters->slots.size() : 0;
    counts.bytes = account->bytes;
    if (const auto oldest = slots.oldest_enqueued())
        counts.oldest_age = Duration(std::max<std::int64_t>(0, now - *oldest));
    counts.enqueued_per_second = enqueued.per_second(now);
    counts.completed_per_second = completed.per_second(now);
    counts.enqueued_total = enqueued.total();
    counts.completed_total = completed.total();
    counts.dead_lettered_total = dead_lettered_total;
    counts.created_at = from_millis(created);
    counts.updated_at = from_millis(updated);
    counts.accessed_at = from_millis(accessed);
    return counts;
}

}  // namespace millrace::broker
