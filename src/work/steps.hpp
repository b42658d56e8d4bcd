// Named parts of a handler whose results are remembered, so that a redelivery does not pay for them again.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "store/database.hpp"
#include "work/outcome.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace millrace::work {

namespace asio = boost::asio;

/// The steps of one message. Results are bytes; they are kept until `prune`.
///
///     auto summary = co_await steps.run("summary", summarize);
///
/// Different steps may run at once; awaiting several of them is fan-out and fan-in.
class Steps {
  public:
    /// `database` and `clock` must outlive the object. `message_id` is the same on every delivery of a
    /// message.
    Steps(store::Database& database, Clock& clock, std::string message_id)
        : database_(database), clock_(clock), message_id_(std::move(message_id)) {}

    using Work = std::function<asio::awaitable<Result<std::string>>()>;

    /// The remembered result of step `name`; if there is none, what `work` answers, stored durably before it
    /// is returned. An error is returned as it is and not remembered. While the store is out of reach the
    /// result is held for up to five minutes; then, MachineError. A crash inside `work` is the other case
    /// that runs it again.
    asio::awaitable<Result<std::string>> run(std::string name, Work work);

    /// Sleeps for `time` from the first call with `name` on, over restarts: the moment to wake is remembered
    /// as a step, and no process has to live until then. Nothing once it has come; before it, what the
    /// handler answers: its message comes back then, without a delivery spent.
    ///
    ///     if (auto later = co_await steps.sleep_for("cool down", std::chrono::hours(1))) co_return *later;
    asio::awaitable<std::optional<Outcome>> sleep_for(std::string name, Duration time);

    /// Forgets steps that were not used since `before`; answers how many. Those of tasks stay until the task
    /// has succeeded.
    static asio::awaitable<Result<std::int64_t>> prune(store::Database& database, TimePoint before);

  private:
    asio::awaitable<Result<void>> keep(std::string name, std::string result);
    asio::awaitable<void> note_use(std::string name);

    store::Database& database_;
    Clock& clock_;
    std::string message_id_;
};

}  // namespace millrace::work
