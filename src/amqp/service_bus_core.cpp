#include "amqp/service_bus_core.hpp"

#include "amqp/codec.hpp"
#include "amqp/conditions.hpp"
#include "amqp/message.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace millrace::amqp {

namespace {

constexpr std::uint8_t kUuidCode = 0x98;
constexpr std::size_t kStateBytesMax = 24 * limits::kKiB;  // of a disposition: it is one frame
constexpr Duration kRenewMin = std::chrono::seconds(1);
constexpr Duration kReleaseTimeMax = std::chrono::seconds(5);

/// What an official client tells in its open; RabbitMQ and Service Bus show it to operators.
ConnectionOptions protocol_of(const RemoteOptions& options) {
    ConnectionOptions protocol;
    protocol.container_id = "millrace-" + to_hex(random_uuid());
    protocol.hostname = options.target.endpoint.host;
    protocol.mechanisms = {"MSSBCBS", "ANONYMOUS"};
    protocol.message_bytes_max = limits::message_bytes_max_max;
    protocol.partial_bytes_max = 2 * limits::message_bytes_max_max;
    protocol.properties.set_symbol("product", std::string("Millrace"));
    protocol.properties.set_symbol("version", std::string(MILLRACE_VERSION));
    return protocol;
}

/// "q//$DeadLetterQueue" would be another node; what a path ends with stays.
std::string node_of(const std::string& entity) { return entity + "/$management"; }

Error management_error(std::int64_t status, const Map& properties) {
    const Value* named = properties.find("errorCondition");
    if (named == nullptr) named = properties.find("error-condition");
    const auto description = text_of(properties.find("statusDescription")).value_or("");
    if (const auto name = text_of(named)) {
        Error error = error_for(Condition{std::string(*name), std::string(description), {}});
        return error;
    }
    Errc code = Errc::unavailable;
    if (status == 400 || status == 401 || status == 403 || status == 501) code = Errc::invalid_input;
    if (status == 404) code = Errc::not_found;
    if (status == 409 || status == 410) code = Errc::conflict;
    return Error{code, "status " + std::to_string(status) + ": " + std::string(description)};
}

}  // namespace

Error lock_lost() { return Error{Errc::conflict, "the lock is lost or the message was settled already"}; }
Error session_lost() { return Error{Errc::conflict, "the session's lock is lost"}; }

ServiceBusClient::Core::Core(asio::any_io_executor executor, Clock& time, RemoteOptions options)
    : io(executor), clock(time), changed(executor) {
    const bool tokens = !options.target.secret.empty() || !options.target.signature.empty();
    ConnectionOptions protocol = protocol_of(options);
    connection =
        std::make_shared<ClientConnection>(io, clock, std::move(options), std::move(protocol), tokens);
}

asio::awaitable<Result<Managed>> ServiceBusClient::Core::manage(std::string entity, std::string operation,
                                                                Map arguments, std::string link_name) {
    auto opening = connection->requests(node_of(entity));
    auto links = co_await std::move(opening);
    if (!links) co_return links.error();
    const Duration time_max = connection->options().operation_time;
    Request request;
    request.properties.set("operation", "com.microsoft:" + operation);
    request.properties.set("com.microsoft:server-timeout", static_cast<std::uint32_t>(time_max.count()));
    if (!link_name.empty()) request.properties.set("associated-link-name", std::move(link_name));
    request.body = std::move(arguments);
    auto asking = (*links)->ask(std::move(request), time_max);
    auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    const Value* code = answer->properties.find("statusCode");
    const auto status = integer_of(code != nullptr ? code : answer->properties.find("status-code"));
    if (!status) co_return Error{Errc::unavailable, operation + " was answered without a status"};
    if (*status < 200 || *status > 299) {
        const auto condition = text_of(answer->properties.find("errorCondition")).value_or("");
        (*links)->wire()->note(Condition{std::string(condition), {}, {}});
        co_return management_error(*status, answer->properties);
    }
    Managed managed;
    managed.status = *status;
    if (auto* body = std::get_if<Map>(&answer->body)) managed.body = std::move(*body);
    co_return managed;
}

asio::awaitable<Result<Managed>> ServiceBusClient::Core::manage_again(std::string entity,
                                                                      std::string operation, Map arguments,
                                                                      std::string link_name) {
    const auto began = std::chrono::steady_clock::now();
    auto first = manage(entity, operation, arguments, link_name);
    auto managed = co_await std::move(first);
    const bool waited = std::chrono::steady_clock::now() - began > connection->options().operation_time / 2;
    if (managed || !may_pass(managed.error()) || waited) co_return managed;
    auto second = manage(std::move(entity), std::move(operation), std::move(arguments), std::move(link_name));
    co_return co_await std::move(second);
}

std::vector<broker::Delivery> ServiceBusClient::Core::hand_out(const std::string& entity,
                                                               const std::shared_ptr<ReceiverLink>& link,
                                                               const Uuid& session, std::vector<Held> held) {
    std::vector<broker::Delivery> deliveries;
    deliveries.reserve(held.size());
    for (Held& one : held) {
        broker::Delivery& delivery = one.delivery;
        delivery.entity = entity;
        if (!delivery.lock_token.is_nil()) {
            ClientLock lock;
            lock.entity = entity;
            lock.link = link;
            lock.delivery = one.id;
            lock.session = session;
            lock.locked_until = delivery.locked_until;
            locks.add(delivery.lock_token, std::move(lock), clock.now());
        }
        deliveries.push_back(std::move(delivery));
    }
    return deliveries;
}

// --- settling ------------------------------------------------------------------------------------------

asio::awaitable<Result<void>> ServiceBusClient::Core::settle(broker::LockRef ref, Settlement how) {
    const auto self = shared_from_this();
    if (ref.token.is_nil()) co_return lock_lost();
    ClientLock* lock = locks.find(ref.token);
    if (lock != nullptr && lock->busy) co_return lock_lost();
    const BusyLock busy(locks, ref.token);
    std::shared_ptr<ReceiverLink> link;
    if (lock != nullptr) link = lock->link.lock();
    const bool of_session = lock != nullptr && !lock->session.is_nil();
    if (of_session && session(lock->session) == nullptr) {
        locks.erase(ref.token);
        co_return session_lost();
    }
    std::string encoded;
    Writer writer(encoded);
    append_state(writer, how.state);
    if (link && link->is_open() && encoded.size() <= kStateBytesMax) {
        auto telling = link->settle(lock->delivery, how.state, connection->options().operation_time);
        const auto answer = co_await std::move(telling);
        if (answer) {
            const auto judged = judge(how.state, *answer);
            if (judged || judged.error().code == Errc::conflict) locks.erase(ref.token);
            // Refused, yet locked: the link has forgotten the delivery, the entity knows it by its token.
            if (ClientLock* held = locks.find(ref.token)) held->link.reset();
            co_return judged;
        }
        if (of_session) {
            locks.erase(ref.token);
            co_return Error{Errc::conflict, "the session was lost while its message was settled"};
        }
    }
    auto asking = settle_by_management(ref, std::move(how));
    const auto settled = co_await std::move(asking);
    if (settled || settled.error().code == Errc::conflict) locks.erase(ref.token);
    co_return settled;
}

/// A session is received from over the link that locks it, which locks each message as well: what is received
/// and deleted is completed before it is handed out.
asio::awaitable<Result<std::vector<broker::Delivery>>> ServiceBusClient::Core::complete_all(
    std::vector<broker::Delivery> deliveries) {
    const auto self = shared_from_this();
    std::vector<broker::Delivery> completed;
    for (broker::Delivery& one : deliveries) {
        Settlement how{Accepted{}, "completed", {}, {}, {}};
        auto settling = settle({one.entity, one.lock_token}, std::move(how));
        const auto settled = co_await std::move(settling);
        if (!settled && completed.empty() && &one == &deliveries.back()) co_return settled.error();
        if (!settled) continue;
        one.lock_token = Uuid();
        completed.push_back(std::move(one));
    }
    co_return completed;
}

/// The lock belongs to the entity: it can be settled by its token alone, also after a new connection.
asio::awaitable<Result<void>> ServiceBusClient::Core::settle_by_management(broker::LockRef ref,
                                                                           Settlement how) {
    Map arguments;
    arguments.set("disposition-status", std::string(how.status));
    arguments.set("lock-tokens", Array{kUuidCode, {Value(ref.token)}});
    if (!how.reason.empty()) arguments.set("deadletter-reason", how.reason);
    if (!how.description.empty()) arguments.set("deadletter-description", how.description);
    if (!how.properties.empty()) arguments.set("properties-to-modify", from_properties(how.properties));
    std::string link_name;
    const ClientLock* lock = locks.find(ref.token);
    if (lock != nullptr && !lock->session.is_nil()) {
        const Session* held = session(lock->session);
        if (held == nullptr) co_return session_lost();
        arguments.set("session-id", held->lock.session_id);
        link_name = held->link->name();
    }
    auto asking = manage_again(ref.entity, "update-disposition", std::move(arguments), std::move(link_name));
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    co_return Result<void>();
}

asio::awaitable<Result<TimePoint>> ServiceBusClient::Core::renew(broker::LockRef ref) {
    if (ref.token.is_nil()) co_return lock_lost();
    Map arguments;
    arguments.set("lock-tokens", Array{kUuidCode, {Value(ref.token)}});
    std::string link_name;
    if (const ClientLock* lock = locks.find(ref.token)) {
        if (const auto link = lock->link.lock()) link_name = link->name();
    }
    auto asking = manage_again(ref.entity, "renew-lock", std::move(arguments), std::move(link_name));
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    const Value* expirations = answer->body.find("expirations");
    const auto* list = expirations != nullptr ? expirations->as<Array>() : nullptr;
    const TimePoint* until =
        list != nullptr && !list->items.empty() ? list->items[0].as<TimePoint>() : nullptr;
    if (until == nullptr) co_return Error{Errc::unavailable, "a lock was renewed without a new end"};
    if (ClientLock* lock = locks.find(ref.token)) lock->locked_until = *until;
    co_return *until;
}

// --- postponing ----------------------------------------------------------------------------------------

asio::awaitable<Result<void>> ServiceBusClient::Core::postpone(broker::LockRef ref, Duration delay) {
    const auto self = shared_from_this();
    Settlement abandoned{Modified{true, false, {}}, "abandoned", {}, {}, {}};
    if (delay <= Duration::zero() || stopping) {
        auto settling = settle(ref, std::move(abandoned));
        co_return co_await std::move(settling);
    }
    if (ref.token.is_nil()) co_return lock_lost();
    ClientLock* lock = locks.find(ref.token);
    if (lock != nullptr && lock->busy) co_return lock_lost();
    const TimePoint due = clock.now() + delay;
    const Uuid of = lock != nullptr ? lock->session : Uuid();
    TimePoint locked_until;
    if (of.is_nil()) {
        auto renewing = renew(ref);
        const auto renewed = co_await std::move(renewing);
        if (!renewed) co_return renewed.error();
        locked_until = *renewed;
    } else {
        Session* held = session(of);
        if (held == nullptr) co_return session_lost();
        held->holds += 1;
        locked_until = held->lock.locked_until;
    }
    lock = locks.find(ref.token);
    if (lock != nullptr) lock->busy = true;
    holding += 1;
    spawn(io, hold(self, ref, due, locked_until));
    co_return Result<void>();
}

/// Keeps the lock until `due`, then lets the message go.
asio::awaitable<void> ServiceBusClient::Core::hold(std::shared_ptr<Core> self, broker::LockRef ref,
                                                   TimePoint due, TimePoint locked_until) {
    auto holding = self->hold_until(ref, due, locked_until);
    co_await std::move(holding);
    ClientLock* lock = self->locks.find(ref.token);
    const Uuid of = lock != nullptr ? lock->session : Uuid();
    if (lock != nullptr) lock->busy = false;
    Settlement abandoned{Modified{true, false, {}}, "abandoned", {}, {}, {}};
    auto settling = self->settle(ref, std::move(abandoned));
    const auto settled = co_await std::move(settling);
    if (!settled) telemetry::log_warning("postpone", ref.entity, settled.error().detail);
    self->end_hold(of);
    self->holding -= 1;
    self->changed.notify();
}

asio::awaitable<void> ServiceBusClient::Core::hold_until(broker::LockRef ref, TimePoint due,
                                                         TimePoint locked_until) {
    using namespace asio::experimental::awaitable_operators;
    while (!stopping && clock.now() < due) {
        const TimePoint now = clock.now();
        const Duration left = std::max<Duration>(locked_until - now, Duration::zero());
        const TimePoint next = std::min(due, now + std::max<Duration>(left / 2, kRenewMin));
        auto sleeping = clock.sleep_until(next);
        auto stopped = changed.wait();
        auto first = std::move(sleeping) || std::move(stopped);
        co_await std::move(first);
        if (stopping || clock.now() >= due) break;
        if (clock.now() < next) continue;  // something else has changed
        const ClientLock* lock = locks.find(ref.token);
        const Uuid of = lock != nullptr ? lock->session : Uuid();
        Session* held = of.is_nil() ? nullptr : session(of);
        if (!of.is_nil() && held == nullptr) break;
        auto renewing = held != nullptr ? renew_session(held->lock) : renew(ref);
        const auto renewed = co_await std::move(renewing);
        if (renewed) locked_until = *renewed;
        if (!renewed && renewed.error().code == Errc::conflict) break;
    }
}

// --- sessions ------------------------------------------------------------------------------------------

ServiceBusClient::Core::Session* ServiceBusClient::Core::session(const Uuid& token) {
    const auto found = sessions.find(token);
    if (found == sessions.end()) return nullptr;
    if (!found->second.link->is_gone()) return &found->second;
    sessions.erase(found);
    return nullptr;
}

void ServiceBusClient::Core::end_hold(const Uuid& token) {
    Session* const held = token.is_nil() ? nullptr : session(token);
    if (held == nullptr) return;
    held->holds -= 1;
    if (held->holds == 0 && held->releasing) {
        held->link->close();
        sessions.erase(token);
    }
}

asio::awaitable<bool> ServiceBusClient::Core::until_free(Uuid token, TimePoint deadline) {
    using namespace asio::experimental::awaitable_operators;
    while (true) {
        const Session* const held = session(token);
        if (held == nullptr || held->holds == 0) co_return true;
        if (clock.now() >= deadline || stopping) co_return false;
        auto sleeping = clock.sleep_until(deadline);
        auto changing = changed.wait();
        auto first = std::move(sleeping) || std::move(changing);
        co_await std::move(first);
    }
}

asio::awaitable<void> ServiceBusClient::Core::release(Uuid token) {
    const auto self = shared_from_this();
    Session* const held = session(token);
    if (held == nullptr) co_return;
    if (held->holds > 0 && !stopping) {
        held->releasing = true;  // its messages keep their order only as long as it is locked
        co_return;
    }
    const auto link = held->link;
    sessions.erase(token);
    link->close();
    co_await link->closed(kReleaseTimeMax);
}

asio::awaitable<Result<TimePoint>> ServiceBusClient::Core::renew_session(broker::SessionLock lock) {
    const Session* const held = session(lock.token);
    if (held == nullptr) co_return session_lost();
    Map arguments;
    arguments.set("session-id", held->lock.session_id);
    auto asking = manage(held->lock.entity, "renew-session-lock", std::move(arguments), held->link->name());
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    const Value* expiration = answer->body.find("expiration");
    const auto* until = expiration != nullptr ? expiration->as<TimePoint>() : nullptr;
    if (until == nullptr) co_return Error{Errc::unavailable, "a session was renewed without a new end"};
    if (Session* renewed = session(lock.token)) renewed->lock.locked_until = *until;
    co_return *until;
}

// --- stopping ------------------------------------------------------------------------------------------

asio::awaitable<void> ServiceBusClient::Core::until_nothing_held() {
    while (holding > 0) co_await changed.wait();
}

asio::awaitable<void> ServiceBusClient::Core::stop() {
    const auto self = shared_from_this();
    stopping = true;
    changed.notify();
    if (connection->is_connected()) {
        auto letting_go = until_nothing_held();
        co_await with_deadline(std::move(letting_go), kReleaseTimeMax);
    }
    sessions.clear();
    co_await connection->stop();
}

}  // namespace millrace::amqp
