#include "broker/guards.hpp"

namespace millrace::broker {

namespace {

// Numbers are stored ahead in ranges of this size, so that only one send in so many writes the sequence's
// row.
constexpr std::int64_t kReserve = 4096;

std::size_t id_bytes(const Message& message) {
    return message.message_id.size() + (message.session_id ? message.session_id->size() : 0);
}

Message without_body(const Message& message) {
    Message copy;
    copy.message_id = message.message_id;
    copy.session_id = message.session_id;
    copy.correlation_id = message.correlation_id;
    copy.subject = message.subject;
    copy.content_type = message.content_type;
    copy.to = message.to;
    copy.reply_to = message.reply_to;
    copy.reply_to_session_id = message.reply_to_session_id;
    copy.partition_key = message.partition_key;
    copy.time_to_live = message.time_to_live;
    copy.scheduled_at = message.scheduled_at;
    copy.properties = message.properties;
    copy.body_format = message.body_format;
    return copy;
}

}  // namespace

Engine::Plan::~Plan() {
    for (const Arrival& arrival : arrivals_) arrival.entity->arriving -= arrival.scheduled ? 0 : 1;
    if (committed_) return;
    for (auto arrival = arrivals_.rbegin(); arrival != arrivals_.rend(); ++arrival) {
        arrival->entity->account->bytes -= arrival->slot.bytes;
        if (arrival->slot.session == 0) continue;
        arrival->entity->sessions[arrival->slot.session].messages -= 1;
        arrival->entity->sessions.update(arrival->slot.session);
    }
    settle_remembered(false);
    // The numbers go back unless somebody has taken later ones: then they stay unused.
    for (auto taken = numbers_.rbegin(); taken != numbers_.rend(); ++taken) {
        auto& [entity, number] = *taken;
        if (entity->next_sequence == number + 1) entity->next_sequence = number;
    }
    engine_.stored_.notify();
}

std::int64_t Engine::Plan::route(const Entity& entity, const Message& message, std::size_t index,
                                 const Origin& origin) {
    budget_ = {limits::sql_steps_max};
    return enter(entity,
                 Step{message, index, origin, 0, false, message.time_to_live, message.body.size(), {}});
}

std::int64_t Engine::Plan::pass_on(const Entity& entity, const Message& message, std::size_t index,
                                   const Origin& origin) {
    budget_ = {limits::sql_steps_max};
    const std::int64_t sequence = entity->next_sequence++;
    numbers_.emplace_back(entity, sequence);
    forward(entity, sequence,
            Step{message, index, origin, 0, true, message.time_to_live, message.body.size(), {}});
    return sequence;
}

bool Engine::Plan::waits(const Step& step) const {
    return !step.due && step.message.scheduled_at && to_millis(*step.message.scheduled_at) > now_;
}

// A message that is held back counts its hops anew when it goes on. One that has been forwarded before may be
// on a circle: it is held back only where the way from here comes to an end.
bool Engine::Plan::is_held_back(const Entity& entity, const Step& step) const {
    if (!entity->holds_back()) return false;
    Entity next = entity;
    for (int hops = step.hops; hops > 0 && hops <= limits::forward_hops_max; ++hops) {
        if (next->options.forward_to.empty()) return next->options.kind != EntityKind::topic;
        next = engine_.find(next->options.forward_to);
        if (!next) return true;
    }
    return step.hops == 0;
}

std::int64_t Engine::Plan::enter(const Entity& entity, Step step) {
    const bool is_copy = entity->options.kind == EntityKind::subscription;
    if (!is_copy && !may_send(entity->options.status)) refused_ = entity;
    if (is_duplicate(entity, step.message)) return 0;
    const std::int64_t sequence = entity->next_sequence++;
    numbers_.emplace_back(entity, sequence);
    if (waits(step) || is_held_back(entity, step)) {
        place(entity, sequence, step, encode_properties(step.message, step.origin));
        return sequence;
    }
    forward(entity, sequence, std::move(step));
    return sequence;
}

// From `entity`, where the message has number `sequence`, to where it stays.
void Engine::Plan::forward(const Entity& entity, std::int64_t sequence, Step step) {
    const bool passes_on = entity->options.kind == EntityKind::topic || !entity->options.forward_to.empty();
    if (!passes_on) {
        if (entity->options.requires_session && !step.message.session_id) {
            return bury(entity, std::move(step), "Session ID is null",
                        "the entity requires a session id and the message has none");
        }
        return place(entity, sequence, step, encode_properties(step.message, step.origin));
    }
    if (step.origin.enqueued_sequence == 0) step.origin.enqueued_sequence = sequence;
    if (entity->options.kind == EntityKind::topic) {
        const auto& bound = entity->options.time_to_live;
        if (bound && (!step.time_to_live || *bound < *step.time_to_live)) step.time_to_live = bound;
        return distribute(entity, sequence, step);
    }
    const Entity target = engine_.find(entity->options.forward_to);
    if (!target || target->options.kind == EntityKind::subscription || target->is_dead_letter_queue) {
        return bury(entity, std::move(step), "ForwardTargetNotFound",
                    "there is no queue or topic \"" + entity->options.forward_to + "\" to forward to");
    }
    if (step.hops == limits::forward_hops_max) {
        return bury(entity, std::move(step), "MaxTransferHopCountExceeded",
                    "the message was forwarded 4 times and the next entity forwards it again");
    }
    if (target->options.requires_session && !step.message.session_id) {
        return bury(entity, std::move(step), "Session ID is null",
                    "\"" + target->name + "\" requires a session id and the message has none");
    }
    step.hops += 1;
    enter(target, std::move(step));
}

// Rules without an action give a subscription one copy together, each other one gives it a copy of its own.
void Engine::Plan::distribute(const Entity& topic, std::int64_t sequence, const Step& step) {
    const sql::Arriving arriving{step.message, sequence, from_millis(now_), step.body_bytes};
    for (const Entity& subscription : topic->subscriptions) {
        bool has_copy = false;
        std::string trouble;
        for (const CompiledRule& rule : subscription->rules) {
            if (has_copy && !rule.has_action()) continue;
            const auto taken = rule.takes(arriving, budget_);
            if (!taken) trouble = taken.error().detail;
            if (!taken || !*taken) continue;
            if (!rule.has_action()) {
                has_copy = true;
                enter(subscription, step);
                continue;
            }
            Message& copy = copies_.emplace_back(without_body(step.message));
            if (auto changed = rule.change(arriving, copy, budget_); changed) {
                enter(subscription, Step{copy, step.index, step.origin, step.hops, step.due,
                                         step.time_to_live, step.body_bytes, copies_.size() - 1});
            } else {
                trouble = changed.error().detail;
                copies_.pop_back();
            }
        }
        if (!trouble.empty() && subscription->options.dead_letter_on_filter_error)
            bury(subscription, step, "FilterEvaluationException", trouble);
    }
}

void Engine::Plan::bury(const Entity& entity, Step step, const char* reason, const std::string& description) {
    const Entity& queue = entity->dead_letters;
    Message buried = without_body(step.message);
    buried.properties.insert_or_assign(kDeadLetterReason, std::string(reason));
    buried.properties.insert_or_assign(kDeadLetterDescription, description);
    step.origin.dead_letter_source = entity->name;
    const std::int64_t sequence = queue->next_sequence++;
    numbers_.emplace_back(queue, sequence);
    entity->dead_lettered_total += 1;
    place(queue, sequence, step, encode_properties(buried, step.origin));
}

void Engine::Plan::place(const Entity& entity, std::int64_t sequence, const Step& step,
                         const std::string& properties) {
    Arrival arrival{entity, sequence, Slot{}, false, step.index, step.origin};
    Slot& slot = arrival.slot;
    const auto& scheduled = step.message.scheduled_at;
    arrival.scheduled = waits(step);
    slot.id = engine_.next_message_++;
    slot.enqueued = now_;
    slot.due = arrival.scheduled ? to_millis(*scheduled) : 0;
    slot.expires = entity->expiry(arrival.scheduled ? slot.due : now_, step.time_to_live);
    slot.bytes = static_cast<std::uint32_t>(step.body_bytes + id_bytes(step.message) + properties.size());
    if (entity->options.requires_session && step.message.session_id) {
        slot.session = entity->sessions.intern(*step.message.session_id);
        entity->sessions[slot.session].messages += 1;
    }
    if (entity->lanes) arrival.lane = step.message.session_id.value_or("");
    entity->account->bytes += slot.bytes;
    entity->arriving += arrival.scheduled ? 0 : 1;

    rows::NewMessage row;
    row.message = step.index;
    row.changed = step.changed;
    row.id = slot.id;
    row.entity = entity->id;
    row.sequence = sequence;
    row.state = arrival.scheduled ? State::scheduled : State::active;
    row.enqueued = now_;
    if (scheduled) row.scheduled = to_millis(*scheduled);
    if (slot.expires != Slot::kForEver) row.expires = slot.expires;
    row.bytes = slot.bytes;
    row.properties = properties;
    inserts.rows.push_back(std::move(row));
    arrivals_.push_back(std::move(arrival));
}

// A message id that this plan itself has brought counts as known: the first of two equal messages of a send
// wins.
bool Engine::Plan::is_duplicate(const Entity& entity, const Message& message) {
    if (!entity->options.duplicate_window) return false;
    const auto& [known, row] =
        entity->duplicates.look(message.message_id, now_, entity->options.duplicate_window->count());
    if (known == Duplicates::Known::yes) return true;
    if (known == Duplicates::Known::pending) {
        if (row < first_duplicate_) pending = true;
        return true;
    }
    entity->duplicates.remember(message.message_id, engine_.next_duplicate_, now_, true);
    remembered_.emplace_back(entity, message.message_id);
    inserts.duplicates.push_back({engine_.next_duplicate_, entity->id, now_, message.message_id});
    engine_.next_duplicate_ += 1;
    return false;
}

Result<void> Engine::Plan::check_quotas(const Leaving& leaving) const {
    if (refused_) {
        return Error{Errc::over_limit, "entity \"" + refused_->name +
                                           "\" is disabled for sending, so nothing can be forwarded to it; "
                                           "try again later"};
    }
    for (const Arrival& arrival : arrivals_) {
        const EntityState& entity = *arrival.entity;
        const std::uint64_t bytes = entity.account->bytes;
        const std::uint64_t less =
            entity.account.get() == leaving.account ? std::min(leaving.bytes, bytes) : 0;
        if (entity.options.bytes_max == 0 || bytes - less <= entity.options.bytes_max) continue;
        return Error{Errc::over_limit, "entity \"" + entity.name + "\" is full: it may hold " +
                                           std::to_string(entity.options.bytes_max) +
                                           " bytes; try again later"};
    }
    return {};
}

void Engine::Plan::finish() {
    for (const Message& copy : copies_) inserts.changed.push_back({copy.message_id, copy.session_id});
    for (const auto& [entity, number] : numbers_) {
        const auto reserve = reserve_numbers(*entity, number);
        if (!reserve || (!reserved_.empty() && reserved_.back() == std::pair(entity, reserve->next)))
            continue;
        reserved_.emplace_back(entity, reserve->next);
        inserts.reserved.push_back(*reserve);
    }
}

/// What must be stored so that a restart does not give `last` out again; nothing if it is covered already.
std::optional<rows::NextSequence> Engine::reserve_numbers(const EntityState& entity, std::int64_t last) {
    if (last < entity.reserved) return std::nullopt;
    return rows::NextSequence{entity.id, (last / kReserve + 1) * kReserve};
}

void Engine::Plan::commit(std::vector<Message> messages) {
    committed_ = true;
    remember_contents(std::move(messages));
    for (const auto& [entity, next] : reserved_) entity->reserved = std::max(entity->reserved, next);
    settle_remembered(true);
    if (!remembered_.empty()) engine_.stored_.notify();
    engine_.arrive(*this);
    engine_.notice_filled_values();
}

// A history whose oldest entry was pending may have to be trimmed now.
void Engine::Plan::settle_remembered(bool stored) {
    for (const auto& [entity, message_id] : remembered_) {
        if (stored)
            entity->duplicates.confirm(message_id);
        else
            entity->duplicates.forget(message_id);
        engine_.arm(entity->next_trim());
    }
}

// For the usual send, each of whose messages has gone to one place, and is ready there.
void Engine::Plan::remember_contents(std::vector<Message> messages) {
    if (!copies_.empty()) return;
    for (std::size_t i = 0; i < arrivals_.size(); ++i) {
        if (arrivals_[i].message != i) return;  // several places have it, or none
    }
    if (arrivals_.size() != messages.size()) return;
    for (Arrival& arrival : arrivals_) {
        const EntityState& entity = *arrival.entity;
        if (arrival.scheduled || entity.is_dead_letter_queue || !entity.options.forward_to.empty()) continue;
        auto content = std::make_unique<Content>();
        content->message = std::move(messages[arrival.message]);
        content->origin = std::move(arrival.origin);
        content->enqueued = arrival.slot.enqueued;
        engine_.recent_.add(arrival.slot.id, arrival.slot.bytes, std::move(content));
    }
}

void Engine::arrive(Plan& plan) {
    const std::int64_t time = now();
    std::vector<std::int64_t> homeless;
    for (const auto& [entity, sequence, filled, scheduled, message, origin, lane] : plan.arrivals_) {
        if (entity->removed) {
            homeless.push_back(filled.id);
            continue;
        }
        Slot& slot = entity->slots.insert(sequence);
        slot = filled;
        slot.phase = Phase::busy;
        if (entity->lanes) entity->lanes->add(sequence, lane);
        if (scheduled) {
            entity->set_phase(sequence, slot, Phase::scheduled);
            entity->add_timer(sequence, slot.due);
            arm(slot.due);
            continue;
        }
        entity->enqueued.add(time);
        if (entity->options.kind != EntityKind::subscription) touch(*entity);
        entity->set_phase(sequence, slot, Phase::ready);
        entity->add_expiry(sequence, slot.expires);
        arm(entity->options.forward_to.empty() ? slot.expires : entity->forward_at);
    }
    for (const auto& arrival : plan.arrivals_) dispatch(arrival.entity, arrival.slot.session);
    if (!homeless.empty()) run_apart(delete_rows(std::move(homeless)));
}

}  // namespace millrace::broker
