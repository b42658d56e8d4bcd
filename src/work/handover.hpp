// Rows of the state and messages of the embedded queues that belong together: both are stored, or neither.
#pragma once

#include "broker/broker.hpp"
#include "store/database.hpp"
#include "work/outcome.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace millrace::work {

/// Where state and queues are one database, it is one transaction. Where the state is on PostgreSQL, messages
/// go through an outbox there: rows and outbox are one transaction, the queue then takes the messages and
/// notes that it has them in one of its own, and the outbox is emptied. Whatever a crash leaves is sent at
/// the next start, once. All calls on the I/O thread.
class Handover {
  public:
    using Rows = std::function<Result<void>(store::Connection&)>;

    /// `state` is the database of `broker`, or another one; `local` is always that of `broker`. All outlive
    /// this.
    Handover(store::Database& state, store::Database& local, broker::Broker& broker)
        : state_(state), local_(local), broker_(broker) {}

    /// Learns the installation's name and sends what an earlier process left. Await it before the others.
    asio::awaitable<Result<void>> start();

    /// Sends `messages` to `entity` and writes `rows` in the state's transaction; durable when it answers. An
    /// error of `rows` undoes all. Other errors as Broker::send. With an outbox `rows` may run twice, and
    /// what the queue can't take after all is sent later.
    asio::awaitable<Result<void>> send_with(std::string entity, std::vector<broker::Message> messages,
                                            Rows rows);

    /// Completes the delivery behind `lock` with what `done` holds. On two databases the rows come first and
    /// the message is completed together with what follows from it: after a crash in between the message
    /// comes again and writes the same rows.
    asio::awaitable<Result<void>> complete_with(broker::LockRef lock, Done done);

    /// Sends what the queues could not take before and tidies the outbox; call it now and then.
    asio::awaitable<Result<void>> drain();

  private:
    /// Messages of one call of `send_with`.
    struct Hand {
        std::string name;
        std::string entity;
        std::vector<broker::Message> messages;
    };
    bool one_database() const noexcept { return &state_ == &local_; }
    /// Notes that `name` is under way until what this returns is destroyed.
    std::shared_ptr<void> begin(std::string name);
    Result<void> check_room(const Hand& hand) const;
    asio::awaitable<Result<void>> hand_over(Hand hand);
    asio::awaitable<std::vector<Hand>> waiting();
    asio::awaitable<Result<void>> tidy();

    store::Database& state_;
    store::Database& local_;
    broker::Broker& broker_;
    std::string owner_;
    std::set<std::string> under_way_;  ///< hands of calls that have not ended
    std::vector<std::string> ended_;  ///< of those, what ended while `drain` ran
    bool draining_ = false;
    std::vector<std::string> sent_;  ///< hands that the queue has, whose outbox rows still exist
    std::vector<std::string> tidied_;  ///< hands without outbox rows, which `handed_over` need not name
};

}  // namespace millrace::work
