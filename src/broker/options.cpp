#include "broker/options.hpp"

#include <boost/json.hpp>

namespace millrace::broker {

namespace json = boost::json;

namespace {

constexpr std::string_view kKinds[] = {"queue", "topic", "subscription"};
constexpr std::string_view kStatuses[] = {"active", "disabled", "send_disabled", "receive_disabled"};

void put_time(json::object& object, const char* name, const std::optional<Duration>& time) {
    if (time) object[name] = time->count();
}

std::optional<Duration> time_of(const json::object& object, const char* name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr) return std::nullopt;
    return Duration(value->to_number<std::int64_t>());
}

std::string text_of(const json::object& object, const char* name) {
    const json::value* value = object.if_contains(name);
    return value == nullptr ? std::string() : std::string(value->as_string());
}

bool flag_of(const json::object& object, const char* name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->as_bool();
}

EntityOptions from_object(const json::object& object) {
    EntityOptions options;
    const std::string kind = text_of(object, "kind");
    for (std::size_t i = 0; i < std::size(kKinds); ++i) {
        if (kKinds[i] == kind) options.kind = static_cast<EntityKind>(i);
    }
    if (const auto lock = time_of(object, "lock_ms")) options.lock_time = *lock;
    if (const auto* count = object.if_contains("delivery_count_max"))
        options.delivery_count_max = count->to_number<int>();
    options.requires_session = flag_of(object, "requires_session");
    options.duplicate_window = time_of(object, "duplicate_window_ms");
    options.time_to_live = time_of(object, "time_to_live_ms");
    options.dead_letter_on_expiration = flag_of(object, "dead_letter_on_expiration");
    if (const auto* bytes = object.if_contains("bytes_max"))
        options.bytes_max = bytes->to_number<std::uint64_t>();
    options.forward_to = text_of(object, "forward_to");
    options.forward_dead_letters_to = text_of(object, "forward_dead_letters_to");
    const std::string status = text_of(object, "status");
    for (std::size_t i = 0; i < std::size(kStatuses); ++i) {
        if (kStatuses[i] == status) options.status = static_cast<EntityStatus>(i);
    }
    options.delete_on_idle = time_of(object, "delete_on_idle_ms");
    options.fair = flag_of(object, "fair");
    options.user_metadata = text_of(object, "user_metadata");
    options.dead_letter_on_filter_error = !flag_of(object, "drop_on_filter_error");
    return options;
}

}  // namespace

std::string options_to_json(const EntityOptions& options) {
    json::object object;
    object["kind"] = kKinds[static_cast<std::size_t>(options.kind)];
    object["lock_ms"] = options.lock_time.count();
    object["delivery_count_max"] = options.delivery_count_max;
    if (options.requires_session) object["requires_session"] = true;
    put_time(object, "duplicate_window_ms", options.duplicate_window);
    put_time(object, "time_to_live_ms", options.time_to_live);
    if (options.dead_letter_on_expiration) object["dead_letter_on_expiration"] = true;
    if (options.bytes_max != 0) object["bytes_max"] = options.bytes_max;
    if (!options.forward_to.empty()) object["forward_to"] = options.forward_to;
    if (!options.forward_dead_letters_to.empty())
        object["forward_dead_letters_to"] = options.forward_dead_letters_to;
    if (options.status != EntityStatus::active)
        object["status"] = kStatuses[static_cast<std::size_t>(options.status)];
    put_time(object, "delete_on_idle_ms", options.delete_on_idle);
    if (options.fair) object["fair"] = true;
    if (!options.user_metadata.empty()) object["user_metadata"] = options.user_metadata;
    if (!options.dead_letter_on_filter_error) object["drop_on_filter_error"] = true;
    return json::serialize(object);
}

Result<EntityOptions> options_from_json(std::string_view text) {
    try {
        return from_object(json::parse(json::string_view(text.data(), text.size())).as_object());
    } catch (const std::exception& broken) {
        return Error{Errc::corrupt,
                     std::string("the stored options of an entity are damaged: ") + broken.what()};
    }
}

}  // namespace millrace::broker
