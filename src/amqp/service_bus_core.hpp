// What a Service Bus client knows and does; for its own source files. Shared with the coroutines it starts.
#pragma once

#include "amqp/service_bus_client.hpp"

namespace millrace::amqp {

/// One way to settle, as a link and as "$management" are told it.
struct Settlement {
    DeliveryState state;
    const char* status;  ///< "disposition-status"
    std::string reason;
    std::string description;
    broker::Properties properties;
};

/// What "$management" answered; `status` is below 300.
struct Managed {
    std::int64_t status = 200;
    Map body;
};

class ServiceBusClient::Core : public std::enable_shared_from_this<ServiceBusClient::Core> {
  public:
    Core(asio::any_io_executor io, Clock& clock, RemoteOptions options);

    struct Session {
        std::shared_ptr<ReceiverLink> link;
        broker::SessionLock lock;
        std::size_t holds = 0;   ///< messages that wait for their time
        bool releasing = false;  ///< given back as soon as none waits
    };

    asio::awaitable<Result<Managed>> manage(std::string entity, std::string operation, Map arguments,
                                            std::string link_name);
    /// As `manage`, and once more where the answer was lost: for what has the same effect twice.
    asio::awaitable<Result<Managed>> manage_again(std::string entity, std::string operation, Map arguments,
                                                  std::string link_name);

    asio::awaitable<Result<std::vector<std::int64_t>>> schedule(std::string entity,
                                                                std::vector<broker::Message> messages);
    asio::awaitable<Result<void>> settle(broker::LockRef lock, Settlement how);
    /// Completes `deliveries` and answers those that it could: the others come again.
    asio::awaitable<Result<std::vector<broker::Delivery>>> complete_all(
        std::vector<broker::Delivery> deliveries);
    asio::awaitable<Result<void>> settle_by_management(broker::LockRef lock, Settlement how);
    asio::awaitable<Result<TimePoint>> renew(broker::LockRef lock);
    asio::awaitable<Result<void>> postpone(broker::LockRef lock, Duration delay);
    static asio::awaitable<void> hold(std::shared_ptr<Core> self, broker::LockRef lock, TimePoint due,
                                      TimePoint locked_until);
    asio::awaitable<void> hold_until(broker::LockRef lock, TimePoint due, TimePoint locked_until);
    asio::awaitable<Result<TimePoint>> renew_session(broker::SessionLock lock);
    /// The session behind `token` if its link is still there; null otherwise.
    Session* session(const Uuid& token);
    void end_hold(const Uuid& session);
    /// Waits until none of the session's messages waits for its time: those behind it must not overtake it.
    /// False if `deadline` has passed before.
    asio::awaitable<bool> until_free(Uuid session, TimePoint deadline);
    asio::awaitable<void> release(Uuid token);
    asio::awaitable<void> stop();
    asio::awaitable<void> until_nothing_held();

    /// Notes that `held` were handed out and answers them as deliveries.
    std::vector<broker::Delivery> hand_out(const std::string& entity,
                                           const std::shared_ptr<ReceiverLink>& link, const Uuid& session,
                                           std::vector<Held> held);

    asio::any_io_executor io;
    Clock& clock;
    std::shared_ptr<ClientConnection> connection;
    ClientLocks locks{[this](const Uuid& token) { return session(token) != nullptr; }};
    std::unordered_map<Uuid, Session> sessions;
    std::size_t holding = 0;
    bool stopping = false;
    Signal changed;  ///< stopping, or a hold has ended
};

Error lock_lost();
Error session_lost();

}  // namespace millrace::amqp
