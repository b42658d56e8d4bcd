// What the links of a client do: send, receive, ask and get answers.
#pragma once

#include "amqp/server_connection.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <deque>

namespace millrace::amqp {

/// One link of one client. Lives until its last coroutine has ended, which may be after the link has.
class ServerLink : public std::enable_shared_from_this<ServerLink> {
  public:
    ServerLink(ServerConnection& connection, const event::LinkAsked& asked, Address address);
    virtual ~ServerLink() = default;

    virtual void on_credit() {}
    virtual void on_arrived(Incoming) {}
    virtual void on_state(event::StateChanged& changed);
    /// The server goes away: no more is handed out.
    virtual void on_leave() {}
    /// False if the link must end with the rights that are left.
    virtual bool may_go_on(Rights rights) const { return rights.send || rights.listen || rights.manage; }
    /// The events that came with the one that asked for this are handled; see `ServerConnection::gather`.
    virtual void on_gathered() {}
    /// The link is over, by whichever side. `answer`: the peer waits for a detach.
    virtual void on_end(bool answer);
    virtual std::optional<broker::SessionLock> session_lock() const { return std::nullopt; }

    LinkId id() const noexcept { return id_; }
    SessionId session() const noexcept { return session_; }
    const Address& address() const noexcept { return address_; }
    const std::string& name() const noexcept { return name_; }
    bool over() const noexcept { return over_; }

  protected:
    Attach echo() const;  ///< what the client asked for, as an answer
    Condition condition(std::string_view name, std::string_view description) const;
    Condition condition(const Error& error) const;

    ServerConnection& connection_;
    LinkId id_;
    SessionId session_;
    std::string name_;
    Address address_;
    bool receives_;  ///< the client does
    Attach asked_;  ///< without what is not needed any more
    bool over_ = false;
};

/// A client sends to an entity.
class ProducerLink final : public ServerLink {
  public:
    using ServerLink::ServerLink;
    void open();
    void on_arrived(Incoming delivery) override;
    bool may_go_on(Rights rights) const override { return rights.send; }
    void on_gathered() override;

  private:
    /// A delivery, without its payload, and what that brought.
    struct Arrival {
        explicit Arrival(Incoming arrived);
        bool whole() const noexcept { return messages && !delivery.too_large; }

        Incoming delivery;
        std::size_t bytes;  ///< of the payload
        Result<std::vector<broker::Message>> messages;
    };

    static asio::awaitable<void> store(std::shared_ptr<ProducerLink> self, std::vector<Incoming> deliveries);
    static asio::awaitable<void> store_one(std::shared_ptr<ProducerLink> self, Arrival arrival);
    asio::awaitable<DeliveryState> outcome_of(Arrival& arrival);
    asio::awaitable<Result<DeliveryState>> send(std::vector<broker::Message>& messages);
    void answer_stored(const Incoming& delivery, DeliveryState outcome);

    std::vector<Incoming> arrived_;  ///< since the last `on_gathered`
};

/// A client receives from an entity.
class ConsumerLink final : public ServerLink {
  public:
    ConsumerLink(ServerConnection& connection, const event::LinkAsked& asked, Address address);
    /// Begins; with sessions the link is answered when one is locked.
    void open();
    void on_credit() override;
    void on_state(event::StateChanged& changed) override;
    void on_leave() override { on_end(false); }
    bool may_go_on(Rights rights) const override { return rights.listen; }
    void on_gathered() override;
    void on_end(bool answer) override;
    std::optional<broker::SessionLock> session_lock() const override { return session_lock_; }

  private:
    static asio::awaitable<void> run(std::shared_ptr<ConsumerLink> self);
    static asio::awaitable<void> watch_session(std::shared_ptr<ConsumerLink> self);
    static asio::awaitable<void> settle(std::shared_ptr<ConsumerLink> self, event::StateChanged changed);
    static asio::awaitable<void> complete(std::shared_ptr<ConsumerLink> self,
                                          std::vector<event::StateChanged> accepted);
    static asio::awaitable<void> finish(std::shared_ptr<ConsumerLink> self, bool answer);
    DeliveryState refusal(const Error& error) const;
    DeliveryState failure(const MachineError& broken) const;
    void answer_settled(const event::StateChanged& changed, DeliveryState answer, std::size_t bytes);
    asio::awaitable<bool> lock_session();
    asio::awaitable<void> hand_out();
    bool send(broker::Delivery& delivery);
    asio::awaitable<Result<std::vector<broker::Delivery>>> receive(std::uint32_t credit, bool drain);
    asio::awaitable<Result<void>> apply(broker::LockRef lock, const DeliveryState& state);
    asio::awaitable<void> give_back(std::vector<broker::Delivery> unsent);
    Attach answer_with_session() const;
    void fail(const Error& error);

    std::optional<std::optional<std::string>> session_filter_;  ///< asked for: none, any, or of this id
    Duration session_wait_;
    bool delete_on_receive_;
    std::optional<broker::SessionLock> session_lock_;
    asio::cancellation_signal receiving_;
    asio::cancellation_signal watching_;
    bool waiting_ = false;  ///< for messages or a session
    bool patient_ = false;  ///< for messages that may come yet: a receive for a drain takes what is there
    std::uint32_t asked_for_ = 0;  ///< messages, by the receive that waits
    std::deque<broker::Delivery> kept_;  ///< deleted on receive, not sent for want of credit
    Signal changed_;  ///< credit, room or the end
    Signal settled_;
    std::size_t settling_ = 0;
    std::vector<event::StateChanged> accepted_;  ///< since the last `on_gathered`
    std::uint64_t next_tag_ = 1;
};

/// A client sends requests to "$cbs" or "<entity>/$management".
class RequestLink final : public ServerLink {
  public:
    using ServerLink::ServerLink;
    void open();
    void on_arrived(Incoming delivery) override;

  private:
    static asio::awaitable<void> answer(std::shared_ptr<RequestLink> self, std::string sections);
    asio::awaitable<void> manage_entity(std::string sections);
    void put_token(std::string_view sections);
};

/// A client gets answers to its requests.
class ReplyLink final : public ServerLink {
  public:
    using ServerLink::ServerLink;
    void open();
    void on_credit() override;
    void on_end(bool answer) override;
    void send(std::string answer);
    /// True if answers for `reply_to` belong here by its target or its name.
    bool is_target(std::string_view reply_to) const;
    bool is_named(std::string_view reply_to) const { return name_ == reply_to; }

  private:
    std::deque<std::string> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::uint64_t next_tag_ = 1;
};

}  // namespace millrace::amqp
