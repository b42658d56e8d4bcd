// Entities: queues, topics, subscriptions, and the options that they are created with.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::broker {

enum class EntityKind : std::uint8_t { queue, topic, subscription };

/// What may be done with an entity. What it holds is kept whatever its status.
enum class EntityStatus : std::uint8_t { active, disabled, send_disabled, receive_disabled };

constexpr bool may_send(EntityStatus status) {
    return status == EntityStatus::active || status == EntityStatus::receive_disabled;
}
constexpr bool may_receive(EntityStatus status) {
    return status == EntityStatus::active || status == EntityStatus::send_disabled;
}

/// How an entity behaves. Fixed at creation: kind, requires_session, duplicate_window. The rest may be
/// changed.
struct EntityOptions {
    EntityKind kind = EntityKind::queue;
    Duration lock_time = limits::lock_time_default;         ///< 5 s to 5 min
    int delivery_count_max = limits::delivery_count_max_default;
    bool requires_session = false;
    std::optional<Duration> duplicate_window;  ///< none: no duplicate detection; 20 s to 7 days
    std::optional<Duration> time_to_live;  ///< default and upper bound for messages; none: for ever
    bool dead_letter_on_expiration = false;  ///< expired messages: to the dead-letter queue or dropped
    std::uint64_t bytes_max = 0;  ///< size quota over all states; 0: none
    std::string forward_to;  ///< messages go on to this queue or topic
    std::string forward_dead_letters_to;
    EntityStatus status = EntityStatus::active;
    /// Removed when nobody has sent to it, received from it or changed it for this time; none: never; from 5
    /// minutes.
    std::optional<Duration> delete_on_idle;
    /// Of a queue without sessions: tenants (session id, else the property `tenant`) take turns.
    bool fair = false;
    std::string user_metadata;  ///< the owner's notes, at most 1,024 characters
    /// Of a subscription: a message whose rules cannot be evaluated is dead-lettered, not passed over.
    bool dead_letter_on_filter_error = true;
    bool operator==(const EntityOptions&) const = default;
};

/// A problem of `options` for an entity called `name` as one line, or nothing. Checks the limits of Service
/// Bus.
Result<void> check_entity(std::string_view name, const EntityOptions& options);

/// "orders" → "orders/$DeadLetterQueue".
std::string dead_letter_queue_of(std::string_view entity);
/// "topic", "s" → "topic/Subscriptions/s".
std::string subscription_path(std::string_view topic, std::string_view subscription);

/// What an entity holds now. Bytes count bodies and properties. Rates are of the last minute, per second.
struct EntityCounts {
    std::string name;
    EntityOptions options;
    std::uint64_t active = 0;  ///< ready, not locked
    std::uint64_t locked = 0;
    std::uint64_t scheduled = 0;
    std::uint64_t deferred = 0;
    std::uint64_t dead_lettered = 0;
    std::uint64_t bytes = 0;
    std::optional<Duration> oldest_age;  ///< of the oldest message that is ready or locked
    double enqueued_per_second = 0;
    double completed_per_second = 0;
    std::uint64_t enqueued_total = 0;  ///< since the start of the process
    std::uint64_t completed_total = 0;
    std::uint64_t dead_lettered_total = 0;
    TimePoint created_at{};
    TimePoint updated_at{};  ///< options or rules
    TimePoint accessed_at{};  ///< last send or receive; to the minute after a restart
};

}  // namespace millrace::broker
