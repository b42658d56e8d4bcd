#include "amqp/service_bus_client.hpp"

#include "amqp/conditions.hpp"
#include "amqp/message.hpp"
#include "amqp/service_bus_core.hpp"
#include "base/utf8.hpp"
#include "telemetry/log.hpp"

namespace millrace::amqp {

namespace {

constexpr std::uint8_t kLongCode = 0x81;
constexpr std::size_t kPeekAtOnce = 250;
constexpr Duration kReattachPause = std::chrono::milliseconds(100);

Array array_of(const std::vector<std::int64_t>& numbers) {
    Array array{kLongCode, {}};
    for (const std::int64_t number : numbers) array.items.emplace_back(number);
    return array;
}

/// The items of a list or an array; none for anything else.
const std::vector<Value>& items_of(const Value* value) {
    static const std::vector<Value> none;
    if (value == nullptr) return none;
    if (const auto* list = value->as<List>()) return list->items;
    if (const auto* array = value->as<Array>()) return array->items;
    return none;
}

std::string short_text(const std::string& text) {
    return std::string(first_characters(text, limits::dead_letter_text_chars_max));
}

Settlement rejection(std::string reason, std::string description, broker::Properties properties) {
    Settlement how{{}, "suspended", short_text(reason), short_text(description), std::move(properties)};
    Condition why;
    why.name = condition::kDeadLetter;
    for (const auto& [name, value] : how.properties) why.info.set_symbol(name, from_broker(value));
    why.info.set_symbol(broker::kDeadLetterReason, how.reason);
    why.info.set_symbol(broker::kDeadLetterDescription, how.description);
    how.state = Rejected{std::move(why)};
    return how;
}

}  // namespace

ServiceBusClient::ServiceBusClient(asio::any_io_executor io, Clock& clock, RemoteOptions options)
    : core_(std::make_shared<Core>(io, clock, std::move(options))) {}

ServiceBusClient::~ServiceBusClient() {
    core_->stopping = true;
    core_->changed.notify();
    core_->connection->cut();
}

asio::awaitable<void> ServiceBusClient::stop() { return core_->stop(); }
bool ServiceBusClient::is_connected() const noexcept { return core_->connection->is_connected(); }

// --- sending -------------------------------------------------------------------------------------------

asio::awaitable<Result<std::vector<std::int64_t>>> ServiceBusClient::send(
    std::string entity, std::vector<broker::Message> messages) {
    const auto core = core_;
    std::vector<std::int64_t> numbers(messages.size());
    std::vector<broker::Message> now;
    std::vector<broker::Message> later;
    std::vector<std::size_t> places;  // of `later` among all
    for (std::size_t i = 0; i < messages.size(); ++i) {
        broker::Message& one = messages[i];
        if (one.time_to_live && *one.time_to_live < Duration::zero())
            co_return Error{Errc::invalid_input, "the time to live is negative"};
        const bool scheduled = one.scheduled_at && *one.scheduled_at > core->clock.now();
        if (scheduled) places.push_back(i);
        (scheduled ? later : now).push_back(std::move(one));
    }
    std::vector<std::int64_t> scheduled;
    if (!later.empty()) {
        auto scheduling = core->schedule(entity, std::move(later));
        auto answered = co_await std::move(scheduling);
        if (!answered) co_return answered.error();
        scheduled = std::move(*answered);
    }
    for (std::size_t i = 0; i < places.size() && i < scheduled.size(); ++i) numbers[places[i]] = scheduled[i];
    if (now.empty()) co_return numbers;
    const bool single = now.size() == 1;
    std::string payload = single ? write_message(now[0]) : write_batch(now);
    auto sending =
        send_delivery(core->connection, entity, std::move(payload), single ? kPlainFormat : kBatchFormat);
    const auto sent = co_await std::move(sending);
    if (sent) co_return numbers;
    if (!scheduled.empty()) {
        // All or none: the scheduled part is taken back.
        auto cancelling = cancel_scheduled(entity, scheduled);
        const auto cancelled = co_await std::move(cancelling);
        if (!cancelled) telemetry::log_warning("cancel", entity, cancelled.error().detail);
    }
    co_return sent.error();
}

asio::awaitable<Result<std::vector<std::int64_t>>> ServiceBusClient::Core::schedule(
    std::string entity, std::vector<broker::Message> messages) {
    List list;
    for (const broker::Message& message : messages) {
        Map one;
        one.set("message", Binary{write_message(message)});
        one.set("message-id", message.message_id);
        if (message.session_id) one.set("session-id", *message.session_id);
        if (!message.partition_key.empty()) one.set("partition-key", message.partition_key);
        list.items.emplace_back(std::move(one));
    }
    Map arguments;
    arguments.set("messages", std::move(list));
    auto asking = manage(std::move(entity), "schedule-message", std::move(arguments), "");
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    std::vector<std::int64_t> numbers;
    for (const Value& item : items_of(answer->body.find("sequence-numbers")))
        numbers.push_back(integer_of(item).value_or(0));
    numbers.resize(messages.size());
    co_return numbers;
}

asio::awaitable<Result<void>> ServiceBusClient::cancel_scheduled(std::string entity,
                                                                 std::vector<std::int64_t> sequences) {
    const auto core = core_;
    Map arguments;
    arguments.set("sequence-numbers", array_of(sequences));
    auto asking = core->manage(std::move(entity), "cancel-scheduled-message", std::move(arguments), "");
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    co_return Result<void>();
}

// --- receiving -----------------------------------------------------------------------------------------

asio::awaitable<Result<std::vector<broker::Delivery>>> ServiceBusClient::receive(
    std::string entity, broker::ReceiveOptions options) {
    const auto core = core_;
    const TimePoint deadline = core->clock.now() + options.wait;
    const bool of_session = !options.session.is_nil();
    ReceiverOptions wanted;
    wanted.address = entity;
    wanted.delete_on_receive = options.mode == broker::ReceiveMode::receive_and_delete;
    for (;;) {
        std::shared_ptr<ReceiverLink> link;
        if (of_session) {
            const Core::Session* held = core->session(options.session);
            if (held == nullptr) co_return session_lost();
            link = held->link;
            if (held->holds > 0) {
                auto waiting = core->until_free(options.session, deadline);
                const bool free = co_await std::move(waiting);
                if (link->is_gone()) co_return session_lost();
                if (!free) co_return std::vector<broker::Delivery>();
            }
        } else {
            auto opening = core->connection->receiver(wanted);
            auto opened = co_await std::move(opening);
            if (!opened) co_return opened.error();
            link = std::move(*opened);
        }
        auto receiving = receive_on(core->connection, core->clock, link, options, deadline);
        auto held = co_await std::move(receiving);
        if (link->is_gone() && of_session) co_return session_lost();
        if (!held.empty() || !link->is_gone()) {
            auto deliveries = core->hand_out(entity, link, options.session, std::move(held));
            if (!of_session || !wanted.delete_on_receive) co_return deliveries;
            auto deleting = core->complete_all(std::move(deliveries));
            co_return co_await std::move(deleting);
        }
        if (!may_pass(link->error()) || core->clock.now() >= deadline) co_return link->error();
        // Idle links are detached by the service; another one takes its place.
        asio::steady_timer timer(core->io, kReattachPause);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<Result<std::vector<broker::Delivery>>> ServiceBusClient::receive_deferred(
    std::string entity, std::vector<std::int64_t> sequences, broker::ReceiveOptions options) {
    const auto core = core_;
    const bool locked = options.mode == broker::ReceiveMode::peek_lock;
    Map arguments;
    arguments.set("sequence-numbers", array_of(sequences));
    arguments.set("receiver-settle-mode", std::uint32_t{locked ? 1u : 0u});
    std::string link_name;
    if (!options.session.is_nil()) {
        const Core::Session* held = core->session(options.session);
        if (held == nullptr) co_return session_lost();
        arguments.set("session-id", held->lock.session_id);
        link_name = held->link->name();
    }
    auto asking =
        core->manage(entity, "receive-by-sequence-number", std::move(arguments), std::move(link_name));
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    std::vector<broker::Delivery> deliveries;
    std::optional<Error> unreadable;
    for (const Value& item : items_of(answer->body.find("messages"))) {
        const auto* one = item.as<Map>();
        const Value* message = one != nullptr ? one->find("message") : nullptr;
        const auto* bytes = message != nullptr ? message->as<Binary>() : nullptr;
        if (bytes == nullptr) continue;
        auto read = read_message(bytes->bytes);
        if (!read) {
            unreadable = read.error();
            continue;  // it stays deferred when its lock has run out
        }
        const Value* token = one->find("lock-token");
        const auto* uuid = token != nullptr ? token->as<Uuid>() : nullptr;
        read->lock_token = uuid != nullptr && locked ? *uuid : Uuid();
        read->entity = entity;
        if (!read->lock_token.is_nil()) {
            ClientLock lock;
            lock.entity = entity;
            lock.deferred = true;
            lock.session = options.session;
            lock.locked_until = read->locked_until;
            core->locks.add(read->lock_token, std::move(lock), core->clock.now());
        }
        deliveries.push_back(std::move(*read));
    }
    if (unreadable && deliveries.empty()) co_return *unreadable;
    if (unreadable) telemetry::log_warning("receive deferred", entity, unreadable->detail);
    co_return deliveries;
}

asio::awaitable<Result<std::vector<broker::Delivery>>> ServiceBusClient::peek(std::string entity,
                                                                              std::int64_t from,
                                                                              std::size_t messages_max) {
    const auto core = core_;
    std::vector<broker::Delivery> peeked;
    while (peeked.size() < messages_max) {
        const std::size_t count = std::min(messages_max - peeked.size(), kPeekAtOnce);
        Map arguments;
        arguments.set("from-sequence-number", from);
        arguments.set("message-count", static_cast<std::int32_t>(count));
        auto asking = core->manage_again(entity, "peek-message", std::move(arguments), "");
        const auto answer = co_await std::move(asking);
        if (!answer) co_return answer.error();
        const std::size_t before = peeked.size();
        for (const Value& item : items_of(answer->body.find("messages"))) {
            const auto* one = item.as<Map>();
            const Value* message = one != nullptr ? one->find("message") : nullptr;
            const auto* bytes = message != nullptr ? message->as<Binary>() : nullptr;
            if (bytes == nullptr) continue;
            auto read = read_message(bytes->bytes);
            if (!read) co_return read.error();
            read->entity = entity;
            read->lock_token = Uuid();
            from = std::max(from, read->sequence);
            peeked.push_back(std::move(*read));
        }
        if (peeked.size() == before || from == INT64_MAX) break;
        from += 1;
    }
    co_return peeked;
}

// --- settling ------------------------------------------------------------------------------------------

asio::awaitable<Result<TimePoint>> ServiceBusClient::renew(broker::LockRef lock) {
    const auto core = core_;
    auto renewing = core->renew(std::move(lock));
    co_return co_await std::move(renewing);
}

asio::awaitable<Result<void>> ServiceBusClient::complete(broker::LockRef lock) {
    Settlement how{Accepted{}, "completed", {}, {}, {}};
    return core_->settle(std::move(lock), std::move(how));
}

asio::awaitable<Result<void>> ServiceBusClient::abandon(broker::LockRef lock, broker::Properties properties) {
    Settlement how{Modified{true, false, from_properties(properties)}, "abandoned", {}, {}, properties};
    return core_->settle(std::move(lock), std::move(how));
}

asio::awaitable<Result<void>> ServiceBusClient::defer(broker::LockRef lock, broker::Properties properties) {
    Settlement how{Modified{false, true, from_properties(properties)}, "defered", {}, {}, properties};
    return core_->settle(std::move(lock), std::move(how));
}

asio::awaitable<Result<void>> ServiceBusClient::dead_letter(broker::LockRef lock, std::string reason,
                                                            std::string description,
                                                            broker::Properties properties) {
    return core_->settle(std::move(lock),
                         rejection(std::move(reason), std::move(description), std::move(properties)));
}

asio::awaitable<Result<void>> ServiceBusClient::postpone(broker::LockRef lock, Duration delay, bool) {
    return core_->postpone(std::move(lock), delay);
}

// --- sessions ------------------------------------------------------------------------------------------

asio::awaitable<Result<broker::SessionLock>> ServiceBusClient::accept_session(
    std::string entity, std::optional<std::string> session_id, Duration wait) {
    const auto core = core_;
    std::erase_if(core->sessions, [](const auto& one) { return one.second.link->is_gone(); });
    ReceiverOptions options;
    options.address = entity;
    options.by_session = true;
    options.session_id = std::move(session_id);
    options.session_wait = wait;
    auto opening = core->connection->session(std::move(options));
    auto link = co_await std::move(opening);
    if (!link) co_return link.error();
    broker::SessionLock lock{std::move(entity), (*link)->session_id(), random_uuid(),
                             (*link)->locked_until()};
    core->sessions.emplace(lock.token, Core::Session{std::move(*link), lock, 0, false});
    co_return lock;
}

asio::awaitable<Result<TimePoint>> ServiceBusClient::renew_session(broker::SessionLock lock) {
    return core_->renew_session(std::move(lock));
}

asio::awaitable<void> ServiceBusClient::release_session(broker::SessionLock lock) {
    return core_->release(lock.token);
}

asio::awaitable<Result<std::optional<std::string>>> ServiceBusClient::session_state(
    broker::SessionLock lock) {
    const auto core = core_;
    const Core::Session* held = core->session(lock.token);
    if (held == nullptr) co_return session_lost();
    Map arguments;
    arguments.set("session-id", held->lock.session_id);
    auto asking =
        core->manage_again(held->lock.entity, "get-session-state", std::move(arguments), held->link->name());
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    const Value* state = answer->body.find("session-state");
    const auto* bytes = state != nullptr ? state->as<Binary>() : nullptr;
    if (bytes == nullptr) co_return std::optional<std::string>();
    co_return std::optional<std::string>(bytes->bytes);
}

asio::awaitable<Result<void>> ServiceBusClient::set_session_state(broker::SessionLock lock,
                                                                  std::optional<std::string> state) {
    const auto core = core_;
    const Core::Session* held = core->session(lock.token);
    if (held == nullptr) co_return session_lost();
    Map arguments;
    arguments.set("session-id", held->lock.session_id);
    arguments.set("session-state", state ? Value(Binary{std::move(*state)}) : Value(Null{}));
    auto asking =
        core->manage_again(held->lock.entity, "set-session-state", std::move(arguments), held->link->name());
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    co_return Result<void>();
}

std::unique_ptr<RemoteQueue> make_service_bus_queue(asio::any_io_executor io, Clock& clock,
                                                    RemoteOptions options) {
    return std::make_unique<ServiceBusClient>(io, clock, std::move(options));
}

}  // namespace millrace::amqp
