// The database of one server: a writer thread that commits in groups, and a few reader threads.
#pragma once

#include "base/error.hpp"
#include "store/connection.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cassert>
#include <concepts>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace::store {

/// What the writer has done since the start; any thread.
struct WriterStats {
    std::uint64_t commits = 0;    ///< transactions committed, each flushed to the disk once
    std::uint64_t commands = 0;   ///< commands in them
    std::uint64_t waiting = 0;    ///< commands that wait now
};

/// When the effect of a command counts as done.
enum class Sync {
    durable,   ///< after the flush of its commit: the only choice before an acknowledgement
    /// Once it is in the log file: it survives a crash of the process, and a crash of the machine only if a
    /// durable command followed. A group of only such commands is not flushed.
    written,
};

/// What a command may do when it meets trouble in the middle.
enum class Undo {
    savepoint,  ///< an error result or an exception undoes what this command wrote, not its neighbours in the
                ///< group
    none,  ///< the command promises to check before its first write; cheaper on the hot path
};

/// One unit of work for a database thread; made by `Database::write` and `read`.
class Job {
  public:
    virtual ~Job() = default;
    /// Runs the work, again if it ran before; throws what it threw.
    virtual void run(Connection& connection) = 0;
    /// The job is not going to be run, or what it did was undone.
    virtual void fail(std::exception_ptr why) = 0;
    /// True if the work wants its writes undone (it answered with an error).
    virtual bool failed() const = 0;
    /// Resumes the coroutine that waits. On the I/O thread.
    virtual void finish() = 0;

    Sync sync = Sync::durable;
    Undo undo = Undo::savepoint;
};

/// A database of one of two engines: the file `millrace.db` in a data directory, locked against a second
/// server (SQLite), or the state that several processes share (PostgreSQL, docs/decisions/0011).
///
/// `write` and `read` may be called from coroutines of one executor (the I/O thread); their `work` runs on a
/// thread of the database and must touch nothing but its arguments and what it captured. Reads see one
/// snapshot each; keep them short, for an open one pins the log. MachineError thrown by the engine reaches
/// the caller of the command it broke, and of every command of its group if the commit itself broke: then
/// nothing of the group is stored.
///
/// On PostgreSQL each write is as if it ran alone, whatever other processes do: where two collide, `work`
/// runs again, so it must leave what it captured as it was. A lost connection is a MachineError of the
/// commands it broke, and the next one connects again; if it was lost during the commit, nobody knows whether
/// they are stored. No call takes longer than the limits of store/postgres.hpp.
class Database {
  public:
    struct Options {
        std::filesystem::path directory;  ///< created if absent
        unsigned readers = 2;  ///< reader threads
        /// Commands in one transaction at most: bounds the latency of the first of them.
        std::size_t group_commands_max = 4096;
    };

    struct PostgresOptions {
        std::string connection_string;  ///< URI or key=value words, as libpq takes them
        unsigned connections = 4;  ///< one writes, the others read; at least 2. One more listens
        /// As above: PostgreSQL keeps 64 subtransactions of a transaction at hand.
        std::size_t group_commands_max = 60;
    };

    /// Opens or creates the database and brings it to this version's schema. Errors, each one line that says
    /// what to do: directory not writable or full, locked by another server, not a database, written by a
    /// newer version.
    static Result<std::unique_ptr<Database>> open(boost::asio::any_io_executor io, Options options);
    /// Connects to PostgreSQL 15 or later and brings its tables to this version's schema; any number of
    /// processes may do so at once. Blocks for as long as that takes. Errors as above, without the password.
    static Result<std::unique_ptr<Database>> connect(boost::asio::any_io_executor io,
                                                     PostgresOptions options);
    ~Database();
    Database(const Database&) = delete;

    /// Runs `Result<T> work(Connection&)` on the writer thread inside the group's transaction and returns its
    /// result after the commit. An error result undoes its writes (Undo::savepoint). Commands run in the
    /// order of the calls.
    template <class F>
    auto write(F work, Sync sync = Sync::durable, Undo undo = Undo::savepoint)
        -> boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> {
        return submit(std::move(work), sync, undo, true);
    }

    /// Runs `T work(Connection&)` on a reader thread inside one read transaction.
    template <class F>
    auto read(F work) -> boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> {
        return submit(std::move(work), Sync::written, Undo::none, false);
    }

    WriterStats stats() const noexcept;
    const std::filesystem::path& directory() const noexcept;

    /// How many files of large values have become full since the start; 0 without such files.
    std::uint64_t filled_value_files() const noexcept;

    /// True if other processes may change what is stored.
    bool shared() const noexcept;
    /// `heard` is called on the I/O thread with each subject that a process (this one too) has given to
    /// `Connection::notify`, after its commit; with "" when some may have been missed. On SQLite never. A
    /// later call replaces it, an empty function ends it.
    using Heard = std::function<void(const std::string& subject)>;
    void listen(Heard heard);

    /// Runs what waits, then ends the threads. A second stop is harmless; later calls fail with MachineError.
    void stop();

    /// Puts `job` in line; for `write` and `read`.
    void enqueue(std::unique_ptr<Job> job, bool writer);

  private:
    class Threads;
    struct Parts;
    explicit Database(std::unique_ptr<Threads> threads);

    template <class F>
    auto submit(F work, Sync sync, Undo undo, bool writer)
        -> boost::asio::awaitable<std::invoke_result_t<F&, Connection&>>;

    std::unique_ptr<Threads> threads_;
};

namespace detail {

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<Result<T>> = true;

/// What stands for a result beside an exception.
template <class T>
T no_result() {
    if constexpr (std::default_initializable<T>)
        return T();
    else
        return T(Error{Errc::unavailable, "the database is not available"});
}

template <class F, class T, class Handler>
class TypedJob final : public Job {
  public:
    TypedJob(F work, Handler handler) : work_(std::move(work)), handler_(std::move(handler)) {}

    void run(Connection& connection) override {
        failure_ = nullptr;
        result_.reset();
        try {
            result_.emplace(work_(connection));
        } catch (...) {
            failure_ = std::current_exception();
            throw;
        }
    }

    void fail(std::exception_ptr why) override {
        failure_ = std::move(why);
        result_.reset();
    }

    bool failed() const override {
        if (failure_ || !result_) return true;
        if constexpr (is_result<T>) return result_->has_error();
        return false;
    }

    // The handler may destroy this job's owner: everything needed is moved out first.
    void finish() override {
        Handler handler = std::move(handler_);
        std::move(handler)(failure_, failure_ ? no_result<T>() : std::move(*result_));
    }

  private:
    F work_;
    Handler handler_;
    std::optional<T> result_;
    std::exception_ptr failure_;
};

}  // namespace detail

template <class F>
auto Database::submit(F work, Sync sync, Undo undo, bool writer)
    -> boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> {
    using T = std::invoke_result_t<F&, Connection&>;
    auto start = [this, sync, undo, writer](auto handler, F task) {
        using TheJob = detail::TypedJob<F, T, decltype(handler)>;
        auto job = std::make_unique<TheJob>(std::move(task), std::move(handler));
        job->sync = sync;
        job->undo = undo;
        enqueue(std::move(job), writer);
    };
    using Signature = void(std::exception_ptr, T);
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, Signature>(
        start, boost::asio::use_awaitable, std::move(work));
}

}  // namespace millrace::store
