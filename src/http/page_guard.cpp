#include "http/page_guard.hpp"

#include "base/host_name.hpp"

#include <algorithm>

namespace millrace::http {

namespace {

constexpr std::size_t kShownMax = 100;  // characters of what the caller sent

}  // namespace

std::optional<std::string> foreign_page(const Request& request, const std::vector<std::string>& host_names) {
    const std::string_view host = request.header("Host");
    const auto is_ours = [&](std::string_view one) {
        return std::ranges::any_of(host_names, [&](const auto& name) { return is_named(one, name); });
    };
    const bool known = host.empty() || is_localhost_or_address(host) || is_ours(host);
    if (!known)
        return "Without keys this server is asked as localhost or by its address, not as \"" +
               std::string(name_of_host(host).substr(0, kShownMax)) +
               "\"; add the name to server.host_names, or set server.api_keys_file";
    const std::string_view origin = request.header("Origin");
    // A proxy may ask by the address of this server for a page of its own name.
    const bool of_proxy = is_ours(authority_of(origin));
    if (!origin.empty() && !of_proxy && !is_of_site(origin, host))
        return "Without keys this server takes nothing from pages of other sites; set server.api_keys_file";
    return std::nullopt;
}

}  // namespace millrace::http
