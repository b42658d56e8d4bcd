#include "base/listen.hpp"

#include <boost/asio/ip/v6_only.hpp>

#include <string_view>

namespace millrace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

Result<asio::ip::address> parse_ip(std::string_view text) {
    if (text == "localhost") return asio::ip::address_v4::loopback();
    if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
    error_code error;
    auto address = asio::ip::make_address(text, error);
    if (error) return Error{Errc::invalid_input, "'" + std::string(text) + "' isn't an IP address"};
    return address;
}

}  // namespace

Result<unsigned short> listen_on(tcp::acceptor& acceptor, const std::string& address, unsigned short port) {
    const auto parsed = parse_ip(address);
    if (!parsed) return parsed.error();
    const tcp::endpoint endpoint(*parsed, port);
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && parsed->is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (error) {
        return Error{Errc::unavailable,
                     "can't listen on " + address + ":" + std::to_string(port) + ": " + error.message()};
    }
    return acceptor.local_endpoint().port();
}

}  // namespace millrace
