// One open AMQP connection of a client: transport and protocol state, driven by coroutines of its own.
#pragma once

#include "amqp/connection.hpp"
#include "amqp/transport.hpp"
#include "base/async.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

namespace millrace::amqp {

/// What a channel is told. A channel is an AMQP session with its links; where one link ends, all of it does.
class ChannelListener {
  public:
    virtual ~ChannelListener() = default;
    virtual void on_attached(LinkId link, const Attach& answer) = 0;
    virtual void on_arrived(LinkId, Incoming) {}
    virtual void on_state(LinkId, event::StateChanged&) {}
    virtual void on_credit(LinkId) {}
    virtual void on_drained(LinkId) {}
    /// Refused, detached, or the connection is over. The last call.
    virtual void on_gone(const Error& why) = 0;
};

/// On the I/O thread. Lives until its coroutines have ended.
class Wire : public std::enable_shared_from_this<Wire> {
  public:
    /// `on_over` is told once why it ended, unless it was never open. A peer that does not take what is
    /// written for `write_time_max`, and for longer where it is much, has gone.
    using OnOver = std::function<void(const Error& why)>;
    Wire(asio::any_io_executor io, std::unique_ptr<Transport> transport, ConnectionOptions options,
         OnOver on_over, Duration write_time_max);

    /// Greets the peer and returns when it has answered. unavailable: it broke off or was silent for
    /// `time_max`; invalid_input: it does not let us in. Called once.
    asio::awaitable<Result<void>> open(Duration time_max);
    bool is_over() const noexcept { return over_; }
    /// Why it is over.
    const Error& error() const noexcept { return error_; }
    /// What the peer has said of itself.
    const Open& peer() const noexcept { return peer_; }
    /// Until when the peer wants to be left alone: it has said that it is busy.
    std::chrono::steady_clock::time_point busy_until() const noexcept { return busy_until_; }
    /// Takes note of a condition that came in an answer: the peer may want to be left alone.
    void note(const Condition& condition);

    /// Says goodbye and waits up to `time_max` for the peer's.
    asio::awaitable<void> close(Duration time_max);
    /// Cuts it off at once.
    void abort(Error why);

    /// The listener is kept until the channel is gone.
    SessionId open_channel(std::shared_ptr<ChannelListener> listener);
    LinkId attach(SessionId channel, Attach attach);
    /// Asks for the end of the channel; `on_gone` tells when the peer has detached its links.
    void close_channel(SessionId channel);

    std::uint32_t credit(LinkId link) const { return engine_.credit(link); }
    std::uint32_t granted(LinkId link) const { return engine_.granted(link); }
    /// False while the peer does not read what is sent.
    bool has_room() const noexcept { return engine_.backlog_bytes() < limits::amqp_output_bytes_max; }
    Signal& written() noexcept { return written_; }
    std::optional<std::uint32_t> send(LinkId link, std::string tag, std::uint32_t format, std::string payload,
                                      bool settled = false);
    void grant(LinkId link, std::uint32_t credit, bool drain);
    void tell(LinkId link, std::uint32_t delivery, DeliveryState state, bool settled);

  private:
    struct Channel {
        std::shared_ptr<ChannelListener> listener;
        std::map<LinkId, bool> links;  ///< true: attached
        bool closing = false;
    };

    static asio::awaitable<void> read(std::shared_ptr<Wire> self);
    static asio::awaitable<void> write(std::shared_ptr<Wire> self);
    static asio::awaitable<void> watch(std::shared_ptr<Wire> self);
    asio::awaitable<void> write_some(std::string_view bytes, Result<void>& written);
    asio::awaitable<void> until_open();
    asio::awaitable<void> until_over();

    void dispatch();
    void on(event::Opened& opened);
    void on(event::SessionEnded& ended);
    void on(event::LinkAnswered& answered);
    void on(event::LinkDetached& detached);
    void on(event::CreditChanged& changed);
    void on(event::Drained& drained);
    void on(event::Arrived& arrived);
    void on(event::StateChanged& changed);
    void on(event::LinkAsked& asked);
    void on(event::Closed& closed);
    template <class Other>
    void on(Other&) {}

    /// The listener of the channel that `link` belongs to; null if it is gone or closing.
    std::shared_ptr<ChannelListener> listener_of(LinkId link) const;
    void drop_channel(SessionId channel, const Error& why);
    Error error_of(const std::optional<Condition>& condition, const char* otherwise);
    void end(Error why);
    void kick() { output_.notify(); }

    asio::any_io_executor io_;
    OnOver on_over_;
    Duration write_time_max_;
    std::unique_ptr<Transport> transport_;
    Connection engine_;
    Signal output_;    ///< the writer has something to do
    Signal written_;   ///< it has done something
    Signal changed_;   ///< opened or over
    asio::steady_timer timer_;  ///< of the watch
    Open peer_;
    bool over_ = false;
    bool written_all_ = false;
    Error error_{Errc::unavailable, "the connection is over"};
    std::chrono::steady_clock::time_point busy_until_{};
    std::unordered_map<SessionId, Channel> channels_;
    std::unordered_map<LinkId, SessionId> channel_of_;
};

}  // namespace millrace::amqp
