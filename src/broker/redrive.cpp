#include "broker/guards.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace millrace::broker {

using asio::awaitable;

bool matches(const DeadLetterFilter& filter, const Message& letter) {
    if (!filter.message_id.empty() && filter.message_id != letter.message_id) return false;
    if (filter.reason.empty()) return true;
    const auto reason = letter.properties.find(kDeadLetterReason);
    if (reason == letter.properties.end()) return false;
    const auto* text = std::get_if<std::string>(&reason->second);
    return text != nullptr && *text == filter.reason;
}

namespace {

struct Candidate {
    std::int64_t sequence;
    std::int64_t id;
};

std::vector<std::int64_t> select_matching(store::Connection& connection,
                                          const std::vector<Candidate>& candidates,
                                          const DeadLetterFilter& filter) {
    std::vector<std::int64_t> sequences;
    for (const Candidate& one : candidates) {
        auto stored = rows::read(connection, one.id);
        if (!stored) continue;
        if (matches(filter, rows::decode(std::move(*stored)).message)) sequences.push_back(one.sequence);
    }
    return sequences;
}

Error with_count(Error error, std::uint64_t moved) {
    if (moved > 0) error.detail += "; " + std::to_string(moved) + " messages were moved before";
    return error;
}

}  // namespace

/// The first numbers from `from` on, at most a batch of those looked at, that are ready and match; and where
/// to go on.
awaitable<Engine::Matching> Engine::matching(Entity queue, std::int64_t from,
                                             const DeadLetterFilter& filter) {
    Matching found;
    std::vector<Candidate> candidates;
    queue->slots.each(from, [&](std::int64_t sequence, const Slot& slot) {
        found.next = sequence + 1;
        if (slot.phase == Phase::ready) candidates.push_back({sequence, slot.id});
        return candidates.size() < EntityState::kBatch;
    });
    auto work = [candidates = std::move(candidates), filter](store::Connection& connection) {
        return select_matching(connection, candidates, filter);
    };
    found.sequences = co_await database_.read(std::move(work));
    co_return found;
}

bool Engine::is_ready(const EntityState& queue, std::int64_t sequence) {
    const Slot* slot = queue.slots.find(sequence);
    return slot != nullptr && slot->phase == Phase::ready;
}

awaitable<void> Engine::sleep_unless_stopped(TimePoint until) {
    using namespace asio::experimental::awaitable_operators;
    while (!stopping_ && clock_.now() < until) {
        auto due = clock_.sleep_until(until);
        auto woken = rearm_.wait();
        auto either = std::move(due) || std::move(woken);
        co_await std::move(either);
    }
}

awaitable<Result<RedriveResult>> Engine::redrive(std::string name, DeadLetterFilter filter, double per_second,
                                                 bool dry_run) {
    const Operation operation(*this);
    auto opened = dead_letters_of(name);
    if (!opened) co_return opened.error();
    const Entity queue = *opened;
    const Entity owner = find(queue->owner);
    RedriveResult result;
    // Those that fail again while this runs come back with higher numbers: they are not moved a second time.
    const std::int64_t end = queue->next_sequence;
    const std::int64_t begun = now();
    for (std::int64_t from = 0; result.matched < filter.messages_max;) {
        Matching found = co_await matching(queue, from, filter);
        if (found.next == 0) break;
        from = found.next;
        for (const std::int64_t sequence : found.sequences) {
            if (sequence >= end || result.matched == filter.messages_max) co_return result;
            result.matched += 1;
            if (dry_run) {
                result.sequences.push_back(sequence);
                continue;
            }
            if (per_second > 0 && result.moved > 0) {
                const auto pace = std::chrono::milliseconds(
                    static_cast<std::int64_t>(1000.0 * static_cast<double>(result.moved) / per_second));
                const TimePoint turn = from_millis(begun) + pace;
                co_await sleep_unless_stopped(turn);
            }
            if (stopping_ || owner->removed) co_return result;
            if (!is_ready(*queue, sequence)) continue;
            queue->set_phase(sequence, *queue->slots.find(sequence), Phase::busy);
            // Before the wait, which does not begin if this has been cancelled.
            OnFailure put_back([&] {
                give_back(*queue, sequence);
                dispatch(queue, 0);
            });
            Passage passage;
            passage.returns = true;
            auto moved = co_await transfer(queue, sequence, owner, std::move(passage));
            if (!moved && moved.error().code == Errc::corrupt) continue;
            if (!moved && moved.error().code == Errc::not_found) co_return result;
            if (!moved) co_return with_count(moved.error(), result.moved);
            put_back.release();
            result.moved += 1;
        }
    }
    co_return result;
}

awaitable<Result<std::uint64_t>> Engine::drop_dead_letters(std::string name, DeadLetterFilter filter) {
    const Operation operation(*this);
    auto opened = dead_letters_of(name);
    if (!opened) co_return opened.error();
    const Entity queue = *opened;
    std::uint64_t dropped = 0;
    for (std::int64_t from = 0; dropped < filter.messages_max;) {
        Matching found = co_await matching(queue, from, filter);
        if (found.next == 0) break;
        from = found.next;
        std::vector<std::int64_t> doomed;
        for (const std::int64_t sequence : found.sequences) {
            if (dropped + doomed.size() == filter.messages_max) break;
            if (is_ready(*queue, sequence)) doomed.push_back(sequence);
        }
        co_await remove_busy(queue, doomed);
        dropped += doomed.size();
    }
    co_return dropped;
}

awaitable<Result<std::uint64_t>> Engine::purge(std::string name) {
    const Operation operation(*this);
    auto opened = open(name);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    const std::int64_t end = entity->next_sequence;
    std::uint64_t purged = 0;
    for (std::int64_t from = 0; from < end;) {
        std::vector<std::int64_t> doomed;
        std::int64_t next = end;
        entity->slots.each(from, [&](std::int64_t sequence, const Slot& slot) {
            next = sequence + 1;
            if (slot.phase != Phase::locked && slot.phase != Phase::busy && sequence < end)
                doomed.push_back(sequence);
            return doomed.size() < EntityState::kBatch;
        });
        from = doomed.size() < EntityState::kBatch ? end : next;
        co_await remove_busy(entity, doomed);
        purged += doomed.size();
    }
    co_return purged;
}

awaitable<Result<std::uint64_t>> Engine::delete_messages(std::string name, std::size_t messages_max,
                                                         TimePoint older_than, Uuid session) {
    const Operation operation(*this);
    auto opened = open(name);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    if (auto receivable = check_receivable(*entity); !receivable) co_return receivable.error();
    std::uint64_t deleted = 0;
    while (deleted < messages_max) {
        // The session may have been lost while a batch was deleted.
        auto number = session_for(*entity, session);
        if (!number) co_return number.error();
        touch(*entity);
        std::vector<std::int64_t> doomed;
        const std::size_t batch = std::min<std::size_t>(EntityState::kBatch, messages_max - deleted);
        entity->slots.each(0, [&](std::int64_t sequence, const Slot& slot) {
            const bool meant = slot.phase == Phase::ready && slot.session == *number &&
                               slot.enqueued < to_millis(older_than);
            if (meant) doomed.push_back(sequence);
            return doomed.size() < batch;
        });
        if (doomed.empty()) break;
        co_await remove_busy(entity, doomed);
        deleted += doomed.size();
    }
    co_return deleted;
}

// As `remove_all` for messages in any phase: they are as before if it throws.
awaitable<void> Engine::remove_busy(Entity entity, const std::vector<std::int64_t>& sequences) {
    if (sequences.empty()) co_return;
    std::vector<Phase> before;
    for (const std::int64_t sequence : sequences) {
        Slot& slot = *entity->slots.find(sequence);
        before.push_back(slot.phase);
        entity->set_phase(sequence, slot, Phase::busy);
    }
    OnFailure put_back([&] {
        for (std::size_t i = 0; i < sequences.size(); ++i) restore_phase(entity, sequences[i], before[i]);
    });
    co_await remove_all(entity, sequences);
    put_back.release();
}

void Engine::restore_phase(const Entity& entity, std::int64_t sequence, Phase phase) {
    Slot& slot = *entity->slots.find(sequence);
    if (phase == Phase::busy || phase == Phase::ready || phase == Phase::expired) {
        give_back(*entity, sequence);
        return dispatch(entity, slot.session);
    }
    entity->set_phase(sequence, slot, phase);
    if (phase != Phase::scheduled && phase != Phase::postponed) return;
    entity->add_timer(sequence, slot.due);
    if (phase == Phase::postponed) entity->add_expiry(sequence, slot.expires);
    arm(std::min(slot.due, slot.expires));
}

}  // namespace millrace::broker
