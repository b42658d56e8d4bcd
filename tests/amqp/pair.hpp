// Two connections wired back to back, and frames written by hand for what no honest peer sends.
#pragma once

#include "amqp/connection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::amqp::testing {

/// How bytes are cut on their way: as they come (0), one by one (1), or at random places by that seed.
using Cut = unsigned;

inline ConnectionOptions client_options() {
    ConnectionOptions options;
    options.container_id = "client";
    options.hostname = "millrace.test";
    options.mechanisms = {"ANONYMOUS"};
    return options;
}

inline ConnectionOptions server_options() {
    ConnectionOptions options;
    options.server = true;
    options.container_id = "server";
    options.mechanisms = {"MSSBCBS", "PLAIN", "ANONYMOUS"};
    return options;
}

/// The connection of one side and the events that the test has not looked at.
struct Side {
    explicit Side(ConnectionOptions options) : connection(std::move(options)) {}
    Connection* operator->() { return &connection; }

    void poll() {
        while (auto next = connection.poll()) events.push_back(std::move(*next));
    }
    /// The first event of this kind, which is taken away; fails the test if there is none.
    template <class E>
    E take() {
        for (auto at = events.begin(); at != events.end(); ++at) {
            if (!std::holds_alternative<E>(*at)) continue;
            E found = std::get<E>(std::move(*at));
            events.erase(at);
            return found;
        }
        ADD_FAILURE() << "no such event: " << typeid(E).name();
        return E{};
    }
    template <class E>
    std::size_t count() const {
        return static_cast<std::size_t>(std::count_if(
            events.begin(), events.end(), [](const Event& one) { return std::holds_alternative<E>(one); }));
    }

    Connection connection;
    std::vector<Event> events;
};

/// A client and a server. `run` carries bytes until both are silent.
class Pair {
  public:
    explicit Pair(Cut cut = 0, ConnectionOptions client_side = client_options(),
                  ConnectionOptions server_side = server_options())
        : client(std::move(client_side)), server(std::move(server_side)), cut_(cut), random_(cut) {}

    void run() {
        bool moved = true;
        while (moved) {
            moved = carry(client, server);
            if (welcome && server.count<event::SaslAsked>() > 0) {
                asked = server.take<event::SaslAsked>().init;
                server->answer_sasl(*welcome);
            }
            moved = carry(server, client) || moved;
        }
    }
    /// Handshake, then a session: known to the client as `session`, to the server as `server_session`.
    void open() {
        client->start();
        run();
        client.take<event::Opened>();
        server.take<event::Opened>();
        session = client->begin();
        run();
        client.take<event::SessionBegun>();
        server_session = server.take<event::SessionBegun>().session;
    }
    struct Ends {
        LinkId client, server;
    };
    /// A link on which the client sends, or receives.
    Ends link(bool client_receives, const std::string& name = "link", ConfirmMode mode = ConfirmMode::first) {
        Attach attach;
        attach.name = name;
        attach.receiver = client_receives;
        attach.settle_mode = SettleMode::unsettled;
        attach.confirm_mode = mode;
        attach.source = Source{.address = "source"};
        attach.target = Target{.address = "target"};
        const LinkId mine = client->attach(session, attach);
        run();
        auto asked_link = server.take<event::LinkAsked>();
        server->accept(asked_link.link, asked_link.attach);
        run();
        EXPECT_FALSE(client.take<event::LinkAnswered>().refused);
        return {mine, asked_link.link};
    }

    Side client, server;
    SessionId session = 0, server_session = 0;
    std::int64_t now = 1000;
    std::optional<bool> welcome = true;
    SaslInit asked;
    std::string from_client, from_server;  ///< all bytes so far

  private:
    bool carry(Side& from, Side& to) {
        const std::string bytes = from->take_output();
        (&from == &client ? from_client : from_server) += bytes;
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t left = bytes.size() - at;
            const std::size_t part = cut_ == 0 ? left : cut_ == 1 ? 1 : std::min(left, 1 + random_() % 700);
            to->receive(std::string_view(bytes).substr(at, part), now);
            to.poll();
            at += part;
        }
        to.poll();
        from.poll();
        return !bytes.empty();
    }

    Cut cut_;
    std::mt19937 random_;
};

inline std::string frame_of(std::uint16_t channel, const Performative& performative,
                            std::string_view payload = {}) {
    std::string body;
    append(body, performative);
    body += payload;
    std::string frame;
    Writer writer(frame);
    writer.number(body.size() + 8, 4);
    writer.byte(2);
    writer.byte(performative.index() >= 9 ? 1 : 0);
    writer.number(channel, 2);
    return frame + body;
}

inline constexpr std::string_view kHeader{"AMQP\0\1\0\0", 8};
inline constexpr std::string_view kSaslHeader{"AMQP\3\1\0\0", 8};

struct Frame {
    std::uint16_t channel;
    Performative performative;
    std::string payload;
};

/// The frames of a stream of bytes; headers are passed over.
inline std::vector<Frame> frames_of(std::string_view bytes) {
    std::vector<Frame> frames;
    while (bytes.size() >= 8) {
        if (bytes.substr(0, 4) == "AMQP") {
            bytes.remove_prefix(8);
            continue;
        }
        std::size_t size = 0;
        for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<std::uint8_t>(bytes[i]);
        if (size > 8) {
            Reader reader(bytes.substr(8, size - 8));
            Performative read = read_performative(reader);
            EXPECT_FALSE(reader.failed()) << reader.problem();
            const auto channel = static_cast<std::uint16_t>(static_cast<std::uint8_t>(bytes[6]) << 8 |
                                                            static_cast<std::uint8_t>(bytes[7]));
            frames.push_back({channel, std::move(read), std::string(reader.rest())});
        }
        bytes.remove_prefix(std::min(size, bytes.size()));
    }
    return frames;
}

template <class P>
std::vector<P> all_of(std::string_view bytes) {
    std::vector<P> found;
    for (const Frame& one : frames_of(bytes)) {
        if (const auto* held = std::get_if<P>(&one.performative)) found.push_back(*held);
    }
    return found;
}

/// A server whose peer is written by hand: opened, with a session on channel 0 if `with_session`.
class Alone {
  public:
    explicit Alone(ConnectionOptions options = plain_server(), bool with_session = true)
        : side(std::move(options)) {
        Open open;
        open.container_id = "by hand";
        give(std::string(kHeader) + frame_of(0, open));
        side.take<event::Opened>();
        if (!with_session) return;
        Begin begin;
        begin.incoming_window = 100;
        give(frame_of(0, begin));
        session = side.take<event::SessionBegun>().session;
    }
    static ConnectionOptions plain_server() {
        ConnectionOptions options = server_options();
        options.mechanisms.clear();
        return options;
    }
    void give(std::string_view bytes) {
        side->receive(bytes, 1000);
        side.poll();
    }
    void give(const Performative& performative, std::string_view payload = {}) {
        give(frame_of(0, performative, payload));
    }
    /// A link to or from the server with this handle.
    LinkId link(std::uint32_t handle, bool server_sends, std::uint32_t credit = 10) {
        Attach attach;
        attach.name = "link " + std::to_string(handle);
        attach.handle = handle;
        attach.receiver = server_sends;
        attach.source = Source{.address = "a"};
        attach.target = Target{.address = "b"};
        if (!server_sends) attach.initial_delivery_count = 0;
        give(attach);
        const LinkId id = side.take<event::LinkAsked>().link;
        side->accept(id, attach);
        if (!server_sends) side->grant(id, credit);
        return id;
    }
    std::string output() { return side->take_output(); }

    Side side;
    SessionId session = 0;
};

}  // namespace millrace::amqp::testing
