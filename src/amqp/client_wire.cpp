#include "amqp/client_wire.hpp"

#include "amqp/conditions.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace::amqp {

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 64 * limits::kKiB;
constexpr std::size_t kWriteBytesPerMs = 16;  // of the slowest line that counts as one
constexpr Duration kFlushTimeMax = std::chrono::seconds(2);
constexpr Duration kBusyPause = std::chrono::seconds(10);  // as the official clients wait

std::int64_t steady_now() {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Wire::Wire(asio::any_io_executor io, std::unique_ptr<Transport> transport, ConnectionOptions options,
           OnOver on_over, Duration write_time_max)
    : io_(io),
      on_over_(std::move(on_over)),
      write_time_max_(write_time_max),
      transport_(std::move(transport)),
      engine_(std::move(options)),
      output_(io),
      written_(io),
      changed_(io),
      timer_(io) {}

asio::awaitable<Result<void>> Wire::open(Duration time_max) {
    engine_.start();
    spawn(io_, read(shared_from_this()));
    spawn(io_, write(shared_from_this()));
    spawn(io_, watch(shared_from_this()));
    auto opening = until_open();
    co_await with_deadline(std::move(opening), time_max);
    if (over_) co_return error_;
    if (engine_.opened()) co_return Result<void>();
    abort(Error{Errc::unavailable, "the peer does not answer"});
    co_return error_;
}

asio::awaitable<void> Wire::until_open() {
    while (!over_ && !engine_.opened()) co_await changed_.wait();
}

asio::awaitable<void> Wire::until_over() {
    while (!over_) co_await changed_.wait();
}

asio::awaitable<void> Wire::close(Duration time_max) {
    const auto self = shared_from_this();
    engine_.close(std::nullopt);
    dispatch();
    kick();
    auto ending = until_over();
    co_await with_deadline(std::move(ending), time_max);
    abort(Error{Errc::unavailable, "the connection was closed"});
}

void Wire::abort(Error why) {
    end(std::move(why));
    transport_->close();
}

/// Tells everybody that the connection is over; what is left to write may still be written.
void Wire::end(Error why) {
    if (std::exchange(over_, true)) return;
    error_ = std::move(why);
    const auto channels = std::exchange(channels_, {});
    channel_of_.clear();
    for (const auto& [id, channel] : channels) channel.listener->on_gone(error_);
    changed_.notify();
    output_.notify();
    written_.notify();
    timer_.cancel();
    const auto told = std::exchange(on_over_, nullptr);
    if (told && engine_.opened()) told(error_);
}

asio::awaitable<void> Wire::read(std::shared_ptr<Wire> self) {
    std::string buffer(kReadBytes, '\0');
    while (!self->over_) {
        const auto room = asio::buffer(buffer);
        auto got = co_await self->transport_->read_some(room);
        if (!got) {
            self->end(got.error());
            break;
        }
        self->engine_.receive(std::string_view(buffer).substr(0, *got), steady_now());
        self->dispatch();
        self->kick();
    }
}

asio::awaitable<void> Wire::write(std::shared_ptr<Wire> self) {
    while (true) {
        const std::string bytes = self->engine_.take_output();
        if (bytes.empty() && self->over_) break;
        if (bytes.empty()) {
            co_await self->output_.wait();
            continue;
        }
        Result<void> written = Error{Errc::unavailable, "the peer does not take what is sent to it"};
        auto writing = self->write_some(bytes, written);
        const Duration more(static_cast<std::int64_t>(bytes.size() / kWriteBytesPerMs));
        co_await with_deadline(std::move(writing), self->write_time_max_ + more);
        self->written_.notify();
        if (written) continue;
        self->end(written.error());
        break;
    }
    self->written_all_ = true;
    self->timer_.cancel();
}

asio::awaitable<void> Wire::write_some(std::string_view bytes, Result<void>& written) {
    auto writing = transport_->write(bytes);
    const auto answer = co_await std::move(writing);
    written = answer;
}

/// Heartbeats while it is open; afterwards the end of the transport.
asio::awaitable<void> Wire::watch(std::shared_ptr<Wire> self) {
    while (!self->over_) {
        const std::int64_t now = steady_now();
        const std::int64_t next = self->engine_.tick(now);
        self->dispatch();
        self->kick();
        if (self->over_) break;
        self->timer_.expires_after(Duration(next - now));
        auto [error] = co_await self->timer_.async_wait(kToken);
        (void)error;
    }
    if (!self->written_all_) {
        self->timer_.expires_after(kFlushTimeMax);
        auto [error] = co_await self->timer_.async_wait(kToken);
        (void)error;
    }
    self->transport_->close();
}

void Wire::dispatch() {
    while (auto next = engine_.poll()) {
        std::visit([this](auto& event) { on(event); }, *next);
    }
}

SessionId Wire::open_channel(std::shared_ptr<ChannelListener> listener) {
    const SessionId id = engine_.begin();
    if (over_) {
        listener->on_gone(error_);
        return id;
    }
    channels_.emplace(id, Channel{std::move(listener), {}, false});
    kick();
    return id;
}

LinkId Wire::attach(SessionId channel, Attach attach) {
    const LinkId link = engine_.attach(channel, std::move(attach));
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return link;
    found->second.links.emplace(link, false);
    channel_of_.emplace(link, channel);
    kick();
    return link;
}

void Wire::close_channel(SessionId id) {
    const auto found = channels_.find(id);
    if (found == channels_.end() || std::exchange(found->second.closing, true)) return;
    bool whole = !found->second.links.empty();
    for (const auto& [link, attached] : found->second.links) whole = whole && attached;
    for (const auto& [link, attached] : found->second.links) {
        if (whole) engine_.detach(link, std::nullopt);
    }
    // A link that was not answered yet can only be taken back with its session.
    if (!whole) engine_.end(id, std::nullopt);
    kick();
}

std::optional<std::uint32_t> Wire::send(LinkId link, std::string tag, std::uint32_t format,
                                        std::string payload, bool settled) {
    auto sent = engine_.send(link, std::move(tag), format, std::move(payload), settled);
    kick();
    return sent;
}

void Wire::grant(LinkId link, std::uint32_t credit, bool drain) {
    engine_.grant(link, credit, drain);
    kick();
}

void Wire::tell(LinkId link, std::uint32_t delivery, DeliveryState state, bool settled) {
    engine_.tell(link, delivery, std::move(state), settled);
    kick();
}

std::shared_ptr<ChannelListener> Wire::listener_of(LinkId link) const {
    const auto owner = channel_of_.find(link);
    if (owner == channel_of_.end()) return nullptr;
    const auto found = channels_.find(owner->second);
    return found == channels_.end() || found->second.closing ? nullptr : found->second.listener;
}

void Wire::drop_channel(SessionId id, const Error& why) {
    const auto found = channels_.find(id);
    if (found == channels_.end()) return;
    const auto listener = std::move(found->second.listener);
    for (const auto& [link, attached] : found->second.links) channel_of_.erase(link);
    channels_.erase(found);
    listener->on_gone(why);
}

Error Wire::error_of(const std::optional<Condition>& condition, const char* otherwise) {
    if (!condition) return Error{Errc::unavailable, otherwise};
    note(*condition);
    return error_for(*condition);
}

void Wire::note(const Condition& condition) {
    if (condition.name == condition::kServerBusy) busy_until_ = std::chrono::steady_clock::now() + kBusyPause;
}

void Wire::on(event::Opened& opened) {
    peer_ = std::move(opened.open);
    changed_.notify();
}

void Wire::on(event::SessionEnded& ended) {
    const Error why = error_of(ended.error, "the peer has ended the session");
    drop_channel(ended.session, why);
}

void Wire::on(event::LinkAnswered& answered) {
    const auto listener = listener_of(answered.link);
    if (!listener || answered.refused) return;
    channels_.at(channel_of_.at(answered.link)).links[answered.link] = true;
    listener->on_attached(answered.link, answered.attach);
}

void Wire::on(event::LinkDetached& detached) {
    const auto owner = channel_of_.find(detached.link);
    if (owner == channel_of_.end()) return;
    const SessionId channel = owner->second;
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return;
    if (found->second.closing) {
        found->second.links.erase(detached.link);
        channel_of_.erase(owner);
        if (!found->second.links.empty()) return;
        engine_.end(channel, std::nullopt);
        const Error asked{Errc::unavailable, "the link was closed"};
        return drop_channel(channel, asked);
    }
    engine_.detach(detached.link, std::nullopt);
    engine_.end(channel, std::nullopt);
    const Error why = error_of(detached.error, "the peer has detached the link");
    drop_channel(channel, why);
}

void Wire::on(event::CreditChanged& changed) {
    if (const auto listener = listener_of(changed.link)) listener->on_credit(changed.link);
}

void Wire::on(event::Drained& drained) {
    if (const auto listener = listener_of(drained.link)) listener->on_drained(drained.link);
}

void Wire::on(event::Arrived& arrived) {
    if (const auto listener = listener_of(arrived.link))
        listener->on_arrived(arrived.link, std::move(arrived.delivery));
}

void Wire::on(event::StateChanged& changed) {
    if (const auto listener = listener_of(changed.link)) listener->on_state(changed.link, changed);
}

void Wire::on(event::LinkAsked& asked) {
    engine_.refuse(asked.link, Condition{condition::kNotAllowed, "this side takes no links", {}});
}

void Wire::on(event::Closed& closed) {
    Error why = error_of(closed.error, "the peer has closed the connection");
    if (!engine_.opened() && closed.error && closed.error->name == condition::kUnauthorized)
        why.code = Errc::invalid_input;
    end(std::move(why));
}

}  // namespace millrace::amqp
