// Queues that another program keeps: Azure Service Bus or another Millrace, and RabbitMQ.
#pragma once

#include "amqp/connection_string.hpp"
#include "base/clock.hpp"
#include "broker/message_source.hpp"

#include <boost/asio/ssl/context.hpp>

#include <functional>
#include <memory>

namespace millrace::amqp {

struct RemoteOptions {
    ConnectionString target;
    /// For TLS; needed where `target.endpoint.tls`.
    std::shared_ptr<asio::ssl::context> tls;
    /// How long a call waits for the connection to come back before it answers unavailable.
    Duration connect_wait = std::chrono::seconds(30);
    /// How long the peer may take to answer what it was told or asked.
    Duration operation_time = std::chrono::seconds(60);
    /// The pause before the second attempt to connect; each later one is up to twice as long.
    Duration backoff_first = std::chrono::milliseconds(250);
    Duration backoff_max = std::chrono::seconds(30);
    /// Opens the stream; none: `connect_transport` to the target.
    std::function<asio::awaitable<Result<std::unique_ptr<Transport>>>()> connect;
};

/// A message source on the far end of one connection, which is opened when it is needed and again whenever
/// it breaks. Beside what `MessageSource` says:
/// * `send` answers 0 for every message that is not scheduled: the queue does not tell their numbers. After
///   unavailable a message may have been stored: send it again with the same id.
/// * A settlement whose answer was lost is asked for again; conflict then also means that the first one may
///   have been done.
class RemoteQueue : public broker::MessageSource {
  public:
    /// Gives back what it holds and says goodbye. Calls under way and later ones answer unavailable. A second
    /// stop is harmless. Called before the clock and the I/O context go.
    virtual asio::awaitable<void> stop() = 0;
    virtual bool is_connected() const noexcept = 0;
};

/// Azure Service Bus, its emulator, or another Millrace. A message that is postponed stays locked until its
/// time has come and then costs a delivery, whatever `spends_delivery` says. `clock` outlives the queue.
std::unique_ptr<RemoteQueue> make_service_bus_queue(asio::any_io_executor io, Clock& clock,
                                                    RemoteOptions options);

/// RabbitMQ from 3.10 (with its plugin for AMQP 1.0) on. It knows neither sessions, deferring, scheduling nor
/// peeking: these answer invalid_input. Dead letters of queue "q" go to queue "q.dead-letter", which is also
/// what "q/$DeadLetterQueue" names; a queue that is not there is declared, durable. Messages of one send are
/// stored one by one. Deliveries are not counted by every kind of queue there. `clock` outlives the queue.
std::unique_ptr<RemoteQueue> make_rabbitmq_queue(asio::any_io_executor io, Clock& clock,
                                                 RemoteOptions options);

}  // namespace millrace::amqp
