#include "broker/guards.hpp"

namespace millrace::broker {

using asio::awaitable;

namespace {

struct Move {
    std::int64_t id;
    std::int64_t entity;
    std::int64_t sequence;
    Properties changes;
    std::string source;
};

void add_reason(Properties& properties, std::string reason, std::string description) {
    properties.insert_or_assign(kDeadLetterReason, std::move(reason));
    properties.insert_or_assign(kDeadLetterDescription, std::move(description));
}

}  // namespace

// Makes the slot busy.
Engine::Doomed Engine::exhausted_letter(EntityState& entity, std::int64_t sequence) {
    Slot& slot = *entity.slots.find(sequence);
    entity.set_phase(sequence, slot, Phase::busy);
    return {sequence,
            "MaxDeliveryCountExceeded",
            "the message was delivered " + std::to_string(slot.deliveries) + " times without being completed",
            {}};
}

// Dead-letters busy messages; over_limit where the entity that they are to go to is full. Where it fails or
// throws, those slots that are still busy are the caller's again.
awaitable<Result<void>> Engine::bury(Entity entity, std::vector<Doomed> doomed) {
    const Entity target = find(entity->options.forward_dead_letters_to);
    const bool passes_on =
        target && !target->is_dead_letter_queue && target->options.kind != EntityKind::subscription;
    std::vector<Doomed> here;
    if (!passes_on) here.swap(doomed);
    for (Doomed& one : doomed) {
        Passage passage{false, one.properties, entity->name};
        add_reason(passage.properties, one.reason, one.description);
        auto moved = co_await transfer(entity, one.sequence, target, std::move(passage));
        if (moved) {
            entity->dead_lettered_total += 1;
        } else if (moved.error().code == Errc::not_found || moved.error().code == Errc::corrupt) {
            here.push_back(std::move(one));
        } else {
            co_return moved;
        }
    }
    if (!here.empty()) co_await bury_here(std::move(entity), std::move(here));
    co_return Result<void>();
}

awaitable<void> Engine::bury_here(Entity entity, std::vector<Doomed> doomed) {
    const Entity queue = entity->dead_letters;
    const std::int64_t first = queue->next_sequence;
    std::vector<Move> moves;
    for (Doomed& one : doomed) {
        add_reason(one.properties, std::move(one.reason), std::move(one.description));
        (void)recent_.take(entity->slots.find(one.sequence)->id);  // its properties change
        moves.push_back({entity->slots.find(one.sequence)->id, queue->id, queue->next_sequence++,
                         std::move(one.properties), entity->name});
    }
    const std::int64_t next = queue->next_sequence;
    OnFailure put_back([&] {
        if (queue->next_sequence == next) queue->next_sequence = first;
    });
    const auto reserve = reserve_numbers(*queue, next - 1);
    auto work = [moves = std::move(moves), reserve](store::Connection& connection) {
        std::vector<std::int64_t> growth;
        if (reserve) rows::set_next(connection, *reserve);
        for (const Move& move : moves) {
            const rows::Merged merged = rows::merge(connection, move.id, move.changes, move.source);
            rows::move_to(connection, move.id, move.entity, move.sequence, merged);
            growth.push_back(merged.growth);
        }
        return growth;
    };
    const auto growth = co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    put_back.release();
    if (reserve) queue->reserved = std::max(queue->reserved, reserve->next);
    for (std::size_t i = 0; i < doomed.size(); ++i) {
        const std::int64_t sequence = first + static_cast<std::int64_t>(i);
        Slot& slot = move_slot(*entity, doomed[i].sequence, *queue, sequence);
        slot.expires = Slot::kForEver;
        grow(*queue, slot, growth[i]);
        queue->set_phase(sequence, slot, Phase::ready);
        entity->dead_lettered_total += 1;
    }
    dispatch(queue, 0);
}

// A copy of the slot in phase busy; the old one is gone.
Slot& Engine::move_slot(EntityState& from, std::int64_t sequence, EntityState& to,
                        std::int64_t new_sequence) {
    const Slot old = *from.slots.find(sequence);
    Slot& slot = to.slots.insert(new_sequence);
    slot = old;
    slot.phase = Phase::busy;
    slot.deferred = false;
    slot.due = 0;
    if (&from != &to) slot.session = 0;
    if (slot.session != 0) to.sessions[slot.session].messages += 1;
    if (to.lanes) to.lanes->add(new_sequence, "");
    to.account->bytes += slot.bytes;
    from.erase(sequence);
    return slot;
}

// A busy message of `from` goes into `to` as a new one, in one transaction; one whose row somebody has
// deleted is forgotten. Nothing has changed on an error. over_limit: where it would stay is full; not_found:
// `to` has been removed; corrupt: its body can't be read, so that it must not become a new message.
awaitable<Result<void>> Engine::transfer(Entity from, std::int64_t sequence, Entity to, Passage passage) {
    const std::int64_t id = from->slots.find(sequence)->id;
    auto read = [id](store::Connection& connection) { return rows::read(connection, id); };
    auto stored = co_await database_.read(std::move(read));
    if (!stored) {
        from->erase(sequence);
        co_return Result<void>();
    }
    if (!stored->body_damage.empty()) co_return Error{Errc::corrupt, std::move(stored->body_damage)};
    auto [message, origin, enqueued, damaged, body_damage] = rows::decode(std::move(*stored));
    for (auto& [name, value] : passage.properties) message.properties.insert_or_assign(name, value);
    origin.dead_letter_source = passage.dead_letter_source;
    if (passage.returns && to != from) origin.enqueued_sequence = 0;

    std::optional<Plan> plan;
    for (;;) {
        if (to->removed && to != from) co_return no_such_entity(to->name);
        plan.emplace(*this);
        if (passage.returns)
            plan->pass_on(to, message, 0, origin);
        else
            plan->route(to, message, 0, origin);
        if (!plan->pending) break;
        plan.reset();
        co_await stored_.wait();
    }
    const Leaving leaving{from->account.get(), Leaving::kWhatComes};
    if (auto room = plan->check_quotas(leaving); !room) co_return room.error();
    plan->finish();
    plan->inserts.messages.push_back(std::move(message));
    With remove_old = [id](store::Connection& connection) -> Result<void> {
        rows::remove(connection, id);
        return {};
    };
    auto moved = co_await store(*plan, std::move(remove_old));
    if (!moved) co_return moved.error();
    from->erase(sequence);
    plan->commit(std::move(*moved));
    co_return Result<void>();
}

// Deletes busy messages. Throws where nothing has changed.
awaitable<void> Engine::remove_all(Entity entity, std::vector<std::int64_t> sequences) {
    std::vector<std::int64_t> ids;
    for (const std::int64_t sequence : sequences) ids.push_back(entity->slots.find(sequence)->id);
    auto work = [ids = std::move(ids)](store::Connection& connection) {
        for (const std::int64_t id : ids) rows::remove(connection, id);
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    for (const std::int64_t sequence : sequences) entity->erase(sequence);
}

}  // namespace millrace::broker
