// The bare SQLite loop and the bare flush that the broker is measured against.
#pragma once

#include "base/ids.hpp"
#include "bench/support/queue_load.hpp"
#include "store/migrate.hpp"
#include "store/sqlite.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace millrace::bench {

class BareQueue {
  public:
    BareQueue(const std::filesystem::path& directory, const LoadShape& shape)
        : connection_(directory / "millrace.db", store::Access::read_write),
          shape_(shape),
          body_(shape.body_bytes, 'b') {
        if (auto migrated = store::migrate(connection_); !migrated)
            throw std::runtime_error(migrated.error().detail);
    }

    LoadResult run() {
        std::thread writer([this] { write(); });
        LoadResult result = play_clients();
        {
            const std::scoped_lock guard(mutex_);
            stopping_ = true;
        }
        asked_ready_.notify_one();
        writer.join();
        result.commits_per_second = static_cast<double>(commits_) / shape_.seconds;
        return result;
    }

  private:
    enum class Step { send, lock, complete };
    struct Command {
        std::size_t client;
        Step step;
        std::int64_t message;
        std::string id;
        std::string read;
        SteadyClock::time_point begin;
    };
    using Commands = std::vector<Command>;

    LoadResult play_clients() {
        LoadResult result;
        Commands next;
        for (std::size_t client = 0; client < shape_.clients; ++client) next.push_back(send(client));
        const auto begin = SteadyClock::now();
        const double cpu = cpu_seconds();
        std::uint64_t lifecycles = 0;
        while (seconds_since(begin) < shape_.seconds) {
            ask(next);
            next.clear();
            for (Command& done : await()) {
                if (done.step == Step::complete) ++lifecycles;
                if (done.step == Step::send) result.send_micros.push_back(1e6 * seconds_since(done.begin));
                next.push_back(follow(done));
            }
        }
        result.lifecycles_per_second = static_cast<double>(lifecycles) / seconds_since(begin);
        result.cpu_micros =
            1e6 * (cpu_seconds() - cpu) / static_cast<double>(std::max<std::uint64_t>(1, lifecycles));
        return result;
    }

    Command send(std::size_t client) {
        return {client, Step::send, next_message_++, to_string(random_uuid()), {}, SteadyClock::now()};
    }

    // What is sent is ready, first in, first out; who has sent locks the first, whoever sent that.
    Command follow(const Command& done) {
        if (done.step == Step::complete) return send(done.client);
        if (done.step == Step::lock) return {done.client, Step::complete, done.message, {}, {}, {}};
        ready_.push_back(done.message);
        const std::int64_t first = ready_.front();
        ready_.pop_front();
        return {done.client, Step::lock, first, {}, {}, {}};
    }

    void ask(Commands& commands) {
        {
            const std::scoped_lock guard(mutex_);
            std::move(commands.begin(), commands.end(), std::back_inserter(asked_));
        }
        asked_ready_.notify_one();
    }

    Commands await() {
        std::unique_lock guard(mutex_);
        done_ready_.wait(guard, [&] { return !done_.empty(); });
        return std::exchange(done_, {});
    }

    void write() {
        for (;;) {
            Commands group;
            {
                std::unique_lock guard(mutex_);
                asked_ready_.wait(guard, [&] { return stopping_ || !asked_.empty(); });
                if (stopping_) return;
                std::swap(group, asked_);
            }
            commit(group);
            {
                const std::scoped_lock guard(mutex_);
                std::move(group.begin(), group.end(), std::back_inserter(done_));
            }
            done_ready_.notify_one();
        }
    }

    // As in the broker, a group of deliveries alone is written, not flushed.
    void commit(Commands& group) {
        const bool flush =
            std::any_of(group.begin(), group.end(), [](const auto& c) { return c.step != Step::lock; });
        if (flush != flush_)
            connection_.execute(flush ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
        flush_ = flush;
        connection_.prepare("BEGIN IMMEDIATE").run();
        for (Command& command : group) execute(command);
        connection_.prepare("COMMIT").run();
        ++commits_;
    }

    void execute(Command& command) {
        if (command.step == Step::send) {
            connection_
                .prepare(
                    "INSERT INTO message(id,entity,sequence,state,enqueued,scheduled,expires,message_id,"
                    "session_id,bytes,properties,body) VALUES(?,1,?,0,?,NULL,NULL,?,NULL,?,x'',?)")
                .bind(command.message, command.message, std::int64_t{1'800'000'000'000}, command.id,
                      body_.size(), store::Blob{body_})
                .run();
        } else if (command.step == Step::lock) {
            connection_.prepare("INSERT OR REPLACE INTO delivery(message,count,ready_at) VALUES(?,1,NULL)")
                .bind(command.message)
                .run();
            auto& select = connection_.prepare("SELECT message_id,body FROM message WHERE id=?");
            select.bind(command.message);
            if (!select.step()) throw std::runtime_error("a message is missing");
            command.id = select.string(0);
            command.read = select.string(1);
            select.reset();
        } else {
            connection_.prepare("DELETE FROM message WHERE id=?").bind(command.message).run();
            connection_.prepare("DELETE FROM delivery WHERE message=?").bind(command.message).run();
        }
    }

    store::SqliteConnection connection_;
    LoadShape shape_;
    std::string body_;
    std::deque<std::int64_t> ready_;
    std::int64_t next_message_ = 1;
    bool flush_ = true;
    std::uint64_t commits_ = 0;

    std::mutex mutex_;
    std::condition_variable asked_ready_;
    std::condition_variable done_ready_;
    Commands asked_;
    Commands done_;
    bool stopping_ = false;
};

inline LoadResult run_bare(const std::filesystem::path& directory, const LoadShape& shape) {
    BareQueue queue(directory, shape);
    return queue.run();
}

inline double run_flush(const std::filesystem::path& directory, double seconds) {
    const std::string path = directory / "flush";
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) throw std::runtime_error("cannot write " + path);
    constexpr std::size_t kPage = 4096;
    constexpr std::size_t kPages = 4096;
    const std::string page(kPage, 'p');
    // Blocks that were written before: a file that grows would flush its size too.
    for (std::size_t i = 0; i < kPages; ++i) {
        if (::pwrite(file, page.data(), kPage, static_cast<off_t>(i * kPage)) < 0)
            throw std::runtime_error("disk full");
    }
    ::fdatasync(file);
    const auto begin = SteadyClock::now();
    std::size_t flushes = 0;
    for (; seconds_since(begin) < seconds; ++flushes) {
        if (::pwrite(file, page.data(), kPage, static_cast<off_t>(flushes % kPages * kPage)) < 0) break;
        ::fdatasync(file);
    }
    const double rate = static_cast<double>(flushes) / seconds_since(begin);
    ::close(file);
    return rate;
}

}  // namespace millrace::bench
