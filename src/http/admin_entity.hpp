// Queues, topics and subscriptions as the administration API describes them. No sockets.
#pragma once

#include "broker/entity.hpp"
#include "broker/rules.hpp"
#include "http/admin_xml.hpp"

#include <optional>
#include <string>

namespace millrace::http {

/// What a PUT asks for.
struct EntityRequest {
    broker::EntityOptions options;
    std::optional<broker::Rule> default_rule;   ///< of a new subscription
    std::uint64_t message_kilobytes = 0;        ///< of the largest message; 0: whatever the server takes
};

/// Reads a QueueDescription, TopicDescription or SubscriptionDescription. What is not named has the default
/// of Service Bus; where `existing` is updated, fixed options that are not named stay. invalid_input names
/// the element: its value is none, or asks for what this server does not do.
Result<EntityRequest> read_entity(pugi::xml_node element, const broker::EntityOptions* existing);

/// The kind that an element describes by its name; none: it describes no entity.
std::optional<broker::EntityKind> described_kind(std::string_view element_name) noexcept;

/// The description of an entity with all that is known of it. `host` stands in the URLs of entities that it
/// forwards to; `subscriptions` is their number of a topic.
std::string entity_xml(const broker::EntityCounts& entity, std::string_view host, std::size_t subscriptions,
                       std::size_t message_bytes_max);

}  // namespace millrace::http
