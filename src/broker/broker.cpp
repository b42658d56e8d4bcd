#include "broker/broker.hpp"

#include "broker/engine.hpp"

#include <boost/asio/this_coro.hpp>

namespace millrace::broker {

using asio::awaitable;

Broker::Broker(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

Broker::~Broker() = default;

awaitable<Result<std::unique_ptr<Broker>>> Broker::open(store::Database& database, Clock& clock,
                                                        Options options) {
    const auto io = co_await asio::this_coro::executor;
    auto engine = std::make_unique<Engine>(database, clock, options, io);
    auto loaded = co_await engine->load();
    if (!loaded) co_return loaded.error();
    co_return std::unique_ptr<Broker>(new Broker(std::move(engine)));
}

awaitable<Result<void>> Broker::put_entity(std::string name, EntityOptions options) {
    return engine_->put_entity(std::move(name), std::move(options));
}

awaitable<Result<void>> Broker::create_subscription(std::string path, EntityOptions options, Rule rule) {
    return engine_->create_subscription(std::move(path), std::move(options), std::move(rule));
}

awaitable<Result<void>> Broker::put_rule(std::string subscription, Rule rule, bool replace) {
    return engine_->put_rule(std::move(subscription), std::move(rule), replace);
}

awaitable<Result<void>> Broker::remove_rule(std::string subscription, std::string rule) {
    return engine_->remove_rule(std::move(subscription), std::move(rule));
}

Result<std::vector<Rule>> Broker::rules(std::string_view subscription) const {
    return engine_->rules(subscription);
}

Result<EntityStatus> Broker::status(std::string_view name) const { return engine_->status(name); }

awaitable<Result<void>> Broker::remove_entity(std::string name) {
    return engine_->remove_entity(std::move(name));
}

std::size_t Broker::message_bytes_max() const noexcept { return engine_->message_bytes_max(); }
Result<EntityCounts> Broker::counts(std::string_view name) const { return engine_->counts(name); }

std::vector<EntityCounts> Broker::counts() const { return engine_->counts(); }

awaitable<Result<std::vector<std::int64_t>>> Broker::send_with(
    std::string entity, std::vector<Message> messages, std::function<Result<void>(store::Connection&)> with) {
    return engine_->send_with(std::move(entity), std::move(messages), std::move(with));
}

awaitable<Result<std::vector<std::int64_t>>> Broker::send_or_keep(std::string entity,
                                                                  std::vector<Message>& messages) {
    return engine_->send(std::move(entity), messages, nullptr);
}

awaitable<std::vector<Result<void>>> Broker::complete_each(std::vector<LockRef> locks) {
    return engine_->complete_each(std::move(locks));
}

awaitable<Result<void>> Broker::complete_with(LockRef lock,
                                              std::vector<std::pair<std::string, Message>> follow_ups,
                                              std::function<Result<void>(store::Connection&)> with) {
    return engine_->complete_with(std::move(lock), std::move(follow_ups), std::move(with));
}

awaitable<Result<RedriveResult>> Broker::redrive(std::string entity, DeadLetterFilter filter,
                                                 double per_second, bool dry_run) {
    return engine_->redrive(std::move(entity), std::move(filter), per_second, dry_run);
}

awaitable<Result<std::uint64_t>> Broker::drop_dead_letters(std::string entity, DeadLetterFilter filter) {
    return engine_->drop_dead_letters(std::move(entity), std::move(filter));
}

awaitable<Result<std::uint64_t>> Broker::purge(std::string entity) {
    return engine_->purge(std::move(entity));
}

awaitable<Result<std::uint64_t>> Broker::delete_messages(std::string entity, std::size_t messages_max,
                                                         TimePoint older_than, Uuid session) {
    return engine_->delete_messages(std::move(entity), messages_max, older_than, session);
}

awaitable<Result<std::vector<Delivery>>> Broker::peek(std::string entity, PeekOptions options) {
    return engine_->peek(std::move(entity), std::move(options));
}

Result<void> Broker::check_session(const SessionLock& lock) const { return engine_->check_session(lock); }

awaitable<Result<std::vector<std::string>>> Broker::sessions(std::string entity,
                                                             std::optional<TimePoint> state_since,
                                                             std::size_t skip, std::size_t top) {
    return engine_->sessions(std::move(entity), state_since, skip, top);
}

awaitable<void> Broker::tick() { return engine_->tick(); }

void Broker::start() { engine_->start(); }

awaitable<void> Broker::stop() { return engine_->stop(); }

awaitable<Result<std::vector<std::int64_t>>> Broker::send(std::string entity, std::vector<Message> messages) {
    return engine_->send_with(std::move(entity), std::move(messages), nullptr);
}

awaitable<Result<void>> Broker::cancel_scheduled(std::string entity, std::vector<std::int64_t> sequences) {
    return engine_->cancel_scheduled(std::move(entity), std::move(sequences));
}

awaitable<Result<std::vector<Delivery>>> Broker::receive(std::string entity, ReceiveOptions options) {
    return engine_->receive(std::move(entity), options);
}

awaitable<Result<std::vector<Delivery>>> Broker::receive_deferred(std::string entity,
                                                                  std::vector<std::int64_t> sequences,
                                                                  ReceiveOptions options) {
    return engine_->receive_deferred(std::move(entity), std::move(sequences), options);
}

awaitable<Result<std::vector<Delivery>>> Broker::peek(std::string entity, std::int64_t from,
                                                      std::size_t messages_max) {
    PeekOptions options;
    options.from = from;
    options.messages_max = messages_max;
    return engine_->peek(std::move(entity), std::move(options));
}

awaitable<Result<TimePoint>> Broker::renew(LockRef lock) { co_return engine_->renew(lock); }

awaitable<Result<void>> Broker::complete(LockRef lock) { return engine_->complete(std::move(lock)); }

awaitable<Result<void>> Broker::abandon(LockRef lock, Properties properties) {
    return engine_->abandon(std::move(lock), std::move(properties));
}

awaitable<Result<void>> Broker::defer(LockRef lock, Properties properties) {
    return engine_->defer(std::move(lock), std::move(properties));
}

awaitable<Result<void>> Broker::dead_letter(LockRef lock, std::string reason, std::string description,
                                            Properties properties) {
    return engine_->dead_letter(std::move(lock), std::move(reason), std::move(description),
                                std::move(properties));
}

awaitable<Result<void>> Broker::postpone(LockRef lock, Duration delay, bool spends_delivery) {
    return engine_->postpone(std::move(lock), delay, spends_delivery);
}

awaitable<Result<SessionLock>> Broker::accept_session(std::string entity,
                                                      std::optional<std::string> session_id, Duration wait) {
    return engine_->accept_session(std::move(entity), std::move(session_id), wait);
}

awaitable<Result<TimePoint>> Broker::renew_session(SessionLock lock) {
    co_return engine_->renew_session(lock);
}

awaitable<void> Broker::release_session(SessionLock lock) {
    return engine_->release_session(std::move(lock));
}

awaitable<Result<std::optional<std::string>>> Broker::session_state(SessionLock lock) {
    return engine_->session_state(std::move(lock));
}

awaitable<Result<void>> Broker::set_session_state(SessionLock lock, std::optional<std::string> state) {
    return engine_->set_session_state(std::move(lock), std::move(state));
}

}  // namespace millrace::broker
