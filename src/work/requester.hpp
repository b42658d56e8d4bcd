// For whom a message is worked on, and how soon: application properties that every sender may set.
#pragma once

#include "broker/message.hpp"

#include <string>

namespace millrace::work {

/// "tenant": whose share of quota and spending the work takes. "priority": "batch" where it may take its
/// time, anything else is interactive work.
inline constexpr char kTenantProperty[] = "tenant";
inline constexpr char kPriorityProperty[] = "priority";

struct Requester {
    std::string tenant;  ///< "" is a tenant as any other
    bool batch = false;
    bool operator==(const Requester&) const = default;
};

inline constexpr std::size_t kTenantBytesMax = 128;
/// `tenant`, or the SHA-256 of a longer one: each is a tenant of its own, whatever a sender writes.
std::string bounded_tenant(std::string tenant);

/// What the message's properties say; the tenant is bounded.
Requester requester_of(const broker::Message& message);

/// Writes what `requester` says; leaves alone what it does not.
void set_requester(broker::Message& message, const Requester& requester);

}  // namespace millrace::work
