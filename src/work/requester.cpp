#include "work/requester.hpp"

#include "base/ids.hpp"
#include "broker/value.hpp"

#include <variant>

namespace millrace::work {

namespace {

constexpr char kBatch[] = "batch";

std::string text_property(const broker::Message& message, const char* name) {
    const auto found = message.properties.find(name);
    if (found == message.properties.end()) return {};
    const broker::Value value = broker::numeric(found->second);
    const auto* text = std::get_if<std::string>(&value);
    return text == nullptr ? std::string() : *text;
}

}  // namespace

std::string bounded_tenant(std::string tenant) {
    return tenant.size() <= kTenantBytesMax ? std::move(tenant) : sha256_hex(tenant);
}

Requester requester_of(const broker::Message& message) {
    return {bounded_tenant(text_property(message, kTenantProperty)),
            text_property(message, kPriorityProperty) == kBatch};
}

void set_requester(broker::Message& message, const Requester& requester) {
    if (!requester.tenant.empty()) message.properties[kTenantProperty] = requester.tenant;
    if (requester.batch) message.properties[kPriorityProperty] = std::string(kBatch);
}

}  // namespace millrace::work
