// What the links of a client have in common: they are opened once, shared by many calls, and gone one day.
#pragma once

#include "amqp/client_wire.hpp"

namespace millrace::amqp {

/// A value that is to come, and the coroutines that wait for it.
template <class T>
struct Promised {
    explicit Promised(const asio::any_io_executor& io) : came(io) {}
    Signal came;
    std::optional<T> value;
    void set(T arrived) {
        if (value) return;
        value.emplace(std::move(arrived));
        came.notify();
    }
};

/// Waits until `promised` has a value or `time_max` has passed.
template <class T>
asio::awaitable<void> until_set(std::shared_ptr<Promised<T>> promised) {
    while (!promised->value) co_await promised->came.wait();
}
template <class T>
asio::awaitable<void> wait_for(std::shared_ptr<Promised<T>> promised, Duration time_max) {
    if (promised->value) co_return;
    auto waiting = until_set(promised);
    co_await with_deadline(std::move(waiting), time_max);
}

class ClientLink : public ChannelListener, public std::enable_shared_from_this<ClientLink> {
  public:
    explicit ClientLink(asio::any_io_executor io) : io_(io), changed_(io) {}

    /// Asks `wire` for the link; called once.
    void attach(std::shared_ptr<Wire> wire);
    /// It will never be attached.
    void give_up(Error why) { on_gone(why); }
    /// Waits until the peer has answered. unavailable: not within `time_max`.
    asio::awaitable<Result<void>> opened(Duration time_max);
    /// Asks for its end.
    void close();
    /// As `close`, for a link whose peer does not answer: it counts as gone at once, so that nobody waits on
    /// it.
    void drop(Error why);
    /// Waits until it is gone.
    asio::awaitable<void> closed(Duration time_max);

    bool is_open() const noexcept { return stage_ == Stage::open; }
    bool is_gone() const noexcept { return stage_ == Stage::gone; }
    const Error& error() const noexcept { return error_; }
    const std::shared_ptr<Wire>& wire() const noexcept { return wire_; }

    void on_attached(LinkId link, const Attach& answer) final;
    void on_gone(const Error& why) final;

  protected:
    /// Attaches what belongs to `channel`; answers how many links.
    virtual std::size_t attach_links(SessionId channel) = 0;
    virtual void on_link(LinkId, const Attach&) {}
    /// All links are attached.
    virtual void on_open() {}
    virtual void on_end() {}

    asio::any_io_executor io_;
    std::shared_ptr<Wire> wire_;

  private:
    enum class Stage { opening, open, gone };
    asio::awaitable<void> until_answered();
    asio::awaitable<void> until_gone();

    Stage stage_ = Stage::opening;
    std::size_t missing_ = 0;  ///< links that are not attached
    SessionId channel_ = 0;
    Signal changed_;
    Error error_{Errc::unavailable, "the link is gone"};
};

}  // namespace millrace::amqp
