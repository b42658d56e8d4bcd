#include "work/requester.hpp"

#include "base/ids.hpp"
#include "broker/value.hpp"

namespace millrace::work {

namespace {

constexpr char kBatch[] = "batch";

}  // namespace

std::string bounded_tenant(std::string tenant) {
    return tenant.size() <= kTenantBytesMax ? std::move(tenant) : sha256_hex(tenant);
}

Requester requester_of(const broker::Message& message) {
    return {bounded_tenant(broker::text_property(message, kTenantProperty)),
            broker::text_property(message, kPriorityProperty) == kBatch};
}

void set_requester(broker::Message& message, const Requester& requester) {
    if (!requester.tenant.empty()) message.properties[kTenantProperty] = requester.tenant;
    if (requester.batch) message.properties[kPriorityProperty] = std::string(kBatch);
}

}  // namespace millrace::work
