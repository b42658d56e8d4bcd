// What a connection knows of its sessions and links; for its own source files.
#pragma once

#include "amqp/connection.hpp"

#include <algorithm>
#include <deque>
#include <map>

namespace millrace::amqp {

inline constexpr std::size_t kFrameHead = 8;
inline constexpr std::uint8_t kAmqpFrame = 0;
inline constexpr std::uint8_t kSaslFrame = 1;
inline constexpr std::uint32_t kIncomingWindow = 4096;  ///< transfer frames
inline constexpr std::size_t kTagMax = 32;              ///< part 2, 2.8.7

/// What is left of an allowance after what was sent and not yet `seen` by the peer when it told it. Serial
/// numbers; a peer that claims to have seen what was never sent has seen all.
inline std::uint32_t less_on_the_way(std::uint32_t allowance, std::uint32_t sent, std::uint32_t seen) {
    const std::uint32_t on_the_way = sent - seen > UINT32_MAX / 2 ? 0 : sent - seen;
    return allowance - std::min(allowance, on_the_way);
}

/// A delivery on its way out, as much of it as the peer's window has not let through.
struct Connection::Outgoing {
    Link* link = nullptr;
    Transfer head;  ///< of the next frame
    std::string payload;
    std::size_t written = 0;
};

struct Connection::Session {
    SessionId id = 0;
    std::uint16_t channel = 0;
    std::optional<std::uint16_t> remote_channel;
    bool end_sent = false;  ///< everything but the peer's end is ignored
    bool end_told = false;  ///< `SessionEnded` is among the events

    std::uint32_t next_outgoing_id = 0;  ///< of the next transfer frame
    std::uint32_t next_delivery_id = 0;
    std::uint32_t remote_window = 0;     ///< transfer frames that the peer still takes
    std::uint32_t remote_handle_max = UINT32_MAX;
    std::uint32_t next_incoming_id = 0;
    std::uint32_t incoming_window = kIncomingWindow;  ///< what the peer was told, less what it has sent since

    Numbers handles;
    std::unordered_map<std::uint32_t, Link*> by_remote_handle;
    std::unordered_map<std::uint32_t, Link*> by_handle;
    std::deque<Outgoing> outgoing;
    struct Unsettled {
        Link* link = nullptr;
        std::string tag;  ///< of one that went out
        bool told = false;  ///< an outcome that is not settled: it is told once
    };
    std::map<std::uint32_t, Unsettled> sent;
    std::map<std::uint32_t, Unsettled> arrived;
    bool full = false;  ///< too many of `sent`: links wait until enough are settled
};

struct Connection::Link {
    enum class Stage { asked, asking, attached, detach_received, detach_sent };

    LinkId id = 0;
    Session* session = nullptr;
    std::string name;
    bool sender = false;  ///< messages go out
    Stage stage = Stage::asked;
    bool named = false;  ///< the peer knows the handle: an attach was written
    SettleMode settle_mode = SettleMode::mixed;
    ConfirmMode confirm_mode = ConfirmMode::first;
    std::uint32_t handle = 0;
    std::optional<std::uint32_t> remote_handle;

    /// Sender: deliveries of which a frame was written. Receiver: those that have begun to arrive.
    std::uint32_t delivery_count = 0;
    std::uint32_t credit = 0;
    /// Receiver: the delivery count up to which the peer was ever allowed to send. Lowered credit crosses
    /// deliveries that are on their way.
    std::uint32_t allowed = 0;
    bool drain = false;
    std::uint32_t queued = 0;  ///< sender: deliveries that wait for the peer's window, no frame written
    std::size_t waiting = 0;  ///< sender: those, and one of which frames were written but not the last
    bool give_back = false;  ///< sender: its credit goes back once nothing waits
    std::size_t unsettled = 0;  ///< of both directions
    bool credit_told = false;  ///< `CreditChanged` is among the events
    std::optional<Incoming> partial;  ///< a delivery whose end has not come
};

template <class T>
void Connection::frame(std::uint16_t channel, const T& performative) {
    flush_disposition();
    const std::size_t mark = out_.size();
    out_.append(kFrameHead, '\0');
    if constexpr (std::is_same_v<T, Flow> || std::is_same_v<T, Disposition>)
        append(out_, performative);
    else
        append(out_, Performative(performative));
    constexpr bool sasl =
        std::is_same_v<T, SaslMechanisms> || std::is_same_v<T, SaslInit> || std::is_same_v<T, SaslOutcome>;
    frame_around(mark, sasl ? kSaslFrame : kAmqpFrame, channel);
}

}  // namespace millrace::amqp
