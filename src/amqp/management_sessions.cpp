// Sessions: their locks, their states, and which there are.
#include "amqp/management_call.hpp"
#include "base/limits.hpp"

namespace millrace::amqp {

namespace {

constexpr std::uint8_t kStrings = 0xb1;
constexpr auto kPageMax = static_cast<std::int64_t>(limits::page_items_max);

/// From here on "last-updated-time" is .NET's DateTime.MaxValue, which stands for: all that have messages.
constexpr TimePoint kWhatever = std::chrono::sys_days(std::chrono::year(9999) / 12 / 31);

/// The argument "session-id", which may be the empty text.
std::string session_id_of(Arguments& arguments) {
    auto session_id = arguments.text("session-id");
    if (!session_id) arguments.fail("The argument 'session-id' is missing.");
    return std::move(session_id).value_or("");
}

/// Bytes, a text's bytes, or none to clear it.
std::optional<std::string> state_of(Arguments& arguments) {
    const Value* value = arguments.find("session-state");
    if (value == nullptr) return std::nullopt;
    if (const auto* binary = value->as<Binary>()) return binary->bytes;
    return arguments.text("session-state");
}

}  // namespace

Answering renew_session_lock(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::string session_id = session_id_of(arguments);
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());
    const auto session = call.session(session_id);
    if (!session) co_return session_lock_lost(call);
    const auto until = co_await call.context.broker.renew_session(*session);
    if (!until) co_return failure(call, until.error(), condition::kSessionLockLost);
    ManagementAnswer answer;
    answer.body.set("expiration", *until);
    co_return answer;
}

Answering set_session_state(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::string session_id = session_id_of(arguments);
    std::optional<std::string> state = state_of(arguments);
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());
    const auto session = call.session(session_id);
    if (!session) co_return session_lock_lost(call);
    const auto stored = co_await call.context.broker.set_session_state(*session, std::move(state));
    if (!stored) co_return failure(call, stored.error(), condition::kSessionLockLost);
    co_return ManagementAnswer();
}

Answering get_session_state(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::string session_id = session_id_of(arguments);
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());
    const auto session = call.session(session_id);
    if (!session) co_return session_lock_lost(call);
    auto state = co_await call.context.broker.session_state(*session);
    if (!state) co_return failure(call, state.error(), condition::kSessionLockLost);
    ManagementAnswer answer;
    if (*state)
        answer.body.set("session-state", Binary{std::move(**state)});
    else
        answer.body.set("session-state", Null());
    co_return answer;
}

Answering get_message_sessions(const Call& call) {
    Arguments arguments(call.request.arguments);
    auto since = arguments.moment("last-updated-time");
    if (since && *since >= kWhatever) since.reset();
    const std::int64_t skip = arguments.integer("skip").value_or(0);
    if (skip < 0) arguments.fail("The argument 'skip' is less than 0.");
    const auto top = static_cast<std::size_t>(arguments.count("top", 1, kPageMax));
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());

    auto listing =
        call.context.broker.sessions(call.request.entity, since, static_cast<std::size_t>(skip), top);
    const auto found = co_await std::move(listing);
    if (!found) co_return failure(call, found.error());
    if (found->empty()) co_return nothing();
    Array ids{kStrings, {}};
    for (const std::string& id : *found) ids.items.emplace_back(id);
    ManagementAnswer answer;
    const std::int64_t next = std::min<std::int64_t>(skip, INT32_MAX - kPageMax);
    answer.body.set("skip", static_cast<std::int32_t>(next + static_cast<std::int64_t>(found->size())));
    answer.body.set("sessions-ids", std::move(ids));
    co_return answer;
}

}  // namespace millrace::amqp
