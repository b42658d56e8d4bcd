// A child process that a benchmark starts, kills and starts again.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::bench {

/// A port of 127.0.0.1 that was free a moment ago.
inline unsigned short free_port() {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        throw std::runtime_error("no free port on 127.0.0.1");
    }
    ::close(descriptor);
    return ntohs(address.sin_port);
}

/// Runs one program at a time; killed with its owner.
class Process {
  public:
    ~Process() {
        if (running()) kill();
    }

    /// Starts `arguments[0]`; what it prints goes to the end of the file `log`.
    void start(std::vector<std::string> arguments, const std::string& log) {
        std::vector<char*> pointers;
        for (auto& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        posix_spawn_file_actions_adddup2(&actions, 1, 2);
        const int failed = ::posix_spawn(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        if (failed != 0) throw std::runtime_error("cannot start " + arguments[0]);
    }

    bool running() const { return pid_ > 0; }
    pid_t pid() const { return pid_; }

    /// SIGKILL, and the end of it.
    void kill() {
        ::kill(pid_, SIGKILL);
        wait();
    }
    /// SIGTERM, and its exit code.
    int terminate() {
        ::kill(pid_, SIGTERM);
        return wait();
    }
    /// Waits for its end; the exit code, or minus the signal that ended it.
    int wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    /// True if it has ended by itself; `code` is then as `wait` says.
    bool ended(int& code) {
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
        pid_ = -1;
        code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        return true;
    }

  private:
    pid_t pid_ = -1;
};

}  // namespace millrace::bench
