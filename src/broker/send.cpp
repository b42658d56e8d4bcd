#include "broker/guards.hpp"
#include "broker/value.hpp"

namespace millrace::broker {

using asio::awaitable;

namespace {

Error session_missing(const std::string& name) {
    return Error{Errc::invalid_input, "\"" + name + "\" requires a session id and the message has none"};
}

/// The lane in a fair queue: the tenant's, one of its own for batch work; none for neither.
std::optional<std::string> lane_of(const Message& message) {
    std::string lane(text_property(message, "priority") == "batch" ? kBatchLane : "");
    const std::string tenant = text_property(message, "tenant");
    if (lane.size() + tenant.size() <= limits::session_id_chars_max) lane += tenant;
    return lane.empty() ? std::nullopt : std::optional(std::move(lane));
}

}  // namespace

Result<void> Engine::check_target(const EntityState& entity, Message& message) {
    if (entity.is_dead_letter_queue || entity.options.kind == EntityKind::subscription) {
        return Error{Errc::invalid_input, "\"" + entity.name +
                                              "\" takes no messages from senders; send to its " +
                                              (entity.is_dead_letter_queue ? "queue" : "topic")};
    }
    if (!may_send(entity.options.status))
        return Error{Errc::invalid_input, "\"" + entity.name + "\" is disabled for sending"};
    if (entity.options.requires_session && !message.session_id) return session_missing(entity.name);
    // Stored with the message, so that its tenant is known after a restart without reading the properties.
    if (entity.options.fair && !message.session_id) message.session_id = lane_of(message);
    return {};
}

awaitable<Result<std::vector<std::int64_t>>> Engine::send_with(std::string name,
                                                               std::vector<Message> messages, With with) {
    auto sending = send(std::move(name), messages, std::move(with));
    co_return co_await std::move(sending);
}

// Takes the messages only where nothing refuses them any more, but for `with`.
awaitable<Result<std::vector<std::int64_t>>> Engine::send(std::string name, std::vector<Message>& messages,
                                                          With with) {
    const Operation operation(*this);
    auto entity = open(name);
    if (!entity) co_return entity.error();
    for (Message& message : messages) {
        if (auto checked = check_message(message, options_.message_bytes_max); !checked)
            co_return checked.error();
        if (auto checked = check_target(**entity, message); !checked) co_return checked.error();
    }
    std::optional<Plan> plan;
    std::vector<std::int64_t> sequences;
    for (;;) {
        plan.emplace(*this);
        sequences.clear();
        for (std::size_t i = 0; i < messages.size(); ++i) {
            sequences.push_back(plan->route(*entity, messages[i], i, Origin{}));
        }
        if (!plan->pending) break;
        plan.reset();
        co_await stored_.wait();
        entity = open(name);
        if (!entity) co_return entity.error();
    }
    if (auto room = plan->check_quotas(Leaving()); !room) co_return room.error();
    plan->finish();
    plan->inserts.messages = std::move(messages);
    auto stored = co_await store(*plan, std::move(with));
    if (!stored) co_return stored.error();
    touch(**entity);
    plan->commit(std::move(*stored));
    co_return sequences;
}

// Without `with` nothing can fail but the machine, so no savepoint is needed. Answers the messages.
awaitable<Result<std::vector<Message>>> Engine::store(Plan& plan, With with) {
    const store::Undo undo = with ? store::Undo::savepoint : store::Undo::none;
    auto work = [inserts = std::move(plan.inserts), with = std::move(with)](
                    store::Connection& connection) mutable -> Result<std::vector<Message>> {
        inserts.apply(connection);
        if (with) {
            if (auto done = with(connection); !done) return done.error();
        }
        return std::move(inserts.messages);
    };
    return database_.write(std::move(work), store::Sync::durable, undo);
}

awaitable<Result<void>> Engine::cancel_scheduled(std::string name, std::vector<std::int64_t> sequences) {
    const Operation operation(*this);
    auto entity = open(name);
    if (!entity) co_return entity.error();
    EntityState& queue = **entity;
    std::sort(sequences.begin(), sequences.end());
    sequences.erase(std::unique(sequences.begin(), sequences.end()), sequences.end());
    std::vector<std::int64_t> ids;
    for (const std::int64_t sequence : sequences) {
        const Slot* slot = queue.slots.find(sequence);
        if (slot == nullptr || slot->phase != Phase::scheduled) {
            co_return Error{Errc::not_found, "no scheduled message has number " + std::to_string(sequence)};
        }
        ids.push_back(slot->id);
    }
    for (const std::int64_t sequence : sequences)
        queue.set_phase(sequence, *queue.slots.find(sequence), Phase::busy);
    OnFailure put_back([&] {
        for (const std::int64_t sequence : sequences) {
            Slot& slot = *queue.slots.find(sequence);
            queue.set_phase(sequence, slot, Phase::scheduled);
            queue.add_timer(sequence, slot.due);
            arm(slot.due);
        }
    });
    auto work = [ids = std::move(ids)](store::Connection& connection) {
        for (const std::int64_t id : ids) rows::remove(connection, id);
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    put_back.release();
    for (const std::int64_t sequence : sequences) queue.erase(sequence);
    co_return Result<void>();
}

}  // namespace millrace::broker
