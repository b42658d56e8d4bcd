// What a path of the administration API names. No sockets.
#pragma once

#include "base/error.hpp"

#include <string>
#include <vector>

namespace millrace::http {

enum class AdminResource { server, queues, topics, entity, subscriptions, subscription, rules, rule };

/// A path taken apart: "/orders/Subscriptions/all/Rules/$Default" is a rule of entity "orders", subscription
/// "all".
struct AdminPath {
    AdminResource resource = AdminResource::server;
    std::string entity;        ///< a queue or a topic; may hold '/'
    std::string subscription;
    std::string rule;
    bool operator==(const AdminPath&) const = default;
};

/// The words between names ("Subscriptions", "Rules", "$Resources") count in any case. not_found: no such
/// form.
Result<AdminPath> parse_admin_path(const std::vector<std::string>& segments);

/// The entity's name in the broker: a subscription's is its path.
std::string broker_name(const AdminPath& path);
/// As a path of a URL without the leading '/', names percent-encoded.
std::string url_path(const AdminPath& path);

/// An entity name from "sb://host/name", "/name" or "name": what clients write for a forwarding target.
std::string forward_name(std::string_view written);

}  // namespace millrace::http
