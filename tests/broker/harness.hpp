// A broker on a database in a temporary directory, driven from plain test code.
#pragma once

#include "broker/broker.hpp"
#include "tests/support/temporary_directory.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace millrace::broker::test {

using millrace::test::TemporaryDirectory;

/// Runs coroutines on one I/O context until they have ended.
class Loop {
  public:
    /// A coroutine under way.
    template <class T>
    class Pending {
      public:
        bool done() const { return state_->value.has_value() || state_->failure; }
        /// Asks it to end.
        void cancel() {
            // On the loop: from outside Asio passes it on later, to a coroutine that may be gone by then.
            asio::post(*state_->io, [state = state_] {
                if (!state->value && !state->failure) state->cancel.emit(asio::cancellation_type::terminal);
            });
        }

      private:
        friend class Loop;
        struct State {
            asio::io_context* io = nullptr;
            std::optional<T> value;
            std::exception_ptr failure;
            asio::cancellation_signal cancel;
        };
        std::shared_ptr<State> state_ = std::make_shared<State>();
    };

    asio::io_context& io() { return io_; }

    template <class T>
    Pending<T> begin(asio::awaitable<T> work) {
        Pending<T> pending;
        pending.state_->io = &io_;
        auto on_end = [state = pending.state_](std::exception_ptr failure, T value) {
            if (failure)
                state->failure = failure;
            else
                state->value.emplace(std::move(value));
        };
        auto token = asio::bind_cancellation_slot(pending.state_->cancel.slot(), std::move(on_end));
        asio::co_spawn(io_, std::move(work), std::move(token));
        return pending;
    }

    /// The result of `pending`; throws what it threw.
    template <class T>
    T finish(Pending<T> pending) {
        while (!pending.done()) io_.run_one();
        if (pending.state_->failure) std::rethrow_exception(pending.state_->failure);
        return std::move(*pending.state_->value);
    }

    template <class T>
    T await(asio::awaitable<T> work) {
        return finish(begin(std::move(work)));
    }

    void await(asio::awaitable<void> work) { await(with_value(std::move(work))); }

    /// Runs what can run now, without waiting; on a network, until nothing has happened for `quiet`.
    void settle() {
        while (quiet_ > Duration::zero() ? io_.run_one_for(quiet_) != 0 : io_.poll_one() != 0) {
        }
    }
    /// What runs goes over a network: nothing is settled before it was silent for `quiet`.
    void be_patient(Duration quiet) { quiet_ = quiet; }

  private:
    static asio::awaitable<bool> with_value(asio::awaitable<void> work) {
        co_await std::move(work);
        co_return true;
    }

    Duration quiet_ = Duration::zero();
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
};

/// The embedded broker with a clock that the test turns.
class EmbeddedBroker {
  public:
    explicit EmbeddedBroker(Broker::Options options = {}) : options_(options) { open(); }
    ~EmbeddedBroker() { close(); }

    Loop loop;
    ManualClock clock;
    std::unique_ptr<store::Database> database;
    std::unique_ptr<Broker> broker;

    void open() {
        auto opened = store::Database::open(loop.io().get_executor(), {directory_.path()});
        if (!opened) throw std::runtime_error(opened.error().detail);
        database = std::move(*opened);
        auto started = loop.await(Broker::open(*database, clock, options_));
        if (!started) throw std::runtime_error(started.error().detail);
        broker = std::move(*started);
    }

    void close() {
        if (broker) loop.await(broker->stop());
        broker.reset();
        database.reset();
    }

    /// As if the process had died: nothing is written any more.
    void crash() {
        database->stop();
        loop.settle();
        broker.reset();
        database.reset();
        open();
    }

    void restart() {
        close();
        open();
    }

    void pass(Duration time) {
        clock.advance(time);
        loop.await(broker->tick());
        loop.settle();
    }

    void put(const std::string& name, EntityOptions options = {}) {
        auto stored = loop.await(broker->put_entity(name, options));
        ASSERT_TRUE(stored) << stored.error().detail;
    }

  private:
    TemporaryDirectory directory_;
    Broker::Options options_;
};

inline Message text_message(std::string body, std::string id = {}) {
    Message message;
    message.body = std::move(body);
    message.message_id = std::move(id);
    return message;
}

inline LockRef lock_of(const Delivery& delivery) { return {delivery.entity, delivery.lock_token}; }

}  // namespace millrace::broker::test
