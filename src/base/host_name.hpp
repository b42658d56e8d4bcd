// What the Host of a request says about who may have led it here.
#pragma once

#include <string_view>

namespace millrace {

/// The name or address of `host` (RFC 9110, 7.2) without its port; an IPv6 address without its brackets.
std::string_view name_of_host(std::string_view host) noexcept;

/// True for a `host` that says by itself where it leads: an address, "localhost" or a name below it. Other
/// names lead where a name service says, also to this machine (DNS rebinding).
bool is_localhost_or_address(std::string_view host);

/// True if `host` is `name` at any port; names are the same in any case.
bool is_named(std::string_view host, std::string_view name);

/// What follows the scheme of `origin` (RFC 6454: scheme://host[:port]); "" if it has none.
std::string_view authority_of(std::string_view origin) noexcept;

/// True if a page of `origin` is of the site `host`, whatever its scheme.
bool is_of_site(std::string_view origin, std::string_view host);

}  // namespace millrace
