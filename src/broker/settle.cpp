#include "base/utf8.hpp"
#include "broker/guards.hpp"

namespace millrace::broker {

using asio::awaitable;

namespace {

constexpr std::optional<State> kSameState;
constexpr std::optional<State> kDeferred = State::deferred;

Error too_many_properties() {
    return Error{Errc::invalid_input, "the message's properties would be larger than 64 KiB"};
}

std::string shortened(std::string text) {
    text.resize(first_characters(text, limits::dead_letter_text_chars_max).size());
    return text;
}

}  // namespace

Engine::Held::Held(Engine& engine, Entity entity, std::int64_t sequence, Slot& slot)
    : engine_(&engine),
      entity_(std::move(entity)),
      sequence_(sequence),
      slot_(&slot),
      session_nonce_(slot.session == 0 ? 0 : entity_->sessions[slot.session].nonce) {
    entity_->set_phase(sequence, slot, Phase::busy);
}

// The settlement failed. If the session's lock was lost meanwhile the message goes back without its holder.
Engine::Held::~Held() {
    if (slot_ == nullptr) return;
    const bool session_lost =
        slot_->session != 0 && entity_->sessions[slot_->session].nonce != session_nonce_;
    if (session_lost) {
        engine_->lock_for_nobody(*entity_, sequence_, *slot_, engine_->now());
        return;
    }
    entity_->set_phase(sequence_, *slot_, Phase::locked);
    if (slot_->session != 0) return;
    entity_->add_lock(sequence_, slot_->due);
    engine_->arm(slot_->due);
}

Result<Engine::Held> Engine::hold(const LockRef& lock) {
    auto entity = open(lock.entity);
    if (!entity) return entity.error();
    const std::int64_t sequence = number_of(lock.token);
    Slot* slot = (*entity)->slots.find(sequence);
    if (slot == nullptr || slot->phase != Phase::locked || slot->nonce != nonce_of(lock.token))
        return lock_lost();
    const std::int64_t until =
        slot->session == 0 ? slot->due : (*entity)->sessions[slot->session].locked_until;
    if (until <= now()) return lock_lost();
    touch(**entity);
    return Held(*this, *entity, sequence, *slot);
}

Result<TimePoint> Engine::renew(const LockRef& lock) {
    auto held = hold(lock);
    if (!held) return held.error();
    EntityState& entity = held->entity();
    Slot& slot = held->slot();
    const std::int64_t until = now() + entity.options.lock_time.count();
    slot.due = until;
    if (slot.session == 0) return from_millis(until);  // `held` locks it again, until then
    Session& session = entity.sessions[slot.session];
    session.locked_until = until;
    entity.add_session_lock(slot.session, until);
    arm(until);
    return from_millis(until);
}

awaitable<Result<void>> Engine::complete(LockRef lock) {
    const Operation operation(*this);
    auto held = hold(lock);
    if (!held) co_return held.error();
    auto work = [id = held->slot().id](store::Connection& connection) {
        rows::remove(connection, id);
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    finish(*held);
    co_return Result<void>();
}

awaitable<std::vector<Result<void>>> Engine::complete_each(std::vector<LockRef> locks) {
    const Operation operation(*this);
    std::vector<Result<void>> answers;
    std::vector<Held> all;
    std::vector<std::int64_t> ids;
    answers.reserve(locks.size());
    all.reserve(locks.size());
    ids.reserve(locks.size());
    for (const LockRef& lock : locks) {
        auto held = hold(lock);
        if (!held) {
            answers.emplace_back(held.error());
            continue;
        }
        answers.emplace_back();
        ids.push_back(held->slot().id);
        all.push_back(std::move(*held));
    }
    if (all.empty()) co_return answers;
    auto work = [ids = std::move(ids)](store::Connection& connection) {
        for (const std::int64_t id : ids) rows::remove(connection, id);
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    for (Held& held : all) finish(held);
    co_return answers;
}

void Engine::finish(Held& held) {
    held.release();
    held.entity().erase(held.sequence());
    held.entity().completed.add(now());
}

awaitable<Result<void>> Engine::complete_with(LockRef lock,
                                              std::vector<std::pair<std::string, Message>> follow_ups,
                                              With with) {
    const Operation operation(*this);
    std::vector<Message> messages;
    std::vector<Entity> targets;
    for (auto& [name, message] : follow_ups) {
        auto target = open(name);
        if (!target) co_return target.error();
        if (auto checked = check_message(message, options_.message_bytes_max); !checked)
            co_return checked.error();
        if (auto checked = check_target(**target, message); !checked) co_return checked.error();
        targets.push_back(*target);
        messages.push_back(std::move(message));
    }
    auto held = hold(lock);
    if (!held) co_return held.error();
    std::optional<Plan> plan;
    for (;;) {
        plan.emplace(*this);
        for (std::size_t i = 0; i < messages.size(); ++i) plan->route(targets[i], messages[i], i, Origin{});
        if (!plan->pending) break;
        plan.reset();
        co_await stored_.wait();
    }
    const Leaving leaving{held->entity().account.get(), held->slot().bytes};
    if (auto room = plan->check_quotas(leaving); !room) co_return room.error();
    plan->finish();
    plan->inserts.messages = std::move(messages);
    auto finish_with = [id = held->slot().id,
                        with = std::move(with)](store::Connection& connection) -> Result<void> {
        rows::remove(connection, id);
        return with ? with(connection) : Result<void>();
    };
    With work = std::move(finish_with);
    auto stored = co_await store(*plan, std::move(work));
    if (!stored) co_return stored.error();
    finish(*held);
    plan->commit(std::move(*stored));
    co_return Result<void>();
}

/// Merges `properties` into the stored ones and sets the state, if given, in one transaction.
awaitable<Result<void>> Engine::merge_properties(const Held& held, Properties properties,
                                                 std::optional<State> state) {
    auto work = [id = held.slot().id, properties = std::move(properties),
                 state](store::Connection& connection) -> Result<std::int64_t> {
        std::int64_t growth = 0;
        if (!properties.empty()) {
            const rows::Merged merged = rows::merge(connection, id, properties, {});
            if (merged.properties.size() >
                limits::properties_bytes_max + limits::dead_letter_text_chars_max) {
                return too_many_properties();
            }
            rows::set_properties(connection, id, merged);
            growth = merged.growth;
        }
        if (state) rows::set_state(connection, id, *state);
        return growth;
    };
    const auto growth = co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    if (!growth) co_return growth.error();
    grow(held.entity(), held.slot(), *growth);
    co_return Result<void>();
}

void Engine::grow(EntityState& entity, Slot& slot, std::int64_t bytes) {
    slot.bytes = static_cast<std::uint32_t>(slot.bytes + bytes);
    entity.account->bytes =
        static_cast<std::uint64_t>(static_cast<std::int64_t>(entity.account->bytes) + bytes);
}

// Without properties nothing has to be written: the count was, before the message was handed out.
awaitable<Result<void>> Engine::abandon(LockRef lock, Properties properties) {
    const Operation operation(*this);
    auto held = hold(lock);
    if (!held) co_return held.error();
    const Entity entity = held->shared_entity();
    if (!entity->may_be_delivered_again(held->slot())) {
        Doomed doomed = exhausted_letter(*entity, held->sequence());
        doomed.properties = std::move(properties);
        co_return co_await bury_held(std::move(*held), std::move(doomed));
    }
    if (!properties.empty()) {
        auto merged = co_await merge_properties(*held, std::move(properties), kSameState);
        if (!merged) co_return merged;
    }
    const std::uint32_t session = held->slot().session;
    held->release();
    give_back(*entity, held->sequence());
    dispatch(entity, session);
    co_return Result<void>();
}

awaitable<Result<void>> Engine::defer(LockRef lock, Properties properties) {
    const Operation operation(*this);
    auto held = hold(lock);
    if (!held) co_return held.error();
    auto stored = co_await merge_properties(*held, std::move(properties), kDeferred);
    if (!stored) co_return stored;
    Slot& slot = held->slot();
    held->release();
    slot.deferred = false;
    held->entity().set_phase(held->sequence(), slot, Phase::deferred);
    co_return stored;
}

awaitable<Result<void>> Engine::dead_letter(LockRef lock, std::string reason, std::string description,
                                            Properties properties) {
    const Operation operation(*this);
    if (encoded_size(properties) > limits::properties_bytes_max) co_return too_many_properties();
    auto held = hold(lock);
    if (!held) co_return held.error();
    if (held->entity().is_dead_letter_queue) {
        co_return Error{Errc::invalid_input,
                        "a dead letter cannot be dead-lettered again; complete or redrive it"};
    }
    Doomed doomed{held->sequence(), shortened(std::move(reason)), shortened(std::move(description)),
                  std::move(properties)};
    co_return co_await bury_held(std::move(*held), std::move(doomed));
}

awaitable<Result<void>> Engine::bury_held(Held held, Doomed doomed) {
    std::vector<Doomed> letters;
    letters.push_back(std::move(doomed));
    auto buried = co_await bury(held.shared_entity(), std::move(letters));
    if (buried) held.release();
    co_return buried;
}

// A delivery that is not to count was written when the message was handed out.
awaitable<Result<void>> Engine::postpone(LockRef lock, Duration delay, bool spends_delivery) {
    const Operation operation(*this);
    auto held = hold(lock);
    if (!held) co_return held.error();
    Slot& slot = held->slot();
    if (spends_delivery && !held->entity().may_be_delivered_again(slot)) {
        Doomed doomed = exhausted_letter(held->entity(), held->sequence());
        co_return co_await bury_held(std::move(*held), std::move(doomed));
    }
    const int deliveries = slot.deliveries - (spends_delivery ? 0 : 1);
    const std::int64_t ready_at = delay > Duration::zero() ? after(now(), delay) : 0;
    auto work = [id = slot.id, deliveries, ready_at](store::Connection& connection) {
        rows::set_deliveries(connection, id, deliveries, ready_at);
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    const std::uint32_t session = slot.session;
    const Entity entity = held->shared_entity();
    held->release();
    slot.deliveries = static_cast<std::uint16_t>(deliveries);
    if (ready_at > now() && !slot.deferred) {
        slot.due = ready_at;
        entity->set_phase(held->sequence(), slot, Phase::postponed);
        entity->add_timer(held->sequence(), ready_at);
        entity->add_expiry(held->sequence(), slot.expires);
        arm(std::min(ready_at, slot.expires));
    } else {
        give_back(*entity, held->sequence());
        dispatch(entity, session);
    }
    co_return Result<void>();
}

}  // namespace millrace::broker
