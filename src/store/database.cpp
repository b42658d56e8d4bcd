#include "store/database.hpp"

#include "store/migrate.hpp"
#include "store/postgres_listener.hpp"
#include "store/postgres_session.hpp"
#include "store/session.hpp"
#include "store/sqlite_session.hpp"
#include "store/value_log.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace millrace::store {

namespace asio = boost::asio;

namespace {

// While coroutines are resumed, what they ask for is gathered, so that the answers to one group lead to one
// next group instead of a first command that the writer takes alone. Not for long: the writer should have
// work meanwhile.
constexpr std::size_t kGatheredMax = 64;

/// The writes gathered on this thread for `owner`, as long as this lives.
struct Gathered {
    explicit Gathered(const void* the_owner) : owner(the_owner), outer(std::exchange(current, this)) {}
    ~Gathered() { current = outer; }
    Gathered(const Gathered&) = delete;

    static thread_local Gathered* current;
    const void* owner;
    Gathered* outer;
    Jobs jobs;
};
thread_local Gathered* Gathered::current = nullptr;

}  // namespace

/// What the engines make their threads of.
struct Database::Parts {
    std::filesystem::path directory;         ///< empty on PostgreSQL
    std::unique_ptr<DirectoryLock> lock;     ///< null on PostgreSQL
    std::unique_ptr<ValueLog> values;        ///< null on PostgreSQL
    std::unique_ptr<Session> writer;
    std::vector<std::unique_ptr<Session>> readers;
    std::unique_ptr<PostgresListener> listener;   ///< null on SQLite
    std::size_t group_commands_max = 1;
    std::stop_source stopping;   ///< ends the pauses of sessions
};

class Database::Threads {
  public:
    Threads(asio::any_io_executor io, Parts parts) : io_(std::move(io)), parts_(std::move(parts)) {
        threads_.emplace_back([this] {
            ::pthread_setname_np(::pthread_self(), "store-writer");
            write_loop();
        });
        for (auto& reader : parts_.readers) {
            threads_.emplace_back([this, session = reader.get()] {
                ::pthread_setname_np(::pthread_self(), "store-reader");
                read_loop(*session);
            });
        }
    }

    ~Threads() { stop(); }

    const std::filesystem::path& directory() const noexcept { return parts_.directory; }
    bool shared() const noexcept { return shared_; }
    const ValueLog* values() const noexcept { return parts_.values.get(); }

    void listen(Heard heard) {
        if (parts_.listener) parts_.listener->listen(std::move(heard));
    }

    void enqueue(std::unique_ptr<Job> job, bool writer) {
        if (Gathered* const gathered = writer ? this_thread_gathers() : nullptr) {
            gathered->jobs.push_back(std::move(job));
            if (gathered->jobs.size() >= kGatheredMax) hand_over(gathered->jobs);
            return;
        }
        {
            const std::scoped_lock guard(mutex_);
            if (!stopping_) {
                (writer ? writes_ : reads_).push_back(std::move(job));
            }
        }
        if (job) {
            job->fail(std::make_exception_ptr(MachineError("the database is closed")));
            resume_one(std::move(job));
            return;
        }
        (writer ? writes_ready_ : reads_ready_).notify_one();
    }

    void stop() {
        if (Gathered* const gathered = this_thread_gathers()) {
            hand_over(gathered->jobs);
            gathered->owner = nullptr;
        }
        {
            const std::scoped_lock guard(mutex_);
            stopping_ = true;
        }
        parts_.stopping.request_stop();
        writes_ready_.notify_all();
        reads_ready_.notify_all();
        for (auto& thread : threads_) {
            if (thread.joinable()) thread.join();
        }
        parts_.listener.reset();
        parts_.readers.clear();
        parts_.writer.reset();
        parts_.values.reset();
        parts_.lock.reset();
    }

    WriterStats stats() const noexcept {
        const std::scoped_lock guard(mutex_);
        return {commits_.load(), commands_.load(), writes_.size()};
    }

  private:
    void write_loop() {
        Jobs group;
        while (take(writes_, writes_ready_, group, parts_.group_commands_max)) {
            const Committed committed = parts_.writer->run_group(group);
            commits_ += committed.commits;
            commands_ += committed.commands;
            resume_all(std::move(group));
            group.clear();
        }
    }

    void read_loop(Session& session) {
        Jobs one;
        while (take(reads_, reads_ready_, one, 1)) {
            session.run_read(*one.front());
            resume_all(std::move(one));
            one.clear();
        }
    }

    /// Waits for jobs and takes up to `count_max`; false when stopping and none is left.
    bool take(Jobs& from, std::condition_variable& ready, Jobs& into, std::size_t count_max) {
        std::unique_lock guard(mutex_);
        ready.wait(guard, [&] { return stopping_ || !from.empty(); });
        if (from.size() <= count_max) {
            into.swap(from);
        } else {
            const auto end = from.begin() + static_cast<std::ptrdiff_t>(count_max);
            into.assign(std::move_iterator(from.begin()), std::move_iterator(end));
            from.erase(from.begin(), end);
        }
        return !into.empty();
    }

    void resume_all(Jobs jobs) {
        asio::post(io_, [this, jobs = std::move(jobs)]() mutable { finish_all(jobs); });
    }

    // A coroutine that is resumed here may stop or destroy this object: then `owner` is null afterwards.
    void finish_all(Jobs& jobs) {
        Gathered mine(this);
        for (auto& job : jobs) job->finish();
        if (mine.owner != nullptr && !mine.jobs.empty()) hand_over(mine.jobs);
    }

    Gathered* this_thread_gathers() const noexcept {
        Gathered* const gathered = Gathered::current;
        return gathered != nullptr && gathered->owner == this ? gathered : nullptr;
    }

    /// Moves `jobs` to the end of the writer's line.
    void hand_over(Jobs& jobs) {
        bool stopped = false;
        {
            const std::scoped_lock guard(mutex_);
            stopped = stopping_;
            if (!stopped) std::move(jobs.begin(), jobs.end(), std::back_inserter(writes_));
        }
        if (stopped) {
            for (auto& job : jobs) job->fail(std::make_exception_ptr(MachineError("the database is closed")));
            resume_all(std::exchange(jobs, {}));
            return;
        }
        jobs.clear();
        writes_ready_.notify_one();
    }

    void resume_one(std::unique_ptr<Job> job) {
        Jobs jobs;
        jobs.push_back(std::move(job));
        resume_all(std::move(jobs));
    }

    asio::any_io_executor io_;
    Parts parts_;
    const bool shared_ = parts_.listener != nullptr;

    mutable std::mutex mutex_;
    std::condition_variable writes_ready_;
    std::condition_variable reads_ready_;
    Jobs writes_;
    Jobs reads_;
    bool stopping_ = false;
    std::atomic<std::uint64_t> commits_ = 0;
    std::atomic<std::uint64_t> commands_ = 0;
    std::vector<std::thread> threads_;
};

Database::Database(std::unique_ptr<Threads> threads) : threads_(std::move(threads)) {}

Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open(asio::any_io_executor io, Options options) {
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    if (error) {
        return Error{Errc::unavailable, "cannot create the data directory " + options.directory.string() +
                                            ": " + error.message()};
    }
    auto lock = DirectoryLock::take(options.directory);
    if (!lock) return lock.error();
    try {
        const std::string path = options.directory / "millrace.db";
        Parts parts;
        parts.values = std::make_unique<ValueLog>(options.directory / "values");
        auto writer = std::make_unique<SqliteConnection>(path, Access::read_write, parts.values.get());
        auto migrated = migrate(*writer);
        if (!migrated) return migrated.error();
        parts.writer = std::make_unique<SqliteSession>(std::move(writer));
        for (unsigned i = 0; i < std::max(1u, options.readers); ++i) {
            auto reader = std::make_unique<SqliteConnection>(path, Access::read_only, parts.values.get());
            parts.readers.push_back(std::make_unique<SqliteSession>(std::move(reader)));
        }
        parts.directory = std::move(options.directory);
        parts.lock = std::move(*lock);
        parts.group_commands_max = options.group_commands_max;
        auto threads = std::make_unique<Threads>(std::move(io), std::move(parts));
        return std::unique_ptr<Database>(new Database(std::move(threads)));
    } catch (const MachineError& broken) {
        return Error{Errc::unavailable, broken.what()};
    }
}

Result<std::unique_ptr<Database>> Database::connect(asio::any_io_executor io, PostgresOptions options) {
    Parts parts;
    const std::stop_token stopped = parts.stopping.get_token();
    try {
        auto target = PostgresTarget::parse(options.connection_string);
        if (!target) return target.error();
        auto writer = std::make_unique<PostgresSession>(*target, stopped);
        auto migrated = writer->migrate();
        if (!migrated) return migrated.error();
        parts.writer = std::move(writer);
        for (unsigned i = 1; i < std::max(2u, options.connections); ++i)
            parts.readers.push_back(std::make_unique<PostgresSession>(*target, stopped));
        parts.listener = std::make_unique<PostgresListener>(io, *target, stopped);
        parts.group_commands_max = options.group_commands_max;
        auto threads = std::make_unique<Threads>(std::move(io), std::move(parts));
        return std::unique_ptr<Database>(new Database(std::move(threads)));
    } catch (const MachineError& broken) {
        return Error{Errc::unavailable, broken.what()};
    }
}

WriterStats Database::stats() const noexcept { return threads_->stats(); }

const std::filesystem::path& Database::directory() const noexcept { return threads_->directory(); }

bool Database::shared() const noexcept { return threads_->shared(); }

std::uint64_t Database::filled_value_files() const noexcept {
    const ValueLog* const values = threads_->values();
    return values == nullptr ? 0 : values->filled();
}

void Database::listen(Heard heard) { threads_->listen(std::move(heard)); }

void Database::stop() { threads_->stop(); }

void Database::enqueue(std::unique_ptr<Job> job, bool writer) { threads_->enqueue(std::move(job), writer); }

}  // namespace millrace::store
