// Ends the operations of documents whose message reached a dead-letter queue without a handler having said
// so: after too many crashes, or when its lock ran out too often.
#pragma once

#include "broker/broker.hpp"
#include "handlers/services.hpp"

#include <map>
#include <string>
#include <vector>

namespace millrace::handlers {

/// Looks at the dead-letter queues of `queues`, from the first message at its start and then at what comes
/// after. On the I/O thread.
class DeadLetterWatch {
  public:
    DeadLetterWatch(Services& services, broker::Broker& broker, std::vector<std::string> queues);

    /// Marks the documents and tasks of all dead letters that were not looked at before as failed.
    asio::awaitable<void> look();
    /// Looks again and again until its coroutine is cancelled.
    asio::awaitable<void> run();

  private:
    asio::awaitable<void> look_at(std::string queue);
    asio::awaitable<void> mark(const broker::Delivery& delivery, const std::string& queue);
    asio::awaitable<void> mark_task(const broker::Delivery& delivery, const std::string& queue);

    Services& services_;
    broker::Broker& broker_;
    std::vector<std::string> queues_;
    std::map<std::string, std::int64_t> next_;         ///< sequence to look at next, by queue
    std::map<std::string, std::uint64_t> seen_total_;  ///< dead letters so far when last looked, by queue
};

}  // namespace millrace::handlers
