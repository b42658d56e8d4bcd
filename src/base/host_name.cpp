#include "base/host_name.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/string.hpp>

#include <string>

namespace millrace {

namespace {

bool iequals(std::string_view a, std::string_view b) {
    return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

}  // namespace

std::string_view name_of_host(std::string_view host) noexcept {
    if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
    return host.substr(0, host.find(':'));
}

bool is_localhost_or_address(std::string_view host) {
    constexpr std::string_view local = "localhost";
    const std::string name(name_of_host(host));
    boost::system::error_code not_one;
    if (host.starts_with('['))
        boost::asio::ip::make_address_v6(name, not_one);
    else
        boost::asio::ip::make_address_v4(name, not_one);
    if (!not_one || iequals(name, local)) return true;
    const bool below = name.size() > local.size() && name[name.size() - local.size() - 1] == '.';
    return below && iequals(std::string_view(name).substr(name.size() - local.size()), local);
}

bool is_named(std::string_view host, std::string_view name) { return iequals(name_of_host(host), name); }

std::string_view authority_of(std::string_view origin) noexcept {
    const std::size_t scheme = origin.find("://");
    return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

bool is_of_site(std::string_view origin, std::string_view host) {
    const std::string_view authority = authority_of(origin);
    return !authority.empty() && iequals(authority, host);
}

}  // namespace millrace
