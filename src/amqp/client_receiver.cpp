#include "amqp/client_receiver.hpp"

#include "amqp/codec.hpp"
#include "amqp/conditions.hpp"
#include "amqp/message.hpp"
#include "amqp/service_bus_names.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>

namespace millrace::amqp {

namespace {

constexpr Duration kSpareTime = std::chrono::seconds(1);
constexpr Duration kLingerServed = std::chrono::milliseconds(10);   // for more than the first message
constexpr Duration kLingerEmpty = std::chrono::milliseconds(200);

std::size_t bytes_of(const broker::Message& message) {
    std::size_t bytes = message.body.size();
    for (const auto& [name, value] : message.properties) {
        bytes += name.size() + sizeof value;
        if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
    }
    return bytes;
}

}  // namespace

ReceiverLink::Call::Call(std::shared_ptr<ReceiverLink> link, const broker::ReceiveOptions& options)
    : link_(std::move(link)),
      messages_max_(std::min<std::size_t>(options.messages_max, limits::receive_batch_max)),
      bytes_max_(options.bytes_max),
      finishing_(options.wait <= Duration::zero()),
      changed_(link_->io_) {
    if (messages_max_ == 0 || link_->is_gone()) {
        done_ = true;
        return;
    }
    link_->calls_.push_back(this);
    auto& spare = link_->spare_;
    while (!spare.empty() && add(spare.front())) spare.pop_front();
    link_->ask_soon();
}

ReceiverLink::Call::~Call() {
    end();
    std::vector<Held> unseen = take();
    if (unseen.empty() || link_->is_gone()) return;
    for (Held& held : unseen) link_->place(std::move(held));
}

void ReceiverLink::Call::end() {
    done_ = true;
    std::erase(link_->calls_, this);
    link_->ask_soon();
    changed_.notify();
}

/// False if it is not wanted.
bool ReceiverLink::Call::add(Held& held) {
    if (missing() == 0) return false;
    const std::size_t bytes = bytes_of(held.delivery.message);
    if (!got_.empty() && bytes > bytes_max_ - std::min(bytes_, bytes_max_)) {
        full_ = true;
        end();
        return false;
    }
    bytes_ += bytes;
    got_.push_back(std::move(held));
    finishing_ = true;
    if (missing() == 0) end();
    return true;
}

asio::awaitable<void> ReceiverLink::Call::until_done() {
    while (!done_) co_await changed_.wait();
}

void ReceiverLink::Call::finish() {
    finishing_ = true;
    link_->ask_soon();
}

std::size_t ReceiverLink::attach_links(SessionId channel) {
    Attach attach;
    attach.name = "millrace-receive-" + to_hex(random_uuid());
    attach.receiver = true;
    attach.settle_mode = options_.delete_on_receive ? SettleMode::settled : SettleMode::unsettled;
    attach.confirm_mode =
        options_.delete_on_receive || options_.neutral ? ConfirmMode::first : ConfirmMode::second;
    attach.max_message_size = limits::message_bytes_max_max;
    attach.source = Source{};
    attach.source->address = options_.address;
    attach.target = Target{};
    if (options_.by_session) {
        const Value id = options_.session_id ? Value(*options_.session_id) : Value(Null{});
        attach.source->filter.set_symbol(kSessionFilter, id);
        // A millisecond stands for "at once": 0 would be the service's own default.
        const std::int64_t wait = std::clamp<std::int64_t>(options_.session_wait.count(), 1, UINT32_MAX);
        attach.properties.set_symbol(kTimeoutProperty, static_cast<std::uint32_t>(wait));
    }
    name_ = attach.name;
    link_ = wire_->attach(channel, std::move(attach));
    return 1;
}

void ReceiverLink::on_link(LinkId, const Attach& answer) {
    if (!options_.by_session) return;
    const Value* id = answer.source ? answer.source->filter.find(kSessionFilter) : nullptr;
    if (id != nullptr && id->as<Described>() != nullptr) id = id->as<Described>()->value.get();
    session_id_ = std::string(text_of(id).value_or(""));
    const auto ticks = integer_of(answer.properties.find(kSessionLockedUntil));
    if (ticks)
        locked_until_ = from_millis((std::max(*ticks, kTicksOfUnixEpoch) - kTicksOfUnixEpoch) / kTicksPerMs);
}

/// A message that cannot be handed out. Service Bus keeps it as a dead letter; elsewhere a rejection could
/// delete it, so it stays with the peer, unsettled, until this link ends.
void ReceiverLink::refuse(std::uint32_t delivery, const char* name, const std::string& why) {
    if (options_.neutral) {
        telemetry::log_error("receive", options_.address, why + "; the message is left with the queue");
    } else {
        telemetry::log_warning("receive", options_.address, why);
        const Condition condition{name, why, {}};
        settle_at_once(delivery, Rejected{condition});
    }
    ask_soon();
}

void ReceiverLink::on_arrived(LinkId, Incoming incoming) {
    if (incoming.too_large) {
        const std::string most = std::to_string(limits::message_bytes_max_max);
        return refuse(incoming.id, condition::kMessageSize, "a message is larger than " + most + " bytes");
    }
    auto read = read_message(incoming.payload);
    if (!read) return refuse(incoming.id, condition::kDecodeError, read.error().detail);
    Held held{std::move(*read), incoming.id};
    if (options_.delete_on_receive) {
        held.delivery.lock_token = Uuid();
    } else if (incoming.tag.size() == Uuid{}.bytes.size() && !options_.neutral) {
        Uuid guid;
        std::copy(incoming.tag.begin(), incoming.tag.end(), guid.bytes.begin());
        held.delivery.lock_token = swap_guid(guid);
    } else {
        held.delivery.lock_token = random_uuid();
    }
    place(std::move(held));
}

/// To the first call that wants it, else to the next one.
void ReceiverLink::place(Held held) {
    ask_soon();
    for (std::size_t i = 0; i < calls_.size(); ++i) {
        const std::size_t before = calls_.size();
        if (calls_[i]->add(held)) return;
        if (calls_.size() < before) --i;  // that call ended without it
    }
    spare_.push_back(std::move(held));
    if (options_.delete_on_receive || std::exchange(releasing_, true)) return;
    spawn(io_, release_spare(self()));
}

asio::awaitable<void> ReceiverLink::release_spare(std::shared_ptr<ReceiverLink> self) {
    asio::steady_timer timer(self->io_, kSpareTime);
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await timer.async_wait(token);
    (void)error;
    self->releasing_ = false;
    for (const Held& held : std::exchange(self->spare_, {})) self->settle_at_once(held.id, Released{});
}

void ReceiverLink::ask_soon() {
    if (std::exchange(asking_, true)) return;
    asio::post(io_, [self = self()] {
        self->asking_ = false;
        self->ask();
    });
}

void ReceiverLink::ask() {
    if (!is_open()) return;
    std::size_t wanted = 0;
    bool finishing = false;
    for (const Call* call : calls_) {
        wanted += call->missing();
        finishing = finishing || call->finishing_;
    }
    const auto credit = static_cast<std::uint32_t>(std::min<std::size_t>(wanted, limits::receive_batch_max));
    const bool drain = finishing && !options_.neutral;
    if (finishing && !drain && !std::exchange(lingering_, true)) spawn(io_, linger(self()));
    if (wire_->granted(link_) == credit && drain == draining_) return;
    draining_ = drain;
    wire_->grant(link_, credit, drain);
}

/// Stands in for draining, which ends the AMQP session on a classic queue of RabbitMQ 3.10: what is there
/// comes soon.
asio::awaitable<void> ReceiverLink::linger(std::shared_ptr<ReceiverLink> self) {
    const bool served = std::all_of(self->calls_.begin(), self->calls_.end(), [](const Call* call) {
        return !call->finishing_ || !call->got_.empty();
    });
    asio::steady_timer timer(self->io_, served ? kLingerServed : kLingerEmpty);
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await timer.async_wait(token);
    (void)error;
    self->lingering_ = false;
    self->end_finishing();
}

void ReceiverLink::end_finishing() {
    const auto calls = calls_;
    for (Call* call : calls) {
        if (call->finishing_) call->end();
    }
    ask_soon();
}

void ReceiverLink::on_drained(LinkId) {
    draining_ = false;
    end_finishing();
}

asio::awaitable<Result<DeliveryState>> ReceiverLink::settle(std::uint32_t delivery, DeliveryState state,
                                                            Duration time_max) {
    const auto held = self();
    if (!is_open()) co_return Error{Errc::unavailable, "the link is gone"};
    const auto outcome = std::make_shared<Outcome>(io_);
    pending_.emplace(delivery, outcome);
    wire_->tell(link_, delivery, std::move(state), false);
    co_await wait_for(outcome, time_max);
    if (outcome->value) co_return *outcome->value;
    pending_.erase(delivery);
    late_.insert(delivery);
    co_return Error{Errc::unavailable, "the queue does not answer"};
}

void ReceiverLink::settle_at_once(std::uint32_t delivery, DeliveryState state) {
    if (is_open()) wire_->tell(link_, delivery, std::move(state), true);
}

void ReceiverLink::on_state(LinkId, event::StateChanged& changed) {
    const auto found = pending_.find(changed.delivery);
    const bool asked = found != pending_.end() || late_.erase(changed.delivery) > 0;
    if (asked && !changed.settled) wire_->tell(link_, changed.delivery, changed.state, true);
    if (found == pending_.end()) return;
    const auto outcome = found->second;
    pending_.erase(found);
    outcome->set(std::move(changed.state));
}

void ReceiverLink::on_end() {
    spare_.clear();
    const auto calls = calls_;
    for (Call* call : calls) call->end();
    const auto pending = std::exchange(pending_, {});
    for (const auto& [id, outcome] : pending) outcome->set(Error{Errc::unavailable, error().detail});
}

}  // namespace millrace::amqp
