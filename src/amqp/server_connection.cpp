#include "amqp/server_connection.hpp"

#include "amqp/server_links.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace millrace::amqp {

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytesMin = 2 * limits::kKiB;  // what an idle connection costs
constexpr std::size_t kReadBytesMax = 64 * limits::kKiB;
constexpr std::size_t kWriteBytes = 256 * limits::kKiB;  // at once: its end shows that the client reads
constexpr std::size_t kReceiveBytesMax = 1 * limits::kMiB;
constexpr std::size_t kReceiveBytesMin = 4 * limits::kKiB;
constexpr std::size_t kRequestsAtOnce = 8;
constexpr std::size_t kGrantsMax = 10'000;
constexpr std::size_t kUnprovenBytesMax = 64 * limits::kKiB;  // of tokens, which are shorter
constexpr Duration kWarningPause = std::chrono::minutes(1);
constexpr std::int64_t kWatchMs = 30'000;
constexpr std::int64_t kWriteMsMax = 120'000;  // of one write: then the client reads no more

ConnectionOptions options_for(const ServerContext& context) {
    ConnectionOptions wanted;
    wanted.server = true;
    wanted.idle_time = context.options.idle_time;
    wanted.message_bytes_max = context.broker.message_bytes_max();
    wanted.partial_bytes_max = std::max(limits::amqp_partial_bytes_max, 2 * wanted.message_bytes_max);
    if (!context.keys->empty()) {
        wanted.links_at_first = limits::amqp_links_unproven_max;
        wanted.partial_bytes_at_first = kUnprovenBytesMax;
    }
    wanted.mechanisms = {"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"};
    wanted.properties.set_symbol("product", std::string("Millrace"));
    return wanted;
}

}  // namespace

ServerConnection::ServerConnection(std::shared_ptr<ServerContext> context, std::string peer)
    : context_(std::move(context)),
      peer_(std::move(peer)),
      engine_(options_for(*context_)),
      output_(context_->io),
      resumed_(context_->io),
      stored_(context_->io),
      timer_(context_->io) {}

ServerConnection::~ServerConnection() {
    context_->bytes.partial -= bytes_.partial;
    context_->bytes.storing -= bytes_.storing;  // of work that ended with an exception
    context_->bytes.output -= bytes_.output;
}

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
}

asio::awaitable<void> ServerConnection::serve(asio::ip::tcp::socket socket) {
    const Pages pages = context_->keys->empty() ? Pages::of_localhost_or_an_address : Pages::of_its_site;
    auto accepting = accept_transport(std::move(socket), context_->options.tls.get(), pages);
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
    std::vector<char> buffer(kReadBytesMin);
    while (!over_) {
        if (!may_read()) {
            co_await resumed_.wait();
            handle_events();  // those that had to wait
            kick();
            continue;
        }
        if (engine_.closed()) co_return;
        const asio::mutable_buffer room(buffer.data(), buffer.size());
        const auto got = co_await transport_->read_some(room);
        if (!got || over_) co_return;  // it may have been cut off before these bytes were seen
        engine_.receive(std::string_view(buffer.data(), *got), steady_now());
        handle_events();
        kick();
        const std::size_t wanted = *got == buffer.size() ? kReadBytesMax : kReadBytesMin;
        if (wanted == buffer.size() || (wanted < buffer.size() && *got > wanted)) continue;
        buffer = std::vector<char>(wanted);
    }
}

asio::awaitable<void> ServerConnection::write(std::shared_ptr<ServerConnection> self) {
    while (!self->over_) {
        if (!self->engine_.has_output()) {
            if (self->engine_.closed()) break;
            co_await self->output_.wait();
            continue;
        }
        const std::string bytes = self->engine_.take_output();
        bool broken = false;
        for (std::size_t at = 0; at < bytes.size() && !broken; at += kWriteBytes) {
            self->writing_bytes_ = bytes.size() - at;
            self->write_began_ = self->steady_now();
            const auto part = std::string_view(bytes).substr(at, kWriteBytes);
            const auto written = co_await self->transport_->write(part);
            broken = !written;
            self->writing_bytes_ -= part.size();
            self->offer_room();
        }
        self->write_began_ = -1;
        self->resumed_.notify();
        if (broken) break;
    }
    if (!self->engine_.closed()) self->abort();
    self->timer_.cancel();  // the watch cuts off who does not end after the last word
}

/// What is sent to this client has become less.
void ServerConnection::offer_room() {
    count_bytes();
    resumed_.notify();
    const bool crowded = context_->bytes.output > context_->options.bytes_max;
    const std::size_t most = crowded ? limits::amqp_share_bytes_min : limits::amqp_output_bytes_max;
    if (!room_wanted_ || unread_bytes() > most / 2) return;
    room_wanted_ = false;
    for (const auto& link : all_links()) link->on_credit();
}

bool ServerConnection::has_room() {
    count_bytes();
    const std::size_t unread = unread_bytes();
    const bool crowded = context_->bytes.output > context_->options.bytes_max;
    const bool room = unread < (crowded ? limits::amqp_share_bytes_min : limits::amqp_output_bytes_max);
    if (!room) room_wanted_ = true;
    return room;
}

/// Not while much of what was read is under way, nor while the answers are not read. What waits for the
/// client's window does not count: the window comes by reading.
bool ServerConnection::may_read() const noexcept {
    return engine_.output_bytes() + writing_bytes_ < limits::amqp_output_bytes_max && !is_busy();
}

/// Much of what was taken is under way: no more is taken until some of it is done.
bool ServerConnection::is_busy() const noexcept {
    const bool crowded = context_->bytes.storing > context_->options.bytes_max;
    return bytes_.storing > (crowded ? limits::amqp_share_bytes_min : limits::amqp_storing_bytes_max);
}

void ServerConnection::count_bytes() {
    const std::size_t partial = over_ ? 0 : engine_.partial_bytes();
    const std::size_t output = over_ ? 0 : unread_bytes() + answer_bytes;
    ServerBytes& all = context_->bytes;
    all.partial += partial - std::exchange(bytes_.partial, partial);
    all.output += output - std::exchange(bytes_.output, output);
}

void ServerConnection::kick() {
    count_bytes();
    output_.notify();
    if (context_->bytes.partial > context_->options.bytes_max) context_->relieve();
}

std::size_t ServerConnection::begin_receive() {
    receives_ += 1;
    return std::clamp(limits::amqp_output_bytes_max / receives_, kReceiveBytesMin, kReceiveBytesMax);
}

void ServerConnection::ask(std::function<asio::awaitable<void>()> request) {
    requests_.push_back(std::move(request));
    if (answering_ == kRequestsAtOnce) return;
    answering_ += 1;
    start(answer_requests(shared_from_this()));
}

asio::awaitable<void> ServerConnection::answer_requests(std::shared_ptr<ServerConnection> self) {
    while (!self->requests_.empty()) {
        const auto request = std::move(self->requests_.front());
        self->requests_.pop_front();
        auto answering = request();
        co_await std::move(answering);
    }
    self->answering_ -= 1;
}

/// Heartbeats and time limits.
asio::awaitable<void> ServerConnection::watch(std::shared_ptr<ServerConnection> self) {
    while (!self->over_) {
        const std::int64_t now = self->steady_now();
        std::int64_t next = std::min(self->engine_.tick(now), now + kWatchMs);
        self->handle_events();
        if (self->engine_.has_output()) self->kick();
        const std::int64_t handshake_end = self->began_ + limits::amqp_handshake_time_max.count();
        const bool late = !self->engine_.opened() && now >= handshake_end;
        const bool stuck = self->write_began_ >= 0 && now - self->write_began_ >= kWriteMsMax;
        const bool silent = self->engine_.closed() && self->write_began_ < 0 && !self->engine_.has_output() &&
                            !self->is_busy();
        if (late || stuck || silent) {
            self->abort();
            break;
        }
        if (!self->engine_.opened()) next = std::min(next, handshake_end);
        self->timer_.expires_after(std::chrono::milliseconds(std::max<std::int64_t>(next - now, 1)));
        co_await self->timer_.async_wait(kToken);
    }
}

void ServerConnection::close_gently() {
    if (!engine_.opened()) return abort();
    if (!std::exchange(leaving_, true)) start(leave(shared_from_this()));
}

asio::awaitable<void> ServerConnection::leave(std::shared_ptr<ServerConnection> self) {
    for (const auto& link : self->all_links()) link->on_leave();
    while (self->bytes_.storing > 0 && !self->over_) co_await self->stored_.wait();
    self->engine_.close(make_condition(condition::kConnectionForced, "the server is being stopped", "",
                                       self->context_->clock.now()));
    self->kick();
    self->end_links();
}

void ServerConnection::abort() {
    if (std::exchange(over_, true)) return;
    count_bytes();
    handshake_.emit(asio::cancellation_type::terminal);
    if (transport_) transport_->close();
    output_.notify();
    resumed_.notify();
    stored_.notify();
    timer_.cancel();
    expiring_.emit(asio::cancellation_type::terminal);
    end_links();
}

std::vector<std::shared_ptr<ServerLink>> ServerConnection::all_links() const {
    std::vector<std::shared_ptr<ServerLink>> links;
    links.reserve(links_.size());
    for (const auto& [id, link] : links_) links.push_back(link);
    return links;
}

void ServerConnection::end_links() {
    for (const auto& link : all_links()) link->on_end(false);
}

void ServerConnection::storing(std::size_t bytes) {
    bytes_.storing += bytes + limits::amqp_work_bytes;
    context_->bytes.storing += bytes + limits::amqp_work_bytes;
}

void ServerConnection::stored(std::size_t bytes) {
    bytes_.storing -= bytes + limits::amqp_work_bytes;
    context_->bytes.storing -= bytes + limits::amqp_work_bytes;
    resumed_.notify();
    if (bytes_.storing == 0) stored_.notify();
}

Rights ServerConnection::rights_on(std::string_view entity) const {
    if (context_->keys->empty()) return {true, true, true};
    Rights rights;
    const TimePoint now = context_->clock.now();
    const std::string path = audience_path(entity);
    for (const Grant& grant : grants_) {
        if (grant.expires_at <= now || !grant.covers_path(path)) continue;
        rights.send = rights.send || grant.rights.send;
        rights.listen = rights.listen || grant.rights.listen;
        rights.manage = rights.manage || grant.rights.manage;
    }
    return rights;
}

bool ServerConnection::add_grant(Grant grant) {
    std::erase_if(grants_, [&](const Grant& known) {
        return known.path == grant.path && known.key_name == grant.key_name;
    });
    if (grants_.size() >= kGrantsMax) return false;
    engine_.allow_links();
    const bool ends = grant.expires_at != kNever;
    grants_.push_back(std::move(grant));
    expiring_.emit(asio::cancellation_type::terminal);  // its end may be the next
    if (ends && !std::exchange(expires_, true)) start(expire_grants(shared_from_this()));
    return true;
}

void ServerConnection::warn_of_token(std::string_view why) {
    const TimePoint now = context_->clock.now();
    if (now < next_warning_) {
        unwarned_ += 1;
        return;
    }
    std::string text(why);
    if (unwarned_ > 0) text += "; " + std::to_string(unwarned_) + " more were refused since the last warning";
    telemetry::log_warning("amqp token", peer_, text);
    next_warning_ = now + kWarningPause;
    unwarned_ = 0;
}

asio::awaitable<void> ServerConnection::expire_grants(std::shared_ptr<ServerConnection> self) {
    while (!self->over_) {
        self->drop_expired_grants();
        TimePoint next = kNever;
        for (const Grant& grant : self->grants_) next = std::min(next, grant.expires_at);
        if (next == kNever) break;
        auto sleeping = self->context_->clock.sleep_until(next);
        auto token = asio::bind_cancellation_slot(self->expiring_.slot(), asio::use_awaitable);
        try {
            co_await asio::co_spawn(self->context_->io, std::move(sleeping), std::move(token));
        } catch (const boost::system::system_error&) {
            // Cancelled: there is another grant, or the connection is over.
        }
    }
    self->expires_ = false;
}

/// Links whose last token is over end, as in the service.
void ServerConnection::drop_expired_grants() {
    const TimePoint now = context_->clock.now();
    const auto over = std::stable_partition(grants_.begin(), grants_.end(),
                                            [now](const Grant& grant) { return grant.expires_at > now; });
    const std::vector<Grant> expired(over, grants_.end());
    grants_.erase(over, grants_.end());
    if (expired.empty()) return;
    for (const auto& link : all_links()) {
        if (link->address().node == Node::tokens) continue;
        const std::string path = audience_path(link->address().entity);
        const bool covered =
            std::ranges::any_of(expired, [&path](const Grant& grant) { return grant.covers_path(path); });
        if (!covered || link->may_go_on(rights_on(link->address().entity))) continue;
        detach(link->id(), make_condition(condition::kUnauthorized, "the token has expired",
                                          link->address().entity, now));
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
    const auto found = links_.find(id);
    if (found == links_.end()) return;
    const auto siblings = links_of_.find(found->second->session());
    siblings->second.erase(id);
    if (siblings->second.empty()) links_of_.erase(siblings);
    links_.erase(found);
    context_->stats.links -= 1;
}

}  // namespace millrace::amqp
