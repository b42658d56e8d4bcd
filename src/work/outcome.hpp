// What a handler answers: a closed set, so that nothing unknown can count as success.
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"
#include "store/connection.hpp"

#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::work {

namespace asio = boost::asio;

/// A message for another entity.
struct FollowUp {
    std::string entity;
    broker::Message message;
};

/// The work is done: the message is completed, together with what follows from it.
struct Done {
    std::vector<FollowUp> follow_ups;
    /// Rows written in the transaction that completes the message. Runs on the writer thread; may be empty.
    std::function<Result<void>(store::Connection&)> with;
    /// Called on the I/O thread once all of that is durable; may be empty.
    std::function<void()> then;
};

/// Not now: the message is delivered again after `delay`.
struct RetryAfter {
    Duration delay{};
    std::string why;
    /// False where the message is not to blame (waiting for quota, a full disk): it may happen without end.
    bool spends_delivery = true;
};

/// Never: the message goes to the dead-letter queue. `reason` is one of the contract's words.
struct DeadLetter {
    std::string reason;
    std::string description;
};

using Outcome = std::variant<Done, RetryAfter, DeadLetter>;

/// Does the work of one delivery. An exception that leaves it counts as DeadLetter{"UnexpectedException"}, a
/// MachineError as RetryAfter that spends no delivery.
using Handler = std::function<asio::awaitable<Outcome>(broker::Delivery)>;

/// The reasons of the contract.
namespace reason {
inline constexpr char malformed_payload[] = "MalformedPayload";
inline constexpr char null_payload[] = "NullPayload";
inline constexpr char unknown_task_type[] = "UnknownTaskType";
inline constexpr char input_too_large[] = "InputTooLarge";
inline constexpr char content_filtered[] = "ContentFiltered";
inline constexpr char unexpected_exception[] = "UnexpectedException";
inline constexpr char malformed_result[] = "MalformedResult";
inline constexpr char delivery_count_exceeded[] = "MaxDeliveryCountExceeded";
}  // namespace reason

/// How long to wait before attempt `attempt` + 1 (from 1): exponential from `first`, at most `most`, full
/// jitter by `random` in [0, 1).
constexpr Duration backoff(int attempt, double random, Duration first = std::chrono::seconds(1),
                           Duration most = std::chrono::seconds(60)) {
    const int doublings = attempt < 1 ? 0 : (attempt > 20 ? 20 : attempt - 1);
    const std::int64_t bound = std::min<std::int64_t>(first.count() << doublings, most.count());
    return Duration(static_cast<std::int64_t>(static_cast<double>(bound) * random) + 1);
}

}  // namespace millrace::work
