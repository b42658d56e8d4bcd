// Where a remote queue is and who we are there, as one line of text.
#pragma once

#include "amqp/transport.hpp"

#include <string>
#include <string_view>

namespace millrace::amqp {

struct ConnectionString {
    Endpoint endpoint;
    bool emulator = false;     ///< plain TCP unless a scheme says more
    std::string user;          ///< name of the shared access key, or of the user
    std::string secret;        ///< the key, or the password
    std::string signature;     ///< a shared access signature in place of a key
    std::string entity_path;   ///< the one entity that it is for; "" for all
    std::string virtual_host;  ///< RabbitMQ's; "" for its default
};

/// Reads "Endpoint=sb://host[:port]/;SharedAccessKeyName=…;SharedAccessKey=…;…" in any order, keys without
/// regard to case, or "amqp[s]://[user:password@]host[:port][/virtual-host]". invalid_input: the detail is
/// one line and shows no secret.
Result<ConnectionString> parse_connection_string(std::string_view text);

}  // namespace millrace::amqp
