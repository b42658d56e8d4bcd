#include "amqp/connection_state.hpp"

namespace millrace::amqp {

namespace {

constexpr std::uint8_t kAmqpFrame = 0;
constexpr std::uint8_t kSaslFrame = 1;
constexpr std::size_t kFrameHead = 8;
constexpr std::uint8_t kSaslAuthenticationFailed = 1;

}  // namespace

Connection::Connection(ConnectionOptions options) : options_(std::move(options)) {}
Connection::~Connection() = default;

std::string Connection::take_output() {
    flush_disposition();
    return std::exchange(out_, {});
}

std::optional<Event> Connection::poll() {
    if (events_.empty() && !in_.empty()) receive({}, received_at_);
    if (events_.empty()) return std::nullopt;
    Event next = std::move(events_.front());
    events_.pop_front();
    return next;
}

std::int64_t Connection::tick(std::int64_t now) {
    if (received_at_ < 0) received_at_ = now;
    if (sent_at_ < 0 || wrote_ || has_output()) sent_at_ = now;
    wrote_ = false;
    const std::int64_t patience = options_.idle_time.count() * 2;
    if (!closed_ && now - received_at_ >= patience) {
        fail("amqp:resource-limit-exceeded", "nothing came for " + std::to_string(patience) + " ms");
        finish(Condition{"amqp:resource-limit-exceeded", "the peer is silent", {}}, false);
    }
    const std::int64_t heartbeat = remote_idle_ / 2;
    if (open_sent_ && !close_sent_ && remote_idle_ > 0 && now - sent_at_ >= heartbeat) {
        const std::size_t mark = out_.size();
        out_.append(kFrameHead, '\0');
        frame_around(mark, kAmqpFrame, 0);
        sent_at_ = now;
    }
    std::int64_t next = received_at_ + patience;
    if (remote_idle_ > 0) next = std::min(next, sent_at_ + heartbeat);
    return std::max(next, now + 1);
}

/// Fills in the head of the frame that begins at `mark` and ends with the output.
void Connection::frame_around(std::size_t mark, std::uint8_t type, std::uint16_t channel) {
    const std::size_t size = out_.size() - mark;
    for (std::size_t i = 0; i < 4; ++i) out_[mark + i] = static_cast<char>(size >> (8 * (3 - i)));
    out_[mark + 4] = 2;  // the body begins after 2 words
    out_[mark + 5] = static_cast<char>(type);
    out_[mark + 6] = static_cast<char>(channel >> 8);
    out_[mark + 7] = static_cast<char>(channel & 0xff);
    wrote_ = true;
}

void Connection::frame(std::uint16_t channel, const Performative& performative) {
    flush_disposition();
    const std::size_t mark = out_.size();
    out_.append(kFrameHead, '\0');
    append(out_, performative);
    const bool sasl = performative.index() >= 9;
    frame_around(mark, sasl ? kSaslFrame : kAmqpFrame, channel);
}

void Connection::start() {
    const bool sasl = !options_.mechanisms.empty();
    write_header(sasl ? 3 : 0);
    if (sasl) return;
    sasl_done_ = true;
}

void Connection::answer_sasl(bool welcome) {
    if (closed_ || !sasl_asked_) return;
    sasl_asked_ = false;
    if (stage_ == Stage::sasl) frame(0, SaslOutcome{welcome ? std::uint8_t{0} : kSaslAuthenticationFailed});
    if (!welcome) return finish(Condition{"amqp:unauthorized-access", "authentication failed", {}}, false);
    sasl_done_ = true;
    if (stage_ == Stage::sasl) stage_ = Stage::amqp_header;
    receive({}, received_at_);
}

void Connection::close(std::optional<Condition> error) {
    if (closed_ || close_sent_) return;
    if (!open_sent_) return finish(std::move(error), false);
    frame(0, Close{std::move(error)});
    close_sent_ = true;
}

void Connection::fail(const char* condition, std::string description) {
    if (closed_) return;
    Condition error{condition, std::move(description), {}};
    if (open_sent_ && !close_sent_) frame(0, Close{error});
    close_sent_ = true;
    finish(std::move(error), false);
}

void Connection::finish(std::optional<Condition> error, bool by_peer) {
    if (closed_) return;
    closed_ = true;
    in_.clear();
    events_.push_back(event::Closed{std::move(error), by_peer});
}

Connection::Session* Connection::session(SessionId id) const {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : found->second.get();
}

Connection::Link* Connection::link(LinkId id) const {
    const auto found = links_.find(id);
    return found == links_.end() ? nullptr : found->second.get();
}

SessionId Connection::begin() {
    const SessionId id = next_id_++;
    if (closed_ || close_sent_) return id;
    auto made = std::make_unique<Session>();
    Session& session = *made;
    session.id = id;
    session.ours = true;
    while (by_channel_.contains(session.channel)) session.channel += 1;
    session.incoming_window = kIncomingWindow;
    by_channel_.emplace(session.channel, &session);
    sessions_.emplace(id, std::move(made));
    Begin begin;
    begin.incoming_window = kIncomingWindow;
    begin.outgoing_window = kIncomingWindow;
    begin.handle_max = static_cast<std::uint32_t>(options_.links_max - 1);
    frame(session.channel, begin);
    return id;
}

void Connection::end(SessionId id, std::optional<Condition> error) {
    Session* const ended = session(id);
    if (ended == nullptr || ended->end_sent || closed_ || close_sent_) return;
    frame(ended->channel, End{std::move(error)});
    ended->end_sent = true;
}

}  // namespace millrace::amqp
