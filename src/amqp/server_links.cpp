#include "amqp/server_links.hpp"

#include "amqp/management.hpp"
#include "amqp/message.hpp"
#include "amqp/request.hpp"
#include "telemetry/log.hpp"

#include <algorithm>

namespace millrace::amqp {

namespace {

constexpr std::uint32_t kProducerCredit = 1000;
constexpr std::uint32_t kRequestCredit = 100;
constexpr std::size_t kAnswersMax = 1000;  // that wait for a client to take them
constexpr std::size_t kAnswerBytesMax = 8 * limits::kMiB;  // of one connection

/// Work under way, for as long as this lives.
class Work {
  public:
    Work(ServerConnection& connection, std::size_t bytes) : connection_(connection), bytes_(bytes) {
        connection_.storing(bytes_);
    }
    ~Work() { connection_.stored(bytes_); }
    Work(const Work&) = delete;

  private:
    ServerConnection& connection_;
    std::size_t bytes_;
};

}  // namespace

ServerLink::ServerLink(ServerConnection& connection, const event::LinkAsked& asked, Address address)
    : connection_(connection),
      id_(asked.link),
      session_(asked.session),
      name_(asked.attach.name),
      address_(std::move(address)),
      receives_(asked.attach.receiver) {
    // Not the maps, nor the lists: a client may fill a frame with them, for each of its links.
    asked_.settle_mode = asked.attach.settle_mode;
    asked_.confirm_mode = asked.attach.confirm_mode;
    const auto& source = asked.attach.source;
    const auto& target = asked.attach.target;
    asked_.source = source ? Source{source->address, source->durable, {}, source->timeout} : Source{};
    asked_.target = target ? Target{target->address, target->durable, {}, target->timeout} : Target{};
}

Attach ServerLink::echo() const {
    Attach answer = asked_;  // filters and capabilities that are not understood are not confirmed
    answer.max_message_size = connection_.context().broker.message_bytes_max();
    return answer;
}

Condition ServerLink::condition(std::string_view name, std::string_view description) const {
    return make_condition(name, description, address_.entity, connection_.context().clock.now());
}

Condition ServerLink::condition(const Error& error) const {
    const bool refused = error.code == Errc::invalid_input && address_.node == Node::entity;
    if (refused && connection_.is_disabled(address_.entity, receives_))
        return condition(condition::kEntityDisabled, error.detail);
    return condition_for(error, address_.entity, connection_.context().clock.now());
}

void ServerLink::on_state(event::StateChanged& changed) {
    if (!changed.settled) connection_.engine().tell(id_, changed.delivery, Accepted{}, true);
}

void ServerLink::on_end(bool answer) {
    if (std::exchange(over_, true)) return;
    if (answer) connection_.engine().detach(id_, std::nullopt);
    connection_.forget(id_);
    connection_.kick();
}

void ProducerLink::open() {
    Connection& engine = connection_.engine();
    engine.accept(id_, echo());
    engine.grant(id_, kProducerCredit);
}

void ProducerLink::on_arrived(Incoming delivery) {
    Connection& engine = connection_.engine();
    if (engine.granted(id_) <= kProducerCredit / 2) engine.grant(id_, kProducerCredit);
    connection_.storing(delivery.payload.size());
    if (arrived_.empty()) connection_.gather(shared_from_this());
    arrived_.push_back(std::move(delivery));
}

void ProducerLink::on_gathered() {
    auto self = std::static_pointer_cast<ProducerLink>(shared_from_this());
    connection_.start(store(std::move(self), std::exchange(arrived_, {})));
}

ProducerLink::Arrival::Arrival(Incoming arrived)
    : delivery(std::move(arrived)),
      bytes(delivery.payload.size()),
      messages(read_transfer(std::move(delivery.payload), delivery.format)) {
    delivery.payload = {};
}

/// What came together is stored together. If that is refused each delivery gets its own answer.
asio::awaitable<void> ProducerLink::store(std::shared_ptr<ProducerLink> self,
                                          std::vector<Incoming> deliveries) {
    std::vector<Arrival> arrivals;
    arrivals.reserve(deliveries.size());
    for (Incoming& delivery : deliveries) arrivals.emplace_back(std::move(delivery));
    if (arrivals.size() == 1) {
        auto alone = store_one(self, std::move(arrivals.front()));
        co_return co_await std::move(alone);
    }
    Result<DeliveryState> outcome = Error{Errc::invalid_input, "each on its own"};
    if (std::ranges::all_of(arrivals, &Arrival::whole)) {
        std::vector<broker::Message> messages;
        messages.reserve(arrivals.size());
        for (Arrival& arrival : arrivals) std::ranges::move(*arrival.messages, std::back_inserter(messages));
        outcome = co_await self->send(messages);
        auto next = messages.begin();
        for (Arrival& arrival : arrivals) {
            if (outcome) break;
            for (broker::Message& message : *arrival.messages) message = std::move(*next++);
        }
    }
    for (Arrival& arrival : arrivals) {
        if (!outcome) {
            self->connection_.start(store_one(self, std::move(arrival)));
            continue;
        }
        self->answer_stored(arrival.delivery, *outcome);
        self->connection_.stored(arrival.bytes);
    }
}

asio::awaitable<void> ProducerLink::store_one(std::shared_ptr<ProducerLink> self, Arrival arrival) {
    DeliveryState outcome = co_await self->outcome_of(arrival);
    self->answer_stored(arrival.delivery, std::move(outcome));
    self->connection_.stored(arrival.bytes);
}

void ProducerLink::answer_stored(const Incoming& delivery, DeliveryState outcome) {
    if (!delivery.settled) connection_.engine().tell(id_, delivery.id, std::move(outcome), true);
    connection_.kick();
}

asio::awaitable<DeliveryState> ProducerLink::outcome_of(Arrival& arrival) {
    if (arrival.delivery.too_large) {
        co_return Rejected{condition(condition::kMessageSize,
                                     "the message is larger than " +
                                         std::to_string(connection_.context().broker.message_bytes_max()) +
                                         " bytes")};
    }
    if (!arrival.messages) co_return Rejected{condition(arrival.messages.error())};
    auto sent = co_await send(*arrival.messages);
    if (!sent) co_return Rejected{condition(sent.error())};
    co_return std::move(*sent);
}

/// An error: the queue does not take them, nothing is stored, `messages` are still there.
asio::awaitable<Result<DeliveryState>> ProducerLink::send(std::vector<broker::Message>& messages) {
    ServerContext& context = connection_.context();
    const std::size_t count = messages.size();
    const Work parsed(connection_, count * sizeof(broker::Message));  // many small ones in one batch
    try {
        auto sending = context.broker.send_or_keep(address_.entity, messages);
        auto sent = co_await std::move(sending);
        if (!sent) co_return sent.error();
        context.stats.received_total += count;
        co_return DeliveryState(Accepted{});
    } catch (const MachineError& broken) {
        telemetry::log_error("amqp send", address_.entity, broken.what());
        const bool full = broken.disk_full();
        co_return DeliveryState(
            Rejected{condition(full ? condition::kResourceLimit : condition::kInternalError,
                               full ? "the disk is full" : "the message could not be stored")});
    }
}

void RequestLink::open() {
    Connection& engine = connection_.engine();
    engine.accept(id_, echo());
    engine.grant(id_, kRequestCredit);
}

void RequestLink::on_arrived(Incoming delivery) {
    Connection& engine = connection_.engine();
    if (!delivery.settled) engine.tell(id_, delivery.id, Accepted{}, true);
    if (engine.granted(id_) <= kRequestCredit / 2) engine.grant(id_, kRequestCredit);
    if (address_.node == Node::tokens) return put_token(delivery.payload);
    auto self = std::static_pointer_cast<RequestLink>(shared_from_this());
    connection_.storing(delivery.payload.size());
    connection_.ask([self, sections = std::move(delivery.payload)] { return answer(self, sections); });
}

void RequestLink::put_token(std::string_view sections) {
    const auto request = read_request(sections);
    if (!request) return connection_.detach(id_, condition(request.error()));
    const AccessKeys& keys = *connection_.context().keys;
    const auto token = text_of(&request->body);
    Result<Grant> grant = Error{Errc::invalid_input, "the operation is not put-token"};
    if (text_of(request->properties.find("operation")).value_or("") == "put-token") {
        if (!token)
            grant = Error{Errc::invalid_input, "the token is no text"};
        else if (!token->starts_with("SharedAccessSignature "))  // the type says "jwt" for both in Python
            grant = keys.empty()
                        ? Result<Grant>(Grant{"", {true, true, true}, "", kNever})
                        : Error{Errc::invalid_input, "only shared access signatures are accepted here"};
        else
            grant = keys.verify(*token, connection_.context().clock.now());
    }
    if (grant) {
        const bool taken = connection_.add_grant(*grant);
        if (!taken) grant = Error{Errc::over_limit, "too many tokens on one connection"};
    }
    Map properties;
    properties.set("status-code", std::int32_t{grant ? 202 : 401});
    properties.set("status-description", std::string(grant ? "Accepted" : grant.error().detail));
    if (!grant) connection_.warn_of_token(grant.error().detail);
    connection_.reply(session_, address_, request->reply_to,
                      write_answer(request->message_id, properties, Null{}));
}

asio::awaitable<void> RequestLink::answer(std::shared_ptr<RequestLink> self, std::string sections) {
    const std::size_t bytes = sections.size();
    if (!self->connection_.over()) {
        auto managing = self->manage_entity(std::move(sections));
        co_await std::move(managing);
    }
    self->connection_.stored(bytes);
}

asio::awaitable<void> RequestLink::manage_entity(std::string sections) {
    ServerConnection& connection = connection_;
    auto request = read_request(sections);
    if (!request) {
        connection.detach(id_, condition(request.error()));
        co_return;
    }
    ManagementRequest asked;
    asked.entity = address_.entity;
    asked.operation = std::string(text_of(request->properties.find("operation")).value_or(""));
    asked.link_name = std::string(text_of(request->properties.find("associated-link-name")).value_or(""));
    if (auto* arguments = std::get_if<Map>(&request->body)) asked.arguments = std::move(*arguments);
    auto session_of = [&connection](std::string_view entity, std::string_view session_id,
                                    std::string_view link_name) {
        return connection.session_of(entity, session_id, link_name);
    };
    ManagementContext context{connection.context().broker, connection.context().clock,
                              connection.rights_on(asked.entity), session_of};
    ManagementAnswer answer;
    try {
        auto managing = manage(std::move(context), std::move(asked));
        answer = co_await std::move(managing);
    } catch (const MachineError& broken) {
        telemetry::log_error("amqp management", address_.entity, broken.what());
        answer = {500, "internal error", condition::kInternalError, {}};
    }
    Map properties;
    properties.set("statusCode", std::int32_t{answer.status});
    properties.set("statusDescription", answer.description);
    if (!answer.condition.empty()) properties.set("errorCondition", Symbol{answer.condition});
    connection.reply(session_, address_, request->reply_to,
                     write_answer(request->message_id, properties, std::move(answer.body)));
}

void ReplyLink::open() { connection_.engine().accept(id_, echo()); }

void ReplyLink::on_end(bool answer) {
    connection_.answer_bytes -= std::exchange(waiting_bytes_, 0);
    waiting_.clear();
    ServerLink::on_end(answer);
}

bool ReplyLink::is_target(std::string_view reply_to) const {
    return asked_.target && asked_.target->address == reply_to;
}

void ReplyLink::send(std::string answer) {
    waiting_bytes_ += answer.size();
    connection_.answer_bytes += answer.size();
    // One that is larger than the bound passes if it is the only one.
    const bool alone = connection_.answer_bytes == answer.size();
    const bool too_much = connection_.answer_bytes > kAnswerBytesMax && !alone;
    waiting_.push_back(std::move(answer));
    if (too_much || waiting_.size() > kAnswersMax) {
        return connection_.detach(id_, condition(condition::kResourceLimit, "the answers are not taken"));
    }
    on_credit();
}

void ReplyLink::on_credit() {
    Connection& engine = connection_.engine();
    const bool settled = asked_.settle_mode != SettleMode::unsettled;
    while (!waiting_.empty() && engine.credit(id_) > 0 && connection_.has_room()) {
        waiting_bytes_ -= waiting_.front().size();
        connection_.answer_bytes -= waiting_.front().size();
        std::string tag = std::to_string(next_tag_++);
        engine.send(id_, std::move(tag), kPlainFormat, std::move(waiting_.front()), settled);
        waiting_.pop_front();
    }
    if (engine.draining(id_) && (waiting_.empty() || engine.credit(id_) == 0)) engine.drained(id_);
    connection_.kick();
}

}  // namespace millrace::amqp
