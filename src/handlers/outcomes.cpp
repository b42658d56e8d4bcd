#include "handlers/outcomes.hpp"

namespace millrace::handlers {

using work::DeadLetter;
using work::Outcome;
using work::RetryAfter;

namespace {

/// The attempt whose backoff (up to 8 s) suits waits that are not counted. For a provider the circuit
/// breaker's pause, which grows, comes on top.
constexpr int kUncountedAttempt = 4;

}  // namespace

Outcome outcome_for(const provider::Failure& failure, int delivery_count, Duration age, double random) {
    const bool outage = failure.kind == provider::FailureKind::unavailable && age < kOutageAgeMax;
    const bool counted = failure.kind != provider::FailureKind::throttled &&
                         failure.kind != provider::FailureKind::held && !outage;
    const int attempt = counted ? delivery_count + 1 : kUncountedAttempt;
    const Duration asked = failure.retry_after.value_or(Duration(0));
    const Duration pause = asked > Duration(0) ? asked : work::backoff(attempt, random);
    switch (failure.kind) {
        case provider::FailureKind::held:
        case provider::FailureKind::throttled: return RetryAfter{pause, failure.detail, false};
        case provider::FailureKind::transient:
        case provider::FailureKind::unavailable: return RetryAfter{pause, failure.detail, counted};
        case provider::FailureKind::content_filtered:
        case provider::FailureKind::refused:
            return DeadLetter{work::reason::content_filtered, failure.detail};
        case provider::FailureKind::cut_off:
        case provider::FailureKind::rejected: break;
    }
    return DeadLetter{"ApiError_" + std::to_string(failure.status), failure.detail};
}

Outcome outcome_for(const Error& error, int delivery_count, double random) {
    switch (error.code) {
        case Errc::over_limit:
        case Errc::unavailable:
            return RetryAfter{work::backoff(kUncountedAttempt, random), error.detail, false};
        case Errc::conflict: return RetryAfter{work::backoff(delivery_count + 1, random), error.detail, true};
        case Errc::invalid_input:
        case Errc::not_found:
        case Errc::corrupt: break;
    }
    return DeadLetter{work::reason::malformed_payload, error.detail};
}

DeadLetter dead_letter_for_payload(const Error& error) {
    if (error.detail.empty()) return {work::reason::null_payload, "the message has no body, or it is null"};
    return {work::reason::malformed_payload, error.detail};
}

DeadLetter dead_letter_for_content(const Error& error) {
    const bool too_large = error.code == Errc::over_limit;
    return {too_large ? work::reason::input_too_large : work::reason::malformed_payload, error.detail};
}

std::string blame_of_exception() {
    try {
        throw;
    } catch (const MachineError&) {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const boost::system::system_error&) {
        throw;  // called off
    } catch (const std::exception& error) {
        return error.what();
    }
}

}  // namespace millrace::handlers
