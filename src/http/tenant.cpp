#include "http/tenant.hpp"

#include "base/utf8.hpp"

namespace millrace::http {

Checked<std::string> tenant_of(const Request& request) {
    std::string tenant(request.header("Millrace-Tenant"));
    if (tenant.size() <= kTenantBytesMax && is_utf8(tenant)) return tenant;
    return Rejection{
        400, "Millrace-Tenant must be UTF-8 of at most " + std::to_string(kTenantBytesMax) + " bytes"};
}

}  // namespace millrace::http
