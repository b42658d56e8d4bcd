#include "amqp/message.hpp"
#include "amqp/server_links.hpp"
#include "amqp/service_bus_names.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace::amqp {

namespace {

constexpr std::uint32_t kMessagesAtOnce = 512;
constexpr Duration kReceiveWait = std::chrono::minutes(10);
constexpr Duration kSessionWaitMin = std::chrono::milliseconds(100);
constexpr Duration kSessionWaitMax = std::chrono::minutes(30);
constexpr Duration kSessionCheckMin = std::chrono::seconds(1);

/// The session that a receiver asks for: none, any, or one by id.
std::optional<std::optional<std::string>> session_asked(const Attach& attach) {
    const Value* filter = attach.source ? attach.source->filter.find(kSessionFilter) : nullptr;
    if (filter == nullptr) return std::nullopt;
    if (const auto* form = filter->as<Described>()) filter = form->value.get();
    if (const auto id = text_of(filter)) return std::optional<std::string>(std::string(*id));
    return std::optional<std::string>();
}

/// A little less than what the client waits, so that our answer comes before it gives up; who waits a
/// millisecond wants to know what is there now.
Duration session_wait(const Attach& attach, Duration otherwise) {
    const auto asked = integer_of(attach.properties.find(kTimeoutProperty));
    if (!asked || *asked <= 0) return otherwise;
    if (*asked == 1) return Duration::zero();
    const Duration wait(std::min<std::int64_t>(*asked, kSessionWaitMax.count()));
    return std::max(wait - std::min(wait / 4, Duration(500)), kSessionWaitMin);
}

std::string tag_of(const Uuid& token) {
    const Uuid guid = swap_guid(token);
    return std::string(reinterpret_cast<const char*>(guid.bytes.data()), guid.bytes.size());
}

Uuid token_of(std::string_view tag) {
    Uuid guid;
    if (tag.size() == guid.bytes.size()) std::copy(tag.begin(), tag.end(), guid.bytes.begin());
    return swap_guid(guid);
}

/// What a client's rejection says: reason, description and more properties.
struct Rejection {
    std::string reason;
    std::string description;
    broker::Properties properties;
};

Rejection rejection_of(const Rejected& rejected) {
    Rejection told;
    if (!rejected.error) return told;
    const Map& info = rejected.error->info;
    told.properties = to_properties(info);
    told.properties.erase(broker::kDeadLetterReason);
    told.properties.erase(broker::kDeadLetterDescription);
    const bool named = rejected.error->name == condition::kDeadLetter;
    const auto reason = text_of(info.find(broker::kDeadLetterReason));
    const auto description = text_of(info.find(broker::kDeadLetterDescription));
    told.reason = std::string(reason.value_or(named ? std::string_view() : rejected.error->name));
    told.description =
        std::string(description.value_or(named ? std::string_view() : rejected.error->description));
    return told;
}

/// Bytes of `state` while it is carried out: itself, and as properties. Each delivery of a range has its own.
std::size_t cost_of(const DeliveryState& state) {
    const Map* told = nullptr;
    if (const auto* modified = std::get_if<Modified>(&state)) told = &modified->annotations;
    const auto* rejected = std::get_if<Rejected>(&state);
    if (rejected != nullptr && rejected->error) told = &rejected->error->info;
    return told == nullptr || told->empty() ? 0 : 2 * memory_of(*told);
}

}  // namespace

ConsumerLink::ConsumerLink(ServerConnection& connection, const event::LinkAsked& asked, Address address)
    : ServerLink(connection, asked, std::move(address)),
      session_filter_(session_asked(asked.attach)),
      session_wait_(session_wait(asked.attach, connection.context().options.session_wait)),
      delete_on_receive_(asked.attach.settle_mode == SettleMode::settled),
      changed_(connection.context().io),
      settled_(connection.context().io) {}

void ConsumerLink::open() {
    connection_.start(run(std::static_pointer_cast<ConsumerLink>(shared_from_this())));
}

asio::awaitable<void> ConsumerLink::run(std::shared_ptr<ConsumerLink> self) {
    ServerConnection& connection = self->connection_;
    if (self->session_filter_) {
        const bool locked = co_await self->lock_session();
        if (!locked) co_return;
        connection.engine().accept(self->id_, self->answer_with_session());
        connection.start(watch_session(self));
    } else {
        connection.engine().accept(self->id_, self->echo());
    }
    connection.kick();
    while (!self->over_) co_await self->hand_out();
}

/// False if the link has ended meanwhile or was refused.
asio::awaitable<bool> ConsumerLink::lock_session() {
    ServerContext& context = connection_.context();
    const Duration wait = *session_filter_ ? Duration::zero() : session_wait_;
    auto accepting = context.broker.accept_session(address_.entity, *session_filter_, wait);
    auto token = asio::bind_cancellation_slot(receiving_.slot(), asio::use_awaitable);
    waiting_ = true;
    Result<broker::SessionLock> locked = Error{Errc::unavailable, "the client has gone"};
    try {
        auto answered = co_await asio::co_spawn(context.io, std::move(accepting), std::move(token));
        locked = std::move(answered);
    } catch (const boost::system::system_error&) {
        // Cancelled: nothing is locked.
    }
    waiting_ = false;
    if (over_) {
        if (!locked) co_return false;
        broker::SessionLock unwanted = std::move(*locked);
        co_await context.broker.release_session(std::move(unwanted));
        co_return false;
    }
    if (locked) {
        session_lock_ = std::move(*locked);
        co_return true;
    }
    std::string name = condition(locked.error()).name;
    if (locked.error().code == Errc::over_limit) name = condition::kSessionCannotBeLocked;
    if (locked.error().code == Errc::unavailable) name = condition::kTimeout;
    connection_.engine().refuse(id_, condition(name, locked.error().detail));
    on_end(false);
    co_return false;
}

Attach ConsumerLink::answer_with_session() const {
    Attach attach = echo();
    attach.source->filter.set_symbol(kSessionFilter, session_lock_->session_id);
    const std::int64_t ticks = to_millis(session_lock_->locked_until) * kTicksPerMs + kTicksOfUnixEpoch;
    attach.properties.set_symbol(kSessionLockedUntil, ticks);
    return attach;
}

/// A session whose lock has run out is told to its receiver, which may not be waiting for anything.
asio::awaitable<void> ConsumerLink::watch_session(std::shared_ptr<ConsumerLink> self) {
    ServerContext& context = self->connection_.context();
    const auto counts = context.broker.counts(self->address_.entity);
    const Duration lock_time = counts ? counts->options.lock_time : limits::lock_time_default;
    TimePoint next = self->session_lock_->locked_until;
    while (!self->over_) {
        auto sleeping = context.clock.sleep_until(next);
        auto token = asio::bind_cancellation_slot(self->watching_.slot(), asio::use_awaitable);
        try {
            co_await asio::co_spawn(context.io, std::move(sleeping), std::move(token));
        } catch (const boost::system::system_error&) {
            co_return;  // the link has ended
        }
        if (self->over_) co_return;
        const auto held = context.broker.check_session(*self->session_lock_);
        if (!held && held.error().code == Errc::conflict) self->fail(held.error());
        next = context.clock.now() + std::max(lock_time / 4, kSessionCheckMin);
    }
}

void ConsumerLink::on_credit() {
    if (waiting_ && patient_) {
        const Connection& engine = connection_.engine();
        if (engine.draining(id_) || engine.credit(id_) < asked_for_)
            receiving_.emit(asio::cancellation_type::terminal);
    }
    changed_.notify();
}

/// One receive and what it gave; or a wait until there is something to do.
asio::awaitable<void> ConsumerLink::hand_out() {
    Connection& engine = connection_.engine();
    const std::uint32_t credit = engine.credit(id_);
    if (credit == 0 || !connection_.has_room()) {
        if (credit == 0 && engine.draining(id_)) {
            engine.drained(id_);
            connection_.kick();
        }
        co_await changed_.wait();
        co_return;
    }
    while (!kept_.empty() && engine.credit(id_) > 0 && send(kept_.front())) kept_.pop_front();
    if (engine.credit(id_) == 0) {
        connection_.kick();
        co_return;
    }
    const bool drain = engine.draining(id_);
    // What was kept has taken some of it: more must not be removed than can be sent.
    auto received = co_await receive(engine.credit(id_), drain);
    if (!received) {
        fail(received.error());
        co_return;
    }
    std::vector<broker::Delivery> unsent;
    const bool none = received->empty();
    for (broker::Delivery& delivery : *received) {
        // What is deleted already goes out, whatever room there is.
        const bool fits = delete_on_receive_ || connection_.has_room();
        const bool sent = fits && send(delivery);
        if (!sent) unsent.push_back(std::move(delivery));
    }
    if (none && drain && engine.draining(id_)) engine.drained(id_);
    connection_.kick();
    if (!unsent.empty()) co_await give_back(std::move(unsent));
    // Deliveries wait for the client's window: the engine answers the drain behind them.
    if (none && drain && engine.draining(id_)) co_await changed_.wait();
}

bool ConsumerLink::send(broker::Delivery& delivery) {
    Connection& engine = connection_.engine();
    if (over_ || engine.credit(id_) == 0) return false;
    std::string tag = delete_on_receive_ ? std::to_string(next_tag_++) : tag_of(delivery.lock_token);
    const auto sent =
        engine.send(id_, std::move(tag), kPlainFormat, write_delivery(delivery), delete_on_receive_);
    if (sent) connection_.context().stats.delivered_total += 1;
    return sent.has_value();
}

asio::awaitable<Result<std::vector<broker::Delivery>>> ConsumerLink::receive(std::uint32_t credit,
                                                                             bool drain) {
    ServerContext& context = connection_.context();
    broker::ReceiveOptions options;
    options.messages_max = std::min(credit, kMessagesAtOnce);
    asked_for_ = static_cast<std::uint32_t>(options.messages_max);
    options.bytes_max = connection_.begin_receive();
    options.wait = drain ? Duration::zero() : kReceiveWait;
    patient_ = !drain;
    options.mode =
        delete_on_receive_ ? broker::ReceiveMode::receive_and_delete : broker::ReceiveMode::peek_lock;
    if (session_lock_) options.session = session_lock_->token;
    auto receiving = context.broker.receive(address_.entity, options);
    auto token = asio::bind_cancellation_slot(receiving_.slot(), asio::use_awaitable);
    waiting_ = true;
    Result<std::vector<broker::Delivery>> received = std::vector<broker::Delivery>();
    try {
        auto answered = co_await asio::co_spawn(context.io, std::move(receiving), std::move(token));
        received = std::move(answered);
    } catch (const boost::system::system_error&) {
        // Cancelled: nothing was taken.
    } catch (const MachineError& broken) {
        received = Error{Errc::unavailable, broken.what()};
    }
    waiting_ = patient_ = false;
    connection_.end_receive();
    co_return received;
}

/// Messages that the client cannot get any more; it was not their fault.
asio::awaitable<void> ConsumerLink::give_back(std::vector<broker::Delivery> unsent) {
    if (delete_on_receive_) {  // they are not in the queue any more: for when there is credit again
        std::move(unsent.begin(), unsent.end(), std::back_inserter(kept_));
        co_return;
    }
    for (const broker::Delivery& delivery : unsent) {
        broker::LockRef lock{delivery.entity, delivery.lock_token};
        auto returning = connection_.context().broker.postpone(std::move(lock), Duration::zero(), false);
        const auto returned = co_await std::move(returning);
        if (!returned) telemetry::log_debug("amqp receiver", address_.entity, returned.error().detail);
    }
}

void ConsumerLink::on_state(event::StateChanged& changed) {
    if (delete_on_receive_ || changed.tag.size() != Uuid{}.bytes.size()) return ServerLink::on_state(changed);
    const bool says_nothing = std::holds_alternative<std::monostate>(changed.state) ||
                              std::holds_alternative<Received>(changed.state) ||
                              std::holds_alternative<OtherState>(changed.state);
    if (says_nothing) return;  // the lock goes on
    settling_ += 1;
    connection_.storing(cost_of(changed.state));
    if (std::holds_alternative<Accepted>(changed.state)) {
        if (accepted_.empty()) connection_.gather(shared_from_this());
        return accepted_.push_back(std::move(changed));
    }
    connection_.start(settle(std::static_pointer_cast<ConsumerLink>(shared_from_this()), std::move(changed)));
}

asio::awaitable<void> ConsumerLink::settle(std::shared_ptr<ConsumerLink> self, event::StateChanged changed) {
    const std::size_t bytes = cost_of(changed.state);
    broker::LockRef lock{self->address_.entity, token_of(changed.tag)};
    std::optional<DeliveryState> answer;
    try {
        auto applying = self->apply(std::move(lock), changed.state);
        const auto applied = co_await std::move(applying);
        if (!applied) answer = self->refusal(applied.error());
    } catch (const MachineError& broken) {
        answer = self->failure(broken);
    }
    // With its error a rejection that was carried out would look like one that failed.
    if (!answer && std::holds_alternative<Rejected>(changed.state)) answer = Rejected{};
    if (!answer) answer = std::move(changed.state);
    self->answer_settled(changed, std::move(*answer), bytes);
}

void ConsumerLink::on_gathered() {
    auto self = std::static_pointer_cast<ConsumerLink>(shared_from_this());
    connection_.start(complete(std::move(self), std::exchange(accepted_, {})));
}

/// What was accepted together is completed together.
asio::awaitable<void> ConsumerLink::complete(std::shared_ptr<ConsumerLink> self,
                                             std::vector<event::StateChanged> accepted) {
    std::vector<broker::LockRef> locks;
    locks.reserve(accepted.size());
    for (const auto& one : accepted) locks.push_back({self->address_.entity, token_of(one.tag)});
    std::vector<Result<void>> completed;
    DeliveryState failure = Accepted{};
    try {
        auto completing = self->connection_.context().broker.complete_each(std::move(locks));
        completed = co_await std::move(completing);
    } catch (const MachineError& broken) {
        failure = self->failure(broken);
    }
    for (std::size_t i = 0; i < accepted.size(); ++i) {
        const bool refused = i < completed.size() && !completed[i];
        self->answer_settled(accepted[i], refused ? self->refusal(completed[i].error()) : failure, 0);
    }
}

DeliveryState ConsumerLink::refusal(const Error& error) const {
    if (session_lock_ && error.code == Errc::conflict)
        return Rejected{condition(condition::kSessionLockLost, "the session's lock was lost")};
    return Rejected{condition(error)};
}

DeliveryState ConsumerLink::failure(const MachineError& broken) const {
    telemetry::log_error("amqp settle", address_.entity, broken.what());
    return Rejected{condition(condition::kInternalError, "the settlement could not be stored")};
}

void ConsumerLink::answer_settled(const event::StateChanged& changed, DeliveryState answer,
                                  std::size_t bytes) {
    settling_ -= 1;
    if (settling_ == 0) settled_.notify();
    if (!changed.settled) {
        connection_.engine().tell(id_, changed.delivery, std::move(answer), true);
        connection_.kick();
    }
    connection_.stored(bytes);
}

asio::awaitable<Result<void>> ConsumerLink::apply(broker::LockRef lock, const DeliveryState& state) {
    broker::Broker& broker = connection_.context().broker;
    if (const auto* rejected = std::get_if<Rejected>(&state)) {
        Rejection told = rejection_of(*rejected);
        auto burying = broker.dead_letter(std::move(lock), std::move(told.reason),
                                          std::move(told.description), std::move(told.properties));
        co_return co_await std::move(burying);
    }
    broker::Properties changes;
    if (const auto* modified = std::get_if<Modified>(&state)) {
        changes = to_properties(modified->annotations);
        if (modified->undeliverable_here)
            co_return co_await broker.defer(std::move(lock), std::move(changes));
    }
    co_return co_await broker.abandon(std::move(lock), std::move(changes));
}

/// The broker gives nothing more: the link ends and the client is told why.
void ConsumerLink::fail(const Error& error) {
    if (over_) return;
    Condition why = condition(error);
    if (session_lock_ && error.code == Errc::conflict)
        why = condition(condition::kSessionLockLost, "the session's lock was lost");
    if (error.code == Errc::unavailable) why = condition(condition::kDetachForced, error.detail);
    connection_.detach(id_, std::move(why));
}

void ConsumerLink::on_end(bool answer) {
    if (std::exchange(over_, true)) return;
    if (waiting_) receiving_.emit(asio::cancellation_type::terminal);
    watching_.emit(asio::cancellation_type::terminal);
    changed_.notify();
    if (!session_lock_) {
        if (answer) connection_.engine().detach(id_, std::nullopt);
        connection_.forget(id_);
        return connection_.kick();
    }
    connection_.start(finish(std::static_pointer_cast<ConsumerLink>(shared_from_this()), answer));
}

/// A session is given back when what its receiver has settled is settled, and before the client hears of the
/// end: it may ask for the session again at once.
asio::awaitable<void> ConsumerLink::finish(std::shared_ptr<ConsumerLink> self, bool answer) {
    ServerConnection& connection = self->connection_;
    while (self->settling_ > 0) co_await self->settled_.wait();
    const broker::SessionLock lock = *self->session_lock_;
    co_await connection.context().broker.release_session(lock);
    if (answer) connection.engine().detach(self->id_, std::nullopt);
    connection.forget(self->id_);
    connection.kick();
}

}  // namespace millrace::amqp
