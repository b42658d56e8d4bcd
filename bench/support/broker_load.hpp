// The same lifecycles in the broker, and its long backlog.
#pragma once

#include "base/async.hpp"
#include "bench/support/queue_load.hpp"
#include "broker/broker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <malloc.h>

#include <fstream>
#include <stdexcept>
#include <string>

namespace millrace::bench {

namespace asio = boost::asio;

template <class T>
T checked(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().detail);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// A broker with one queue, and the I/O thread that it lives on.
class BrokerRun {
  public:
    explicit BrokerRun(const std::filesystem::path& directory) {
        database_ = checked(store::Database::open(io_.get_executor(), {directory}));
        run(open());
    }
    ~BrokerRun() {
        run(broker_->stop());
        database_->stop();
    }

    broker::Broker& broker() { return *broker_; }
    store::Database& database() { return *database_; }

    /// Runs `work` to its end.
    void run(asio::awaitable<void> work) {
        auto guard = asio::make_work_guard(io_);
        std::exception_ptr failure;
        auto on_end = [&](std::exception_ptr why) {
            failure = why;
            guard.reset();
            io_.stop();
        };
        asio::co_spawn(io_, std::move(work), std::move(on_end));
        io_.restart();
        io_.run();
        if (failure) std::rethrow_exception(failure);
    }

    asio::io_context& io() { return io_; }

  private:
    asio::awaitable<void> open() {
        const broker::Broker::Options options;
        auto opened = co_await broker::Broker::open(*database_, clock_, options);
        broker_ = checked(std::move(opened));
        const broker::EntityOptions queue;
        auto stored = co_await broker_->put_entity("q", queue);
        checked(std::move(stored));
    }

    asio::io_context io_{1};  // one thread runs it, as in the server
    SystemClock clock_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<broker::Broker> broker_;
};

class BrokerLoad {
  public:
    BrokerLoad(BrokerRun& run, const LoadShape& shape)
        : run_(run), shape_(shape), body_(shape.body_bytes, 'b'), ended_(run.io().get_executor()) {}

    asio::awaitable<void> play(LoadResult& result) {
        const auto begin = SteadyClock::now();
        const double cpu = cpu_seconds();
        end_ = begin + std::chrono::microseconds(static_cast<std::int64_t>(shape_.seconds * 1e6));
        const std::uint64_t commits = run_.database().stats().commits;
        clients_ = shape_.clients;
        for (std::size_t i = 0; i < shape_.clients; ++i) spawn(run_.io().get_executor(), client(result));
        while (clients_ > 0) co_await ended_.wait();
        result.lifecycles_per_second = static_cast<double>(lifecycles_) / seconds_since(begin);
        result.cpu_micros =
            1e6 * (cpu_seconds() - cpu) / static_cast<double>(std::max<std::uint64_t>(1, lifecycles_));
        result.commits_per_second =
            static_cast<double>(run_.database().stats().commits - commits) / seconds_since(begin);
    }

  private:
    asio::awaitable<void> client(LoadResult& result) {
        while (SteadyClock::now() < end_) {
            co_await send(result);
            co_await receive_and_complete();
            ++lifecycles_;
        }
        --clients_;
        ended_.notify();
    }

    asio::awaitable<void> send(LoadResult& result) {
        std::vector<broker::Message> messages(1);
        messages[0].message_id = to_string(random_uuid());
        messages[0].body = body_;
        const auto begin = SteadyClock::now();
        auto sent = co_await run_.broker().send("q", std::move(messages));
        checked(std::move(sent));
        result.send_micros.push_back(1e6 * seconds_since(begin));
    }

    asio::awaitable<void> receive_and_complete() {
        broker::ReceiveOptions options;
        options.wait = std::chrono::seconds(10);
        auto received = co_await run_.broker().receive("q", options);
        const auto deliveries = checked(std::move(received));
        for (const auto& delivery : deliveries) {
            broker::LockRef lock{delivery.entity, delivery.lock_token};
            auto completed = co_await run_.broker().complete(std::move(lock));
            checked(std::move(completed));
        }
    }

    BrokerRun& run_;
    LoadShape shape_;
    std::string body_;
    Signal ended_;
    SteadyClock::time_point end_;
    std::size_t clients_ = 0;
    std::uint64_t lifecycles_ = 0;
};

inline LoadResult run_broker(const std::filesystem::path& directory, const LoadShape& shape) {
    BrokerRun run(directory);
    LoadResult result;
    BrokerLoad load(run, shape);
    run.run(load.play(result));
    return result;
}

/// A line of /proc/self/status, in MiB.
inline double memory_mib(const std::string& name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind(name + ":", 0) == 0) return std::stod(line.substr(name.size() + 1)) / 1024;
    }
    return 0;
}

inline asio::awaitable<void> fill(broker::Broker& broker, std::size_t messages) {
    const std::string body(1024, 'b');
    for (std::size_t sent = 0; sent < messages; sent += 100) {
        std::vector<broker::Message> batch(100);
        for (auto& message : batch) message.body = body;
        auto stored = co_await broker.send("q", std::move(batch));
        checked(std::move(stored));
    }
}

class Drain {
  public:
    Drain(BrokerRun& run, std::size_t messages)
        : run_(run), messages_(messages), ended_(run.io().get_executor()) {}

    asio::awaitable<void> play(std::vector<double>& rates) {
        begin_ = SteadyClock::now();
        workers_ = 16;
        for (std::size_t i = 0; i < workers_; ++i) spawn(run_.io().get_executor(), worker(rates));
        while (workers_ > 0) co_await ended_.wait();
    }

  private:
    asio::awaitable<void> worker(std::vector<double>& rates) {
        broker::ReceiveOptions options;
        options.messages_max = 16;
        for (;;) {
            auto received = co_await run_.broker().receive("q", options);
            const auto deliveries = checked(std::move(received));
            if (deliveries.empty()) break;
            for (const auto& delivery : deliveries) {
                broker::LockRef lock{delivery.entity, delivery.lock_token};
                spawn(run_.io().get_executor(), complete(std::move(lock), rates));
            }
        }
        --workers_;
        ended_.notify();
    }

    asio::awaitable<void> complete(broker::LockRef lock, std::vector<double>& rates) {
        auto completed = co_await run_.broker().complete(std::move(lock));
        checked(std::move(completed));
        if (++drained_ % (messages_ / 10) != 0) co_return;
        rates.push_back(static_cast<double>(messages_ / 10) / seconds_since(begin_));
        begin_ = SteadyClock::now();
    }

    BrokerRun& run_;
    std::size_t messages_;
    Signal ended_;
    SteadyClock::time_point begin_;
    std::size_t workers_ = 0;
    std::size_t drained_ = 0;
};

inline BacklogResult run_backlog(const std::filesystem::path& directory, std::size_t messages) {
    BacklogResult result;
    {
        BrokerRun run(directory);
        const auto begin = SteadyClock::now();
        run.run(fill(run.broker(), messages));
        result.fill_per_second = static_cast<double>(messages) / seconds_since(begin);
        result.rss_filled_mib = memory_mib("VmRSS");
    }
    ::malloc_trim(0);
    const auto begin = SteadyClock::now();
    BrokerRun run(directory);
    result.restart_seconds = seconds_since(begin);
    result.rss_restarted_mib = memory_mib("VmRSS");
    Drain drain(run, messages);
    run.run(drain.play(result.drain_per_second));
    result.rss_peak_mib = memory_mib("VmHWM");
    return result;
}

}  // namespace millrace::bench
