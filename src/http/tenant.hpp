// The tenant that a request is made for.
#pragma once

#include "http/rejection.hpp"

#include <cstddef>
#include <string>

namespace millrace::http {

inline constexpr std::size_t kTenantBytesMax = 128;

/// The header `Millrace-Tenant`; "" where there is none. 400: too long, or not UTF-8.
Checked<std::string> tenant_of(const Request& request);

}  // namespace millrace::http
