// The lines of one input, each asked for once.
#pragma once

#include "base/async.hpp"
#include "base/clock.hpp"
#include "base/task_group.hpp"
#include "batch/answer_line.hpp"
#include "batch/line_reader.hpp"
#include "batch/request_line.hpp"
#include "batch/result_log.hpp"
#include "batch/target.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace millrace::batch {

/// What a run has done, in earlier processes too.
struct RunCounts {
    std::int64_t completed = 0;  ///< answered with 2xx
    std::int64_t failed = 0;     ///< the others that were made
    std::int64_t unmade = 0;     ///< ended without a call, e.g. expired
    provider::Usage usage;
};

struct RunPaths {
    std::filesystem::path input;
    std::filesystem::path output;  ///< what was answered with 2xx
    std::filesystem::path errors;  ///< everything else
};

struct RunOptions {
    RunId id;
    std::string endpoint;  ///< a normal one
    std::string tenant;
    int tries_max = 6;  ///< of a line, after failures that pass; those of the quota don't count
    /// A key that is refused (401, 403) stops the run instead of failing every line.
    bool stop_when_refused = false;
};

/// How `Run::execute` ended.
enum class RunEnd {
    complete,  ///< every line has its result
    stopped,   ///< by `stop`; what has no result yet is asked for by the next run
    refused,   ///< the provider refuses the key: `Run::refusal` says how
};

/// Asks a deployment for every line of an input that has no result yet; results are appended to two logs,
/// which are all that is remembered. Lines are read as there is room for them: memory holds those under way
/// and one bit for each line. What fails for a reason that passes is asked for again; waiting for the quota
/// and for a deployment that is down fails no line. All calls on the I/O thread.
class Run {
  public:
    /// Reads what earlier runs have left. not_found, conflict and corrupt as ResultLog and LineReader. What
    /// is referred to outlives it.
    static asio::awaitable<Result<std::unique_ptr<Run>>> open(asio::any_io_executor io, CpuPool& pool,
                                                              Clock& clock, const Target& target,
                                                              RunPaths paths, RunOptions options);
    ~Run();
    Run(const Run&) = delete;

    /// Once. Throws MachineError where the disk fails; nothing is under way any more then.
    asio::awaitable<RunEnd> execute();
    /// No line is begun any more, and none that still waits for the quota is sent. What was sent may end for
    /// up to `grace`, then it is cancelled.
    void stop(Duration grace);
    /// Writes for every line without a result that it was not made, e.g. "batch_expired". Instead of
    /// `execute` or after it.
    asio::awaitable<void> end_unmade(std::string code, std::string message);

    const RunCounts& counts() const noexcept;
    const std::string& refusal() const noexcept;
    std::uint64_t output_bytes() const noexcept;
    std::uint64_t error_bytes() const noexcept;
    /// Called after each line.
    void on_progress(std::function<void()> tell);

  private:
    struct State;
    class Reading;
    explicit Run(std::unique_ptr<State> state);
    asio::awaitable<std::shared_ptr<Reading>> read_input();
    asio::awaitable<void> begin_all(std::shared_ptr<Reading> reading);
    asio::awaitable<void> wait_for_room(std::size_t bytes);
    asio::awaitable<void> wait_for_end();
    void begin(RequestLine line);
    asio::awaitable<void> carry(std::shared_ptr<RequestLine> line);
    asio::awaitable<void> ask(std::shared_ptr<RequestLine> line);
    asio::awaitable<std::optional<provider::Outcome<provider::RawAnswer>>> call(
        std::shared_ptr<RequestLine> line);
    asio::awaitable<void> wait_for_stop(std::shared_ptr<bool> sent);
    asio::awaitable<void> pause(Duration time);
    asio::awaitable<void> take(std::shared_ptr<RequestLine> line, provider::RawAnswer answer);
    asio::awaitable<void> give_up(std::shared_ptr<RequestLine> line, provider::Failure failure);
    std::unique_ptr<State> state_;
};

}  // namespace millrace::batch
