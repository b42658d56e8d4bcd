// Runs a program to its end, or in the background until it is told to stop.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace millrace::test {

/// A child process with its output. Killed when it is destroyed while it runs.
class Process {
  public:
    using Environment = std::map<std::string, std::string>;

    /// Starts `arguments[0]`; `environment` comes on top of the test's own, "" removes a variable.
    explicit Process(std::vector<std::string> arguments, const Environment& environment = {}) {
        int out[2], err[2];
        if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
        std::vector<char*> words;
        for (auto& word : arguments) words.push_back(word.data());
        words.push_back(nullptr);
        std::vector<std::string> settings = merged(environment);
        std::vector<char*> variables;
        for (auto& setting : settings) variables.push_back(setting.data());
        variables.push_back(nullptr);
        const int error = ::posix_spawn(&pid_, words[0], &actions, nullptr, words.data(), variables.data());
        posix_spawn_file_actions_destroy(&actions);
        ::close(out[1]), ::close(err[1]);
        out_ = out[0], err_ = err[0];
        if (error != 0) throw std::runtime_error("can't start " + arguments[0]);
    }
    ~Process() {
        if (running_) ::kill(pid_, SIGKILL), wait();
        ::close(out_), ::close(err_);
    }
    Process(const Process&) = delete;

    /// Reads until standard output holds `words`; false if the program ends or 60 seconds pass before.
    bool wait_for(const std::string& words) {
        while (out.find(words) == std::string::npos)
            if (!read_some()) return false;
        return true;
    }

    /// As `wait_for`, for what it writes to standard error.
    bool wait_for_error(const std::string& words) {
        while (err.find(words) == std::string::npos)
            if (!read_some()) return false;
        return true;
    }

    void signal(int number) const { ::kill(pid_, number); }
    pid_t pid() const noexcept { return pid_; }

    /// Reads all output, however long the program is silent, and answers the exit code; 128 + number for a
    /// signal.
    int wait() {
        while (read_some(kForEver)) {
        }
        int status = 0;
        ::waitpid(pid_, &status, 0);
        running_ = false;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

    std::string out;
    std::string err;

  private:
    static constexpr int kForEver = -1;

    bool read_some(int milliseconds = 60'000) {
        pollfd files[2] = {{open_out_ ? out_ : -1, POLLIN, 0}, {open_err_ ? err_ : -1, POLLIN, 0}};
        if (!open_out_ && !open_err_) return false;
        if (::poll(files, 2, milliseconds) <= 0) return false;
        if (files[0].revents != 0) open_out_ = take(out_, out);
        if (files[1].revents != 0) open_err_ = take(err_, err);
        return true;
    }
    static bool take(int file, std::string& into) {
        char buffer[4096];
        const auto count = ::read(file, buffer, sizeof buffer);
        if (count > 0) into.append(buffer, static_cast<std::size_t>(count));
        return count > 0;
    }
    static std::vector<std::string> merged(const Environment& environment) {
        std::vector<std::string> settings;
        for (char** entry = environ; *entry != nullptr; ++entry) {
            const std::string setting = *entry;
            if (!environment.contains(setting.substr(0, setting.find('=')))) settings.push_back(setting);
        }
        for (const auto& [name, value] : environment)
            if (!value.empty()) settings.push_back(name + "=" + value);
        return settings;
    }

    pid_t pid_ = -1;
    int out_ = -1;
    int err_ = -1;
    bool open_out_ = true;
    bool open_err_ = true;
    bool running_ = true;
};

/// What a program said and how it ended.
struct Finished {
    int code;
    std::string out;
    std::string err;
};
inline Finished run_program(std::vector<std::string> arguments,
                            const Process::Environment& environment = {}) {
    Process process(std::move(arguments), environment);
    const int code = process.wait();
    return {code, process.out, process.err};
}

}  // namespace millrace::test
