// From a failure to an outcome: the error table of the product, as pure functions.
#pragma once

#include "base/error.hpp"
#include "provider/provider.hpp"
#include "work/outcome.hpp"

namespace millrace::handlers {

/// After this age of a message even a failure that looks like the service's own counts as the message's, so
/// that an input which always brings a service down ends as a dead letter.
inline constexpr Duration kOutageAgeMax = std::chrono::hours(24);

/// A failed provider call. `delivery_count`: earlier deliveries of the message; `age`: since it was enqueued;
/// `random` in [0, 1) for jitter.
work::Outcome outcome_for(const provider::Failure& failure, int delivery_count, Duration age, double random);

/// A failure of a store, a queue or an index: temporary ones are tried again, the rest is dead-lettered.
work::Outcome outcome_for(const Error& error, int delivery_count, double random);

/// A body that can't be read: NullPayload where it is empty or null, else MalformedPayload.
work::DeadLetter dead_letter_for_payload(const Error& error);

/// Content that can't become text: InputTooLarge where a limit was passed, else MalformedPayload.
work::DeadLetter dead_letter_for_content(const Error& error);

/// In a catch block: what the exception says, if the work itself is to blame. Throws it again where the
/// machine is (MachineError, out of memory) or where the work was called off.
std::string blame_of_exception();

}  // namespace millrace::handlers
