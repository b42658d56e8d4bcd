// Receive, keep the lock, run the handler, settle: for one queue.
#pragma once

#include "broker/message_source.hpp"
#include "work/outcome.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

namespace millrace::work {

struct ProcessorOptions {
    std::string queue;
    std::size_t concurrency = 4;   ///< handlers at once; with `lanes` so many for each of the two
    /// Batch work has places of its own, so that interactive work never waits for one that it holds. For a
    /// fair queue of the embedded engine.
    bool lanes = false;
    bool sessions = false;  ///< the queue requires sessions: one message at a time per session
    /// How long one receive waits before it asks again; it has no effect on latency.
    Duration receive_wait = std::chrono::seconds(20);
    /// A session without messages is given back after this time.
    Duration session_idle = std::chrono::seconds(5);
    /// A postponed message stays with this process until its time has come and then costs a delivery, as on a
    /// remote queue. So it takes one of the `concurrency` places meanwhile, and waits longer with each
    /// delivery: while this machine is broken, few messages come near their last delivery.
    bool holds_postponed = false;
};

/// What a processor has done since its start.
struct ProcessorStats {
    std::uint64_t received = 0;
    std::uint64_t done = 0;
    std::uint64_t retried = 0;
    std::uint64_t dead_lettered = 0;
    std::uint64_t locks_lost = 0;  ///< finished work whose lock was gone: its result was dropped
    std::size_t running = 0;
};

/// Completes the delivery behind `lock` with what `done` holds. The embedded engine does all of it in one
/// transaction.
using Complete = std::function<asio::awaitable<Result<void>>(broker::LockRef lock, Done done)>;

/// Runs `handler` for the messages of one queue, `concurrency` at once. Locks are renewed until a handler
/// returns. All calls on the I/O thread.
class Processor {
  public:
    /// `source` and `clock` must outlive the processor.
    Processor(asio::any_io_executor io, broker::MessageSource& source, Clock& clock, Complete complete,
              ProcessorOptions options, Handler handler);
    ~Processor();

    void start();
    /// Takes no more messages; running handlers go on.
    void close();
    /// Closes, waits at most `drain` until running handlers have settled, then cancels the rest and returns
    /// when none runs: a step that can't be interrupted ends first. The message of a cancelled handler goes
    /// back without a delivery spent. A second stop is harmless.
    asio::awaitable<void> stop(Duration drain);

    ProcessorStats stats() const noexcept;
    const ProcessorOptions& options() const noexcept;

  private:
    class Loop;
    std::shared_ptr<Loop> loop_;
};

}  // namespace millrace::work
