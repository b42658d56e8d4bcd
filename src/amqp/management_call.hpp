// What the operations of "$management" share: their arguments, their answers, their names.
#pragma once

#include "amqp/conditions.hpp"
#include "amqp/management.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::amqp {

/// Reads arguments one after the other and keeps the first problem: what is read after it means nothing. An
/// argument that is null is absent. Numbers come in any width; several values as array, list or, if there is
/// one, by itself.
class Arguments {
  public:
    explicit Arguments(const Map& map) : map_(map) {}

    /// The first problem as one line; "" as long as there is none.
    const std::string& problem() const noexcept { return problem_; }
    void fail(std::string problem);

    const Value* find(std::string_view name) const;
    std::optional<std::int64_t> integer(std::string_view name);
    /// A number that must be there, from `min` on; a larger one than `max` is taken as `max`.
    std::int64_t count(std::string_view name, std::int64_t min, std::int64_t max);
    std::optional<std::string> text(std::string_view name);
    /// A text that must be there and not be empty.
    std::string name(std::string_view name);
    std::optional<TimePoint> moment(std::string_view name);
    bool flag(std::string_view name);
    const Map* map(std::string_view name);
    // Each 1 to receive_batch_max values.
    std::vector<std::int64_t> numbers(std::string_view name);
    std::vector<Uuid> tokens(std::string_view name);
    std::vector<const Map*> maps(std::string_view name);

  private:
    std::vector<const Value*> several(std::string_view name);
    void fail(std::string_view name, std::string_view why);

    const Map& map_;
    std::string problem_;
};

/// One request under way; an operation runs while it lives.
struct Call {
    ManagementContext context;
    ManagementRequest request;

    /// The lock of the session that a receiver of this connection holds.
    std::optional<broker::SessionLock> session(std::string_view session_id) const;
};

using Answering = asio::awaitable<ManagementAnswer>;

ManagementAnswer refuse(const Call& call, int status, std::string_view condition, std::string_view why);
ManagementAnswer refuse_arguments(const Call& call, std::string_view problem);
ManagementAnswer session_lock_lost(const Call& call);

/// The answer for an operation that failed with `error`. `lost`: the condition of a lost lock; `missing`:
/// that of what was not found while the entity itself is there.
ManagementAnswer failure(const Call& call, const Error& error,
                         std::string_view lost = condition::kMessageLockLost,
                         std::string_view missing = condition::kMessageNotFound);

enum class Direction { send, receive };

/// As `failure`, of an operation that an entity refuses while it is closed in this direction: then the
/// condition says so.
ManagementAnswer refused_by_entity(const Call& call, const Error& error, Direction direction,
                                   std::string_view lost = condition::kMessageLockLost);

/// 204: there is nothing (more).
ManagementAnswer nothing();

// Each answers one operation. The call outlives it.
Answering renew_lock(const Call& call);
Answering update_disposition(const Call& call);
Answering peek_message(const Call& call);
Answering receive_by_sequence_number(const Call& call);
Answering batch_delete_messages(const Call& call);
Answering schedule_message(const Call& call);
Answering cancel_scheduled_message(const Call& call);
Answering renew_session_lock(const Call& call);
Answering set_session_state(const Call& call);
Answering get_session_state(const Call& call);
Answering get_message_sessions(const Call& call);
Answering add_rule(const Call& call);
Answering remove_rule(const Call& call);
Answering enumerate_rules(const Call& call);

}  // namespace millrace::amqp
