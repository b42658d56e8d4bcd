// The administration API of Azure Service Bus: entities and rules, as ServiceBusAdministrationClient asks.
#pragma once

#include "http/api_routes.hpp"

namespace millrace::http {

/// True for requests of this API: they name an api-version.
bool is_administration(const Request& request) noexcept;

/// Answers one; checks the caller's token or key first. Errors are XML as clients of Service Bus read them.
asio::awaitable<Response> administration(Context context, Request request);

}  // namespace millrace::http
