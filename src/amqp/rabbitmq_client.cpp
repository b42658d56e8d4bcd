// RabbitMQ as a remote queue: the part of AMQP 1.0 that every broker knows. See remote_queue.hpp.
#include "amqp/client_calls.hpp"
#include "amqp/client_locks.hpp"
#include "amqp/message.hpp"
#include "base/utf8.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <charconv>

namespace millrace::amqp {

namespace {

using broker::Delivery;
using broker::LockRef;
using broker::Message;
using broker::Properties;
using broker::SessionLock;

constexpr Duration kLockTime = std::chrono::hours(1);  // shown only: a lock lives as long as its link
constexpr Duration kReattachPause = std::chrono::milliseconds(100);
constexpr Duration kStopTimeMax = std::chrono::seconds(5);
constexpr char kManagementNode[] = "/management";
constexpr std::string_view kDeadLetterSuffix = "/$DeadLetterQueue";

Error not_there(const char* what) {
    return Error{Errc::invalid_input, std::string("RabbitMQ has no ") + what};
}
Error lock_lost() { return Error{Errc::conflict, "the delivery is gone: it was settled, or its link ended"}; }

/// Where dead letters of `entity` go, and what their path names.
std::string queue_of(const std::string& entity) {
    if (!entity.ends_with(kDeadLetterSuffix)) return entity;
    return entity.substr(0, entity.size() - kDeadLetterSuffix.size()) + ".dead-letter";
}

std::string percent_encoded(std::string_view name) {
    constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            out.push_back(c);
        } else {
            out.push_back('%');
            out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
            out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
        }
    }
    return out;
}

ConnectionOptions protocol_of(const ConnectionString& target) {
    ConnectionOptions protocol;
    protocol.container_id = "millrace-" + to_hex(random_uuid());
    const std::string& host = target.virtual_host;
    protocol.hostname = host.empty() ? target.endpoint.host : "vhost:" + host;
    if (target.user.empty()) {
        protocol.mechanisms = {"ANONYMOUS"};
    } else {
        protocol.mechanisms = {"PLAIN"};
        protocol.sasl_response = std::string(1, '\0') + target.user + std::string(1, '\0') + target.secret;
    }
    protocol.message_bytes_max = limits::message_bytes_max_max;
    protocol.partial_bytes_max = 2 * limits::message_bytes_max_max;
    protocol.properties.set_symbol("product", std::string("Millrace"));
    protocol.properties.set_symbol("version", std::string(MILLRACE_VERSION));
    return protocol;
}

/// From version 4 on queues have other addresses, and are not declared by being attached to: see `declare`.
bool is_version_4(const Wire& wire) {
    const auto version = text_of(wire.peer().properties.find("version")).value_or("");
    int major = 0;
    const auto [end, failed] = std::from_chars(version.data(), version.data() + version.size(), major);
    (void)end;
    return failed == std::errc() && major >= 4;
}

/// Shared with the coroutines that wait for a message's time.
class RabbitMq : public std::enable_shared_from_this<RabbitMq> {
  public:
    RabbitMq(asio::any_io_executor executor, Clock& time, RemoteOptions options)
        : io(executor), clock(time), changed(executor) {
        ConnectionOptions protocol = protocol_of(options.target);
        connection =
            std::make_shared<ClientConnection>(io, clock, std::move(options), std::move(protocol), false);
    }

    asio::awaitable<Result<std::string>> address_of(std::string entity) {
        auto connecting = connection->wire();
        const auto wire = co_await std::move(connecting);
        if (!wire) co_return wire.error();
        const std::string queue = percent_encoded(queue_of(entity));
        co_return (is_version_4(**wire) ? "/queues/" : "/queue/") + queue;
    }

    asio::awaitable<Result<void>> send_one(std::string entity, Message message);
    asio::awaitable<Result<void>> declare(std::string address);
    asio::awaitable<Result<std::vector<Delivery>>> receive(std::string entity,
                                                           broker::ReceiveOptions options);
    asio::awaitable<Result<void>> settle(LockRef lock, DeliveryState state);
    asio::awaitable<Result<void>> dead_letter(LockRef lock, std::string reason, std::string description,
                                              Properties properties);
    asio::awaitable<Result<void>> postpone(LockRef lock, Duration delay, DeliveryState state);
    static asio::awaitable<void> hold(std::shared_ptr<RabbitMq> self, LockRef lock, TimePoint due,
                                      DeliveryState state);
    asio::awaitable<void> stop();
    asio::awaitable<void> until_nothing_held() {
        while (holding > 0) co_await changed.wait();
    }

    asio::any_io_executor io;
    Clock& clock;
    std::shared_ptr<ClientConnection> connection;
    ClientLocks locks;
    std::size_t holding = 0;
    bool stopping = false;
    Signal changed;  ///< stopping, or a hold has ended
};

asio::awaitable<Result<void>> RabbitMq::send_one(std::string entity, Message message) {
    const auto self = shared_from_this();
    auto addressing = address_of(std::move(entity));
    const auto address = co_await std::move(addressing);
    if (!address) co_return address.error();
    const std::string payload = write_message(message, true);
    auto sending = send_delivery(connection, *address, payload, kPlainFormat);
    const auto sent = co_await std::move(sending);
    if (sent || sent.error().code != Errc::not_found) co_return sent;
    auto declaring = declare(*address);
    const auto declared = co_await std::move(declaring);
    if (!declared) co_return declared;
    auto again = send_delivery(connection, *address, payload, kPlainFormat);
    co_return co_await std::move(again);
}

/// Makes a queue that is not there, as RabbitMQ before version 4 does by itself for whoever attaches to it.
asio::awaitable<Result<void>> RabbitMq::declare(std::string address) {
    const auto self = shared_from_this();
    auto opening = connection->requests(kManagementNode, Pairing::by_name);
    const auto links = co_await std::move(opening);
    if (!links) co_return links.error();
    Request request;
    request.to = address;
    request.subject = "PUT";
    Map queue;
    queue.set("durable", true);
    request.body = std::move(queue);
    auto asking = (*links)->ask(std::move(request), connection->options().operation_time);
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    if (answer->subject.starts_with("2")) {
        telemetry::log_info("declared", address, "the queue was not there");
        co_return Result<void>();
    }
    const auto said = text_of(&answer->body).value_or("");
    co_return Error{Errc::not_found, "there is no queue at \"" + address +
                                         "\", and RabbitMQ declares none: " + answer->subject + " " +
                                         std::string(said)};
}

asio::awaitable<Result<std::vector<Delivery>>> RabbitMq::receive(std::string entity,
                                                                 broker::ReceiveOptions options) {
    const auto self = shared_from_this();
    const TimePoint deadline = clock.now() + options.wait;
    bool declared = false;
    for (;;) {
        auto addressing = address_of(entity);
        const auto address = co_await std::move(addressing);
        if (!address) co_return address.error();
        ReceiverOptions wanted;
        wanted.address = *address;
        wanted.delete_on_receive = options.mode == broker::ReceiveMode::receive_and_delete;
        wanted.neutral = true;
        auto opening = connection->receiver(std::move(wanted));
        auto link = co_await std::move(opening);
        if (!link && link.error().code == Errc::not_found && !declared) {
            auto declaring = declare(*address);
            const auto done = co_await std::move(declaring);
            if (!done) co_return done.error();
            declared = true;
            continue;
        }
        if (!link) co_return link.error();
        auto receiving = receive_on(connection, clock, *link, options, deadline);
        auto held = co_await std::move(receiving);
        // What came over a link that has ended comes again, unless it was deleted with being sent.
        if (!(*link)->is_gone() || ((*link)->options().delete_on_receive && !held.empty())) {
            std::vector<Delivery> deliveries;
            for (Held& one : held) {
                one.delivery.entity = entity;
                one.delivery.locked_until = clock.now() + kLockTime;
                ClientLock lock;
                lock.entity = entity;
                lock.link = *link;
                lock.delivery = one.id;
                lock.locked_until = one.delivery.locked_until;
                lock.copy = one.delivery.message;
                const Uuid token = one.delivery.lock_token;
                if (!token.is_nil()) locks.add(token, std::move(lock), clock.now());
                deliveries.push_back(std::move(one.delivery));
            }
            co_return deliveries;
        }
        if (!may_pass((*link)->error()) || clock.now() >= deadline) co_return (*link)->error();
        asio::steady_timer timer(io, kReattachPause);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

/// `state` in the words of the peer: before version 4 RabbitMQ knows no "modified" and ends the session over
/// it, and with it every delivery of the link.
DeliveryState in_words_of(const Wire& peer, DeliveryState state) {
    if (!std::holds_alternative<Modified>(state) || is_version_4(peer)) return state;
    return Released{};
}

/// The peer does not confirm a settlement: after a cut connection the message may come again.
asio::awaitable<Result<void>> RabbitMq::settle(LockRef ref, DeliveryState state) {
    const auto link = locks.open_link(ref.token);
    if (!link) co_return lock_lost();
    const std::uint32_t delivery = locks.find(ref.token)->delivery;
    locks.erase(ref.token);
    link->settle_at_once(delivery, in_words_of(*link->wire(), std::move(state)));
    co_return Result<void>();
}

/// The copy is safe in its queue before the message itself is let go.
asio::awaitable<Result<void>> RabbitMq::dead_letter(LockRef ref, std::string reason, std::string description,
                                                    Properties properties) {
    const auto self = shared_from_this();
    if (!locks.open_link(ref.token)) co_return lock_lost();
    const ClientLock* const lock = locks.find(ref.token);
    if (lock->entity.ends_with(kDeadLetterSuffix))
        co_return Error{Errc::invalid_input, "a dead letter can't be dead-lettered"};
    Message copy = *lock->copy;
    for (auto& [name, value] : properties) copy.properties[name] = std::move(value);
    copy.properties[broker::kDeadLetterReason] =
        std::string(first_characters(reason, limits::dead_letter_text_chars_max));
    copy.properties[broker::kDeadLetterDescription] =
        std::string(first_characters(description, limits::dead_letter_text_chars_max));
    const std::string queue = lock->entity + std::string(kDeadLetterSuffix);
    {
        const BusyLock busy(locks, ref.token);
        auto sending = send_one(queue, std::move(copy));
        const auto sent = co_await std::move(sending);
        if (!sent) co_return sent.error();
    }
    auto settling = settle(ref, Accepted{});
    co_return co_await std::move(settling);
}

asio::awaitable<Result<void>> RabbitMq::postpone(LockRef ref, Duration delay, DeliveryState state) {
    if (delay <= Duration::zero() || stopping) co_return co_await settle(std::move(ref), std::move(state));
    if (!locks.open_link(ref.token)) co_return lock_lost();
    locks.find(ref.token)->busy = true;
    holding += 1;
    const TimePoint due = clock.now() + delay;
    spawn(io, hold(shared_from_this(), std::move(ref), due, std::move(state)));
    co_return Result<void>();
}

/// Keeps the message from everybody until `due`.
asio::awaitable<void> RabbitMq::hold(std::shared_ptr<RabbitMq> self, LockRef ref, TimePoint due,
                                     DeliveryState state) {
    using namespace asio::experimental::awaitable_operators;
    while (!self->stopping && self->clock.now() < due) {
        auto sleeping = self->clock.sleep_until(due);
        auto stopped = self->changed.wait();
        auto first = std::move(sleeping) || std::move(stopped);
        co_await std::move(first);
    }
    if (ClientLock* lock = self->locks.find(ref.token)) lock->busy = false;
    auto settling = self->settle(ref, std::move(state));
    const auto settled = co_await std::move(settling);
    if (!settled) telemetry::log_debug("postpone", ref.entity, settled.error().detail);
    self->holding -= 1;
    self->changed.notify();
}

asio::awaitable<void> RabbitMq::stop() {
    const auto self = shared_from_this();
    stopping = true;
    changed.notify();
    auto letting_go = until_nothing_held();
    co_await with_deadline(std::move(letting_go), kStopTimeMax);
    co_await connection->stop();
}

class RabbitMqClient final : public RemoteQueue {
  public:
    RabbitMqClient(asio::any_io_executor io, Clock& clock, RemoteOptions options)
        : core_(std::make_shared<RabbitMq>(io, clock, std::move(options))) {}
    ~RabbitMqClient() override {
        core_->stopping = true;
        core_->changed.notify();
        core_->connection->cut();
    }

    asio::awaitable<void> stop() override { return core_->stop(); }
    bool is_connected() const noexcept override { return core_->connection->is_connected(); }

    asio::awaitable<Result<std::vector<std::int64_t>>> send(std::string entity,
                                                            std::vector<Message> messages) override {
        const auto core = core_;
        for (const Message& one : messages) {
            if (one.scheduled_at && *one.scheduled_at > core->clock.now()) co_return not_there("scheduling");
        }
        std::vector<std::int64_t> numbers(messages.size());
        for (Message& one : messages) {
            auto sending = core->send_one(entity, std::move(one));
            const auto sent = co_await std::move(sending);
            if (!sent) co_return sent.error();
        }
        co_return numbers;
    }
    asio::awaitable<Result<void>> cancel_scheduled(std::string, std::vector<std::int64_t>) override {
        co_return not_there("scheduling");
    }
    asio::awaitable<Result<std::vector<Delivery>>> receive(std::string entity,
                                                           broker::ReceiveOptions options) override {
        if (options.session.is_nil()) return core_->receive(std::move(entity), options);
        return refuse_receive("sessions");
    }
    asio::awaitable<Result<std::vector<Delivery>>> receive_deferred(std::string, std::vector<std::int64_t>,
                                                                    broker::ReceiveOptions) override {
        return refuse_receive("deferring");
    }
    asio::awaitable<Result<std::vector<Delivery>>> peek(std::string, std::int64_t, std::size_t) override {
        return refuse_receive("peeking");
    }
    asio::awaitable<Result<TimePoint>> renew(LockRef lock) override {
        ClientLock* const held = core_->locks.find(lock.token);
        const auto link = held != nullptr ? held->link.lock() : nullptr;
        if (!link || !link->is_open()) co_return lock_lost();
        held->locked_until = core_->clock.now() + kLockTime;
        co_return held->locked_until;
    }
    asio::awaitable<Result<void>> complete(LockRef lock) override {
        return core_->settle(std::move(lock), Accepted{});
    }
    asio::awaitable<Result<void>> abandon(LockRef lock, Properties properties) override {
        return core_->settle(std::move(lock), Modified{true, false, from_properties(properties)});
    }
    asio::awaitable<Result<void>> defer(LockRef, Properties) override { co_return not_there("deferring"); }
    asio::awaitable<Result<void>> dead_letter(LockRef lock, std::string reason, std::string description,
                                              Properties properties) override {
        return core_->dead_letter(std::move(lock), std::move(reason), std::move(description),
                                  std::move(properties));
    }
    asio::awaitable<Result<void>> postpone(LockRef lock, Duration delay, bool spends_delivery) override {
        DeliveryState state = Released{};
        if (spends_delivery) state = Modified{true, false, {}};
        return core_->postpone(std::move(lock), delay, std::move(state));
    }
    asio::awaitable<Result<SessionLock>> accept_session(std::string, std::optional<std::string>,
                                                        Duration) override {
        co_return not_there("sessions");
    }
    asio::awaitable<Result<TimePoint>> renew_session(SessionLock) override {
        co_return not_there("sessions");
    }
    asio::awaitable<void> release_session(SessionLock) override { co_return; }
    asio::awaitable<Result<std::optional<std::string>>> session_state(SessionLock) override {
        co_return not_there("sessions");
    }
    asio::awaitable<Result<void>> set_session_state(SessionLock, std::optional<std::string>) override {
        co_return not_there("sessions");
    }

  private:
    static asio::awaitable<Result<std::vector<Delivery>>> refuse_receive(const char* what) {
        co_return not_there(what);
    }

    std::shared_ptr<RabbitMq> core_;
};

}  // namespace

std::unique_ptr<RemoteQueue> make_rabbitmq_queue(asio::any_io_executor io, Clock& clock,
                                                 RemoteOptions options) {
    return std::make_unique<RabbitMqClient>(io, clock, std::move(options));
}

}  // namespace millrace::amqp
