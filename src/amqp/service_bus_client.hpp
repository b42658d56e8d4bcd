// Azure Service Bus' dialect of AMQP 1.0, from the client's side. See remote_queue.hpp.
#pragma once

#include "amqp/client_calls.hpp"
#include "amqp/client_locks.hpp"

namespace millrace::amqp {

class ServiceBusClient final : public RemoteQueue {
  public:
    ServiceBusClient(asio::any_io_executor io, Clock& clock, RemoteOptions options);
    ~ServiceBusClient() override;

    asio::awaitable<void> stop() override;
    bool is_connected() const noexcept override;

    asio::awaitable<Result<std::vector<std::int64_t>>> send(std::string entity,
                                                            std::vector<broker::Message> messages) override;
    asio::awaitable<Result<void>> cancel_scheduled(std::string entity,
                                                   std::vector<std::int64_t> sequences) override;
    asio::awaitable<Result<std::vector<broker::Delivery>>> receive(std::string entity,
                                                                   broker::ReceiveOptions options) override;
    asio::awaitable<Result<std::vector<broker::Delivery>>> receive_deferred(
        std::string entity, std::vector<std::int64_t> sequences, broker::ReceiveOptions options) override;
    asio::awaitable<Result<std::vector<broker::Delivery>>> peek(std::string entity, std::int64_t from,
                                                                std::size_t messages_max) override;
    asio::awaitable<Result<TimePoint>> renew(broker::LockRef lock) override;
    asio::awaitable<Result<void>> complete(broker::LockRef lock) override;
    asio::awaitable<Result<void>> abandon(broker::LockRef lock, broker::Properties properties) override;
    asio::awaitable<Result<void>> defer(broker::LockRef lock, broker::Properties properties) override;
    asio::awaitable<Result<void>> dead_letter(broker::LockRef lock, std::string reason,
                                              std::string description,
                                              broker::Properties properties) override;
    asio::awaitable<Result<void>> postpone(broker::LockRef lock, Duration delay,
                                           bool spends_delivery) override;
    asio::awaitable<Result<broker::SessionLock>> accept_session(std::string entity,
                                                                std::optional<std::string> session_id,
                                                                Duration wait) override;
    asio::awaitable<Result<TimePoint>> renew_session(broker::SessionLock lock) override;
    asio::awaitable<void> release_session(broker::SessionLock lock) override;
    asio::awaitable<Result<std::optional<std::string>>> session_state(broker::SessionLock lock) override;
    asio::awaitable<Result<void>> set_session_state(broker::SessionLock lock,
                                                    std::optional<std::string> state) override;

  private:
    class Core;
    std::shared_ptr<Core> core_;
};

}  // namespace millrace::amqp
