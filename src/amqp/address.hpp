// Link addresses as the SDKs write them, told apart.
#pragma once

#include <string>
#include <string_view>

namespace millrace::amqp {

enum class Node {
    entity,       ///< a queue, topic, subscription or dead-letter queue
    management,   ///< "<entity>/$management"
    tokens,       ///< "$cbs"
};

struct Address {
    Node node = Node::entity;
    std::string entity;  ///< path; "" for `tokens`
};

/// Takes "queue", "/queue", "sb://host:port/queue" and "amqps://host/queue", percent-encoded or not. A
/// transfer dead-letter queue is the entity's dead-letter queue: what cannot be forwarded goes there.
Address parse_address(std::string_view text);

}  // namespace millrace::amqp
