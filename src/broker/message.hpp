// Messages and deliveries, as every queue engine knows them.
#pragma once

#include "base/clock.hpp"
#include "base/ids.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>

namespace millrace::broker {

/// A value of any other AMQP type, encoded with its constructor (AMQP 1.0, part 1, 1.2): kept byte for byte.
struct Encoded {
    std::string bytes;
    auto operator<=>(const Encoded&) const = default;
};

/// The value of an application property: AMQP 1.0 null, boolean, long, ulong, double, string, uuid and
/// timestamp natively, every other type encoded.
using Value = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Uuid,
                           TimePoint, Encoded>;

/// Application properties: the sender's own names and values.
using Properties = std::map<std::string, Value>;

/// `Message::body` is the content of one AMQP data section.
inline constexpr std::uint8_t kPlainBody = 0;
/// `Message::body` is a row of encoded AMQP sections: those parts of header, message annotations and
/// properties that `Message` has no field for, then the body sections and the footer.
inline constexpr std::uint8_t kAmqpSections = 1;

/// What a sender hands over.
struct Message {
    std::string message_id;      ///< at most 128 characters; the queue makes one (32 hex digits) if empty
    std::optional<std::string> session_id;  ///< at most 128 characters; "" is a session of its own
    std::string correlation_id;
    std::string subject;         ///< also called label
    std::string content_type;
    std::string to;
    std::string reply_to;
    std::string reply_to_session_id;
    std::string partition_key;
    std::optional<Duration> time_to_live;      ///< from enqueueing or, if scheduled, from activation
    std::optional<TimePoint> scheduled_at;     ///< not before this moment; the past means now
    Properties properties;
    /// What `body` holds: kPlainBody, or kAmqpSections kept byte for byte.
    std::uint8_t body_format = 0;
    std::string body;
};

/// Where a stored message stands. The numbers are stored and go over the wire: do not change them.
enum class State : std::uint8_t { active = 0, deferred = 1, scheduled = 2 };

/// A message as a queue holds or hands it out.
struct Delivery {
    Message message;
    std::string entity;  ///< name of the queue it was received from
    std::int64_t sequence = 0;  ///< gap-free per entity
    std::int64_t enqueued_sequence = 0;  ///< the number where it was first enqueued, before forwarding
    TimePoint enqueued_at{};
    TimePoint expires_at = kNever;
    TimePoint locked_until{};  ///< meaningless when peeked or received without a lock
    Uuid lock_token;  ///< nil when peeked or received without a lock
    int delivery_count = 0;  ///< how often it was handed out before and not completed: 0 the first time
    State state = State::active;
    std::string
        dead_letter_source;  ///< entity it was dead-lettered from, for messages of a dead-letter queue
};

/// Property names that dead-lettering adds.
inline constexpr char kDeadLetterReason[] = "DeadLetterReason";
inline constexpr char kDeadLetterDescription[] = "DeadLetterErrorDescription";

}  // namespace millrace::broker
