#include "broker/guards.hpp"

namespace millrace::broker {

using asio::awaitable;

namespace {

// After a failure of the machine.
constexpr std::int64_t kRetryMillis = 60'000;

}  // namespace

Result<EntityStatus> Engine::status(std::string_view name) const {
    const Entity entity = find(name);
    if (!entity) return no_such_entity(name);
    return status_of(*entity);
}

// Nobody receives from the subscriptions of a topic that nobody may receive from.
EntityStatus Engine::status_of(const EntityState& entity) const {
    const EntityStatus own = entity.options.status;
    if (entity.options.kind != EntityKind::subscription || !may_receive(own)) return own;
    const Entity topic = find(std::string_view(entity.name).substr(0, topic_length(entity.name)));
    return topic && !may_receive(topic->options.status) ? EntityStatus::receive_disabled : own;
}

Result<void> Engine::check_receivable(const EntityState& entity) const {
    if (may_receive(status_of(entity))) return {};
    return Error{Errc::invalid_input, "\"" + entity.name + "\" is disabled for receiving"};
}

void Engine::end_disabled_waits(EntityState& entity) {
    if (auto receivable = check_receivable(entity); !receivable) fail_waiting(entity, receivable.error());
    for (const Entity& subscription : entity.subscriptions) {
        if (auto receivable = check_receivable(*subscription); !receivable)
            fail_waiting(*subscription, receivable.error());
    }
}

// Who uses a dead-letter queue uses its entity, who uses a subscription its topic.
void Engine::touch(EntityState& entity) {
    entity.accessed = now();
    arm(entity.access_due());
    if (entity.is_dead_letter_queue) {
        if (const Entity owner = find(entity.owner)) touch(*owner);
    } else if (entity.options.kind == EntityKind::subscription) {
        const Entity topic = find(std::string_view(entity.name).substr(0, topic_length(entity.name)));
        if (topic) touch(*topic);
    }
}

/// Stores when entities were last used where that is due before or at `due`.
awaitable<void> Engine::store_accesses(std::int64_t due) {
    std::vector<std::pair<std::int64_t, std::int64_t>> accesses;
    for (const auto& [name, entity] : entities_) {
        if (entity->access_due() > due) continue;
        accesses.emplace_back(entity->id, entity->accessed);
        entity->accessed_stored = entity->accessed;
    }
    if (accesses.empty()) co_return;
    auto work = [accesses = std::move(accesses)](store::Connection& connection) {
        for (const auto& [id, accessed] : accesses)
            connection.prepare("UPDATE entity SET accessed=? WHERE id=?").bind(accessed, id).run();
        return true;
    };
    try {
        co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    } catch (const MachineError&) {
        // Only what is shown of the entity after a restart is older than it might be.
    }
}

bool Engine::is_in_use(const EntityState& entity) const {
    if (!entity.receivers.empty() || !entity.accepters.empty()) return true;
    if (entity.slots.count(Phase::locked) + entity.slots.count(Phase::busy) > 0) return true;
    if (entity.arriving > 0 || entity.session_locks.size() > 0) return true;
    if (entity.dead_letters && is_in_use(*entity.dead_letters)) return true;
    return std::any_of(entity.subscriptions.begin(), entity.subscriptions.end(),
                       [this](const Entity& subscription) { return is_in_use(*subscription); });
}

awaitable<void> Engine::remove_idle() {
    std::vector<Entity> idle;
    for (const auto& [name, entity] : entities_) {
        if (entity->idle_due() > now()) continue;
        if (is_in_use(*entity))
            touch(*entity);
        else
            idle.push_back(entity);
    }
    for (const Entity& entity : idle) {
        // It may have been used while others were removed.
        if (entity->removed || entity->idle_due() > now() || is_in_use(*entity)) continue;
        try {
            std::string name = entity->name;
            auto removed = co_await remove_entity(std::move(name));
            if (removed) continue;
        } catch (const MachineError&) {
            // It is tried again.
        }
        entity->idle_since = now() + kRetryMillis - entity->options.delete_on_idle->count();
    }
}

}  // namespace millrace::broker
