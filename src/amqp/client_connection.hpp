// What a remote queue stands on: one connection that comes back, its tokens and its links.
#pragma once

#include "amqp/client_receiver.hpp"
#include "amqp/client_requests.hpp"
#include "amqp/client_sender.hpp"
#include "amqp/remote_queue.hpp"

#include <functional>
#include <random>

namespace millrace::amqp {

class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
  public:
    /// `protocol` is how each connection begins; `tokens`: links need a token of "$cbs" each.
    ClientConnection(asio::any_io_executor io, Clock& clock, RemoteOptions options,
                     ConnectionOptions protocol, bool tokens);

    const RemoteOptions& options() const noexcept { return options_; }
    const asio::any_io_executor& io() const noexcept { return io_; }
    bool is_connected() const noexcept { return wire_ && !wire_->is_over(); }

    /// The open connection. unavailable: none within `connect_wait`; invalid_input: the peer does not let us
    /// in.
    asio::awaitable<Result<std::shared_ptr<Wire>>> wire();
    /// The open link to `address`, made when there is none. Errors also as the peer refuses it.
    asio::awaitable<Result<std::shared_ptr<SenderLink>>> sender(std::string address);
    asio::awaitable<Result<std::shared_ptr<ReceiverLink>>> receiver(ReceiverOptions options);
    asio::awaitable<Result<std::shared_ptr<RequestLinks>>> requests(std::string node,
                                                                    Pairing pairing = Pairing::by_address);
    /// A link of one's own, which holds a session as long as it is open. Closed when the caller is cancelled.
    asio::awaitable<Result<std::shared_ptr<ReceiverLink>>> session(ReceiverOptions options);

    /// Closes; everything answers unavailable from now on.
    asio::awaitable<void> stop();
    /// As `stop`, without a goodbye.
    void cut();

  private:
    template <class Link>
    using Links = std::unordered_map<std::string, std::shared_ptr<Link>>;

    template <class Link>
    asio::awaitable<Result<std::shared_ptr<Link>>> shared_link(Links<Link>& links, std::string name,
                                                               std::string address,
                                                               std::function<std::shared_ptr<Link>()> make);
    asio::awaitable<void> until_connected();
    asio::awaitable<void> until_quiet(std::chrono::steady_clock::time_point when);
    static asio::awaitable<void> connect(std::shared_ptr<ClientConnection> self);
    asio::awaitable<Result<std::shared_ptr<Wire>>> dial();
    asio::awaitable<void> open_transport(Result<std::unique_ptr<Transport>>& opened);
    bool has_lasted() const noexcept;
    asio::awaitable<void> pause_longer();
    asio::awaitable<void> pause(Duration time);
    void on_over(const Error& why);

    /// Gives `link` a token where one is needed, then attaches it.
    static asio::awaitable<void> begin(std::shared_ptr<ClientConnection> self, std::shared_ptr<Wire> wire,
                                       std::shared_ptr<ClientLink> link, std::string address);
    asio::awaitable<Result<void>> await_open(std::shared_ptr<ClientLink> link, std::string address,
                                             Duration time_max);
    asio::awaitable<Result<void>> put_token(std::shared_ptr<Wire> wire, std::string address);
    static asio::awaitable<void> refresh_tokens(std::shared_ptr<ClientConnection> self,
                                                std::shared_ptr<Wire> wire);
    asio::awaitable<void> refresh_due(std::shared_ptr<Wire> wire);
    std::string audience_of(std::string_view address) const;

    asio::any_io_executor io_;
    Clock& clock_;
    RemoteOptions options_;
    ConnectionOptions protocol_;
    bool tokens_needed_;
    Duration backoff_;  ///< the next pause
    std::optional<std::chrono::steady_clock::time_point> connected_at_;
    std::minstd_rand random_{std::random_device{}()};

    std::shared_ptr<Wire> wire_;
    bool connecting_ = false;
    bool stopped_ = false;
    std::size_t waiting_ = 0;  ///< calls that wait for a connection
    std::optional<Error> refusal_;  ///< why it is of no use to try on
    Error last_error_{Errc::unavailable, "not connected"};
    Signal changed_;
    Links<SenderLink> senders_;
    Links<ReceiverLink> receivers_;
    Links<RequestLinks> requests_;
    std::shared_ptr<RequestLinks> token_links_;
    std::map<std::string, TimePoint> tokens_;  ///< when to renew, by address; of `wire_`
    bool refreshing_ = false;
};

}  // namespace millrace::amqp
