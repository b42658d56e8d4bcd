// Listening sockets of the servers.
#pragma once

#include "base/error.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <string>

namespace millrace {

/// Opens `acceptor` on `address`, an IP literal or "localhost", and begins to listen; answers the port, which
/// the system chooses where `port` is 0. An IPv6 address takes IPv4 as well. invalid_input: `address` is
/// neither; unavailable: it is in use or not of this machine. Never blocks.
Result<unsigned short> listen_on(boost::asio::ip::tcp::acceptor& acceptor, const std::string& address,
                                 unsigned short port);

}  // namespace millrace
