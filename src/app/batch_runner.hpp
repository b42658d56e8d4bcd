// A file of requests against the configured deployments, without a server.
#pragma once

#include "app/configuration.hpp"
#include "base/clock.hpp"
#include "batch/run.hpp"
#include "batch/validate.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace::app {

namespace asio = boost::asio;

struct BatchRunnerOptions {
    std::string input;
    std::string output;
    std::string errors;
    std::string deployment;  ///< "": as the lines name it
};

/// All calls on the I/O thread. Started at most once; stopped before it is destroyed.
class BatchRunner {
  public:
    /// `io` and `clock` outlive it.
    BatchRunner(asio::any_io_executor io, Clock& clock, Configuration configuration,
                BatchRunnerOptions options);
    ~BatchRunner();
    BatchRunner(const BatchRunner&) = delete;

    /// Opens the state, reads the whole input and what earlier runs have left. The error is one line that
    /// says what to do; lines that are wrong are in `problems`.
    asio::awaitable<Result<void>> start();
    const std::vector<batch::LineProblem>& problems() const noexcept;
    std::int64_t problems_total() const noexcept;
    std::int64_t lines() const noexcept;
    const batch::RunCounts& counts() const noexcept;
    const std::string& deployment() const noexcept;
    const std::vector<std::string>& notices() const noexcept;

    /// Asks for every line without a result; `tell` is called after each. An error says why it can't go on.
    asio::awaitable<Result<batch::RunEnd>> run(std::function<void()> tell);
    /// No line is begun any more; `run` returns when what is under way has ended.
    asio::awaitable<void> interrupt();
    asio::awaitable<void> stop();

  private:
    class Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace millrace::app
