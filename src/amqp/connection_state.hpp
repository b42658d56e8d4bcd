// What a connection knows of its sessions and links; for its own source files.
#pragma once

#include "amqp/connection.hpp"

#include <map>

namespace millrace::amqp {

/// A delivery on its way out, as much of it as the peer's window has not let through.
struct Connection::Outgoing {
    LinkId link = 0;
    Transfer head;  ///< of the next frame
    std::string payload;
    std::size_t written = 0;
};

struct Connection::Session {
    SessionId id = 0;
    std::uint16_t channel = 0;
    std::optional<std::uint16_t> remote_channel;
    bool ours = false;      ///< begun by this side, which waits for the peer's begin
    bool end_sent = false;  ///< everything but the peer's end is ignored

    std::uint32_t next_outgoing_id = 0;   ///< of the next transfer frame
    std::uint32_t next_delivery_id = 0;
    std::uint32_t remote_window = 0;      ///< transfer frames that the peer still takes
    std::uint32_t next_incoming_id = 0;
    std::uint32_t incoming_window = 0;    ///< what the peer was told, less what it has sent since

    std::unordered_map<std::uint32_t, Link*> by_remote_handle;
    std::unordered_map<std::uint32_t, Link*> by_handle;
    std::deque<Outgoing> outgoing;
    struct Sent {
        LinkId link;
        std::string tag;
    };
    std::map<std::uint32_t, Sent> sent;              ///< unsettled deliveries that went out
    std::map<std::uint32_t, LinkId> arrived;         ///< unsettled deliveries that came in
};

struct Connection::Link {
    enum class Stage { asked, asking, attached, detach_received, detach_sent };

    LinkId id = 0;
    Session* session = nullptr;
    std::string name;
    bool sender = false;  ///< messages go out
    Stage stage = Stage::asked;
    ConfirmMode confirm_mode = ConfirmMode::first;
    std::uint32_t handle = 0;
    std::optional<std::uint32_t> remote_handle;
    std::uint32_t delivery_count = 0;
    std::uint32_t credit = 0;
    bool drain = false;
    struct Partial {
        Incoming delivery;
        std::uint32_t id = 0;
    };
    std::optional<Partial> partial;  ///< a delivery whose end has not come
};

inline constexpr std::uint32_t kIncomingWindow = 4096;  ///< transfer frames

}  // namespace millrace::amqp
