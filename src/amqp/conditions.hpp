// Errors as Service Bus names them on the wire, and back.
#pragma once

#include "amqp/performatives.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"

#include <string>
#include <string_view>

namespace millrace::amqp {

namespace condition {
inline constexpr char kNotFound[] = "amqp:not-found";
inline constexpr char kNotAllowed[] = "amqp:not-allowed";
inline constexpr char kNotImplemented[] = "amqp:not-implemented";
inline constexpr char kInternalError[] = "amqp:internal-error";
inline constexpr char kDecodeError[] = "amqp:decode-error";
inline constexpr char kUnauthorized[] = "amqp:unauthorized-access";
inline constexpr char kResourceLimit[] = "amqp:resource-limit-exceeded";
inline constexpr char kConnectionForced[] = "amqp:connection:forced";
inline constexpr char kDetachForced[] = "amqp:link:detach-forced";
inline constexpr char kMessageSize[] = "amqp:link:message-size-exceeded";
inline constexpr char kArgumentError[] = "com.microsoft:argument-error";
inline constexpr char kArgumentOutOfRange[] = "com.microsoft:argument-out-of-range";
inline constexpr char kDeadLetter[] = "com.microsoft:dead-letter";
inline constexpr char kEntityDisabled[] = "com.microsoft:entity-disabled";
inline constexpr char kEntityExists[] = "com.microsoft:entity-already-exists";
inline constexpr char kMessageLockLost[] = "com.microsoft:message-lock-lost";
inline constexpr char kMessageNotFound[] = "com.microsoft:message-not-found";
inline constexpr char kServerBusy[] = "com.microsoft:server-busy";
inline constexpr char kSessionCannotBeLocked[] = "com.microsoft:session-cannot-be-locked";
inline constexpr char kSessionLockLost[] = "com.microsoft:session-lock-lost";
inline constexpr char kTimeout[] = "com.microsoft:timeout";
}  // namespace condition

/// `error` of an operation on `entity` as a condition; conflict means that a message's lock is lost. The
/// description ends with tracking id, entity and time, as operators of Service Bus know it.
Condition condition_for(const Error& error, std::string_view entity, TimePoint now);
Condition make_condition(std::string_view name, std::string_view description, std::string_view entity,
                         TimePoint now);

/// What a peer's condition means for who called.
Error error_for(const Condition& condition);

}  // namespace millrace::amqp
