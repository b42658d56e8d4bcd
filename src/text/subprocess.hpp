// Runs a helper program within bounds, so that a file that breaks it costs an error and nothing else.
#pragma once

#include "base/error.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::text {

/// A file descriptor, closed with its owner.
class Descriptor {
  public:
    explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor() { close(); }
    int get() const noexcept { return fd_; }
    int release() noexcept;
    void close() noexcept;

  private:
    int fd_;
};

struct ProcessLimits {
    std::chrono::steady_clock::time_point deadline;
    std::size_t memory_bytes_max;  ///< of address space
    std::size_t output_bytes_max;
};

struct ProcessResult {
    enum class Stop { none, late, too_much_output };
    Stop stopped = Stop::none;  ///< why it was killed from here
    int exit_code = -1;         ///< -1 if a signal ended it
    int signal = 0;
    std::string output;
    std::string error;  ///< the first 8 KiB of its standard error
};

/// The bytes as a file that exists in memory only. MachineError if there is no room for it.
Descriptor memory_file(std::string_view bytes);

/// Starts `arguments[0]`, found in /usr/local/bin, /usr/bin or /bin, and reads what it prints until it ends
/// or breaks a limit; then it is killed. Its standard input is `input`, from the beginning; its environment
/// is PATH and LC_ALL=C, it inherits no other descriptor, can write no file and leaves no core. Blocks; any
/// thread, several at once, but one at a time per `input`. unavailable: it is not installed or cannot be
/// started.
Result<ProcessResult> run_process(const std::vector<std::string>& arguments, const Descriptor& input,
                                  const ProcessLimits& limits);

}  // namespace millrace::text
