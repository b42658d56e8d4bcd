// The seam between Millrace and a queue engine: embedded, Azure Service Bus, RabbitMQ.
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <vector>

namespace millrace::broker {

namespace asio = boost::asio;

/// How a receiver takes messages.
enum class ReceiveMode {
    peek_lock,           ///< locked until settled or the lock runs out
    receive_and_delete,  ///< gone when handed out
};

/// Whose messages a receiver takes from a fair queue; of other queues it takes all.
enum class LaneKind {
    all,          ///< interactive work first
    interactive,  ///< of those that did not say that they may take their time
    batch,        ///< of those that did
};

struct ReceiveOptions {
    std::size_t messages_max = 1;
    /// Stops before the bodies and properties of what is taken exceed this; one message is always taken.
    std::size_t bytes_max = SIZE_MAX;
    /// How long to wait for the first message; zero: answer at once with what is there.
    Duration wait = Duration::zero();
    ReceiveMode mode = ReceiveMode::peek_lock;
    /// Only the embedded engine tells lanes; others hand out all.
    LaneKind lanes = LaneKind::all;
    /// Token of an accepted session (`accept_session`); nil for a queue without sessions.
    Uuid session;
};

/// Names one locked delivery.
struct LockRef {
    std::string entity;
    Uuid token;
};

/// A session lock held by one receiver.
struct SessionLock {
    std::string entity;
    std::string session_id;
    Uuid token;
    TimePoint locked_until{};
};

/// Sends, receives and settles messages. All calls on the I/O thread. Errors, unless a function says more:
/// not_found (no such entity), invalid_input (the engine refuses it as written), unavailable (connection
/// lost). conflict means the lock is lost: the message will be, or was, delivered again.
class MessageSource {
  public:
    virtual ~MessageSource() = default;

    /// Stores `messages` all or none, durably, and answers their sequence numbers in the same order (0 for
    /// one that duplicate detection dropped). A `scheduled_at` in the future schedules. over_limit: the
    /// entity is full; invalid_input: too large, or the session id that the entity requires is missing.
    virtual asio::awaitable<Result<std::vector<std::int64_t>>> send(std::string entity,
                                                                    std::vector<Message> messages) = 0;

    /// Removes scheduled messages by the numbers that `send` answered; all or none: not_found.
    virtual asio::awaitable<Result<void>> cancel_scheduled(std::string entity,
                                                           std::vector<std::int64_t> sequences) = 0;

    /// Up to `messages_max` messages in sequence order; empty when `wait` passed without one. Receivers are
    /// served in the order of their calls. A cancelled wait takes nothing.
    virtual asio::awaitable<Result<std::vector<Delivery>>> receive(std::string entity,
                                                                   ReceiveOptions options) = 0;

    /// Locks deferred messages by number: all or none, not_found if one is not deferred here, invalid_input
    /// if they are larger than `bytes_max` together.
    virtual asio::awaitable<Result<std::vector<Delivery>>> receive_deferred(
        std::string entity, std::vector<std::int64_t> sequences, ReceiveOptions options) = 0;

    /// Up to `messages_max` messages from number `from` on, in any state, locked or not; changes nothing.
    virtual asio::awaitable<Result<std::vector<Delivery>>> peek(std::string entity, std::int64_t from,
                                                                std::size_t messages_max) = 0;

    /// Extends the lock by the entity's lock time from now; answers the new end. conflict: lock lost.
    virtual asio::awaitable<Result<TimePoint>> renew(LockRef lock) = 0;

    /// The four ways to settle. conflict: lock lost. `properties` are merged into the application properties.
    virtual asio::awaitable<Result<void>> complete(LockRef lock) = 0;
    virtual asio::awaitable<Result<void>> abandon(LockRef lock, Properties properties) = 0;
    virtual asio::awaitable<Result<void>> defer(LockRef lock, Properties properties) = 0;
    virtual asio::awaitable<Result<void>> dead_letter(LockRef lock, std::string reason,
                                                      std::string description, Properties properties) = 0;

    /// Gives the message back so that it is delivered again not before `delay` from now. Without
    /// `spends_delivery` the delivery is not counted: what waiting for quota costs a message. conflict: lock
    /// lost.
    virtual asio::awaitable<Result<void>> postpone(LockRef lock, Duration delay, bool spends_delivery) = 0;

    /// Locks the session `session_id`, or the next unlocked one that has messages if it is none (waiting up
    /// to `wait`; unavailable when none came). over_limit: the named session is locked by another receiver.
    virtual asio::awaitable<Result<SessionLock>> accept_session(std::string entity,
                                                                std::optional<std::string> session_id,
                                                                Duration wait) = 0;
    virtual asio::awaitable<Result<TimePoint>> renew_session(SessionLock lock) = 0;
    /// Unlocks; messages in flight go back with their delivery count unchanged. A lost lock is no error.
    virtual asio::awaitable<void> release_session(SessionLock lock) = 0;
    /// Opaque bytes kept with the session id; none when never set or cleared. Needs the session's lock
    /// (conflict).
    virtual asio::awaitable<Result<std::optional<std::string>>> session_state(SessionLock lock) = 0;
    virtual asio::awaitable<Result<void>> set_session_state(SessionLock lock,
                                                            std::optional<std::string> state) = 0;
};

}  // namespace millrace::broker
