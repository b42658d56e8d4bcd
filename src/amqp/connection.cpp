#include "amqp/connection_state.hpp"

namespace millrace::amqp {

namespace {

constexpr std::uint8_t kSaslAuthenticationFailed = 1;
constexpr std::int64_t kHeartbeatMin = 20;  ///< ms, whatever the peer asks for

}  // namespace

std::uint32_t Connection::Numbers::take() {
    if (free_.empty()) return next_++;
    const std::uint32_t number = free_.back();
    free_.pop_back();
    return number;
}

std::uint32_t Connection::Numbers::take_rested(std::uint32_t most) {
    if (next_ <= most || free_.empty()) return next_++;
    const std::uint32_t number = free_.front();
    free_.pop_front();
    return number;
}

Connection::Connection(ConnectionOptions options) : options_(std::move(options)) {
    options_.idle_time = std::clamp(options_.idle_time, Duration::zero(), Duration(UINT32_MAX));
}
Connection::~Connection() = default;

std::string Connection::take_output() {
    flush_disposition();
    return std::exchange(out_, {});
}

std::optional<Event> Connection::poll() {
    if (events_at_ == events_.size()) {
        events_.clear();
        events_at_ = 0;
        take_waiting();
        if (events_.empty()) return std::nullopt;
    }
    Event next = std::move(events_[events_at_++]);
    if (const auto* changed = std::get_if<event::CreditChanged>(&next)) {
        if (Link* const about = link(changed->link)) about->credit_told = false;
    }
    return next;
}

std::int64_t Connection::tick(std::int64_t now) {
    const std::int64_t patience = options_.idle_time.count() * 2;
    now_ = std::max(now_, now);
    if (received_at_ < 0) received_at_ = now;
    if (!closed_ && now - received_at_ >= patience) {
        fail("amqp:resource-limit-exceeded", "nothing came for " + std::to_string(patience) + " ms");
    }
    if (closed_) return now + patience;
    std::int64_t next = received_at_ + patience;
    if (remote_idle_ > 0 && !close_sent_) {
        const std::int64_t heartbeat = std::max(remote_idle_ / 2, kHeartbeatMin);
        if (has_output()) sent_at_ = now;  // which does as well
        if (now - sent_at_ >= heartbeat) {
            const std::size_t mark = out_.size();
            out_.append(kFrameHead, '\0');
            frame_around(mark, kAmqpFrame, 0);
        }
        next = std::min(next, sent_at_ + heartbeat);
    }
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
    sent_at_ = now_;
}

void Connection::start() {
    const bool sasl = !options_.mechanisms.empty();
    write_header(sasl ? 3 : 0);
    if (sasl) return;
    sasl_done_ = true;
}

void Connection::answer_sasl(bool welcome) {
    if (closed_ || !options_.server || !sasl_asked_) return;
    sasl_asked_ = false;
    if (stage_ == Stage::sasl) frame(0, SaslOutcome{welcome ? std::uint8_t{0} : kSaslAuthenticationFailed});
    if (!welcome) return finish(Condition{"amqp:unauthorized-access", "authentication failed", {}}, false);
    sasl_done_ = true;
    if (stage_ == Stage::sasl) stage_ = Stage::amqp_header;
    take_waiting();
}

void Connection::close(std::optional<Condition> error) {
    if (is_over()) return;
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
    in_at_ = 0;
    spread_.reset();
    for (const auto& [id, one] : sessions_) silence(*one);
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

Connection::Link* Connection::live_link(LinkId id) const {
    if (is_over()) return nullptr;
    Link* const found = link(id);
    return found == nullptr || found->session->end_sent ? nullptr : found;
}

}  // namespace millrace::amqp
