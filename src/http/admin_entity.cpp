#include "http/admin_entity.hpp"

#include "http/admin_path.hpp"
#include "http/admin_rule.hpp"

#include <boost/beast/core/string.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace millrace::http {

using boost::beast::iequals;
using broker::EntityKind;
using broker::EntityOptions;
using broker::EntityStatus;

namespace {

constexpr std::uint64_t kMegabyte = limits::kMiB;
constexpr std::uint64_t kMegabytesDefault = 1024;          // of Service Bus
constexpr std::uint64_t kMegabytesUnbounded = 2147483647;  // what clients can hold: no quota
constexpr Duration kDuplicateWindowDefault = std::chrono::minutes(10);
constexpr std::uint64_t kMessageKilobytesMax = limits::message_bytes_max_max / limits::kKiB;

struct StatusName {
    EntityStatus status;
    std::string_view name;
};
constexpr std::array<StatusName, 4> kStatuses = {{{EntityStatus::active, "Active"},
                                                  {EntityStatus::disabled, "Disabled"},
                                                  {EntityStatus::send_disabled, "SendDisabled"},
                                                  {EntityStatus::receive_disabled, "ReceiveDisabled"}}};

Error bad(std::string why) { return Error{Errc::invalid_input, std::move(why)}; }

/// What has been read so far.
struct Draft {
    EntityOptions options;
    std::optional<bool> requires_session;
    std::optional<bool> detects_duplicates;
    std::optional<Duration> duplicate_window;
    std::uint64_t megabytes = kMegabytesDefault;
    std::optional<broker::Rule> default_rule;
    std::uint64_t message_kilobytes = 0;
};

Result<bool> flag(const std::string& text) {
    if (iequals(text, "true") || text == "1") return true;
    if (iequals(text, "false") || text == "0") return false;
    return bad("\"" + text.substr(0, 100) + "\" is neither true nor false");
}

Result<std::uint64_t> number(const std::string& text, std::uint64_t max) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > max)
        return bad("\"" + text.substr(0, 100) + "\" is no whole number from 1 to " + std::to_string(max));
    return value;
}

template <class Target, class Value>
Result<void> put(Target& target, Result<Value> value) {
    if (!value) return value.error();
    target = std::move(*value);
    return {};
}

/// A flag that this server only knows as false.
Result<void> refuse_true(const std::string& text, std::string_view why) {
    const auto value = flag(text);
    if (!value) return value.error();
    if (*value) return bad(std::string(why));
    return {};
}

Result<void> read_lock(Draft& draft, pugi::xml_node node) {
    const auto time = parse_iso_duration(text_of(node));
    if (!time) return time.error();
    if (!*time) return bad("a lock ends some time; write PT5S to PT5M");
    draft.options.lock_time = **time;
    return {};
}

Result<void> read_window(Draft& draft, pugi::xml_node node) {
    const auto time = parse_iso_duration(text_of(node));
    if (!time) return time.error();
    if (!*time) return bad("the window is bounded; write PT20S to P7D");
    draft.duplicate_window = **time;
    return {};
}

Result<void> read_status(Draft& draft, pugi::xml_node node) {
    const std::string text = text_of(node);
    for (const auto& [status, name] : kStatuses)
        if (iequals(text, name)) {
            draft.options.status = status;
            return {};
        }
    return bad("\"" + text.substr(0, 100) + "\" is none of Active, Disabled, SendDisabled, ReceiveDisabled");
}

Result<void> read_default_rule(Draft& draft, pugi::xml_node node) {
    auto rule = read_rule(node, broker::kDefaultRule);
    if (!rule) return rule.error();
    draft.default_rule = std::move(*rule);
    return {};
}

Result<void> read_authorization(Draft&, pugi::xml_node node) {
    if (!child_called(node, "AuthorizationRule")) return {};
    return bad(
        "keys of entities are lines of the server's access_keys_file (NAME KEY RIGHTS ENTITY); leave "
        "the rules out");
}

Result<void> ignore(Draft&, pugi::xml_node) { return {}; }

constexpr unsigned kQueue = 1, kTopic = 2, kSubscription = 4, kAll = 7;

/// An element of a description: of which kinds, and what is made of it.
struct Field {
    std::string_view name;
    unsigned kinds;
    Result<void> (*read)(Draft& draft, pugi::xml_node node);
};

constexpr std::array kFields = {
    Field{"LockDuration", kQueue | kSubscription, read_lock},
    Field{
        "MaxSizeInMegabytes", kQueue | kTopic,
        [](Draft& d, pugi::xml_node n) { return put(d.megabytes, number(text_of(n), kMegabytesUnbounded)); }},
    Field{"RequiresDuplicateDetection", kQueue | kTopic,
          [](Draft& d, pugi::xml_node n) { return put(d.detects_duplicates, flag(text_of(n))); }},
    Field{"RequiresSession", kQueue | kSubscription,
          [](Draft& d, pugi::xml_node n) { return put(d.requires_session, flag(text_of(n))); }},
    Field{"DefaultMessageTimeToLive", kAll,
          [](Draft& d, pugi::xml_node n) {
              return put(d.options.time_to_live, parse_iso_duration(text_of(n)));
          }},
    Field{"DeadLetteringOnMessageExpiration", kQueue | kSubscription,
          [](Draft& d, pugi::xml_node n) {
              return put(d.options.dead_letter_on_expiration, flag(text_of(n)));
          }},
    Field{"DeadLetteringOnFilterEvaluationExceptions", kSubscription,
          [](Draft& d, pugi::xml_node n) {
              return put(d.options.dead_letter_on_filter_error, flag(text_of(n)));
          }},
    Field{"DefaultRuleDescription", kSubscription, read_default_rule},
    Field{"DuplicateDetectionHistoryTimeWindow", kQueue | kTopic, read_window},
    Field{"MaxDeliveryCount", kQueue | kSubscription,
          [](Draft& d, pugi::xml_node n) {
              return put(d.options.delivery_count_max, number(text_of(n), limits::delivery_count_max_max));
          }},
    Field{"AuthorizationRules", kQueue | kTopic, read_authorization},
    Field{"Status", kAll, read_status},
    Field{"ForwardTo", kQueue | kSubscription,
          [](Draft& d, pugi::xml_node n) {
              d.options.forward_to = forward_name(text_of(n));
              return Result<void>();
          }},
    Field{"ForwardDeadLetteredMessagesTo", kQueue | kSubscription,
          [](Draft& d, pugi::xml_node n) {
              d.options.forward_dead_letters_to = forward_name(text_of(n));
              return Result<void>();
          }},
    Field{"UserMetadata", kAll,
          [](Draft& d, pugi::xml_node n) {
              d.options.user_metadata = text_of(n);
              return Result<void>();
          }},
    Field{"AutoDeleteOnIdle", kAll,
          [](Draft& d, pugi::xml_node n) {
              return put(d.options.delete_on_idle, parse_iso_duration(text_of(n)));
          }},
    Field{"EnablePartitioning", kQueue | kTopic,
          [](Draft&, pugi::xml_node n) {
              return refuse_true(text_of(n), "entities are not partitioned here; leave it out");
          }},
    Field{"EnableSubscriptionPartitioning", kTopic,
          [](Draft&, pugi::xml_node n) {
              return refuse_true(text_of(n), "entities are not partitioned here; leave it out");
          }},
    Field{"EnableExpress", kQueue | kTopic,
          [](Draft&, pugi::xml_node n) {
              return refuse_true(text_of(n), "every message is stored at once here; leave it out");
          }},
    Field{"IsAnonymousAccessible", kQueue | kTopic,
          [](Draft&, pugi::xml_node n) {
              return refuse_true(text_of(n), "callers show a key here; leave it out");
          }},
    Field{"FilteringMessagesBeforePublishing", kTopic,
          [](Draft&, pugi::xml_node n) {
              return refuse_true(text_of(n),
                                 "a message that no rule takes is not refused here; leave it out");
          }},
    Field{"MaxMessageSizeInKilobytes", kQueue | kTopic,
          [](Draft& draft, pugi::xml_node n) {
              const auto size = number(text_of(n), kMessageKilobytesMax);
              if (size) draft.message_kilobytes = *size;
              return size ? Result<void>() : Result<void>(size.error());
          }},
    // Harmless: operations are batched anyway, and order is kept.
    Field{"EnableBatchedOperations", kAll, ignore},
    Field{"SupportOrdering", kQueue | kTopic, ignore},
    // What a client sends back as it got it.
    Field{"SizeInBytes", kAll, ignore},
    Field{"MessageCount", kAll, ignore},
    Field{"SubscriptionCount", kTopic, ignore},
    Field{"CountDetails", kAll, ignore},
    Field{"CreatedAt", kAll, ignore},
    Field{"UpdatedAt", kAll, ignore},
    Field{"AccessedAt", kAll, ignore},
    Field{"EntityAvailabilityStatus", kAll, ignore},
};

unsigned bit_of(EntityKind kind) {
    return kind == EntityKind::queue ? kQueue : kind == EntityKind::topic ? kTopic : kSubscription;
}

/// An element that no table knows: what asks for nothing does no harm.
bool asks_for_something(pugi::xml_node node) {
    const std::string text = text_of(node);
    return !text.empty() && !iequals(text, "false");
}

Result<void> read_field(Draft& draft, EntityKind kind, pugi::xml_node node) {
    const std::string_view name = local_name(node.name());
    const auto field =
        std::find_if(kFields.begin(), kFields.end(), [name](const Field& one) { return one.name == name; });
    const bool known = field != kFields.end() && (field->kinds & bit_of(kind)) != 0;
    if (known && node.first_child()) return field->read(draft, node);
    if (known || !asks_for_something(node)) return {};
    return bad("this server knows no such option of it; leave it out");
}

std::uint64_t megabytes_of(std::uint64_t bytes) {
    return bytes == 0 ? kMegabytesUnbounded : std::min((bytes - 1) / kMegabyte + 1, kMegabytesUnbounded - 1);
}

void finish(Draft& draft, const EntityOptions* existing) {
    EntityOptions& options = draft.options;
    options.requires_session =
        draft.requires_session.value_or(existing != nullptr && existing->requires_session);
    options.fair = existing != nullptr && existing->fair;  // the protocol has no word for it
    const bool detected = existing != nullptr && existing->duplicate_window.has_value();
    if (draft.detects_duplicates.value_or(detected))
        options.duplicate_window = draft.duplicate_window ? *draft.duplicate_window
                                   : detected             ? *existing->duplicate_window
                                                          : kDuplicateWindowDefault;
    if (options.kind == EntityKind::subscription) return;
    const bool same_size = existing != nullptr && megabytes_of(existing->bytes_max) == draft.megabytes;
    options.bytes_max = same_size                                ? existing->bytes_max
                        : draft.megabytes == kMegabytesUnbounded ? 0
                                                                 : draft.megabytes * kMegabyte;
}

std::string_view status_name(EntityStatus status) {
    for (const auto& [known, name] : kStatuses)
        if (known == status) return name;
    return "Unknown";
}

void write_counts(XmlWriter& xml, const broker::EntityCounts& entity) {
    xml.open("CountDetails", {{"xmlns:d2p1", "http://schemas.microsoft.com/netservices/2011/06/servicebus"}});
    xml.number("d2p1:ActiveMessageCount", entity.active + entity.locked + entity.deferred);
    xml.number("d2p1:DeadLetterMessageCount", entity.dead_lettered);
    xml.number("d2p1:ScheduledMessageCount", entity.scheduled);
    xml.number("d2p1:TransferMessageCount", 0);
    xml.number("d2p1:TransferDeadLetterMessageCount", 0);
    xml.close();
}

void write_times(XmlWriter& xml, const broker::EntityCounts& entity) {
    xml.element("CreatedAt", to_rfc3339(entity.created_at));
    xml.element("UpdatedAt", to_rfc3339(entity.updated_at));
    xml.element("AccessedAt", to_rfc3339(entity.accessed_at));
}

std::uint64_t messages_of(const broker::EntityCounts& entity) {
    return entity.active + entity.locked + entity.deferred + entity.scheduled + entity.dead_lettered;
}

/// `name` as clients of this server write it.
void write_forward(XmlWriter& xml, std::string_view element, std::string_view host, const std::string& name) {
    if (!name.empty()) xml.element(element, "sb://" + std::string(host) + "/" + name);
}

void write_metadata(XmlWriter& xml, const EntityOptions& options) {
    if (!options.user_metadata.empty()) xml.element("UserMetadata", options.user_metadata);
}

void write_duplicates(XmlWriter& xml, const EntityOptions& options) {
    xml.element("DuplicateDetectionHistoryTimeWindow",
                iso_duration(options.duplicate_window.value_or(kDuplicateWindowDefault)));
}

void write_queue(XmlWriter& xml, const broker::EntityCounts& entity, std::string_view host,
                 std::size_t message_bytes_max) {
    const EntityOptions& options = entity.options;
    xml.element("LockDuration", iso_duration(options.lock_time));
    xml.number("MaxSizeInMegabytes", megabytes_of(options.bytes_max));
    xml.boolean("RequiresDuplicateDetection", options.duplicate_window.has_value());
    xml.boolean("RequiresSession", options.requires_session);
    xml.element("DefaultMessageTimeToLive", iso_duration(options.time_to_live));
    xml.boolean("DeadLetteringOnMessageExpiration", options.dead_letter_on_expiration);
    write_duplicates(xml, options);
    xml.number("MaxDeliveryCount", static_cast<std::uint64_t>(options.delivery_count_max));
    xml.boolean("EnableBatchedOperations", true);
    xml.number("SizeInBytes", entity.bytes);
    xml.number("MessageCount", messages_of(entity));
    xml.boolean("IsAnonymousAccessible", false);
    xml.element("AuthorizationRules", "");
    xml.element("Status", status_name(options.status));
    write_forward(xml, "ForwardTo", host, options.forward_to);
    write_metadata(xml, options);
    write_times(xml, entity);
    xml.boolean("SupportOrdering", true);
    write_counts(xml, entity);
    xml.element("AutoDeleteOnIdle", iso_duration(options.delete_on_idle));
    xml.boolean("EnablePartitioning", false);
    write_forward(xml, "ForwardDeadLetteredMessagesTo", host, options.forward_dead_letters_to);
    xml.element("EntityAvailabilityStatus", "Available");
    xml.boolean("EnableExpress", false);
    xml.number("MaxMessageSizeInKilobytes", message_bytes_max / limits::kKiB);
}

void write_topic(XmlWriter& xml, const broker::EntityCounts& entity, std::size_t subscriptions,
                 std::size_t message_bytes_max) {
    const EntityOptions& options = entity.options;
    xml.element("DefaultMessageTimeToLive", iso_duration(options.time_to_live));
    xml.number("MaxSizeInMegabytes", megabytes_of(options.bytes_max));
    xml.boolean("RequiresDuplicateDetection", options.duplicate_window.has_value());
    write_duplicates(xml, options);
    xml.boolean("EnableBatchedOperations", true);
    xml.number("SizeInBytes", entity.bytes);
    xml.boolean("FilteringMessagesBeforePublishing", false);
    xml.boolean("IsAnonymousAccessible", false);
    xml.element("AuthorizationRules", "");
    xml.element("Status", status_name(options.status));
    write_metadata(xml, options);
    write_times(xml, entity);
    xml.boolean("SupportOrdering", true);
    write_counts(xml, entity);
    xml.number("SubscriptionCount", subscriptions);
    xml.element("AutoDeleteOnIdle", iso_duration(options.delete_on_idle));
    xml.boolean("EnablePartitioning", false);
    xml.element("EntityAvailabilityStatus", "Available");
    xml.boolean("EnableSubscriptionPartitioning", false);
    xml.boolean("EnableExpress", false);
    xml.number("MaxMessageSizeInKilobytes", message_bytes_max / limits::kKiB);
}

void write_subscription(XmlWriter& xml, const broker::EntityCounts& entity, std::string_view host) {
    const EntityOptions& options = entity.options;
    xml.element("LockDuration", iso_duration(options.lock_time));
    xml.boolean("RequiresSession", options.requires_session);
    xml.element("DefaultMessageTimeToLive", iso_duration(options.time_to_live));
    xml.boolean("DeadLetteringOnMessageExpiration", options.dead_letter_on_expiration);
    xml.boolean("DeadLetteringOnFilterEvaluationExceptions", options.dead_letter_on_filter_error);
    xml.number("MessageCount", messages_of(entity));
    xml.number("MaxDeliveryCount", static_cast<std::uint64_t>(options.delivery_count_max));
    xml.boolean("EnableBatchedOperations", true);
    xml.element("Status", status_name(options.status));
    write_forward(xml, "ForwardTo", host, options.forward_to);
    write_times(xml, entity);
    write_metadata(xml, options);
    write_counts(xml, entity);
    write_forward(xml, "ForwardDeadLetteredMessagesTo", host, options.forward_dead_letters_to);
    xml.element("AutoDeleteOnIdle", iso_duration(options.delete_on_idle));
    xml.element("EntityAvailabilityStatus", "Available");
}

constexpr std::string_view element_name(EntityKind kind) noexcept {
    return kind == EntityKind::queue   ? "QueueDescription"
           : kind == EntityKind::topic ? "TopicDescription"
                                       : "SubscriptionDescription";
}

}  // namespace

std::optional<EntityKind> described_kind(std::string_view name) noexcept {
    for (const EntityKind kind : {EntityKind::queue, EntityKind::topic, EntityKind::subscription})
        if (name == element_name(kind)) return kind;
    return std::nullopt;
}

Result<EntityRequest> read_entity(pugi::xml_node element, const EntityOptions* existing) {
    const auto kind = described_kind(local_name(element.name()));
    if (!kind)
        return bad("the content is no QueueDescription, TopicDescription or SubscriptionDescription but \"" +
                   std::string(local_name(element.name()).substr(0, 100)) + "\"");
    Draft draft;
    draft.options.kind = *kind;
    for (const pugi::xml_node node : element.children()) {
        if (node.type() != pugi::node_element) continue;
        const auto read = read_field(draft, *kind, node);
        if (!read)
            return bad(std::string(local_name(node.name()).substr(0, 100)) + ": " + read.error().detail);
    }
    finish(draft, existing);
    return EntityRequest{std::move(draft.options), std::move(draft.default_rule), draft.message_kilobytes};
}

std::string entity_xml(const broker::EntityCounts& entity, std::string_view host, std::size_t subscriptions,
                       std::size_t message_bytes_max) {
    XmlWriter xml;
    xml.open(element_name(entity.options.kind),
             {{"xmlns", kServiceBusNamespace}, {"xmlns:i", kSchemaInstance}});
    switch (entity.options.kind) {
        case EntityKind::queue: write_queue(xml, entity, host, message_bytes_max); break;
        case EntityKind::topic: write_topic(xml, entity, subscriptions, message_bytes_max); break;
        case EntityKind::subscription: write_subscription(xml, entity, host); break;
    }
    xml.close();
    return xml.take();
}

}  // namespace millrace::http
