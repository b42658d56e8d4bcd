// A link that receives from one entity, or one session of it, for many calls.
#pragma once

#include "amqp/client_link.hpp"
#include "broker/message_source.hpp"

#include <unordered_set>

namespace millrace::amqp {

/// What a receiver asks its peer for.
struct ReceiverOptions {
    std::string address;
    bool delete_on_receive = false;
    bool neutral = false;  ///< no Service Bus: settled by the first word
    bool by_session = false;
    std::optional<std::string> session_id;  ///< none: the next one
    Duration session_wait = Duration::zero();
};

/// A message that came, and what names it on its link.
struct Held {
    broker::Delivery delivery;
    std::uint32_t id = 0;
};

/// Asks for exactly as many messages as its callers wait for. A message that finds no caller any more is kept
/// for the next one for a moment, then given back.
class ReceiverLink final : public ClientLink {
  public:
    ReceiverLink(asio::any_io_executor io, ReceiverOptions options)
        : ClientLink(io), options_(std::move(options)) {}

    /// One call's messages. Destroyed before they were taken, they go to others.
    class Call {
      public:
        Call(std::shared_ptr<ReceiverLink> link, const broker::ReceiveOptions& options);
        ~Call();
        Call(const Call&) = delete;
        /// All messages that were asked for have come, or `finish` was answered, or the link is gone.
        bool is_done() const noexcept { return done_; }
        asio::awaitable<void> until_done();
        /// Wants no messages but those that are there now: `until_done` returns soon.
        void finish();
        std::vector<Held> take() { return std::exchange(got_, {}); }

      private:
        friend class ReceiverLink;
        std::size_t missing() const noexcept { return done_ || full_ ? 0 : messages_max_ - got_.size(); }
        bool add(Held& held);
        void end();

        std::shared_ptr<ReceiverLink> link_;
        std::size_t messages_max_;
        std::size_t bytes_max_;
        std::size_t bytes_ = 0;
        bool full_ = false;  ///< of bytes
        bool finishing_ = false;
        bool done_ = false;
        Signal changed_;
        std::vector<Held> got_;
    };

    /// Tells the state of a delivery and answers what the peer makes of it. unavailable: the link ended or
    /// was silent for `time_max`; whether it was done is not known.
    asio::awaitable<Result<DeliveryState>> settle(std::uint32_t delivery, DeliveryState state,
                                                  Duration time_max);
    /// Settles without waiting for a word from the peer.
    void settle_at_once(std::uint32_t delivery, DeliveryState state);

    const std::string& name() const noexcept { return name_; }
    const ReceiverOptions& options() const noexcept { return options_; }
    const std::string& session_id() const noexcept { return session_id_; }
    TimePoint locked_until() const noexcept { return locked_until_; }

    void on_arrived(LinkId link, Incoming delivery) override;
    void on_state(LinkId link, event::StateChanged& changed) override;
    void on_drained(LinkId link) override;

  private:
    using Outcome = Promised<Result<DeliveryState>>;
    std::size_t attach_links(SessionId channel) override;
    void on_link(LinkId, const Attach& answer) override;
    void on_open() override { ask_soon(); }
    void on_end() override;
    std::shared_ptr<ReceiverLink> self() {
        return std::static_pointer_cast<ReceiverLink>(shared_from_this());
    }
    void place(Held held);
    void refuse(std::uint32_t delivery, const char* name, const std::string& why);
    static asio::awaitable<void> release_spare(std::shared_ptr<ReceiverLink> self);
    /// Brings the peer's credit to what the calls want, once all that has come is placed.
    void ask_soon();
    void ask();
    static asio::awaitable<void> linger(std::shared_ptr<ReceiverLink> self);
    void end_finishing();

    ReceiverOptions options_;
    std::string name_;
    LinkId link_ = 0;
    std::string session_id_;
    TimePoint locked_until_{};
    bool asking_ = false;
    bool draining_ = false;
    bool lingering_ = false;
    bool releasing_ = false;
    std::deque<Call*> calls_;
    std::deque<Held> spare_;
    std::unordered_map<std::uint32_t, std::shared_ptr<Outcome>> pending_;
    std::unordered_set<std::uint32_t> late_;  ///< settlements whose answer nobody waits for any more
};

}  // namespace millrace::amqp
