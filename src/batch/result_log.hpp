// A file of lines that only grows: what it has taken survives a crash.
#pragma once

#include "base/async.hpp"
#include "base/error.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::batch {

/// Lines are written and flushed in groups: all that wait share one flush. One process at a time has a file
/// open. All calls on the I/O thread.
class ResultLog {
  public:
    /// Told each line that is in the file already, in order; an error ends the reading: the rest is cut off
    /// if it is the last line, else the file is not one of ours.
    using OnLine = std::function<Result<void>(std::string_view line)>;

    /// Opens or creates `path`, on the CPU pool `on_line` is told its lines; what a crash left of a last line
    /// is cut off. conflict: another process has it open; corrupt: what `on_line` said; not_found: it can't
    /// be opened. Throws MachineError where the disk fails. `pool` outlives it.
    static asio::awaitable<Result<std::unique_ptr<ResultLog>>> open(asio::any_io_executor io, CpuPool& pool,
                                                                    std::filesystem::path path,
                                                                    OnLine on_line);
    ~ResultLog();
    ResultLog(const ResultLog&) = delete;

    /// Appends `line` and its end; it is on the disk when this returns. Throws MachineError if it may not be:
    /// then nothing more is taken.
    asio::awaitable<void> append(std::string line);

    /// Bytes on the disk.
    std::uint64_t size() const noexcept;

    /// Flushes so far.
    std::uint64_t flushes() const noexcept;

  private:
    struct State;
    explicit ResultLog(std::shared_ptr<State> state);
    static asio::awaitable<void> flush(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace millrace::batch
