// Which searches run, so that what an older one may still see is kept until it has ended.
#pragma once

#include "base/async.hpp"

#include <cstdint>
#include <set>

namespace millrace::index {

/// Tickets of running searches. For the I/O thread.
class Searches {
  public:
    explicit Searches(const asio::any_io_executor& executor) : ended_(executor) {}

    /// Held by a search while it runs.
    class Ticket {
      public:
        explicit Ticket(Searches& searches) : searches_(searches), number_(searches.next_++) {
            searches_.running_.insert(number_);
        }
        ~Ticket() {
            searches_.running_.erase(number_);
            searches_.ended_.notify();
        }
        Ticket(const Ticket&) = delete;

      private:
        Searches& searches_;
        std::uint64_t number_;
    };

    /// Returns once every search that runs now has ended. Those that start meanwhile don't matter.
    asio::awaitable<void> older_have_ended() {
        const std::uint64_t now = next_;
        while (!running_.empty() && *running_.begin() < now) co_await ended_.wait();
    }

  private:
    Signal ended_;
    std::set<std::uint64_t> running_;
    std::uint64_t next_ = 0;
};

}  // namespace millrace::index
