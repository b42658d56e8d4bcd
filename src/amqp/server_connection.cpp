#include "amqp/server_connection.hpp"

#include "amqp/server_links.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace::amqp {

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 64 * limits::kKiB;
constexpr std::size_t kStoringBytesMax = 8 * limits::kMiB;  // of one client; more waits in its socket
constexpr std::int64_t kWatchMs = 30'000;
constexpr std::int64_t kWriteMsMax = 120'000;  // of one write: then the client reads no more

ConnectionOptions options_for(const ServerOptions& options) {
    ConnectionOptions wanted;
    wanted.server = true;
    wanted.idle_time = options.idle_time;
    wanted.mechanisms = {"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"};
    wanted.properties.set_symbol("product", std::string("Millrace"));
    return wanted;
}

}  // namespace

ServerConnection::ServerConnection(std::shared_ptr<ServerContext> context, std::string peer)
    : context_(std::move(context)),
      peer_(std::move(peer)),
      engine_(options_for(context_->options)),
      output_(context_->io),
      resumed_(context_->io),
      timer_(context_->io) {}

ServerConnection::~ServerConnection() = default;

std::int64_t ServerConnection::steady_now() const {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

void ServerConnection::start(asio::awaitable<void> work) {
    context_->tasks += 1;
    spawn(context_->io, counted(shared_from_this(), std::move(work)));
}

asio::awaitable<void> ServerConnection::counted(std::shared_ptr<ServerConnection> self,
                                                asio::awaitable<void> work) {
    try {
        co_await std::move(work);
    } catch (const std::exception& error) {
        if (!self->over_) telemetry::log_error("amqp connection", self->peer_, error.what());
        self->abort();
    }
    self->context_->tasks -= 1;
    self->context_->ended.notify();
}

asio::awaitable<void> ServerConnection::run(std::shared_ptr<ServerConnection> self,
                                            asio::ip::tcp::socket socket) {
    self->began_ = self->steady_now();
    self->start(watch(self));
    try {
        co_await self->serve(std::move(socket));
    } catch (const std::exception& error) {
        if (!self->over_) telemetry::log_error("amqp connection", self->peer_, error.what());
    }
    self->abort();
    self->end_links();
}

asio::awaitable<void> ServerConnection::serve(asio::ip::tcp::socket socket) {
    auto accepting = accept_transport(std::move(socket), context_->options.tls.get());
    auto token = asio::bind_cancellation_slot(handshake_.slot(), asio::use_awaitable);
    auto accepted = co_await asio::co_spawn(context_->io, std::move(accepting), std::move(token));
    if (!accepted) {
        telemetry::log_debug("amqp connection", peer_, accepted.error().detail);
        co_return;
    }
    if (over_) co_return;
    transport_ = std::move(*accepted);
    start(write(shared_from_this()));
    co_await read();
    // What was said last, such as why the connection ends, is still to reach the client.
    while (!over_ && engine_.closed() && (engine_.has_output() || write_began_ >= 0))
        co_await resumed_.wait();
    if (!over_ && engine_.closed()) co_await transport_->shut_down();
}

asio::awaitable<void> ServerConnection::read() {
    const auto buffer = std::make_unique_for_overwrite<char[]>(kReadBytes);  // idle: takes no memory
    const asio::mutable_buffer room(buffer.get(), kReadBytes);
    while (!over_ && !engine_.closed()) {
        if (storing_bytes_ > kStoringBytesMax || !has_room()) {
            co_await resumed_.wait();
            continue;
        }
        const auto got = co_await transport_->read_some(room);
        if (!got) co_return;
        engine_.receive(std::string_view(buffer.get(), *got), steady_now());
        handle_events();
        kick();
    }
}

asio::awaitable<void> ServerConnection::write(std::shared_ptr<ServerConnection> self) {
    while (!self->over_) {
        if (!self->engine_.has_output()) {
            if (self->engine_.closed()) break;
            co_await self->output_.wait();
            continue;
        }
        const bool full = !self->has_room();
        const std::string bytes = self->engine_.take_output();
        self->write_began_ = self->steady_now();
        const auto written = co_await self->transport_->write(bytes);
        self->write_began_ = -1;
        self->resumed_.notify();
        if (!written) break;
        if (!full || !self->has_room()) continue;
        const auto links = self->links_;
        for (const auto& [id, link] : links) link->on_credit();
    }
    if (!self->engine_.closed()) self->abort();
}

/// Heartbeats, time limits and the end of tokens.
asio::awaitable<void> ServerConnection::watch(std::shared_ptr<ServerConnection> self) {
    while (!self->over_) {
        const std::int64_t now = self->steady_now();
        std::int64_t next = std::min(self->engine_.tick(now), now + kWatchMs);
        self->handle_events();
        if (self->engine_.has_output()) self->kick();
        const std::int64_t handshake_end = self->began_ + limits::amqp_handshake_time_max.count();
        const bool late = !self->engine_.opened() && now >= handshake_end;
        const bool stuck = self->write_began_ >= 0 && now - self->write_began_ >= kWriteMsMax;
        const bool silent = self->engine_.closed() && self->write_began_ < 0 && !self->engine_.has_output();
        if (late || stuck || silent) {
            self->abort();
            break;
        }
        if (!self->engine_.opened()) next = std::min(next, handshake_end);
        self->drop_expired_grants();
        for (const Grant& grant : self->grants_) {
            if (grant.expires_at == kNever) continue;
            const auto left = grant.expires_at - self->context_->clock.now();
            next = std::min(next, now + std::max<std::int64_t>(left.count(), 1));
        }
        self->timer_.expires_after(std::chrono::milliseconds(std::max<std::int64_t>(next - now, 1)));
        co_await self->timer_.async_wait(kToken);
    }
}

void ServerConnection::close_gently() {
    engine_.close(make_condition(condition::kConnectionForced, "the server is being stopped", "",
                                 context_->clock.now()));
    kick();
    const auto links = links_;
    for (const auto& [id, link] : links) link->on_end(false);
}

void ServerConnection::abort() {
    if (std::exchange(over_, true)) return;
    handshake_.emit(asio::cancellation_type::terminal);
    if (transport_) transport_->close();
    output_.notify();
    resumed_.notify();
    timer_.cancel();
    end_links();
}

void ServerConnection::end_links() {
    const auto links = links_;
    for (const auto& [id, link] : links) link->on_end(false);
}

void ServerConnection::stored(std::size_t bytes) {
    storing_bytes_ -= bytes;
    if (storing_bytes_ <= kStoringBytesMax) resumed_.notify();
}

Rights ServerConnection::rights_on(std::string_view entity) const {
    if (context_->keys->empty()) return {true, true, true};
    Rights rights;
    const TimePoint now = context_->clock.now();
    for (const Grant& grant : grants_) {
        if (grant.expires_at <= now || !grant.covers(entity)) continue;
        rights.send = rights.send || grant.rights.send;
        rights.listen = rights.listen || grant.rights.listen;
        rights.manage = rights.manage || grant.rights.manage;
    }
    return rights;
}

void ServerConnection::add_grant(Grant grant) {
    std::erase_if(grants_, [&](const Grant& known) {
        return known.path == grant.path && known.key_name == grant.key_name;
    });
    if (grants_.size() < limits::amqp_links_max) grants_.push_back(std::move(grant));
    timer_.cancel();  // the watch looks at it
}

/// Links whose last token is over end, as in the service.
void ServerConnection::drop_expired_grants() {
    const TimePoint now = context_->clock.now();
    if (std::erase_if(grants_, [&](const Grant& grant) { return grant.expires_at <= now; }) == 0) return;
    const auto links = links_;
    for (const auto& [id, link] : links) {
        const Rights rights = rights_on(link->address().entity);
        if (link->address().node == Node::tokens || rights.send || rights.listen || rights.manage) continue;
        detach(id, make_condition(condition::kUnauthorized, "the token has expired", link->address().entity,
                                  now));
    }
}

std::optional<broker::SessionLock> ServerConnection::session_of(std::string_view entity,
                                                                std::string_view session_id,
                                                                std::string_view link_name) const {
    for (const auto& [id, link] : links_) {
        if (!link_name.empty() && link->name() != link_name) continue;
        auto lock = link->session_lock();
        if (lock && lock->entity == entity && lock->session_id == session_id) return lock;
    }
    return std::nullopt;
}

void ServerConnection::reply(SessionId session, const Address& node, std::string_view reply_to,
                             std::string answer) {
    std::shared_ptr<ReplyLink> best;
    int best_rank = 0;
    for (const auto& [id, link] : links_) {
        auto candidate = std::dynamic_pointer_cast<ReplyLink>(link);
        if (!candidate) continue;
        const bool same_node = link->address().node == node.node && link->address().entity == node.entity;
        int rank = same_node && link->session() == session ? 1 : 0;
        if (!reply_to.empty() && candidate->is_named(reply_to)) rank = 3;
        if (!reply_to.empty() && candidate->is_target(reply_to)) rank = link->session() == session ? 5 : 4;
        if (rank <= best_rank) continue;
        best = std::move(candidate);
        best_rank = rank;
    }
    if (best) best->send(std::move(answer));
    kick();
}

void ServerConnection::detach(LinkId id, Condition why) {
    engine_.detach(id, std::move(why));
    kick();
    const auto found = links_.find(id);
    if (found == links_.end()) return;
    const auto link = found->second;
    link->on_end(false);
}

void ServerConnection::forget(LinkId id) {
    if (links_.erase(id) > 0) context_->stats.links -= 1;
}

}  // namespace millrace::amqp
