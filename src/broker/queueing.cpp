#include "broker/guards.hpp"

namespace millrace::broker {

namespace {

// However many messages a receiver asks for: their bodies come into memory at once.
constexpr std::size_t kReceiveBytesMax = 32 * limits::kMiB;

}  // namespace

// The first ready messages, now busy. What has expired is left to the timer.
std::vector<std::int64_t> Engine::take(EntityState& entity, std::uint32_t session, const Wish& wish) {
    std::vector<std::int64_t> taken;
    const std::int64_t time = now();
    std::size_t bytes = 0;
    while (taken.size() < wish.messages_max && bytes < kReceiveBytesMax) {
        const auto first =
            session == 0 ? entity.first_ready(wish.lanes) : entity.sessions[session].first_ready();
        if (!first) break;
        Slot& slot = *entity.slots.find(*first);
        if (slot.expires <= time) {
            entity.set_phase(*first, slot, Phase::expired);
            entity.add_expiry(*first, slot.expires);
            arm(slot.expires);
            continue;
        }
        if (!taken.empty() && bytes + slot.bytes > wish.bytes_max) break;
        entity.set_phase(*first, slot, Phase::busy);
        if (entity.lanes) entity.lanes->took(*first);
        bytes += slot.bytes;
        taken.push_back(*first);
    }
    return taken;
}

// A busy message whose delivery did not happen, or that somebody let go of.
void Engine::give_back(EntityState& entity, std::int64_t sequence) {
    Slot& slot = *entity.slots.find(sequence);
    if (slot.deferred) {
        slot.deferred = false;
        entity.set_phase(sequence, slot, Phase::deferred);
        return;
    }
    const bool expired = slot.expires <= now();
    entity.set_phase(sequence, slot, expired ? Phase::expired : Phase::ready);
    entity.add_expiry(sequence, slot.expires);
    arm(entity.options.forward_to.empty() ? slot.expires : entity.forward_at);
}

// A lock ended without a settlement: the message goes back, or has used up its deliveries. The slot is busy
// or locked.
void Engine::end_lock(const Entity& entity, std::int64_t sequence, std::vector<Doomed>& doomed) {
    Slot& slot = *entity->slots.find(sequence);
    if (entity->may_be_delivered_again(slot)) return give_back(*entity, sequence);
    doomed.push_back(exhausted_letter(*entity, sequence));
}

// Serves those who wait, in order, with what is ready. `session` is that of a message that has just become
// ready.
void Engine::dispatch(const Entity& entity, std::uint32_t session) {
    if (entity->options.requires_session) {
        if (session == 0 || !entity->sessions.contains(session)) return;
        while (!entity->accepters.empty()) {
            const std::uint32_t number = entity->sessions.next_available();
            if (number == 0) break;
            Accepter& accepter = *entity->accepters.front();
            accepter.unlink();
            accepter.lock = lock_session(*entity, number);
            accepter.served.notify();
        }
    }
    auto& line = session == 0 || !entity->options.requires_session ? entity->receivers
                                                                   : entity->sessions[session].receivers;
    for (auto next = line.begin(); next != line.end();) {
        Receiver& receiver = **next++;
        receiver.taken.sequences = take(*entity, receiver.session, receiver.wish);
        if (!receiver.taken.sequences.empty()) {
            receiver.unlink();
            receiver.served.notify();
        } else if (receiver.wish.lanes == LaneKind::all) {
            return;
        }
    }
}

void Engine::fail_waiting(EntityState& entity, const Error& why) {
    const auto fail = [&](auto& line) {
        while (!line.empty()) {
            auto& waiting = *line.front();
            waiting.unlink();
            waiting.failure = why;
            waiting.served.notify();
        }
    };
    fail(entity.accepters);
    fail(entity.receivers);
    std::vector<std::uint32_t> sessions;
    for (const auto& [when, receiver] : receive_deadlines_) {
        if (receiver->entity.get() == &entity) sessions.push_back(receiver->session);
    }
    for (const std::uint32_t session : sessions) fail(entity.sessions[session].receivers);
}

void Engine::arm(std::int64_t when) {
    if (when >= armed_) return;
    armed_ = when;
    rearm_.notify();
}

Engine::Taken::~Taken() {
    if (sequences.empty()) return;
    for (const std::int64_t sequence : sequences) engine_->give_back(*entity_, sequence);
    engine_->dispatch(entity_, session_);
}

bool Engine::Taken::session_holds() const {
    return session_ == 0 ||
           (entity_->sessions.contains(session_) && entity_->sessions[session_].nonce == session_nonce_);
}

Receiver::Receiver(Engine& the_engine, Entity the_entity, std::uint32_t the_session,
                   const ReceiveOptions& options)
    : engine(the_engine),
      entity(std::move(the_entity)),
      session(the_session),
      wish{options.messages_max, options.bytes_max, options.lanes},
      served(engine.io_),
      taken(engine, entity, session) {
    const std::int64_t end = after(engine.now(), options.wait);
    place_ = line().insert(line().end(), this);
    deadline_ = engine.receive_deadlines_.emplace(end, this);
    engine.arm(end);
}

Receiver::~Receiver() { unlink(); }

std::list<Receiver*>& Receiver::line() {
    return session == 0 ? entity->receivers : entity->sessions[session].receivers;
}

void Receiver::unlink() {
    if (!linked_) return;
    linked_ = false;
    line().erase(place_);
    engine.receive_deadlines_.erase(deadline_);
    if (session != 0) entity->sessions.update(session);
}

Accepter::Accepter(Engine& the_engine, Entity the_entity, Duration wait)
    : engine(the_engine), entity(std::move(the_entity)), served(engine.io_) {
    const std::int64_t end = after(engine.now(), wait);
    place_ = entity->accepters.insert(entity->accepters.end(), this);
    deadline_ = engine.accept_deadlines_.emplace(end, this);
    engine.arm(end);
}

Accepter::~Accepter() {
    unlink();
    if (lock) engine.return_session(entity, *lock);
}

void Accepter::unlink() {
    if (!linked_) return;
    linked_ = false;
    entity->accepters.erase(place_);
    engine.accept_deadlines_.erase(deadline_);
}

}  // namespace millrace::broker
