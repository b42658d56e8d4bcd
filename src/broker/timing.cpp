#include "broker/guards.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace millrace::broker {

using asio::awaitable;

namespace {

// How long what the machine refused, or what has to go into a full entity, is put off.
constexpr std::int64_t kRetryMillis = 1000;

}  // namespace

awaitable<void> Engine::tick() {
    co_await do_due();
    if (take_sweep()) co_await sweep_values();
}

awaitable<void> Engine::do_due() {
    if (ticking_) co_return;
    ticking_ = true;
    OnFailure done([this] { ticking_ = false; });
    const Operation operation(*this);
    end_waits(now());
    std::vector<Entity> entities;
    for (const auto& [name, entity] : entities_) entities.push_back(entity);
    for (const Entity& entity : entities) {
        // A batch at a time, so that work due at the same moment is not one long transaction.
        while (!entity->removed && entity->next_due() <= now()) co_await tick_entity(entity);
    }
    co_await remove_idle();
    co_await store_accesses(now());
}

awaitable<void> Engine::tick_entity(Entity entity) {
    co_await expire_locks(entity);
    co_await expire_sessions(entity);
    co_await fire_timers(entity);
    co_await expire_messages(entity);
    co_await forward_ready(entity);
    co_await trim_duplicates(entity);
}

void Engine::end_waits(std::int64_t time) {
    while (!receive_deadlines_.empty() && receive_deadlines_.begin()->first <= time) {
        Receiver& receiver = *receive_deadlines_.begin()->second;
        receiver.unlink();
        receiver.served.notify();
    }
    while (!accept_deadlines_.empty() && accept_deadlines_.begin()->first <= time) {
        Accepter& accepter = *accept_deadlines_.begin()->second;
        accepter.unlink();
        accepter.served.notify();
    }
}

// A moment may stand in its heap twice, so each of these asks again whether its message still waits for it.
awaitable<void> Engine::expire_locks(Entity entity) {
    std::vector<Doomed> doomed;
    for (const std::int64_t sequence : entity->take_expired_locks(now())) {
        const Slot& slot = *entity->slots.find(sequence);
        if (slot.phase != Phase::locked) continue;
        const std::uint32_t session = slot.session;
        end_lock(entity, sequence, doomed);
        dispatch(entity, session);
    }
    co_await bury_or_retry(std::move(entity), std::move(doomed));
}

awaitable<void> Engine::expire_sessions(Entity entity) {
    std::vector<Doomed> doomed;
    for (const std::int64_t number : entity->take_expired_sessions(now())) {
        if (!entity->sessions.contains(static_cast<std::uint32_t>(number))) continue;
        auto lost = lose_session(entity, static_cast<std::uint32_t>(number));
        std::move(lost.begin(), lost.end(), std::back_inserter(doomed));
    }
    co_await bury_or_retry(std::move(entity), std::move(doomed));
}

awaitable<void> Engine::fire_timers(Entity entity) {
    std::vector<std::int64_t> scheduled;
    for (const std::int64_t sequence : entity->take_due_timers(now())) {
        Slot& slot = *entity->slots.find(sequence);
        if (slot.phase == Phase::scheduled) {
            entity->set_phase(sequence, slot, Phase::busy);
            scheduled.push_back(sequence);
        } else if (slot.phase == Phase::postponed) {
            give_back(*entity, sequence);
            dispatch(entity, slot.session);
        }
    }
    if (scheduled.empty()) co_return;
    try {
        auto activated = co_await activate(entity, scheduled);
        if (activated) co_return;
    } catch (const MachineError&) {
        // As for a full entity.
    }
    for (const std::int64_t sequence : scheduled) {
        Slot* slot = entity->slots.find(sequence);
        if (slot == nullptr || slot->phase != Phase::busy) continue;
        slot->due = now() + kRetryMillis;
        entity->set_phase(sequence, *slot, Phase::scheduled);
        entity->add_timer(sequence, slot->due);
        arm(slot->due);
    }
}

// Scheduled messages whose time has come, busy now, enter their entity with a new number.
awaitable<Result<void>> Engine::activate(Entity entity, std::vector<std::int64_t> sequences) {
    if (entity->options.kind == EntityKind::topic || !entity->options.forward_to.empty()) {
        for (const std::int64_t sequence : sequences) {
            Passage passage;
            passage.returns = true;
            auto moved = co_await transfer(entity, sequence, entity, std::move(passage));
            if (!moved && moved.error().code == Errc::corrupt) {
                co_await bury_damaged(entity, sequence, moved.error().detail);
                continue;
            }
            if (!moved) co_return moved;
        }
        co_return Result<void>();
    }
    const std::int64_t first = entity->next_sequence;
    const std::int64_t time = now();
    entity->next_sequence += static_cast<std::int64_t>(sequences.size());
    const std::int64_t next = entity->next_sequence;
    OnFailure put_back([&] {
        if (entity->next_sequence == next) entity->next_sequence = first;
    });
    std::vector<std::int64_t> ids;
    for (const std::int64_t sequence : sequences) ids.push_back(entity->slots.find(sequence)->id);
    const auto reserve = reserve_numbers(*entity, next - 1);
    auto work = [ids, first, time, reserve](store::Connection& connection) {
        if (reserve) rows::set_next(connection, *reserve);
        std::int64_t sequence = first;
        for (const std::int64_t id : ids) rows::activate(connection, id, sequence++, time);
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    put_back.release();
    if (reserve) entity->reserved = std::max(entity->reserved, reserve->next);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        const std::int64_t sequence = first + static_cast<std::int64_t>(i);
        Slot& slot = move_slot(*entity, sequences[i], *entity, sequence);
        slot.enqueued = time;
        entity->enqueued.add(time);
        give_back(*entity, sequence);
        dispatch(entity, slot.session);
    }
    co_return Result<void>();
}

awaitable<void> Engine::expire_messages(Entity entity) {
    std::vector<std::int64_t> expired;
    for (const std::int64_t sequence : entity->take_expiries(now())) {
        Slot& slot = *entity->slots.find(sequence);
        if (slot.phase != Phase::ready && slot.phase != Phase::postponed && slot.phase != Phase::expired)
            continue;
        entity->set_phase(sequence, slot, Phase::busy);
        expired.push_back(sequence);
    }
    if (expired.empty()) co_return;
    if (entity->options.dead_letter_on_expiration) {
        std::vector<Doomed> doomed;
        for (const std::int64_t sequence : expired) {
            doomed.push_back({sequence, "TTLExpiredException", "the message outlived its time to live", {}});
        }
        co_return co_await bury_or_retry(std::move(entity), std::move(doomed));
    }
    try {
        co_await remove_all(entity, expired);
    } catch (const MachineError&) {
        retry_later(*entity, expired);
    }
}

// What an entity holds that has been told to forward since, or that was locked when it was told. It waits
// here, in its order, while the target is full.
awaitable<void> Engine::forward_ready(Entity entity) {
    if (entity->options.forward_to.empty() || entity->forward_at > now()) co_return;
    entity->forwarding = true;
    OnFailure ended([&] { entity->forwarding = false; });
    const std::vector<std::int64_t> sequences = take(*entity, 0, {EntityState::kBatch});
    try {
        for (const std::int64_t sequence : sequences) {
            Passage passage;
            passage.returns = true;
            auto moved = co_await transfer(entity, sequence, entity, std::move(passage));
            if (!moved && moved.error().code == Errc::corrupt) {
                co_await bury_damaged(entity, sequence, moved.error().detail);
                continue;
            }
            if (!moved) break;
        }
    } catch (const MachineError&) {
        // As for a full target.
    }
    for (const std::int64_t sequence : sequences) {
        const Slot* slot = entity->slots.find(sequence);
        if (slot == nullptr || slot->phase != Phase::busy) continue;
        entity->forward_at = now() + kRetryMillis;
        give_back(*entity, sequence);
    }
}

awaitable<void> Engine::trim_duplicates(Entity entity) {
    if (entity->next_trim() > now()) co_return;
    const Duplicates::Rows rows = entity->duplicates.trim(now() - entity->options.duplicate_window->count());
    if (rows.last == 0) co_return;
    auto work = [rows, id = entity->id](store::Connection& connection) {
        connection.prepare("DELETE FROM duplicate WHERE id BETWEEN ? AND ? AND entity=?")
            .bind(rows.first, rows.last, id)
            .run();
        return true;
    };
    try {
        co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    } catch (const MachineError&) {
        // The rows stay; the next start forgets them.
    }
}

// A busy message whose body can't be read would hold up all that come behind it.
awaitable<void> Engine::bury_damaged(Entity entity, std::int64_t sequence, std::string why) {
    std::vector<Doomed> doomed;
    doomed.push_back({sequence, kDamagedBody, std::move(why), {}});
    return bury_or_retry(std::move(entity), std::move(doomed));
}

awaitable<void> Engine::bury_or_retry(Entity entity, std::vector<Doomed> doomed) {
    if (doomed.empty()) co_return;
    std::vector<std::int64_t> sequences;
    for (const Doomed& one : doomed) sequences.push_back(one.sequence);
    try {
        auto buried = co_await bury(entity, std::move(doomed));
        if (buried) co_return;
    } catch (const MachineError&) {
        // As for a full entity.
    }
    retry_later(*entity, sequences);
}

// Those that are busy still get a lock that nobody holds: when it ends, what is to become of the message is
// decided again.
void Engine::retry_later(EntityState& entity, const std::vector<std::int64_t>& sequences) {
    for (const std::int64_t sequence : sequences) {
        Slot* slot = entity.slots.find(sequence);
        if (slot == nullptr || slot->phase != Phase::busy) continue;
        lock_for_nobody(entity, sequence, *slot, now() + kRetryMillis);
    }
}

// Whoever holds its session did not receive it: the end of that lock is not for this message.
void Engine::lock_for_nobody(EntityState& entity, std::int64_t sequence, Slot& slot, std::int64_t until) {
    slot.nonce = random_nonce();
    slot.due = until;
    entity.set_phase(sequence, slot, Phase::locked);
    if (slot.session != 0) entity.sessions[slot.session].locked.erase(sequence);
    entity.add_lock(sequence, until);
    arm(until);
}

std::int64_t Engine::next_due() {
    std::int64_t due = sweeping_ ? Slot::kForEver : sweep_due_;
    for (const auto& [name, entity] : entities_)
        due = std::min({due, entity->next_due(), entity->idle_due(), entity->access_due()});
    if (!receive_deadlines_.empty()) due = std::min(due, receive_deadlines_.begin()->first);
    if (!accept_deadlines_.empty()) due = std::min(due, accept_deadlines_.begin()->first);
    return due;
}

void Engine::start() {
    if (running_ || stopping_) return;
    running_ = true;
    spawn(io_, run());
}

void Engine::run_apart(awaitable<void> work) {
    auto operation = std::make_unique<Operation>(*this);
    spawn(io_, counted(std::move(operation), std::move(work)));
}

awaitable<void> Engine::counted(std::unique_ptr<Operation> operation, awaitable<void> work) {
    const auto until_the_end = std::move(operation);
    co_await std::move(work);
}

awaitable<void> Engine::run() {
    using namespace asio::experimental::awaitable_operators;
    while (!stopping_) {
        co_await do_due();
        if (stopping_) break;
        if (take_sweep()) run_apart(sweep_values());  // nothing that is due waits for it
        armed_ = next_due();
        auto due = clock_.sleep_until(from_millis(armed_));
        auto earlier = until_rearmed(armed_);
        auto either = std::move(due) || std::move(earlier);
        co_await std::move(either);
    }
    running_ = false;
    idle_.notify();
}

// Ends when something is due before `armed`, which may be the case already when this begins.
awaitable<void> Engine::until_rearmed(std::int64_t armed) {
    while (armed_ >= armed && !stopping_) co_await rearm_.wait();
}

awaitable<void> Engine::stop() {
    const bool first = !stopping_;
    stopping_ = true;
    rearm_.notify();
    const Error why{Errc::unavailable, "the queues are being stopped"};
    for (const auto& [name, entity] : entities_) fail_waiting(*entity, why);
    while (operations_ > 0 || running_) co_await idle_.wait();
    if (!first) co_return;
    co_await store_sequences();
    co_await store_accesses(Slot::kForEver - 1);
}

}  // namespace millrace::broker
