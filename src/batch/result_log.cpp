#include "batch/result_log.hpp"

#include "batch/line_reader.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>

namespace millrace::batch {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const std::string& what, const fs::path& path) {
    const int code = errno;
    throw MachineError(what + " " + path.string() + ": " + std::strerror(code), is_disk_full(code));
}

/// An open file with its lock; both go when it does.
struct Appender {
    Appender(fs::path where, int file) : path(std::move(where)), descriptor(file) {}
    ~Appender() { ::close(descriptor); }
    Appender(const Appender&) = delete;

    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) fail("cannot write", path);
            size += static_cast<std::uint64_t>(count);
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        if (::fdatasync(descriptor) != 0) fail("cannot flush", path);
    }

    fs::path path;
    int descriptor;
    std::uint64_t size = 0;
};

// An answer and what stands around it.
constexpr std::size_t kLineBytesMax = limits::provider_answer_bytes_max + limits::kMiB;

/// True if `text` may be what a crash left of a line of results.
bool may_be_cut(std::string_view text) {
    constexpr std::string_view start = "{\"id\":\"batch_req_";
    const std::size_t count = std::min(text.size(), start.size());
    return text.substr(0, count) == start.substr(0, count);
}

/// Tells the lines of the file and cuts off what a crash left of the last one.
Result<void> recover(Appender& file, const ResultLog::OnLine& on_line) {
    auto reader = LineReader::open(file.path, kLineBytesMax);
    if (!reader) return reader.error();
    std::uint64_t good = 0;
    Line line;
    while ((*reader)->next(line)) {
        const bool whole = !(*reader)->unended();
        const auto taken = whole ? on_line(line.text) : Result<void>(Error{Errc::corrupt, "cut off"});
        if (!taken && (*reader)->offset() < (*reader)->size()) return taken.error();
        const bool foreign = whole || !may_be_cut(line.text);
        if (!taken && good == 0 && foreign) return Error{Errc::corrupt, "it holds something else"};
        if (!taken) break;
        good = (*reader)->offset();
    }
    if (good < (*reader)->size() && ::ftruncate(file.descriptor, static_cast<off_t>(good)) != 0)
        fail("cannot shorten", file.path);
    file.size = good;
    return {};
}

Result<std::shared_ptr<Appender>> open_file(const fs::path& path, const ResultLog::OnLine& on_line) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor < 0) return Error{Errc::not_found, path.string() + ": " + std::strerror(errno)};
    const auto file = std::make_shared<Appender>(path, descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return Error{Errc::conflict, path.string() + " is being written by another process"};
    const auto recovered = recover(*file, on_line);
    if (!recovered) return Error{recovered.error().code, path.string() + ": " + recovered.error().detail};
    // Or a power cut could take the file with its first lines.
    const int folder = ::open(fs::absolute(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || ::fsync(folder) != 0) fail("cannot flush the folder of", path);
    ::close(folder);
    return file;
}

}  // namespace

/// Lives until its last flush has ended.
struct ResultLog::State {
    State(asio::any_io_executor executor, CpuPool& cpu, std::shared_ptr<Appender> opened)
        : io(std::move(executor)), pool(cpu), file(std::move(opened)), flushed(io) {
        size = file->size;
    }

    asio::any_io_executor io;
    CpuPool& pool;
    std::shared_ptr<Appender> file;
    Signal flushed;
    std::string pending;
    std::uint64_t appended = 0;  ///< lines taken
    std::uint64_t durable = 0;   ///< of them on the disk
    std::uint64_t size = 0;
    std::uint64_t flushes = 0;
    bool flushing = false;
    std::exception_ptr broken;
};

ResultLog::ResultLog(std::shared_ptr<State> state) : state_(std::move(state)) {}
ResultLog::~ResultLog() = default;

asio::awaitable<Result<std::unique_ptr<ResultLog>>> ResultLog::open(asio::any_io_executor io, CpuPool& pool,
                                                                    fs::path path, OnLine on_line) {
    using Opened = Result<std::shared_ptr<Appender>>;
    auto work = [path = std::move(path), on_line = std::move(on_line)] {
        return std::optional<Opened>(open_file(path, on_line));
    };
    auto opened = co_await pool.run(std::move(work));
    if (!*opened) co_return opened->error();
    auto state = std::make_shared<State>(std::move(io), pool, std::move(**opened));
    co_return std::unique_ptr<ResultLog>(new ResultLog(std::move(state)));
}

asio::awaitable<void> ResultLog::flush(std::shared_ptr<State> state) {
    while (!state->pending.empty() && !state->broken) {
        const std::uint64_t upto = state->appended;
        auto write = [file = state->file, bytes = std::exchange(state->pending, {})] {
            file->write(bytes);
            return file->size;
        };
        try {
            state->size = co_await state->pool.run(std::move(write));
            state->durable = upto;
            state->flushes += 1;
        } catch (...) {
            state->broken = std::current_exception();
        }
        state->flushed.notify();
    }
    state->flushing = false;
}

asio::awaitable<void> ResultLog::append(std::string line) {
    const auto state = state_;
    if (state->broken) std::rethrow_exception(state->broken);
    state->pending.append(line).push_back('\n');
    const std::uint64_t ticket = ++state->appended;
    if (!state->flushing) {
        state->flushing = true;
        spawn(state->io, flush(state));
    }
    while (state->durable < ticket && !state->broken) co_await state->flushed.wait();
    if (state->durable < ticket) std::rethrow_exception(state->broken);
}

std::uint64_t ResultLog::size() const noexcept { return state_->size; }
std::uint64_t ResultLog::flushes() const noexcept { return state_->flushes; }

}  // namespace millrace::batch
