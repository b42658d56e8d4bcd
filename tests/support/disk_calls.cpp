#include "tests/support/disk_calls.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <utility>

namespace millrace::test {

std::atomic<std::uint64_t> flushes = 0;
thread_local std::vector<std::filesystem::path>* flushed = nullptr;

namespace {

std::mutex mutex;
bool noting = false;
std::string failing;
std::vector<std::string> calls;

std::filesystem::path path_of(int descriptor) {
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor));
}

/// False if the call is to fail.
bool note(const std::string& what, const std::filesystem::path& path) {
    const std::scoped_lock guard(mutex);
    if (!noting) return true;
    calls.push_back(what + " " + path.filename().string());
    return failing.empty() || path.string().find(failing) == std::string::npos;
}

bool is_noting() {
    const std::scoped_lock guard(mutex);
    return noting;
}

}  // namespace

DiskCalls::DiskCalls(std::string of) {
    const std::scoped_lock guard(mutex);
    noting = true;
    failing = std::move(of);
    calls.clear();
}

DiskCalls::~DiskCalls() {
    const std::scoped_lock guard(mutex);
    noting = false;
}

std::vector<std::string> DiskCalls::take() {
    const std::scoped_lock guard(mutex);
    return std::exchange(calls, {});
}

extern "C" int fdatasync(int descriptor) {
    flushes += 1;
    if (is_noting() && !note("flush", path_of(descriptor))) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}

extern "C" int fsync(int descriptor) {
    if (flushed != nullptr) {
        auto path = path_of(descriptor);
        if (std::filesystem::is_directory(path)) path = std::filesystem::directory_iterator(path)->path();
        flushed->push_back(std::move(path));
    }
    if (is_noting() && !note("flush folder", path_of(descriptor))) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

extern "C" int rename(const char* from, const char* to) {
    if (is_noting()) note("rename", to);
    return static_cast<int>(::syscall(SYS_rename, from, to));
}

}  // namespace millrace::test
