#include "broker/sql_properties.hpp"

#include "broker/sql_lexer.hpp"

namespace millrace::broker::sql {

namespace {

template <std::string Message::* Member>
Value get_text(const Arriving& arriving) {
    const std::string& text = arriving.message.*Member;
    return text.empty() ? Value() : Value(text);
}

template <std::string Message::* Member>
void set_text(Message& message, const std::string* text) {
    message.*Member = text == nullptr ? std::string() : *text;
}

template <std::string Message::* Member>
constexpr SystemProperty text_row(std::string_view name) {
    return {name, get_text<Member>, set_text<Member>};
}

Value session_id(const Arriving& arriving) {
    return arriving.message.session_id ? Value(*arriving.message.session_id) : Value();
}

void set_session_id(Message& message, const std::string* text) {
    message.session_id = text == nullptr ? std::nullopt : std::optional(*text);
}

Value time_to_live(const Arriving& arriving) {
    if (!arriving.message.time_to_live) return {};
    return std::int64_t{arriving.message.time_to_live->count()};
}

Value scheduled_at(const Arriving& arriving) {
    return arriving.message.scheduled_at ? Value(*arriving.message.scheduled_at) : Value();
}

Value expires_at(const Arriving& arriving) {
    const auto& life = arriving.message.time_to_live;
    if (!life || *life > kNever - arriving.enqueued_at) return {};
    return arriving.enqueued_at + *life;
}

Value enqueued_at(const Arriving& arriving) { return arriving.enqueued_at; }
Value sequence(const Arriving& arriving) { return arriving.sequence; }
Value size(const Arriving& arriving) { return static_cast<std::int64_t>(arriving.bytes); }
Value zero(const Arriving&) { return std::int64_t{0}; }
Value nothing(const Arriving&) { return {}; }

constexpr SystemProperty kProperties[] = {
    text_row<&Message::message_id>("MessageId"),
    text_row<&Message::correlation_id>("CorrelationId"),
    text_row<&Message::content_type>("ContentType"),
    text_row<&Message::subject>("Label"),
    text_row<&Message::subject>("Subject"),
    text_row<&Message::to>("To"),
    text_row<&Message::reply_to>("ReplyTo"),
    text_row<&Message::reply_to_session_id>("ReplyToSessionId"),
    text_row<&Message::partition_key>("PartitionKey"),
    {"SessionId", session_id, set_session_id},
    {"TimeToLive", time_to_live},
    {"ScheduledEnqueueTimeUtc", scheduled_at},
    {"ExpiresAtUtc", expires_at},
    {"EnqueuedTimeUtc", enqueued_at},
    {"SequenceNumber", sequence},
    {"EnqueuedSequenceNumber", sequence},
    {"DeliveryCount", zero},
    {"Size", size},
    {"ViaPartitionKey", nothing},
    {"LockedUntilUtc", nothing},
    {"DeadLetterSource", nothing},
};

}  // namespace

const SystemProperty* find_system_property(std::string_view name) {
    for (const SystemProperty& row : kProperties) {
        if (equal_ignoring_case(row.name, name)) return &row;
    }
    return nullptr;
}

}  // namespace millrace::broker::sql
