// The embedded queue engine: Service Bus semantics on the product's own database.
#pragma once

#include "broker/entity.hpp"
#include "broker/message_source.hpp"
#include "broker/rules.hpp"
#include "store/database.hpp"

#include <functional>
#include <memory>

namespace millrace::broker {

class Engine;

/// Which dead letters a redrive, a drop or a listing means. Empty fields match everything.
struct DeadLetterFilter {
    std::string reason;
    std::string message_id;
    std::size_t messages_max = SIZE_MAX;
};

/// True if `filter` means the dead letter, apart from how many it means.
bool matches(const DeadLetterFilter& filter, const Message& letter);

/// What a peek looks at.
struct PeekOptions {
    std::optional<std::string> session_id;  ///< messages of this session only
    std::int64_t from = 0;  ///< number of the first message that may come
    std::size_t messages_max = 1;
    /// Of bodies and properties that are handed out; a first message that is larger comes alone.
    std::size_t bytes_max = 32 * limits::kMiB;
    /// Without them a body comes empty; of kAmqpSections the sections in front of the body are left.
    bool bodies = true;
};

/// What a redrive did, or with `dry_run` would do.
struct RedriveResult {
    std::uint64_t matched = 0;
    std::uint64_t moved = 0;
    std::vector<std::int64_t> sequences;  ///< with `dry_run`: the numbers of those that matched, ascending
};

/// Queues, topics and subscriptions in one database. Ready, locked, scheduled and expiring messages are known
/// in memory, rebuilt at start from one scan; bodies stay in the database. All calls on the I/O thread; an
/// answer that promises something is given after the commit that holds it.
class Broker final : public MessageSource {
  public:
    struct Options {
        /// Flush each delivery count before its message is handed out (survives a power cut), not only write
        /// it (survives a crash of the process). Costs one flush per receive.
        bool strict_delivery_counts = false;
        /// Size of the largest message, its properties included, and of a session's state.
        std::size_t message_bytes_max = limits::message_bytes_max;
    };

    /// Loads entities and messages. Locks of an earlier process are gone: their messages are ready again, and
    /// those that have used up their deliveries are dead-lettered. `database` and `clock` must outlive the
    /// broker.
    static asio::awaitable<Result<std::unique_ptr<Broker>>> open(store::Database& database, Clock& clock,
                                                                 Options options);
    ~Broker() override;

    /// Creates `name`, or brings an existing entity to `options` (conflict if a fixed option differs). A
    /// subscription is named by its path; its topic must exist, and so must the queue or topic that an entity
    /// forwards to (invalid_input). Durable when it answers.
    asio::awaitable<Result<void>> put_entity(std::string name, EntityOptions options);
    /// As `put_entity` for a subscription that must not exist yet (conflict), with `rule` in place of the
    /// default one.
    asio::awaitable<Result<void>> create_subscription(std::string path, EntityOptions options, Rule rule);
    /// Adds a rule to a subscription; with `replace` it takes the place of one of the same name, which must
    /// exist (not_found), else none of that name may (conflict). What is sent from now on is routed by it.
    asio::awaitable<Result<void>> put_rule(std::string subscription, Rule rule, bool replace);
    asio::awaitable<Result<void>> remove_rule(std::string subscription, std::string rule);
    /// In name order.
    Result<std::vector<Rule>> rules(std::string_view subscription) const;
    /// What may be done with an entity now: its own status, narrowed for a subscription by that of its topic.
    /// What `send` and the receives refuse because of it is invalid_input.
    Result<EntityStatus> status(std::string_view name) const;
    /// Removes the entity, its messages, its dead-letter queue and, of a topic, its subscriptions.
    asio::awaitable<Result<void>> remove_entity(std::string name);

    std::size_t message_bytes_max() const noexcept;
    /// Counts of one entity, or of all in name order (dead-letter queues are counted in their owner).
    Result<EntityCounts> counts(std::string_view name) const;
    std::vector<EntityCounts> counts() const;

    /// As `send`, with more rows in the same transaction: `with` runs on the writer thread; its error undoes
    /// all.
    asio::awaitable<Result<std::vector<std::int64_t>>> send_with(
        std::string entity, std::vector<Message> messages,
        std::function<Result<void>(store::Connection&)> with);
    /// As `send`; if it answers an error, `messages` are still there. They must outlive the call.
    asio::awaitable<Result<std::vector<std::int64_t>>> send_or_keep(std::string entity,
                                                                    std::vector<Message>& messages);
    /// As `complete` for each of `locks`, all in one transaction; answers in their order.
    asio::awaitable<std::vector<Result<void>>> complete_each(std::vector<LockRef> locks);
    /// As `complete`, with follow-up messages and rows in the same transaction: either all happens or
    /// nothing. Each pair is an entity and a message for it. `with` may be empty.
    asio::awaitable<Result<void>> complete_with(LockRef lock,
                                                std::vector<std::pair<std::string, Message>> follow_ups,
                                                std::function<Result<void>(store::Connection&)> with);

    /// Moves the dead letters of `entity` that match back into it, oldest first, delivery count 0, at up to
    /// `per_second` (0: no pace). Messages keep their ids; the reason stays in their properties. over_limit:
    /// `entity` forwards and where a message would stay is full; those before it are moved.
    asio::awaitable<Result<RedriveResult>> redrive(std::string entity, DeadLetterFilter filter,
                                                   double per_second, bool dry_run);
    /// Deletes the dead letters of `entity` that match; answers how many.
    asio::awaitable<Result<std::uint64_t>> drop_dead_letters(std::string entity, DeadLetterFilter filter);
    /// Deletes every unlocked message of `entity` (any state); answers how many.
    asio::awaitable<Result<std::uint64_t>> purge(std::string entity);

    /// Deletes up to `messages_max` ready messages that were enqueued before `older_than`, oldest first; in
    /// an entity with sessions those of the one that `session` is the token of. Answers how many.
    asio::awaitable<Result<std::uint64_t>> delete_messages(std::string entity, std::size_t messages_max,
                                                           TimePoint older_than, Uuid session);
    using MessageSource::peek;
    /// As that, within more limits. invalid_input: `session_id` is set and the entity has no sessions.
    asio::awaitable<Result<std::vector<Delivery>>> peek(std::string entity, PeekOptions options);
    /// True if the session is held by this lock, else why not (conflict: it is lost). Reads nothing stored.
    Result<void> check_session(const SessionLock& lock) const;
    /// Ids of sessions that have messages or a state, in id order from the `skip`-th on; with
    /// `state_since` only those whose state was set since then. Who goes on where a page ended gets what
    /// comes behind its last id, in time that the page's size decides.
    asio::awaitable<Result<std::vector<std::string>>> sessions(std::string entity,
                                                               std::optional<TimePoint> state_since,
                                                               std::size_t skip, std::size_t top);

    /// Does what is due now: lock expiry, activation of scheduled messages, expiry, trimming of duplicate
    /// history. `start` does it by the clock; a test that turns the clock may call it itself.
    asio::awaitable<void> tick();
    /// Begins to do by the clock what is due. `stop` ends every waiting receive with unavailable and waits
    /// for writes under way; a second stop is harmless.
    void start();
    asio::awaitable<void> stop();

    // MessageSource
    asio::awaitable<Result<std::vector<std::int64_t>>> send(std::string entity,
                                                            std::vector<Message> messages) override;
    asio::awaitable<Result<void>> cancel_scheduled(std::string entity,
                                                   std::vector<std::int64_t> sequences) override;
    asio::awaitable<Result<std::vector<Delivery>>> receive(std::string entity,
                                                           ReceiveOptions options) override;
    asio::awaitable<Result<std::vector<Delivery>>> receive_deferred(std::string entity,
                                                                    std::vector<std::int64_t> sequences,
                                                                    ReceiveOptions options) override;
    asio::awaitable<Result<std::vector<Delivery>>> peek(std::string entity, std::int64_t from,
                                                        std::size_t messages_max) override;
    asio::awaitable<Result<TimePoint>> renew(LockRef lock) override;
    asio::awaitable<Result<void>> complete(LockRef lock) override;
    asio::awaitable<Result<void>> abandon(LockRef lock, Properties properties) override;
    asio::awaitable<Result<void>> defer(LockRef lock, Properties properties) override;
    asio::awaitable<Result<void>> dead_letter(LockRef lock, std::string reason, std::string description,
                                              Properties properties) override;
    asio::awaitable<Result<void>> postpone(LockRef lock, Duration delay, bool spends_delivery) override;
    asio::awaitable<Result<SessionLock>> accept_session(std::string entity,
                                                        std::optional<std::string> session_id,
                                                        Duration wait) override;
    asio::awaitable<Result<TimePoint>> renew_session(SessionLock lock) override;
    asio::awaitable<void> release_session(SessionLock lock) override;
    asio::awaitable<Result<std::optional<std::string>>> session_state(SessionLock lock) override;
    asio::awaitable<Result<void>> set_session_state(SessionLock lock,
                                                    std::optional<std::string> state) override;

  private:
    explicit Broker(std::unique_ptr<Engine> engine);
    std::unique_ptr<Engine> engine_;
};

}  // namespace millrace::broker
