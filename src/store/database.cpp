#include "store/database.hpp"

#include "store/migrate.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

namespace millrace::store {

namespace asio = boost::asio;

namespace {

/// The lock file of a data directory, held while the process lives.
class DirectoryLock {
  public:
    explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
    ~DirectoryLock() { ::close(descriptor_); }
    DirectoryLock(const DirectoryLock&) = delete;

    static Result<std::unique_ptr<DirectoryLock>> take(const std::filesystem::path& directory) {
        const std::string path = directory / "lock";
        const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (descriptor < 0) {
            return Error{Errc::unavailable, "cannot write to the data directory " + directory.string() +
                                                ": " + std::strerror(errno) +
                                                "; check its owner, its mode and the disk"};
        }
        auto lock = std::make_unique<DirectoryLock>(descriptor);
        if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            return Error{Errc::conflict,
                         "the data directory " + directory.string() +
                             " is in use by another server; stop it or choose another directory"};
        }
        return lock;
    }

  private:
    int descriptor_;
};

using Jobs = std::vector<std::unique_ptr<Job>>;

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

class Database::Threads {
  public:
    Threads(asio::any_io_executor io, Options options, std::unique_ptr<DirectoryLock> lock,
            std::unique_ptr<Connection> writer)
        : io_(std::move(io)),
          options_(std::move(options)),
          lock_(std::move(lock)),
          writer_(std::move(writer)) {
        for (unsigned i = 0; i < std::max(1u, options_.readers); ++i) {
            readers_.push_back(std::make_unique<Connection>(database_path(), Access::read_only));
        }
        threads_.emplace_back([this] {
            ::pthread_setname_np(::pthread_self(), "store-writer");
            write_loop();
        });
        for (auto& reader : readers_) {
            threads_.emplace_back([this, connection = reader.get()] {
                ::pthread_setname_np(::pthread_self(), "store-reader");
                read_loop(*connection);
            });
        }
    }

    ~Threads() { stop(); }

    std::string database_path() const { return options_.directory / "millrace.db"; }
    const std::filesystem::path& directory() const noexcept { return options_.directory; }

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
        writes_ready_.notify_all();
        reads_ready_.notify_all();
        for (auto& thread : threads_) {
            if (thread.joinable()) thread.join();
        }
        readers_.clear();
        writer_.reset();
        lock_.reset();
    }

    WriterStats stats() const noexcept {
        const std::scoped_lock guard(mutex_);
        return {commits_.load(), commands_.load(), writes_.size()};
    }

  private:
    void write_loop() {
        Jobs group;
        while (take(writes_, writes_ready_, group, options_.group_commands_max)) {
            commit_group(group);
            resume_all(std::move(group));
            group.clear();
        }
    }

    void read_loop(Connection& connection) {
        Jobs one;
        while (take(reads_, reads_ready_, one, 1)) {
            run_read(connection, *one.front());
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

    void commit_group(Jobs& group) {
        try {
            set_sync(group);
            writer_->prepare("BEGIN IMMEDIATE").run();
            for (auto& job : group) run_one(*job);
            writer_->end_reads();
            writer_->prepare("COMMIT").run();
            commits_ += 1;
            commands_ += group.size();
        } catch (...) {
            roll_back();
            for (auto& job : group) job->fail(std::current_exception());
        }
    }

    // SQLite reads `synchronous` when it commits; FULL flushes the log, NORMAL only writes it.
    void set_sync(const Jobs& group) {
        const bool durable = std::any_of(group.begin(), group.end(),
                                         [](const auto& job) { return job->sync == Sync::durable; });
        if (durable == durable_) return;
        writer_->execute(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
        durable_ = durable;
    }

    // A command that throws without a savepoint has left half its writes behind: the whole group must go.
    void run_one(Job& job) {
        if (job.undo == Undo::none) {
            job.run(*writer_);
            return;
        }
        writer_->prepare("SAVEPOINT command").run();
        try {
            job.run(*writer_);
        } catch (...) {
            if (writer_->autocommit()) throw;  // SQLite has rolled back everything by itself
        }
        if (job.failed()) writer_->prepare("ROLLBACK TO command").run();
        writer_->prepare("RELEASE command").run();
    }

    void roll_back() noexcept {
        try {
            if (!writer_->autocommit()) writer_->execute("ROLLBACK");
        } catch (const std::exception&) {
            // The next BEGIN reports what is wrong.
        }
    }

    void run_read(Connection& connection, Job& job) {
        try {
            connection.prepare("BEGIN").run();
            job.run(connection);
        } catch (...) {
            job.fail(std::current_exception());
        }
        connection.end_reads();
        try {
            if (!connection.autocommit()) connection.execute("ROLLBACK");
        } catch (...) {
            job.fail(std::current_exception());
        }
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
    Options options_;
    std::unique_ptr<DirectoryLock> lock_;
    std::unique_ptr<Connection> writer_;
    std::vector<std::unique_ptr<Connection>> readers_;
    bool durable_ = true;

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
        auto writer = std::make_unique<Connection>(path, Access::read_write);
        auto migrated = migrate(*writer);
        if (!migrated) return migrated.error();
        auto threads =
            std::make_unique<Threads>(std::move(io), std::move(options), std::move(*lock), std::move(writer));
        return std::unique_ptr<Database>(new Database(std::move(threads)));
    } catch (const MachineError& broken) {
        return Error{Errc::unavailable, broken.what()};
    }
}

WriterStats Database::stats() const noexcept { return threads_->stats(); }

const std::filesystem::path& Database::directory() const noexcept { return threads_->directory(); }

void Database::stop() { threads_->stop(); }

void Database::enqueue(std::unique_ptr<Job> job, bool writer) { threads_->enqueue(std::move(job), writer); }

}  // namespace millrace::store
