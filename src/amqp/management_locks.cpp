// Deliveries by lock token: renewal and settlement.
#include "amqp/management_call.hpp"

namespace millrace::amqp {

namespace {

using asio::awaitable;

constexpr std::uint8_t kTimestamps = 0x83;

enum class Disposition { completed, abandoned, deferred, suspended };

struct DispositionName {
    std::string_view name;
    Disposition disposition;
};
// The SDKs write "defered". A suspended message is a dead letter.
constexpr DispositionName kDispositions[] = {
    {"completed", Disposition::completed}, {"abandoned", Disposition::abandoned},
    {"defered", Disposition::deferred},    {"deferred", Disposition::deferred},
    {"suspended", Disposition::suspended},
};

struct Settlement {
    Disposition disposition = Disposition::completed;
    std::string reason;
    std::string description;
    broker::Properties properties;
};

Settlement read_settlement(Arguments& arguments) {
    Settlement settlement;
    const std::string status = arguments.name("disposition-status");
    const auto* const named = std::find_if(std::begin(kDispositions), std::end(kDispositions),
                                           [&](const DispositionName& one) { return one.name == status; });
    if (named == std::end(kDispositions)) {
        arguments.fail(
            "The argument 'disposition-status' is none of completed, abandoned, defered, suspended.");
    } else {
        settlement.disposition = named->disposition;
    }
    settlement.reason = arguments.text("deadletter-reason").value_or("");
    settlement.description = arguments.text("deadletter-description").value_or("");
    const Map* changed = arguments.map("properties-to-modify");
    if (changed != nullptr) settlement.properties = to_properties(*changed);
    return settlement;
}

awaitable<Result<void>> settle(broker::Broker& broker, broker::LockRef lock, const Settlement& how) {
    switch (how.disposition) {
        case Disposition::completed: return broker.complete(std::move(lock));
        case Disposition::abandoned: return broker.abandon(std::move(lock), how.properties);
        case Disposition::deferred: return broker.defer(std::move(lock), how.properties);
        case Disposition::suspended: break;
    }
    return broker.dead_letter(std::move(lock), how.reason, how.description, how.properties);
}

/// A message of a session is lost with its session's lock.
std::string_view lost_with(const std::optional<std::string>& session_id) {
    return session_id ? condition::kSessionLockLost : condition::kMessageLockLost;
}

}  // namespace

// Every lock is tried: those behind a lost one must not run out because of it.
Answering renew_lock(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::vector<Uuid> tokens = arguments.tokens("lock-tokens");
    const auto session_id = arguments.text("session-id");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());

    Array expirations{kTimestamps, {}};
    std::optional<Error> failed;
    for (const Uuid& token : tokens) {
        const broker::LockRef lock{call.request.entity, token};
        const auto until = co_await call.context.broker.renew(lock);
        if (until)
            expirations.items.emplace_back(*until);
        else if (!failed)
            failed = until.error();
    }
    if (failed) co_return failure(call, *failed, lost_with(session_id));
    ManagementAnswer answer;
    answer.body.set("expirations", std::move(expirations));
    co_return answer;
}

// Every message is settled that can be; the first failure is answered.
Answering update_disposition(const Call& call) {
    Arguments arguments(call.request.arguments);
    const Settlement settlement = read_settlement(arguments);
    const std::vector<Uuid> tokens = arguments.tokens("lock-tokens");
    const auto session_id = arguments.text("session-id");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());

    std::optional<Error> failed;
    for (const Uuid& token : tokens) {
        const broker::LockRef lock{call.request.entity, token};
        const auto settled = co_await settle(call.context.broker, lock, settlement);
        if (!settled && !failed) failed = settled.error();
    }
    if (failed) co_return failure(call, *failed, lost_with(session_id));
    co_return ManagementAnswer();
}

}  // namespace millrace::amqp
