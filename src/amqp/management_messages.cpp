// Messages by number: peek, deferred ones, deletion; scheduling.
#include "amqp/management_call.hpp"
#include "base/limits.hpp"

namespace millrace::amqp {

namespace {

constexpr std::size_t kAnswerBytesMax = limits::message_bytes_max;  // or one message

constexpr std::uint8_t kLongs = 0x81;
constexpr auto kCountMax = static_cast<std::int64_t>(limits::receive_batch_max);

enum class SettleByReceiver : std::int64_t { at_once = 0, later = 1 };  ///< "receiver-settle-mode"

Map message_map(const broker::Delivery& delivery, bool omit_body) {
    Map map;
    map.set("message", Binary{write_delivery(delivery, omit_body)});
    return map;
}

/// The message that one entry of "schedule-message" holds.
Result<broker::Message> read_entry(const Map& entry) {
    Arguments arguments(entry);
    const Value* value = arguments.find("message");
    const auto* binary = value == nullptr ? nullptr : value->as<Binary>();
    if (binary == nullptr) {
        return Error{Errc::invalid_input, "An entry of 'messages' holds no binary 'message'."};
    }
    auto read = read_message(binary->bytes);
    if (!read) return read.error();
    broker::Message message = std::move(read->message);
    const auto id = arguments.text("message-id");
    const auto session_id = arguments.text("session-id");
    const auto partition_key = arguments.text("partition-key");
    if (!arguments.problem().empty()) return Error{Errc::invalid_input, arguments.problem()};
    if (!message.scheduled_at) {
        return Error{Errc::invalid_input, "A message has no annotation 'x-opt-scheduled-enqueue-time'."};
    }
    if (message.message_id.empty()) message.message_id = id.value_or("");
    if (!message.session_id) message.session_id = session_id;
    if (message.partition_key.empty()) message.partition_key = partition_key.value_or("");
    return message;
}

}  // namespace

Answering peek_message(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::int64_t from =
        std::max<std::int64_t>(arguments.integer("from-sequence-number").value_or(0), 0);
    const auto count = static_cast<std::size_t>(arguments.count("message-count", 1, kCountMax));
    const auto session_id = arguments.text("session-id");
    const bool omit_body = arguments.flag("omit-message-body");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());

    broker::Broker& broker = call.context.broker;
    // Who peeks goes on behind the last message, however many come.
    broker::PeekOptions options{session_id, from, count, kAnswerBytesMax, !omit_body};
    auto peeking = broker.peek(call.request.entity, std::move(options));
    const auto deliveries = co_await std::move(peeking);
    if (!deliveries) co_return failure(call, deliveries.error());
    if (deliveries->empty()) co_return nothing();
    List messages;
    for (const broker::Delivery& delivery : *deliveries)
        messages.items.emplace_back(message_map(delivery, omit_body));
    ManagementAnswer answer;
    answer.body.set("messages", std::move(messages));
    co_return answer;
}

Answering receive_by_sequence_number(const Call& call) {
    Arguments arguments(call.request.arguments);
    std::vector<std::int64_t> sequences = arguments.numbers("sequence-numbers");
    const auto session_id = arguments.text("session-id");
    constexpr auto kLater = static_cast<std::int64_t>(SettleByReceiver::later);
    const std::int64_t mode = arguments.integer("receiver-settle-mode").value_or(kLater);
    if (mode < 0 || mode > kLater) arguments.fail("The argument 'receiver-settle-mode' is neither 0 nor 1.");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());

    broker::ReceiveOptions options;
    options.messages_max = sequences.size();
    const bool locked = mode == kLater;
    options.mode = locked ? broker::ReceiveMode::peek_lock : broker::ReceiveMode::receive_and_delete;
    if (session_id) {
        const auto session = call.session(*session_id);
        if (!session) co_return session_lock_lost(call);
        options.session = session->token;
    }
    options.bytes_max = std::max(kAnswerBytesMax, call.context.broker.message_bytes_max());
    auto receiving = call.context.broker.receive_deferred(call.request.entity, std::move(sequences), options);
    const auto deliveries = co_await std::move(receiving);
    if (!deliveries && session_id) {
        co_return refused_by_entity(call, deliveries.error(), Direction::receive,
                                    condition::kSessionLockLost);
    }
    if (!deliveries) co_return refused_by_entity(call, deliveries.error(), Direction::receive);
    List messages;
    for (const broker::Delivery& delivery : *deliveries) {
        Map entry = message_map(delivery, false);
        if (locked) entry.set("lock-token", delivery.lock_token);
        messages.items.emplace_back(std::move(entry));
    }
    ManagementAnswer answer;
    answer.body.set("messages", std::move(messages));
    co_return answer;
}

Answering batch_delete_messages(const Call& call) {
    Arguments arguments(call.request.arguments);
    const auto count = static_cast<std::size_t>(arguments.count("message-count", 1, kCountMax));
    const auto older_than = arguments.moment("enqueued-time-utc");
    const auto session_id = arguments.text("session-id");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());

    Uuid session;
    if (session_id) {
        const auto lock = call.session(*session_id);
        if (!lock) co_return session_lock_lost(call);
        session = lock->token;
    }
    const TimePoint before = older_than.value_or(call.context.clock.now());
    auto deleting = call.context.broker.delete_messages(call.request.entity, count, before, session);
    const auto deleted = co_await std::move(deleting);
    if (!deleted)
        co_return refused_by_entity(call, deleted.error(), Direction::receive, condition::kSessionLockLost);
    if (*deleted == 0) co_return nothing();
    ManagementAnswer answer;
    answer.body.set("message-count", static_cast<std::int32_t>(*deleted));
    co_return answer;
}

Answering schedule_message(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::vector<const Map*> entries = arguments.maps("messages");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());
    std::vector<broker::Message> messages;
    for (const Map* entry : entries) {
        auto message = read_entry(*entry);
        if (!message) co_return failure(call, message.error());
        messages.push_back(std::move(*message));
    }
    auto sending = call.context.broker.send(call.request.entity, std::move(messages));
    const auto sequences = co_await std::move(sending);
    if (!sequences) co_return refused_by_entity(call, sequences.error(), Direction::send);
    Array numbers{kLongs, {}};
    for (const std::int64_t sequence : *sequences) numbers.items.emplace_back(sequence);
    ManagementAnswer answer;
    answer.body.set("sequence-numbers", std::move(numbers));
    co_return answer;
}

Answering cancel_scheduled_message(const Call& call) {
    Arguments arguments(call.request.arguments);
    std::vector<std::int64_t> sequences = arguments.numbers("sequence-numbers");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());
    auto cancelling = call.context.broker.cancel_scheduled(call.request.entity, std::move(sequences));
    const auto cancelled = co_await std::move(cancelling);
    if (!cancelled) co_return failure(call, cancelled.error());
    co_return ManagementAnswer();
}

}  // namespace millrace::amqp
