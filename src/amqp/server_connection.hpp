// One client of the AMQP server: its transport, its protocol state and its links.
#pragma once

#include "amqp/address.hpp"
#include "amqp/conditions.hpp"
#include "amqp/connection.hpp"
#include "amqp/server.hpp"
#include "amqp/transport.hpp"
#include "base/async.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace millrace::amqp {

class ServerLink;

/// What the connections of one server share. Outlives them all.
struct ServerContext {
    asio::any_io_executor io;
    broker::Broker& broker;
    Clock& clock;
    std::shared_ptr<const AccessKeys> keys;
    ServerOptions options;
    ServerStats stats;
    std::size_t tasks = 0;  ///< coroutines under way
    Signal ended;           ///< a task or a connection has ended
};

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
  public:
    ServerConnection(std::shared_ptr<ServerContext> context, std::string peer);
    ~ServerConnection();

    /// Serves `socket` until the connection is over.
    static asio::awaitable<void> run(std::shared_ptr<ServerConnection> self, asio::ip::tcp::socket socket);
    /// Tells the client that the server goes away.
    void close_gently();
    /// Cuts the client off.
    void abort();

    // For its links.
    ServerContext& context() noexcept { return *context_; }
    Connection& engine() noexcept { return engine_; }
    const std::string& peer() const noexcept { return peer_; }
    bool over() const noexcept { return over_; }
    /// There may be output: it is written soon.
    void kick() { output_.notify(); }
    /// Calls `on_gathered` of `link` when all events that are there have been handled.
    void gather(std::shared_ptr<ServerLink> link) { gathering_.push_back(std::move(link)); }
    /// Runs `work` beside everything else; this connection lives until it ends.
    void start(asio::awaitable<void> work);
    /// False while the client does not read what it has asked for.
    bool has_room() const noexcept { return engine_.backlog_bytes() < limits::amqp_output_bytes_max; }
    /// Counts bytes of messages that are being stored; many of them stop the reading.
    void storing(std::size_t bytes) { storing_bytes_ += bytes; }
    void stored(std::size_t bytes);

    /// What the client may do with `entity` by the tokens it has shown.
    Rights rights_on(std::string_view entity) const;
    /// Takes the place of an earlier grant for the same path.
    void add_grant(Grant grant);
    /// The lock of session `session_id` of `entity` that a link of this client holds; of the link `link_name`
    /// if that is not "".
    std::optional<broker::SessionLock> session_of(std::string_view entity, std::string_view session_id,
                                                  std::string_view link_name) const;
    /// Sends an answer to where a request wants it (facts differ by client): the link whose target is
    /// `reply_to`, else the one of that name, else the one of the same node and session.
    void reply(SessionId session, const Address& node, std::string_view reply_to, std::string answer);
    /// Ends a link from this side.
    void detach(LinkId link, Condition why);
    void forget(LinkId link);

  private:
    friend class ServerLink;
    asio::awaitable<void> serve(asio::ip::tcp::socket socket);
    asio::awaitable<void> read();
    static asio::awaitable<void> write(std::shared_ptr<ServerConnection> self);
    static asio::awaitable<void> watch(std::shared_ptr<ServerConnection> self);
    static asio::awaitable<void> counted(std::shared_ptr<ServerConnection> self, asio::awaitable<void> work);
    void handle_events();
    void on(event::SaslAsked& asked);
    void on(event::Opened& opened);
    void on(event::LinkAsked& asked);
    void on(event::LinkDetached& detached);
    void on(event::SessionEnded& ended);
    void on(event::CreditChanged& changed);
    void on(event::Arrived& arrived);
    void on(event::StateChanged& changed);
    void on(event::Closed& closed);
    template <class Other>
    void on(Other&) {}
    /// Opens a link that sends to or receives from an entity, or refuses it.
    void open_entity(const event::LinkAsked& asked, Address address);
    void open_node(const event::LinkAsked& asked, Address address);
    void refuse(const event::LinkAsked& asked, const Address& address, std::string_view condition,
                std::string_view why);
    void drop_expired_grants();
    void end_links();
    std::int64_t steady_now() const;

    std::shared_ptr<ServerContext> context_;
    std::string peer_;
    Connection engine_;
    std::unique_ptr<Transport> transport_;
    asio::cancellation_signal handshake_;
    Signal output_;  ///< the writer has something to do
    Signal resumed_;  ///< the reader may go on
    asio::steady_timer timer_;  ///< of the watch
    std::unordered_map<LinkId, std::shared_ptr<ServerLink>> links_;
    std::vector<std::shared_ptr<ServerLink>> gathering_;
    std::vector<Grant> grants_;
    std::size_t storing_bytes_ = 0;
    std::int64_t write_began_ = -1;
    std::int64_t began_ = 0;
    bool over_ = false;
};

}  // namespace millrace::amqp
