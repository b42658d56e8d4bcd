// Contexts that TLS connections are made with: of servers and of clients.
#pragma once

#include "base/error.hpp"

#include <boost/asio/ssl/context.hpp>

#include <filesystem>
#include <memory>

namespace millrace {

/// A context for the server's side of TLS 1.2 and 1.3 with the ciphers of today. `certificate` holds the
/// server's certificate and then those between it and its authority; `key` its private key without a
/// passphrase; both PEM. Reads both files now and never again. Connections may share the context; keep it as
/// long as they live.
/// invalid_input: a file can't be read, holds no such thing, or the key belongs to another certificate.
Result<std::shared_ptr<boost::asio::ssl::context>> make_server_tls(const std::filesystem::path& certificate,
                                                                   const std::filesystem::path& key);

/// A context for the client's side of TLS 1.2 and 1.3 that trusts the system's authorities, and those in
/// `authorities` (PEM) as well unless it is empty. The host's name is for the connection to check.
/// invalid_input: the file can't be read or holds no certificate.
Result<std::shared_ptr<boost::asio::ssl::context>> make_client_tls(const std::filesystem::path& authorities);

}  // namespace millrace
