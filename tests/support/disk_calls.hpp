// What a program asks of the disk: the test programs that are linked with disk_calls.cpp call its fdatasync,
// fsync and rename instead of the C library's.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace millrace::test {

/// How often a file was flushed with fdatasync, on all threads.
extern std::atomic<std::uint64_t> flushes;

/// Where this thread notes the paths that it flushes with fsync: of a folder one that is in it by then.
extern thread_local std::vector<std::filesystem::path>* flushed;

/// While one lives, it notes the calls of all threads in their order: "flush NAME" (fdatasync), "flush folder
/// NAME" (fsync), "rename NAME".
class DiskCalls {
  public:
    /// Flushes of files whose path holds `failing` fail; "" fails none.
    explicit DiskCalls(std::string failing = {});
    ~DiskCalls();
    DiskCalls(const DiskCalls&) = delete;

    /// The calls since the last time.
    std::vector<std::string> take();
};

}  // namespace millrace::test
