// RabbitMQ as an engine that the contract of queue engines is tried on, through our client.
#pragma once

#include "tests/amqp/rabbitmq_node.hpp"
#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

using amqp::test::RabbitNode;

/// Queues whose names begin with a prefix of its own, which nobody sees: a node outlives many tests.
class Prefixed final : public MessageSource {
  public:
    Prefixed(MessageSource& inner, std::string prefix) : inner_(inner), prefix_(std::move(prefix)) {}

    asio::awaitable<Result<std::vector<std::int64_t>>> send(std::string entity,
                                                            std::vector<Message> messages) override {
        return inner_.send(prefix_ + entity, std::move(messages));
    }
    asio::awaitable<Result<void>> cancel_scheduled(std::string entity,
                                                   std::vector<std::int64_t> sequences) override {
        return inner_.cancel_scheduled(prefix_ + entity, std::move(sequences));
    }
    asio::awaitable<Result<std::vector<Delivery>>> receive(std::string entity,
                                                           ReceiveOptions options) override {
        auto receiving = inner_.receive(prefix_ + entity, options);
        auto received = co_await std::move(receiving);
        if (!received) co_return received;
        for (Delivery& one : *received) {
            EXPECT_EQ(one.entity, prefix_ + entity);
            one.entity = entity;
        }
        co_return received;
    }
    asio::awaitable<Result<std::vector<Delivery>>> receive_deferred(std::string entity,
                                                                    std::vector<std::int64_t> sequences,
                                                                    ReceiveOptions options) override {
        return inner_.receive_deferred(prefix_ + entity, std::move(sequences), options);
    }
    asio::awaitable<Result<std::vector<Delivery>>> peek(std::string entity, std::int64_t from,
                                                        std::size_t messages_max) override {
        return inner_.peek(prefix_ + entity, from, messages_max);
    }
    asio::awaitable<Result<TimePoint>> renew(LockRef lock) override { return inner_.renew(there(lock)); }
    asio::awaitable<Result<void>> complete(LockRef lock) override { return inner_.complete(there(lock)); }
    asio::awaitable<Result<void>> abandon(LockRef lock, Properties properties) override {
        return inner_.abandon(there(lock), std::move(properties));
    }
    asio::awaitable<Result<void>> defer(LockRef lock, Properties properties) override {
        return inner_.defer(there(lock), std::move(properties));
    }
    asio::awaitable<Result<void>> dead_letter(LockRef lock, std::string reason, std::string description,
                                              Properties properties) override {
        return inner_.dead_letter(there(lock), std::move(reason), std::move(description),
                                  std::move(properties));
    }
    asio::awaitable<Result<void>> postpone(LockRef lock, Duration delay, bool spends_delivery) override {
        return inner_.postpone(there(lock), delay, spends_delivery);
    }
    asio::awaitable<Result<SessionLock>> accept_session(std::string entity, std::optional<std::string> id,
                                                        Duration wait) override {
        return inner_.accept_session(prefix_ + entity, std::move(id), wait);
    }
    asio::awaitable<Result<TimePoint>> renew_session(SessionLock lock) override {
        return inner_.renew_session(std::move(lock));
    }
    asio::awaitable<void> release_session(SessionLock lock) override {
        return inner_.release_session(std::move(lock));
    }
    asio::awaitable<Result<std::optional<std::string>>> session_state(SessionLock lock) override {
        return inner_.session_state(std::move(lock));
    }
    asio::awaitable<Result<void>> set_session_state(SessionLock lock,
                                                    std::optional<std::string> state) override {
        return inner_.set_session_state(std::move(lock), std::move(state));
    }

  private:
    LockRef there(const LockRef& lock) const { return {prefix_ + lock.entity, lock.token}; }

    MessageSource& inner_;
    std::string prefix_;
};

class OverRabbitMq final : public Subject {
  public:
    OverRabbitMq() {
        RabbitNode& node = RabbitNode::shared();
        if (node.port() == 0) throw std::runtime_error("RabbitMQ does not start:\n" + node.said());
        loop_.be_patient(Duration(5));
        client_ = amqp::make_rabbitmq_queue(loop_.io().get_executor(), clock_, node.options());
        source_ = std::make_unique<Prefixed>(*client_, amqp::test::name_at_node("contract") + "/");
    }
    ~OverRabbitMq() override {
        if (client_) loop_.await(client_->stop());
    }

    Loop& loop() override { return loop_; }
    MessageSource& source() override { return *source_; }
    Clock& clock() override { return clock_; }
    /// A queue is there as soon as it is used.
    void create(const std::string&, const EntityOptions&) override {}
    void pass(Duration) override { ADD_FAILURE() << "nobody turns RabbitMQ's clock"; }

    Abilities abilities() const override {
        return {.numbers_every_send = false,
                .postpones_for_free = true,
                .knows_spelling = false,
                .send_bytes_max = limits::message_bytes_max,
                .numbers_messages = false,
                .keeps_rules = false,
                .rewrites_messages = false,
                .answers_whole = false,
                .keeps_time = false,
                .defers = false,
                .has_sessions = false,
                .has_routes = false};
    }

  private:
    Loop loop_;
    SystemClock clock_;
    std::unique_ptr<amqp::RemoteQueue> client_;
    std::unique_ptr<MessageSource> source_;
};

}  // namespace millrace::broker::test
