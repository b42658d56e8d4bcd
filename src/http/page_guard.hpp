// Pages of the web that ask a server in their reader's own machine.
#pragma once

#include "http/server.hpp"

#include <optional>
#include <string>
#include <vector>

namespace millrace::http {

/// Why a server that asks for no key refuses `request`, on one line; nothing if it does. A browser
/// sends requests of any page to any address: one of another site names it (Origin), and one whose name was
/// made to mean this machine (DNS rebinding) has that name as its Host. `host_names`: beside localhost and
/// addresses.
std::optional<std::string> foreign_page(const Request& request, const std::vector<std::string>& host_names);

}  // namespace millrace::http
