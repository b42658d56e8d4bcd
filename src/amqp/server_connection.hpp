// One client of the AMQP server: its transport, its protocol state and its links.
#pragma once

#include "amqp/address.hpp"
#include "amqp/conditions.hpp"
#include "amqp/connection.hpp"
#include "amqp/server.hpp"
#include "amqp/transport.hpp"
#include "base/async.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace millrace::amqp {

class ServerLink;

/// Bytes that the connections of one server hold for one purpose.
struct ServerBytes {
    std::size_t partial = 0;  ///< of deliveries that are not whole
    std::size_t storing = 0;  ///< taken and not answered
    std::size_t output = 0;   ///< for clients that have not read it
};

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
    ServerBytes bytes;
    /// Closes the connection that holds most of deliveries which are not whole.
    std::function<void()> relieve;
};

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
  public:
    ServerConnection(std::shared_ptr<ServerContext> context, std::string peer);
    ~ServerConnection();

    /// Serves `socket` until the connection is over.
    static asio::awaitable<void> run(std::shared_ptr<ServerConnection> self, asio::ip::tcp::socket socket);
    /// Takes no more work; tells the client that the server goes away once what it sent before is answered.
    void close_gently();
    /// Cuts the client off.
    void abort();

    // For its links.
    std::size_t answer_bytes = 0;  ///< of answers to requests that wait for credit
    ServerContext& context() noexcept { return *context_; }
    Connection& engine() noexcept { return engine_; }
    const std::string& peer() const noexcept { return peer_; }
    bool over() const noexcept { return over_; }
    const ServerBytes& bytes() const noexcept { return bytes_; }
    /// There may be output: it is written soon.
    void kick();
    /// Calls `on_gathered` of `link` when all events that are there have been handled.
    void gather(std::shared_ptr<ServerLink> link) { gathering_.push_back(std::move(link)); }
    /// Runs `work` beside everything else; this connection lives until it ends.
    void start(asio::awaitable<void> work);
    /// False while the client does not read what it has asked for; then the links are told when it does.
    bool has_room();
    /// Counts a piece of work with `bytes` of payload until it is `stored`; much of it stops the reading.
    void storing(std::size_t bytes);
    void stored(std::size_t bytes);
    /// A receive begins: answers how many bytes it may take, so that all under way fit into the output.
    std::size_t begin_receive();
    void end_receive() { receives_ -= 1; }
    /// Runs `request` when fewer than some others of this client are under way.
    void ask(std::function<asio::awaitable<void>()> request);

    /// What the client may do with `entity` by the tokens it has shown.
    Rights rights_on(std::string_view entity) const;
    /// Takes the place of an earlier grant for the same path. False if the client has shown too many.
    bool add_grant(Grant grant);
    /// A token was refused: logged, but of many in a minute only the first.
    void warn_of_token(std::string_view why);
    /// True if nobody may send to `entity`, or receive from it, though it is there.
    bool is_disabled(std::string_view entity, bool receives) const;
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
    static asio::awaitable<void> expire_grants(std::shared_ptr<ServerConnection> self);
    static asio::awaitable<void> leave(std::shared_ptr<ServerConnection> self);
    static asio::awaitable<void> answer_requests(std::shared_ptr<ServerConnection> self);
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
    template <class L>
    void open_link(const event::LinkAsked& asked, Address address);
    std::vector<std::shared_ptr<ServerLink>> all_links() const;
    /// Bytes for the client that it has not read, those under way to the socket included.
    std::size_t unread_bytes() const noexcept { return engine_.backlog_bytes() + writing_bytes_; }
    bool may_read() const noexcept;
    bool is_busy() const noexcept;
    void count_bytes();
    void offer_room();
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
    Signal stored_;  ///< nothing that was taken is under way
    asio::steady_timer timer_;  ///< of the watch
    std::unordered_map<LinkId, std::shared_ptr<ServerLink>> links_;
    std::unordered_map<SessionId, std::unordered_set<LinkId>> links_of_;
    std::vector<std::shared_ptr<ServerLink>> gathering_;
    std::vector<Grant> grants_;
    asio::cancellation_signal expiring_;
    bool expires_ = false;  ///< `expire_grants` is under way
    TimePoint next_warning_{};  ///< of a bad token, at the earliest
    std::size_t unwarned_ = 0;  ///< bad tokens since the last warning
    std::deque<std::function<asio::awaitable<void>()>> requests_;
    std::size_t answering_ = 0;  ///< `answer_requests` under way
    std::size_t receives_ = 0;  ///< under way
    ServerBytes bytes_;  ///< as counted in the context
    std::size_t writing_bytes_ = 0;
    bool room_wanted_ = false;
    bool leaving_ = false;
    std::int64_t write_began_ = -1;
    std::int64_t began_ = 0;
    bool over_ = false;
};

}  // namespace millrace::amqp
