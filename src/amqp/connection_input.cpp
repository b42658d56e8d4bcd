#include "amqp/connection_state.hpp"

#include <algorithm>

namespace millrace::amqp {

namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kSaslFrameMax = 4096;
constexpr std::size_t kEventsMax = 64;  ///< then what came waits until these are polled
constexpr std::uint32_t kFrameMin = 512;
constexpr std::uint32_t kOutgoingFrameMax = 1024 * 1024;

std::uint32_t frame_size(std::string_view bytes) {
    std::uint32_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<std::uint8_t>(bytes[i]);
    return size;
}

/// True if each event that holds `state` holds little.
bool is_light(const DeliveryState& state) {
    if (const auto* rejected = std::get_if<Rejected>(&state)) return !rejected->error;
    if (const auto* modified = std::get_if<Modified>(&state)) return modified->annotations.empty();
    return true;
}

}  // namespace

void Connection::write_header(std::uint8_t protocol) {
    const char header[] = {'A', 'M', 'Q', 'P', static_cast<char>(protocol), 1, 0, 0};
    out_.append(header, sizeof header);
    sent_at_ = now_;
}

void Connection::receive(std::string_view bytes, std::int64_t now) {
    now_ = std::max(now_, now);
    received_at_ = now_;
    if (closed_) return;
    if (in_.empty()) {
        const std::size_t taken = take(bytes);
        if (!closed_) in_.assign(bytes.substr(taken));
    } else {
        in_.append(bytes);
        take_waiting();
    }
    if (options_.server && sasl_asked_ && in_.size() > options_.frame_bytes_max) {
        fail("amqp:connection:framing-error", "too much before SASL's end");
    }
}

/// Goes on with bytes, or a disposition, that had to wait.
void Connection::take_waiting() {
    if (closed_) return;
    const std::size_t taken = take(std::string_view(in_).substr(in_at_));
    if (closed_ || taken == 0) return;
    in_at_ += taken;
    if (in_at_ < in_.size() / 2) return;  // bytes are moved rarely
    in_.erase(0, in_at_);
    in_at_ = 0;
}

bool Connection::must_wait() const noexcept {
    const std::size_t waiting = events_.size() - events_at_;
    const std::size_t most = spread_ && !is_light(spread_->told.state) ? 1 : kEventsMax;
    return closed_ || (options_.server && sasl_asked_) || waiting >= most;
}

/// Takes headers and whole frames from the front; answers how many bytes they had.
std::size_t Connection::take(std::string_view bytes) {
    const std::size_t all = bytes.size();
    while (!must_wait()) {
        if (spread_) {
            spread();
            continue;
        }
        const bool header = stage_ == Stage::header || stage_ == Stage::amqp_header;
        if (bytes.size() < (header ? kHeaderBytes : 4)) break;
        if (header) {
            on_header(bytes.substr(0, kHeaderBytes));
            bytes.remove_prefix(kHeaderBytes);
            continue;
        }
        const std::size_t size = frame_size(bytes);
        const std::size_t most = stage_ == Stage::sasl ? kSaslFrameMax : options_.frame_bytes_max;
        if (size < kFrameHead || size > most) {
            fail("amqp:connection:framing-error",
                 "a frame of " + std::to_string(size) + " bytes; at most " + std::to_string(most));
            break;
        }
        if (bytes.size() < size || !take_frame(bytes.substr(0, size))) break;
        bytes.remove_prefix(size);
    }
    return all - bytes.size();
}

void Connection::on_header(std::string_view header) {
    const auto protocol = static_cast<std::uint8_t>(header[4]);
    const bool known = header.substr(0, 4) == "AMQP" && header.substr(5) == std::string_view("\1\0\0", 3);
    if (!options_.server) {
        if (!known || protocol != (sasl_done_ ? 0 : 3)) {
            return finish(Condition{"amqp:connection:framing-error", "the peer does not speak AMQP 1.0", {}},
                          false);
        }
        stage_ = sasl_done_ ? Stage::open : Stage::sasl;
        if (sasl_done_) write_open();
        return;
    }
    const bool sasl = !options_.mechanisms.empty();
    if (!known || (protocol != 0 && (protocol != 3 || !sasl))) {
        write_header(sasl ? 3 : 0);  // what is spoken here, as part 2, 2.2 asks for
        return finish(Condition{"amqp:connection:framing-error", "not AMQP 1.0", {}}, false);
    }
    if (protocol == 3 && sasl_done_) return fail("amqp:connection:framing-error", "SASL was done already");
    write_header(protocol);
    stage_ = protocol == 3 ? Stage::sasl : Stage::open;
    if (protocol == 3) return frame(0, SaslMechanisms{options_.mechanisms});
    if (!sasl_done_ && sasl) {
        // Without SASL a peer is nobody, as with ANONYMOUS.
        events_.push_back(event::SaslAsked{SaslInit{"", "", ""}});
        sasl_asked_ = true;
    }
}

bool Connection::take_frame(std::string_view bytes) {
    const std::size_t offset = static_cast<std::uint8_t>(bytes[4]) * std::size_t{4};
    const auto type = static_cast<std::uint8_t>(bytes[5]);
    const auto channel = static_cast<std::uint16_t>(static_cast<std::uint8_t>(bytes[6]) << 8 |
                                                    static_cast<std::uint8_t>(bytes[7]));
    if (offset < kFrameHead || offset > bytes.size() ||
        type != (stage_ == Stage::sasl ? kSaslFrame : kAmqpFrame)) {
        return fail("amqp:connection:framing-error", "a frame's head makes no sense here"), false;
    }
    if (offset == bytes.size()) return true;  // a heartbeat
    Reader reader(bytes.substr(offset));
    Performative performative = read_performative(reader);
    if (reader.failed()) return fail("amqp:decode-error", reader.problem()), false;
    if (stage_ == Stage::sasl)
        on_sasl(performative);
    else
        on_performative(channel, performative, reader.rest());
    return !closed_;
}

void Connection::choose_mechanism(const SaslMechanisms& mechanisms) {
    if (sasl_asked_) return fail("amqp:not-allowed", "SASL mechanisms are offered twice");
    sasl_asked_ = true;
    for (const std::string& wanted : options_.mechanisms) {
        const auto& offered = mechanisms.names;
        if (std::find(offered.begin(), offered.end(), wanted) == offered.end()) continue;
        const bool silent = wanted == "ANONYMOUS" || wanted == "MSSBCBS";
        return frame(0, SaslInit{wanted, silent ? std::string() : options_.sasl_response, options_.hostname});
    }
    finish(Condition{"amqp:not-implemented", "the peer offers no SASL mechanism that is known here", {}},
           false);
}

void Connection::on_sasl(Performative& performative) {
    if (options_.server) {
        auto* init = std::get_if<SaslInit>(&performative);
        if (init == nullptr) return fail("amqp:not-allowed", "a SASL init was expected");
        sasl_asked_ = true;
        events_.push_back(event::SaslAsked{std::move(*init)});
        return;
    }
    if (const auto* mechanisms = std::get_if<SaslMechanisms>(&performative))
        return choose_mechanism(*mechanisms);
    const auto* outcome = std::get_if<SaslOutcome>(&performative);
    if (outcome == nullptr || !sasl_asked_)
        return fail("amqp:not-allowed", "the peer asks for more than one SASL step");
    if (outcome->code != 0) {
        return finish(Condition{"amqp:unauthorized-access", "the peer refused the credentials (SASL)", {}},
                      true);
    }
    sasl_asked_ = false;
    sasl_done_ = true;
    stage_ = Stage::amqp_header;
    write_header(0);
}

void Connection::write_open() {
    Open open;
    open.container_id = options_.container_id;
    open.hostname = options_.hostname;
    open.max_frame_size = options_.frame_bytes_max;
    open.channel_max = static_cast<std::uint16_t>(options_.sessions_max - 1);
    open.idle_timeout_ms = static_cast<std::uint32_t>(options_.idle_time.count());
    open.properties = options_.properties;
    frame(0, open);
    open_sent_ = true;
}

void Connection::on_open(Open& open) {
    remote_frame_max_ = std::clamp(open.max_frame_size, kFrameMin, kOutgoingFrameMax);
    remote_channel_max_ = open.channel_max;
    remote_idle_ = open.idle_timeout_ms.value_or(0);
    opened_ = true;
    stage_ = Stage::running;
    if (!open_sent_) write_open();
    events_.push_back(event::Opened{std::move(open)});
}

void Connection::on_close(Close& close) {
    if (!close_sent_ && open_sent_) frame(0, Close{});
    close_sent_ = true;
    finish(std::move(close.error), true);
}

void Connection::on_performative(std::uint16_t channel, Performative& performative,
                                 std::string_view payload) {
    if (auto* close = std::get_if<Close>(&performative)) return on_close(*close);
    if (close_sent_) return;
    if (auto* open = std::get_if<Open>(&performative)) {
        return opened_ ? fail("amqp:not-allowed", "a second open") : on_open(*open);
    }
    if (!opened_) return fail("amqp:not-allowed", "an open was expected");
    if (const auto* begin = std::get_if<Begin>(&performative)) return on_begin(channel, *begin);
    const auto found = by_remote_channel_.find(channel);
    if (found == by_remote_channel_.end()) return fail("amqp:not-allowed", "no session has this channel");
    Session& session = *found->second;
    if (auto* end = std::get_if<End>(&performative)) return on_end(session, *end);
    if (!session.end_sent) on_session(session, performative, payload);
}

void Connection::on_session(Session& session, Performative& performative, std::string_view payload) {
    if (auto* transfer = std::get_if<Transfer>(&performative))
        return on_transfer(session, *transfer, payload);
    if (auto* told = std::get_if<Disposition>(&performative)) return on_disposition(session, *told);
    if (const auto* flow = std::get_if<Flow>(&performative)) return on_flow(session, *flow);
    if (auto* attach = std::get_if<Attach>(&performative)) return on_attach(session, *attach);
    if (auto* detach = std::get_if<Detach>(&performative)) return on_detach(session, *detach);
    fail("amqp:not-allowed", "a SASL frame after SASL");
}

}  // namespace millrace::amqp
