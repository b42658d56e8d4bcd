#include "broker/body.hpp"
#include "broker/guards.hpp"

#include <boost/asio/this_coro.hpp>

namespace millrace::broker {

using asio::awaitable;

namespace {

struct Row {
    std::int64_t id;
    int deliveries;
    bool read;  ///< its content is not known in memory
};

using Rows = boost::container::small_vector<Row, 1>;  // most receives take one
using Stored = std::vector<std::optional<rows::StoredMessage>>;

Stored read_and_count(store::Connection& connection, const Rows& wanted) {
    Stored stored;
    for (const Row& one : wanted) {
        rows::set_deliveries(connection, one.id, one.deliveries, std::nullopt);
        if (one.read) stored.push_back(rows::read(connection, one.id));
    }
    return stored;
}

/// Leaves what has no readable body where it is, but for `damaged_too`.
Stored read_and_remove(store::Connection& connection, const Rows& wanted, bool damaged_too) {
    Stored stored;
    for (const Row& one : wanted) {
        if (one.read) stored.push_back(rows::read(connection, one.id));
        const bool damaged = one.read && stored.back() && !stored.back()->body_damage.empty();
        if (!damaged || damaged_too) rows::remove(connection, one.id);
    }
    return stored;
}

using Read = std::vector<std::optional<Content>>;

Read read_all(store::Connection& connection, const std::vector<std::int64_t>& ids) {
    Read contents;
    for (const std::int64_t id : ids) {
        auto stored = rows::read(connection, id);
        auto& content = contents.emplace_back();
        if (stored) content = rows::decode(std::move(*stored));
    }
    return contents;
}

constexpr std::size_t kBodiesReadMax = 32 * limits::kMiB;  // for what is in front of them

/// Without the bodies, of which one at a time is in memory: as many of the messages as `bytes_max` bytes
/// hold, the first in any case.
Read read_heads(store::Connection& connection, const std::vector<std::int64_t>& ids, std::size_t bytes_max) {
    Read contents;
    std::size_t kept = 0;
    std::size_t passed = 0;
    for (const std::int64_t id : ids) {
        auto stored = rows::read_without_body(connection, id);
        if (!stored) {
            contents.emplace_back();
            continue;
        }
        const bool first = kept == 0;
        kept += sizeof(Content) + stored->message_id.size() + stored->properties.size();
        Content content = rows::decode(std::move(*stored));
        if (content.message.body_format == kAmqpSections) {
            const std::string body = rows::read_body(connection, id);
            content.message.body = sections_before_body(body);
            kept += content.message.body.size();
            passed += body.size();
        }
        if (!first && (kept > bytes_max || passed > kBodiesReadMax)) break;
        contents.push_back(std::move(content));
    }
    return contents;
}

/// Fills the gaps of `contents`, in order, with `stored`; a row that is missing leaves its gap.
void fill_gaps(std::vector<std::unique_ptr<Content>>& contents, Stored stored) {
    auto next = stored.begin();
    for (auto& content : contents) {
        if (content) continue;
        if (*next) content = std::make_unique<Content>(rows::decode(std::move(**next)));
        ++next;
    }
}

State state_of(const Slot& slot) {
    if (slot.phase == Phase::deferred || slot.deferred) return State::deferred;
    return slot.phase == Phase::scheduled ? State::scheduled : State::active;
}

Error no_deferred(std::int64_t sequence) {
    return Error{Errc::not_found, "no deferred message has number " + std::to_string(sequence)};
}

Error too_much(std::size_t bytes_max) {
    return Error{Errc::invalid_input, "the messages are together larger than " + std::to_string(bytes_max) +
                                          " bytes; ask for fewer at once"};
}

}  // namespace

/// The session that `token` holds; 0 for an entity without sessions.
Result<std::uint32_t> Engine::session_for(EntityState& entity, const Uuid& token) {
    if (!entity.options.requires_session) {
        if (token.is_nil()) return std::uint32_t{0};
        return Error{Errc::invalid_input, "\"" + entity.name + "\" has no sessions"};
    }
    if (token.is_nil()) {
        return Error{Errc::invalid_input,
                     "\"" + entity.name + "\" has sessions: accept one and receive from it"};
    }
    if (session_of(entity, token) == nullptr) return lock_lost();
    return static_cast<std::uint32_t>(number_of(token));
}

awaitable<Result<std::vector<Delivery>>> Engine::receive(std::string name, ReceiveOptions options) {
    const Operation operation(*this);
    auto entity = open(name);
    if (!entity) co_return entity.error();
    if ((*entity)->options.kind == EntityKind::topic || !(*entity)->options.forward_to.empty()) {
        co_return Error{Errc::invalid_input,
                        "\"" + name + "\" passes its messages on; receive where they go"};
    }
    if (auto receivable = check_receivable(**entity); !receivable) co_return receivable.error();
    auto session = session_for(**entity, options.session);
    if (!session) co_return session.error();
    touch(**entity);
    options.messages_max = std::min(options.messages_max, limits::receive_batch_max);

    Taken taken(*this, *entity, *session);
    taken.sequences = take(**entity, *session, {options.messages_max, options.bytes_max, options.lanes});
    if (taken.sequences.empty() && options.wait > Duration::zero() && options.messages_max > 0) {
        Receiver receiver(*this, *entity, *session, options);
        co_await receiver.served.wait();
        if (receiver.failure) co_return *receiver.failure;
        std::swap(taken.sequences, receiver.taken.sequences);
    }
    if (taken.sequences.empty()) co_return std::vector<Delivery>();
    touch(**entity);
    co_return co_await hand_out(std::move(taken), options.mode);
}

awaitable<Result<std::vector<Delivery>>> Engine::hand_out(Taken taken, ReceiveMode mode) {
    const std::size_t count = taken.sequences.size();
    Rows wanted;
    Contents contents;
    wanted.reserve(count);
    contents.reserve(count);
    for (const std::int64_t sequence : taken.sequences) {
        const Slot& slot = *taken.entity().slots.find(sequence);
        contents.push_back(recent_.take(slot.id));
        wanted.push_back({slot.id, std::min(slot.deliveries + 1, 0xffff), !contents.back()});
    }
    const bool remove = mode == ReceiveMode::receive_and_delete;
    const bool flush = remove || options_.strict_delivery_counts;
    const bool letters = taken.entity().is_dead_letter_queue;
    auto work = [wanted = std::move(wanted), remove, letters](store::Connection& connection) {
        return remove ? read_and_remove(connection, wanted, letters) : read_and_count(connection, wanted);
    };
    auto stored = co_await database_.write(
        std::move(work), flush ? store::Sync::durable : store::Sync::written, store::Undo::none);
    const auto state = co_await asio::this_coro::cancellation_state;
    const bool cancelled = state.cancelled() != asio::cancellation_type::none;
    if (!remove && (cancelled || !taken.session_holds())) {
        run_apart(undo_hand_out(std::move(taken)));
        if (cancelled) co_return std::vector<Delivery>();
        co_return lock_lost();
    }
    fill_gaps(contents, std::move(stored));
    co_return deliver(taken, remove, contents);
}

// What cannot be handed out as it was sent goes to the dead letters; a row that somebody else has deleted is
// forgotten.
std::vector<Delivery> Engine::deliver(Taken& taken, bool remove, Contents& contents) {
    EntityState& entity = taken.entity();
    std::vector<Delivery> deliveries;
    std::vector<Doomed> damaged;
    deliveries.reserve(contents.size());
    const std::vector<std::int64_t> sequences = std::exchange(taken.sequences, {});
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        const std::int64_t sequence = sequences[i];
        if (!contents[i]) {
            entity.erase(sequence);
        } else if (!contents[i]->body_damage.empty() && !entity.is_dead_letter_queue) {
            damaged.push_back({sequence, kDamagedBody, contents[i]->body_damage, {}});
        } else if (remove) {
            fill(deliveries.emplace_back(), entity, sequence, *entity.slots.find(sequence), *contents[i]);
            entity.erase(sequence);
            entity.completed.add(now());
        } else if (contents[i]->damaged && !entity.is_dead_letter_queue) {
            damaged.push_back({sequence, "DamagedProperties", "the stored properties are not readable", {}});
        } else {
            lock(deliveries.emplace_back(), taken, sequence, *contents[i]);
        }
    }
    if (!damaged.empty()) run_apart(bury_or_retry(taken.shared_entity(), std::move(damaged)));
    return deliveries;
}

// The receiver has gone, or its session was lost, while its delivery was written: as if it had not happened.
awaitable<void> Engine::undo_hand_out(Taken taken) {
    std::vector<std::pair<std::int64_t, int>> counts;
    for (const std::int64_t sequence : taken.sequences) {
        const Slot& slot = *taken.entity().slots.find(sequence);
        counts.emplace_back(slot.id, slot.deliveries);
    }
    auto work = [counts = std::move(counts)](store::Connection& connection) {
        for (const auto& [id, count] : counts) rows::set_deliveries(connection, id, count, std::nullopt);
        return true;
    };
    try {
        co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    } catch (const MachineError&) {
        for (const std::int64_t sequence : taken.sequences) {
            taken.entity().slots.find(sequence)->deliveries += 1;
        }
    }
}

void Engine::lock(Delivery& delivery, const Taken& taken, std::int64_t sequence, Content& content) {
    EntityState& entity = taken.entity();
    Slot& slot = *entity.slots.find(sequence);
    fill(delivery, entity, sequence, slot, content);
    slot.deliveries = static_cast<std::uint16_t>(std::min(slot.deliveries + 1, 0xffff));
    slot.nonce = random_nonce();
    slot.due = now() + entity.options.lock_time.count();
    entity.set_phase(sequence, slot, Phase::locked);
    if (taken.session() == 0) {
        entity.add_lock(sequence, slot.due);
        arm(slot.due);
    } else {
        slot.due = entity.sessions[taken.session()].locked_until;
    }
    delivery.locked_until = from_millis(slot.due);
    delivery.lock_token = make_token(sequence, slot.nonce);
}

// Moves `content` into `delivery`.
void Engine::fill(Delivery& delivery, const EntityState& entity, std::int64_t sequence, const Slot& slot,
                  Content& content) {
    delivery.message = std::move(content.message);
    delivery.entity = entity.name;
    delivery.sequence = sequence;
    delivery.enqueued_at = from_millis(content.enqueued);
    if (slot.expires != Slot::kForEver) delivery.expires_at = from_millis(slot.expires);
    delivery.delivery_count = slot.deliveries;
    delivery.state = state_of(slot);
    const std::int64_t enqueued_sequence = content.origin.enqueued_sequence;
    delivery.enqueued_sequence = enqueued_sequence == 0 ? sequence : enqueued_sequence;
    delivery.dead_letter_source = std::move(content.origin.dead_letter_source);
    if (content.body_damage.empty()) return;
    // It must not look like an empty message.
    delivery.message.properties.insert_or_assign(kDeadLetterReason, std::string(kDamagedBody));
    delivery.message.properties.insert_or_assign(kDeadLetterDescription, std::move(content.body_damage));
}

awaitable<Result<std::vector<Delivery>>> Engine::receive_deferred(std::string name,
                                                                  std::vector<std::int64_t> sequences,
                                                                  ReceiveOptions options) {
    const Operation operation(*this);
    auto opened = open(name);
    if (!opened) co_return opened.error();
    EntityState& entity = **opened;
    if (auto receivable = check_receivable(entity); !receivable) co_return receivable.error();
    auto session = session_for(entity, options.session);
    if (!session) co_return session.error();
    touch(entity);
    Taken taken(*this, *opened, *session);
    std::size_t bytes = 0;
    for (const std::int64_t sequence : sequences) {
        Slot* slot = entity.slots.find(sequence);
        if (slot == nullptr || slot->phase != Phase::deferred || slot->session != *session) {
            co_return no_deferred(sequence);
        }
        bytes += slot->bytes;
        if (bytes > options.bytes_max && !taken.sequences.empty()) co_return too_much(options.bytes_max);
        slot->deferred = true;
        entity.set_phase(sequence, *slot, Phase::busy);
        taken.sequences.push_back(sequence);
    }
    if (sequences.empty()) co_return std::vector<Delivery>();
    co_return co_await hand_out(std::move(taken), options.mode);
}

awaitable<Result<std::vector<Delivery>>> Engine::peek(std::string name, PeekOptions options) {
    const Operation operation(*this);
    auto opened = open(name);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    const auto& session_id = options.session_id;
    if (session_id && !entity->options.requires_session)
        co_return Error{Errc::invalid_input, "\"" + entity->name + "\" has no sessions"};
    const std::size_t messages_max = std::min(options.messages_max, limits::receive_batch_max);
    std::vector<Delivery> deliveries;
    // Once more if all that was seen has gone before it could be read.
    while (deliveries.empty() && messages_max > 0) {
        std::vector<std::pair<std::int64_t, Slot>> seen;
        std::vector<std::int64_t> ids;
        std::size_t bytes = 0;
        const auto session = session_id ? entity->sessions.find(*session_id) : std::nullopt;
        if (session_id && !session) break;
        entity->slots.each(options.from, [&](std::int64_t sequence, const Slot& slot) {
            if (session && slot.session != *session) return true;
            bytes += options.bodies ? slot.bytes : 0;
            if (!seen.empty() && bytes > options.bytes_max) return false;
            seen.emplace_back(sequence, slot);
            ids.push_back(slot.id);
            return seen.size() < messages_max;
        });
        if (seen.empty()) break;
        options.from = seen.back().first + 1;
        auto work = [ids = std::move(ids), whole = options.bodies,
                     most = options.bytes_max](store::Connection& connection) {
            return whole ? read_all(connection, ids) : read_heads(connection, ids, most);
        };
        auto contents = co_await database_.read(std::move(work));
        for (std::size_t i = 0; i < contents.size(); ++i) {
            if (!contents[i]) continue;
            fill(deliveries.emplace_back(), *entity, seen[i].first, seen[i].second, *contents[i]);
        }
    }
    co_return deliveries;
}

}  // namespace millrace::broker
