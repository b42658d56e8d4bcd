#include "amqp/conditions.hpp"

#include "base/ids.hpp"

namespace millrace::amqp {

namespace {

std::string_view name_for(Errc code) {
    switch (code) {
        case Errc::invalid_input: return condition::kNotAllowed;
        case Errc::not_found: return condition::kNotFound;
        case Errc::conflict: return condition::kMessageLockLost;
        case Errc::over_limit: return condition::kResourceLimit;
        case Errc::unavailable: return condition::kServerBusy;
        case Errc::corrupt: return condition::kDecodeError;
    }
    return condition::kInternalError;
}

struct Meaning {
    std::string_view name;
    Errc code;
};
constexpr Meaning kMeanings[] = {
    {condition::kNotFound, Errc::not_found},
    {condition::kMessageNotFound, Errc::not_found},
    {condition::kMessageLockLost, Errc::conflict},
    {condition::kSessionLockLost, Errc::conflict},
    {condition::kResourceLimit, Errc::over_limit},
    {condition::kSessionCannotBeLocked, Errc::over_limit},
    {condition::kNotAllowed, Errc::invalid_input},
    {condition::kNotImplemented, Errc::invalid_input},
    {condition::kMessageSize, Errc::invalid_input},
    {condition::kArgumentError, Errc::invalid_input},
    {condition::kArgumentOutOfRange, Errc::invalid_input},
    {condition::kUnauthorized, Errc::invalid_input},
    {condition::kEntityDisabled, Errc::invalid_input},
    {condition::kEntityExists, Errc::conflict},
    {condition::kDecodeError, Errc::corrupt},
};

}  // namespace

Condition make_condition(std::string_view name, std::string_view description, std::string_view entity,
                         TimePoint now) {
    std::string text(description);
    // The SDKs tell a missing entity from a missing connection by this text alone.
    if (name == condition::kNotFound) {
        text = "The messaging entity '" + std::string(entity) + "' could not be found: " + text;
    }
    text += " TrackingId:" + to_string(random_uuid()) + ", SystemTracker:" + std::string(entity) +
            ", Timestamp:" + to_rfc3339(now);
    return Condition{std::string(name), std::move(text), {}};
}

Condition condition_for(const Error& error, std::string_view entity, TimePoint now) {
    const std::string lost =
        "The lock supplied is invalid. Either the lock expired, or the message has "
        "already been removed from the queue, or was received by a different receiver.";
    const bool conflict = error.code == Errc::conflict;
    return make_condition(name_for(error.code), conflict ? lost : error.detail, entity, now);
}

Error error_for(const Condition& condition) {
    std::string detail = condition.name;
    if (!condition.description.empty()) detail += ": " + condition.description;
    for (char& c : detail) {
        if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    }
    for (const Meaning& meaning : kMeanings) {
        if (meaning.name == condition.name) return Error{meaning.code, std::move(detail)};
    }
    return Error{Errc::unavailable, std::move(detail)};
}

}  // namespace millrace::amqp
