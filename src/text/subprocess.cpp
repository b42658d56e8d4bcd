#include "text/subprocess.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace millrace::text {
namespace {

constexpr std::size_t kErrorBytesMax = 8 * 1024;
using Clock = std::chrono::steady_clock;

[[noreturn]] void broken(const char* what) {
    throw MachineError(std::string(what) + ": " + std::strerror(errno), errno == ENOSPC);
}

/// Descriptors 0 to 2 are what the child gets; a daemon without them would otherwise hand out its own there.
Descriptor above_standard(int fd) {
    Descriptor given(fd);
    if (fd > STDERR_FILENO) return given;
    Descriptor moved(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (moved.get() < 0) broken("cannot duplicate a descriptor");
    return moved;
}

struct Pipe {
    Descriptor read, write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) broken("cannot make a pipe");
    Descriptor write(ends[1]);
    Pipe pipe{above_standard(ends[0]), Descriptor(above_standard(write.release()))};
    // Only this end: the child's must block.
    if (::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) != 0) broken("cannot set up a pipe");
    return pipe;
}

/// What the child is started with; freed with it.
class SpawnPlan {
  public:
    SpawnPlan(int input, int output, int error) {
        posix_spawn_file_actions_init(&actions_);
        posix_spawnattr_init(&attributes_);
        posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions_, error, STDERR_FILENO);
        posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes_, &none);
        posix_spawnattr_setsigdefault(&attributes_, &all);
        // Its own group: Ctrl-C is for us, and we end it when its work is not wanted any more.
        posix_spawnattr_setpgroup(&attributes_, 0);
        posix_spawnattr_setflags(&attributes_,
                                 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    }
    ~SpawnPlan() {
        posix_spawn_file_actions_destroy(&actions_);
        posix_spawnattr_destroy(&attributes_);
    }
    SpawnPlan(const SpawnPlan&) = delete;

    /// 0, or the error number.
    int start(const std::vector<std::string>& arguments, pid_t& pid) const {
        std::vector<char*> argv;
        for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        std::string path = "PATH=/usr/local/bin:/usr/bin:/bin";
        std::string locale = "LC_ALL=C";
        std::array<char*, 3> environment = {path.data(), locale.data(), nullptr};
        return ::posix_spawn(&pid, argv[0], &actions_, &attributes_, argv.data(), environment.data());
    }

  private:
    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
};

/// Sets the limits and becomes the program. posix_spawn cannot set them, and setting them from outside comes
/// too late for a program that is quick. A limit that is already lower stays.
constexpr const char* kSetLimits =
    "for limit in \"-c 0\" \"-f 0\" \"-n 64\" \"-t $1\" \"-v $2\"; do ulimit $limit 2>/dev/null || :; done; "
    "shift 2; exec \"$@\"";
constexpr int kNotExecutable = 126, kNotFound = 127;  ///< how a shell says it (POSIX.1-2017, shell, 2.8.2)

std::vector<std::string> within_limits(const std::vector<std::string>& arguments,
                                       const ProcessLimits& limits) {
    const auto left =
        std::chrono::duration_cast<std::chrono::seconds>(limits.deadline - Clock::now()).count();
    std::vector<std::string> result = {"/bin/sh",
                                       "-c",
                                       kSetLimits,
                                       "sh",
                                       std::to_string(std::max<long long>(left, 0) + 2),
                                       std::to_string(limits.memory_bytes_max / 1024)};
    result.insert(result.end(), arguments.begin(), arguments.end());
    return result;
}

int milliseconds_until(Clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<long long>(left + 1, 0, 1000));
}

enum class Read { more, end, full };

Read read_some(int fd, std::string& into, std::size_t bytes_max, bool drop_rest) {
    std::array<char, 64 * 1024> buffer;
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got == 0) return Read::end;
    if (got < 0) return errno == EAGAIN || errno == EINTR ? Read::more : Read::end;
    const std::size_t room = bytes_max - std::min(bytes_max, into.size());
    into.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
    return static_cast<std::size_t>(got) > room && !drop_rest ? Read::full : Read::more;
}

/// Reads both pipes until they end; says why it stopped before.
ProcessResult::Stop drain(Pipe& output, Pipe& error, const ProcessLimits& limits, ProcessResult& result) {
    std::array<pollfd, 2> fds = {pollfd{output.read.get(), POLLIN, 0}, pollfd{error.read.get(), POLLIN, 0}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (Clock::now() >= limits.deadline) return ProcessResult::Stop::late;
        if (::poll(fds.data(), fds.size(), milliseconds_until(limits.deadline)) <= 0) continue;
        for (std::size_t i = 0; i < fds.size(); ++i) {
            if (fds[i].fd < 0 || fds[i].revents == 0) continue;
            const Read read = i == 0 ? read_some(fds[i].fd, result.output, limits.output_bytes_max, false)
                                     : read_some(fds[i].fd, result.error, kErrorBytesMax, true);
            if (read == Read::full) return ProcessResult::Stop::too_much_output;
            if (read == Read::end) fds[i].fd = -1;
        }
    }
    return ProcessResult::Stop::none;
}

/// Waits for the end of a child that has closed its pipes; kills it at the deadline.
void reap(pid_t pid, const ProcessLimits& limits, ProcessResult& result) {
    int status = 0;
    for (;;) {
        if (result.stopped != ProcessResult::Stop::none) ::kill(pid, SIGKILL);
        const int flags = result.stopped == ProcessResult::Stop::none ? WNOHANG : 0;
        const pid_t ended = ::waitpid(pid, &status, flags);
        if (ended == pid) break;
        if (ended < 0 && errno != EINTR) return;  // somebody ignores SIGCHLD: it is gone without a status
        if (Clock::now() >= limits.deadline) result.stopped = ProcessResult::Stop::late;
        if (ended == 0) ::poll(nullptr, 0, 1);
    }
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        close();
        fd_ = other.release();
    }
    return *this;
}

int Descriptor::release() noexcept { return std::exchange(fd_, -1); }

void Descriptor::close() noexcept {
    if (fd_ >= 0) ::close(release());
}

Descriptor memory_file(std::string_view bytes) {
    const int fd = ::memfd_create("millrace-document", MFD_CLOEXEC);
    if (fd < 0) broken("cannot make a file in memory");
    Descriptor file = above_standard(fd);
    while (!bytes.empty()) {
        const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) broken("cannot write a file in memory");
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return file;
}

Result<ProcessResult> run_process(const std::vector<std::string>& arguments, const Descriptor& input,
                                  const ProcessLimits& limits) {
    Pipe output = make_pipe(), error = make_pipe();
    if (::lseek(input.get(), 0, SEEK_SET) != 0) broken("cannot rewind the input of a program");
    pid_t pid = -1;
    const int failed = SpawnPlan(input.get(), output.write.get(), error.write.get())
                           .start(within_limits(arguments, limits), pid);
    if (failed != 0) {
        return Error{Errc::unavailable, "cannot start " + arguments[0] + ": " + std::strerror(failed)};
    }
    output.write.close();
    error.write.close();
    ProcessResult result;
    result.stopped = drain(output, error, limits, result);
    reap(pid, limits, result);
    if (result.exit_code == kNotFound || result.exit_code == kNotExecutable) {
        return Error{Errc::unavailable, "cannot start " + arguments[0] + ": it is not installed"};
    }
    return result;
}

}  // namespace millrace::text
