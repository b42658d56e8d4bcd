// One entity in memory: its messages, sessions, timers and those who wait for it.
#pragma once

#include "base/async.hpp"
#include "broker/compiled_rule.hpp"
#include "broker/due_heap.hpp"
#include "broker/duplicates.hpp"
#include "broker/entity.hpp"
#include "broker/lanes.hpp"
#include "broker/message_source.hpp"
#include "broker/page_ends.hpp"
#include "broker/rate.hpp"
#include "broker/sessions.hpp"
#include "broker/slots.hpp"

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::broker {

struct Receiver;
struct Accepter;

/// `now` + `time`, or for ever where that overflows.
std::int64_t after(std::int64_t now, Duration time);

/// What an entity and its dead-letter queue share.
struct Account {
    std::uint64_t bytes = 0;  ///< of all messages, those on their way included
};

/// State of a queue, topic, subscription or dead-letter queue. Only on the I/O thread.
struct EntityState {
    /// Messages moved or removed in one transaction by work in the background.
    static constexpr std::size_t kBatch = 512;

    std::int64_t id = 0;
    std::string name;
    EntityOptions options;
    bool is_dead_letter_queue = false;
    bool removed = false;
    std::string owner;  ///< of a dead-letter queue: the entity it belongs to
    std::shared_ptr<EntityState> dead_letters;  ///< none for a topic and a dead-letter queue
    std::vector<std::shared_ptr<EntityState>> subscriptions;  ///< of a topic
    std::vector<CompiledRule> rules;  ///< of a subscription, in name order
    std::shared_ptr<Account> account = std::make_shared<Account>();

    std::int64_t next_sequence = 1;
    std::int64_t reserved = 1;  ///< the stored number after which a restart goes on
    Slots slots;
    Sessions sessions;
    std::unique_ptr<Lanes> lanes;  ///< of a fair queue
    Duplicates duplicates;

    DueHeap locks;  ///< ends of message locks, by sequence number
    DueHeap timers;  ///< scheduled and postponed messages, by sequence number
    DueHeap expiries;  ///< ends of life, by sequence number
    DueHeap session_locks;  ///< ends of session locks, by session number

    std::list<Receiver*> receivers;  ///< receives that wait, in order; those of a session wait in it
    std::list<Accepter*> accepters;  ///< waits for the next available session

    PageEnds listed;  ///< of the listings of its sessions, by the time since which their state was set

    std::int64_t forward_at = 0;  ///< what is ready here is not forwarded before: the target was full

    bool forwarding = false;  ///< what is ready here is being forwarded
    std::size_t arriving = 0;  ///< messages on their way in that will be ready here

    std::int64_t created = 0;
    std::int64_t updated = 0;
    std::int64_t accessed = 0;
    std::int64_t accessed_stored = 0;  ///< what its row says of `accessed`
    std::int64_t idle_since = 0;       ///< at the earliest: when the process began to know it

    Rate enqueued;
    Rate completed;
    std::uint64_t dead_lettered_total = 0;

    /// The only way to change a message's phase: keeps its session's books too.
    void set_phase(std::int64_t sequence, Slot& slot, Phase phase);
    /// Forgets the message and gives its bytes back.
    void erase(std::int64_t sequence);
    /// Makes or drops the lanes as the option says. A queue that turns fair knows no tenants of what it
    /// holds.
    void apply_fairness();
    /// The message that is handed out next, whatever its session, to one who takes messages of `kind`.
    std::optional<std::int64_t> first_ready(LaneKind kind) const;
    /// Counts a delivery that ended without a settlement: false if the message has used up its deliveries.
    bool may_be_delivered_again(const Slot& slot) const noexcept;
    /// When a message enqueued now expires, its own wish being `wish`.
    std::int64_t expiry(std::int64_t now, const std::optional<Duration>& wish) const noexcept;

    void add_lock(std::int64_t sequence, std::int64_t until);
    void add_timer(std::int64_t sequence, std::int64_t due);
    void add_expiry(std::int64_t sequence, std::int64_t when);
    void add_session_lock(std::uint32_t number, std::int64_t until);

    void put_rule(CompiledRule rule);
    void remove_rule(std::string_view rule);

    /// When it is to be removed because nobody uses it.
    std::int64_t idle_due() const noexcept;
    /// When its row is to hear of `accessed`.
    std::int64_t access_due() const noexcept;

    /// True while messages wait here to be forwarded: what comes now has its place behind them.
    bool holds_back() const noexcept;
    /// The earliest moment at which `tick` has work here.
    std::int64_t next_due();
    std::vector<std::int64_t> take_expired_locks(std::int64_t now);
    std::vector<std::int64_t> take_due_timers(std::int64_t now);
    std::vector<std::int64_t> take_expiries(std::int64_t now);
    std::vector<std::int64_t> take_expired_sessions(std::int64_t now);
    /// When enough of the duplicate history has left the window to be worth a write.
    std::int64_t next_trim() const noexcept;

    EntityCounts counts(std::int64_t now) const;
};

}  // namespace millrace::broker
