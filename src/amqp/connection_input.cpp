#include "amqp/connection_state.hpp"

namespace millrace::amqp {

namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kFrameHead = 8;
constexpr std::size_t kSaslFrameMax = 4096;
constexpr std::size_t kEventsMax = 1024;  // then what came waits until these are polled
constexpr std::uint32_t kFrameMin = 512;
constexpr std::uint32_t kOutgoingFrameMax = 1024 * 1024;

std::uint32_t frame_size(std::string_view bytes) {
    std::uint32_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<std::uint8_t>(bytes[i]);
    return size;
}

}  // namespace

void Connection::write_header(std::uint8_t protocol) {
    const char header[] = {'A', 'M', 'Q', 'P', static_cast<char>(protocol), 1, 0, 0};
    out_.append(header, sizeof header);
    wrote_ = true;
}

void Connection::receive(std::string_view bytes, std::int64_t now) {
    received_at_ = now;
    std::string joined;
    if (!in_.empty() && !closed_) {
        joined = std::exchange(in_, {});
        joined.append(bytes);
        bytes = joined;
    }
    while (!closed_ && !bytes.empty() && !sasl_asked_ && events_.size() < kEventsMax) {
        const bool header = stage_ == Stage::header || stage_ == Stage::amqp_header;
        const std::size_t least = header ? kHeaderBytes : 4;
        if (bytes.size() < least) break;
        if (header) {
            on_header(bytes.substr(0, kHeaderBytes));
            bytes.remove_prefix(std::min(bytes.size(), kHeaderBytes));
            continue;
        }
        const std::size_t size = frame_size(bytes);
        const std::size_t most = stage_ == Stage::sasl ? kSaslFrameMax : options_.frame_bytes_max;
        if (size < kFrameHead || size > most) {
            return fail("amqp:connection:framing-error",
                        "a frame of " + std::to_string(size) + " bytes; at most " + std::to_string(most));
        }
        if (bytes.size() < size) break;
        if (!take_frame(bytes.substr(0, size))) return;
        bytes.remove_prefix(size);
    }
    if (!closed_) in_.assign(bytes);
    if (sasl_asked_ && in_.size() > options_.frame_bytes_max) {
        fail("amqp:connection:framing-error", "too much before SASL's end");
    }
}

void Connection::on_header(std::string_view header) {
    const auto protocol = static_cast<std::uint8_t>(header[4]);
    const bool known = header.substr(0, 4) == "AMQP" && header.substr(5) == std::string_view("\1\0\0", 3);
    if (options_.server && (!known || (protocol != 3 && protocol != 0))) {
        write_header(3);  // what is spoken here, as part 2, 2.2 asks for
        return finish(Condition{"amqp:connection:framing-error", "not AMQP 1.0", {}}, false);
    }
    if (!options_.server) {
        const std::uint8_t expected = sasl_done_ ? 0 : 3;
        if (!known || protocol != expected) {
            return finish(Condition{"amqp:connection:framing-error", "the peer does not speak AMQP 1.0", {}},
                          false);
        }
        if (!sasl_done_) {
            stage_ = Stage::sasl;
            return;
        }
        stage_ = Stage::open;
        if (open_sent_) return;
        Open open;
        open.container_id = options_.container_id;
        open.hostname = options_.hostname;
        open.max_frame_size = options_.frame_bytes_max;
        open.channel_max = static_cast<std::uint16_t>(options_.sessions_max - 1);
        open.idle_timeout_ms = static_cast<std::uint32_t>(options_.idle_time.count());
        open.properties = options_.properties;
        frame(0, open);
        open_sent_ = true;
        return;
    }
    write_header(protocol);
    if (protocol == 3 && stage_ == Stage::header) return offer_mechanisms();
    if (protocol == 3) return fail("amqp:connection:framing-error", "SASL was done already");
    if (!sasl_done_ && !options_.mechanisms.empty()) {
        // Without SASL a peer is nobody, as with ANONYMOUS.
        events_.push_back(event::SaslAsked{SaslInit{"", "", ""}});
        sasl_asked_ = true;
    }
    stage_ = Stage::open;
}

void Connection::offer_mechanisms() {
    stage_ = Stage::sasl;
    frame(0, SaslMechanisms{options_.mechanisms});
}

bool Connection::take_frame(std::string_view bytes) {
    const std::size_t offset = static_cast<std::uint8_t>(bytes[4]) * std::size_t{4};
    const auto type = static_cast<std::uint8_t>(bytes[5]);
    const auto channel = static_cast<std::uint16_t>(static_cast<std::uint8_t>(bytes[6]) << 8 |
                                                    static_cast<std::uint8_t>(bytes[7]));
    if (offset < kFrameHead || offset > bytes.size() || type != (stage_ == Stage::sasl ? 1 : 0)) {
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
    if (outcome == nullptr) return fail("amqp:not-allowed", "the peer asks for more than one SASL step");
    if (outcome->code != 0) {
        return finish(Condition{"amqp:unauthorized-access", "the peer refused the credentials (SASL)", {}},
                      true);
    }
    sasl_done_ = true;
    stage_ = Stage::amqp_header;
    write_header(0);
}

void Connection::on_open(Open& open) {
    remote_frame_max_ = std::clamp(open.max_frame_size, kFrameMin, kOutgoingFrameMax);
    remote_channel_max_ = open.channel_max;
    remote_idle_ = open.idle_timeout_ms.value_or(0);
    opened_ = true;
    stage_ = Stage::running;
    if (!open_sent_) {
        Open answer;
        answer.container_id = options_.container_id;
        answer.max_frame_size = options_.frame_bytes_max;
        answer.channel_max = static_cast<std::uint16_t>(options_.sessions_max - 1);
        answer.idle_timeout_ms = static_cast<std::uint32_t>(options_.idle_time.count());
        answer.properties = options_.properties;
        frame(0, answer);
        open_sent_ = true;
    }
    events_.push_back(event::Opened{std::move(open)});
}

void Connection::on_close(Close& close) {
    if (!close_sent_ && open_sent_) frame(0, Close{});
    close_sent_ = true;
    finish(std::move(close.error), true);
}

void Connection::on_begin(std::uint16_t channel, const Begin& begin) {
    Session* begun = nullptr;
    if (begin.remote_channel) {
        const auto found = by_channel_.find(*begin.remote_channel);
        begun = found == by_channel_.end() ? nullptr : found->second;
        if (begun == nullptr || begun->remote_channel) {
            return fail("amqp:not-allowed", "a begin answers a session that was not begun");
        }
    } else {
        if (by_remote_channel_.contains(channel)) return fail("amqp:not-allowed", "the channel is in use");
        if (sessions_.size() >= options_.sessions_max || channel >= options_.sessions_max) {
            return fail("amqp:resource-limit-exceeded", "too many sessions");
        }
        auto made = std::make_unique<Session>();
        begun = made.get();
        begun->id = next_id_++;
        while (by_channel_.contains(begun->channel)) begun->channel += 1;
        begun->incoming_window = kIncomingWindow;
        by_channel_.emplace(begun->channel, begun);
        sessions_.emplace(begun->id, std::move(made));
    }
    begun->remote_channel = channel;
    begun->next_incoming_id = begin.next_outgoing_id;
    begun->remote_window = begin.incoming_window;
    by_remote_channel_[channel] = begun;
    if (!begin.remote_channel) {
        Begin answer;
        answer.remote_channel = channel;
        answer.incoming_window = kIncomingWindow;
        answer.outgoing_window = kIncomingWindow;
        answer.handle_max = static_cast<std::uint32_t>(options_.links_max - 1);
        frame(begun->channel, answer);
    }
    events_.push_back(event::SessionBegun{begun->id});
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
    if (session.end_sent) return;
    if (auto* attach = std::get_if<Attach>(&performative)) return on_attach(session, *attach);
    if (const auto* flow = std::get_if<Flow>(&performative)) return on_flow(session, *flow);
    if (auto* transfer = std::get_if<Transfer>(&performative))
        return on_transfer(session, *transfer, payload);
    if (const auto* told = std::get_if<Disposition>(&performative)) return on_disposition(session, *told);
    if (auto* detach = std::get_if<Detach>(&performative)) return on_detach(session, *detach);
    fail("amqp:not-allowed", "a SASL frame after SASL");
}

}  // namespace millrace::amqp
