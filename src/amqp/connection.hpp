// One AMQP 1.0 connection as a state machine: bytes and commands in, bytes and events out. Both roles; no
// sockets, no clock, no threads. Transport, authentication and meaning are others' business.
#pragma once

#include "amqp/performatives.hpp"
#include "base/limits.hpp"

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace millrace::amqp {

/// Names a session or a link of one connection; never used twice. A command about one that is gone does
/// nothing.
using SessionId = std::uint32_t;
using LinkId = std::uint32_t;

struct ConnectionOptions {
    bool server = false;
    std::string container_id = "millrace";
    std::string hostname;  ///< client: the name that it believes it talks to
    std::uint32_t frame_bytes_max = limits::amqp_frame_bytes_max;  ///< of incoming frames
    std::size_t sessions_max = limits::amqp_sessions_max;
    std::size_t links_max = limits::amqp_links_max;  ///< of the connection
    std::size_t links_at_first = limits::amqp_links_max;  ///< of these, before `allow_links`
    std::size_t message_bytes_max = limits::message_bytes_max;  ///< of one incoming delivery
    std::size_t partial_bytes_max = limits::amqp_partial_bytes_max;  ///< of incoming deliveries not yet whole
    std::size_t partial_bytes_at_first = std::numeric_limits<std::size_t>::max();  ///< before `allow_links`
    std::size_t unsettled_max = limits::amqp_unsettled_max;  ///< deliveries of a session, either direction
    Duration idle_time = limits::amqp_idle_time;  ///< a peer silent for twice as long is given up
    /// Server: mechanisms to offer. Client: those it can use, in order of preference, with `sasl_response`;
    /// none: no SASL layer.
    std::vector<std::string> mechanisms;
    std::string sasl_response;
    Map properties;
    /// Of the first delivery and the first transfer frame of each session.
    std::uint32_t first_id = 0;
};

/// A delivery as it came in, whole.
struct Incoming {
    std::uint32_t id = 0;
    std::string tag;
    std::uint32_t format = 0;  ///< message-format
    bool settled = false;
    bool too_large = false;  ///< than `message_bytes_max`: the payload was dropped; to be rejected
    std::string payload;  ///< message sections
};

namespace event {

/// Server: somebody wants in. Answer with `answer_sasl`.
struct SaslAsked {
    SaslInit init;
};
/// The peer's open came; a server has answered it.
struct Opened {
    Open open;
};
struct SessionBegun {
    SessionId session;
};
/// The session and its links are gone, or `begin` was in vain.
struct SessionEnded {
    SessionId session;
    std::optional<Condition> error;
};
/// The peer wants a link: answer with `accept` or `refuse`.
struct LinkAsked {
    LinkId link;
    SessionId session;
    Attach attach;
};
/// The peer has answered `attach`. A refusal follows as `LinkDetached`; then `refused` is set.
struct LinkAnswered {
    LinkId link;
    Attach attach;
    bool refused;
};
/// The peer has detached, or `attach` was in vain. If the link was not detached before it must be answered
/// with `detach`.
struct LinkDetached {
    LinkId link;
    bool closed;
    std::optional<Condition> error;
};
/// Something about what a sending link may do has changed: `credit`, `draining`.
struct CreditChanged {
    LinkId link;
};
/// The peer has used up or given back all credit of a receiving link that was told to drain.
struct Drained {
    LinkId link;
};
struct Arrived {
    LinkId link;
    Incoming delivery;
};
/// The peer has told the state of a delivery: of one that was sent, or, with a receiving link, of one whose
/// state it confirms. With `settled` the delivery is forgotten.
struct StateChanged {
    LinkId link;
    std::uint32_t delivery;
    std::string tag;
    DeliveryState state;
    bool settled;
};
/// The connection is over: the peer has closed it, or one side broke the protocol (`error`). What is left in
/// the output is still to be written.
struct Closed {
    std::optional<Condition> error;
    bool by_peer;
};

}  // namespace event

using Event = std::variant<event::SaslAsked, event::Opened, event::SessionBegun, event::SessionEnded,
                           event::LinkAsked, event::LinkAnswered, event::LinkDetached, event::CreditChanged,
                           event::Drained, event::Arrived, event::StateChanged, event::Closed>;

/// All calls on one thread. Times are milliseconds of any steady clock.
class Connection {
  public:
    explicit Connection(ConnectionOptions options);
    ~Connection();
    Connection(const Connection&) = delete;

    // --- bytes -------------------------------------------------------------------------------------------
    /// Takes what came from the peer. Nothing is taken after `Closed`. Bytes that would make too many events
    /// wait until these are polled: poll to the end before the next call, else what waits has no bound.
    void receive(std::string_view bytes, std::int64_t now);
    /// The bytes to be written, which are the caller's from then on; "" if there are none.
    std::string take_output();
    bool has_output() const noexcept { return !out_.empty() || pending_disposition_.has_value(); }
    /// Bytes that wait to be written or for the peer's window.
    std::size_t backlog_bytes() const noexcept { return out_.size() + queued_bytes_; }
    /// Of these, those that wait to be written only.
    std::size_t output_bytes() const noexcept { return out_.size(); }
    /// The next event, in order; none: there is none.
    std::optional<Event> poll();
    /// Sends heartbeats and notices a silent peer. Answers when it wants to be called next.
    std::int64_t tick(std::int64_t now);

    bool closed() const noexcept { return closed_; }
    bool opened() const noexcept { return opened_; }
    std::size_t links() const noexcept { return links_.size(); }
    std::size_t sessions() const noexcept { return sessions_.size(); }
    /// Bytes of incoming deliveries that are not whole.
    std::size_t partial_bytes() const noexcept { return partial_bytes_; }

    // --- connection --------------------------------------------------------------------------------------
    /// Client: writes the protocol header. Its open follows when SASL is done.
    void start();
    /// Server: lets the peer in or not.
    void answer_sasl(bool welcome);
    /// The connection may have all its links from now on.
    void allow_links() noexcept {
        options_.links_at_first = options_.links_max;
        options_.partial_bytes_at_first = options_.partial_bytes_max;
    }
    /// Closes; the peer's answer comes as `Closed`.
    void close(std::optional<Condition> error);

    // --- sessions and links ------------------------------------------------------------------------------
    /// Begins a session; `SessionBegun` or `SessionEnded` follows. After `Opened`.
    SessionId begin();
    void end(SessionId session, std::optional<Condition> error);
    /// Asks for a link; its handle is chosen here.
    LinkId attach(SessionId session, Attach attach);
    /// Answers `LinkAsked`: name, handle and role are filled in.
    void accept(LinkId link, Attach answer);
    /// Answers `LinkAsked` with a null source and target, then a detach that tells why.
    void refuse(LinkId link, Condition error);
    /// Detaches, or answers the peer's detach. Deliveries that wait for the peer's window are dropped.
    void detach(LinkId link, std::optional<Condition> error, bool closed = true);

    // --- sending -----------------------------------------------------------------------------------------
    /// How many deliveries the peer wants; 0 also while too many of the session are unsettled, unless those
    /// of this link go out settled.
    std::uint32_t credit(LinkId link) const;
    bool draining(LinkId link) const;
    /// Sends one delivery; answers its id, none if the link is gone or has no credit. A tag has at most 32
    /// bytes.
    std::optional<std::uint32_t> send(LinkId link, std::string tag, std::uint32_t format, std::string payload,
                                      bool settled);
    /// Gives back the credit of a link that drains.
    void drained(LinkId link);

    // --- receiving ---------------------------------------------------------------------------------------
    /// The peer may send `credit` more deliveries, whatever it might before.
    void grant(LinkId link, std::uint32_t credit, bool drain = false);
    /// Credit that the peer has not used.
    std::uint32_t granted(LinkId link) const;

    // --- both --------------------------------------------------------------------------------------------
    /// Tells the state of a delivery; `settled` forgets it here. Nothing if it was forgotten before.
    void tell(LinkId link, std::uint32_t delivery, DeliveryState state, bool settled);

  private:
    struct Session;
    struct Link;
    struct Outgoing;
    enum class Stage { header, sasl, amqp_header, open, running };

    /// Numbers that one side gives to its sessions and links.
    class Numbers {
      public:
        /// One that was given back, else the next.
        std::uint32_t take();
        /// One that nobody had, up to `most`; when there are no more, the one that was given back longest
        /// ago.
        std::uint32_t take_rested(std::uint32_t most);
        void give_back(std::uint32_t number) { free_.push_back(number); }

      private:
        std::deque<std::uint32_t> free_;
        std::uint32_t next_ = 0;
    };
    /// A disposition whose deliveries are not all told as events yet.
    struct Spread {
        SessionId session;
        Disposition told;
        std::uint32_t next;  ///< the delivery to go on with
    };

    // connection_input.cpp
    void take_waiting();
    std::size_t take(std::string_view bytes);
    bool must_wait() const noexcept;
    bool take_frame(std::string_view frame);
    void on_header(std::string_view header);
    void on_sasl(Performative& performative);
    void on_open(Open& open);
    void on_close(Close& close);
    void on_performative(std::uint16_t channel, Performative& performative, std::string_view payload);
    void on_session(Session& session, Performative& performative, std::string_view payload);
    void choose_mechanism(const SaslMechanisms& mechanisms);
    void write_header(std::uint8_t protocol);
    void write_open();
    // connection_sessions.cpp
    Session* new_session();
    void write_begin(const Session& session, std::optional<std::uint16_t> remote_channel);
    void on_begin(std::uint16_t channel, const Begin& begin);
    void on_end(Session& session, End& end);
    void on_session_flow(Session& session, const Flow& flow);
    void write_flow(Session& session, const Link* link);
    void end_with(Session& session, const char* condition, std::string description);
    void silence(Session& session);
    void forget(Session& session);
    // connection_links.cpp
    Link* new_link(Session& session, const Attach& attach, bool sender);
    void on_attach(Session& session, Attach& attach);
    void on_answer(Link& link, Attach& attach);
    void on_flow(Session& session, const Flow& flow);
    void on_link_flow(Link& link, const Flow& flow);
    void on_detach(Session& session, Detach& detach);
    static Link* link_by_remote(Session& session, std::uint32_t handle);
    void write_attach(Link& link, Attach attach);
    void silence(Link& link);
    void forget(Link& link);
    void tell_credit(Link& link);
    void tell_drained(Link& link);
    // connection_deliveries.cpp
    void on_transfer(Session& session, Transfer& transfer, std::string_view payload);
    bool begin_delivery(Session& session, Link& link, Transfer& transfer);
    void on_disposition(const Session& session, Disposition& disposition);
    void spread();
    void arrive(Session& session, Link& link);
    void make_room(Session& session);
    void pump(Session& session);
    bool write_some(Session& session, Outgoing& outgoing);
    void flush_disposition();

    template <class T>
    void frame(std::uint16_t channel, const T& performative);
    void frame_around(std::size_t mark, std::uint8_t type, std::uint16_t channel);
    void fail(const char* condition, std::string description);
    void finish(std::optional<Condition> error, bool by_peer);
    bool is_over() const noexcept { return closed_ || close_sent_; }
    Session* session(SessionId id) const;
    Link* link(LinkId id) const;
    /// As `link`, if a command may still write about it.
    Link* live_link(LinkId id) const;

    ConnectionOptions options_;
    Stage stage_ = Stage::header;
    bool sasl_asked_ = false;  ///< server: nothing is read until the answer; client: a mechanism was chosen
    bool sasl_done_ = false;
    bool open_sent_ = false;
    bool opened_ = false;
    bool close_sent_ = false;
    bool closed_ = false;
    std::uint32_t remote_frame_max_ = 512;
    std::uint16_t remote_channel_max_ = UINT16_MAX;
    std::int64_t remote_idle_ = 0;  ///< ms, 0: the peer wants no heartbeats
    std::int64_t now_ = 0;  ///< as last told
    std::int64_t received_at_ = -1;
    std::int64_t sent_at_ = 0;
    std::string in_;  ///< bytes that wait: for the end of their frame, or for events to be polled
    std::size_t in_at_ = 0;  ///< those before are done with
    std::string out_;
    std::vector<Event> events_;
    std::size_t events_at_ = 0;  ///< those before are polled
    std::optional<Spread> spread_;
    std::size_t queued_bytes_ = 0;
    std::size_t partial_bytes_ = 0;
    std::uint32_t next_id_ = 1;
    Numbers channels_;
    std::unordered_map<SessionId, std::unique_ptr<Session>> sessions_;
    std::unordered_map<LinkId, std::unique_ptr<Link>> links_;
    std::unordered_map<std::uint16_t, Session*> by_remote_channel_;
    std::unordered_map<std::uint16_t, Session*> by_channel_;
    /// Settlements in a row that are all alike leave as one range.
    std::optional<std::pair<std::uint16_t, Disposition>> pending_disposition_;
};

}  // namespace millrace::amqp
