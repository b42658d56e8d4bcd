// The processors of one process: they begin and end together.
#pragma once

#include "base/clock.hpp"
#include "telemetry/metrics.hpp"
#include "work/processor.hpp"

#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

namespace asio = boost::asio;

/// All calls on the I/O thread. Stopped before it is destroyed, if it was started.
class Processors {
  public:
    void add(std::unique_ptr<work::Processor> processor);
    /// The queues they serve, in the order in which they were added.
    const std::vector<std::string>& queues() const noexcept { return queues_; }

    void start();
    /// None takes another message; what runs goes on.
    void close();
    /// As `work::Processor::stop`, of all; their times to drain run side by side until `deadline` of `clock`.
    asio::awaitable<void> stop(TimePoint deadline, Clock& clock);

    /// Brings in what they have counted.
    void collect(telemetry::Metrics& metrics) const;

  private:
    std::vector<std::unique_ptr<work::Processor>> processors_;
    std::vector<std::string> queues_;
};

}  // namespace millrace::app
