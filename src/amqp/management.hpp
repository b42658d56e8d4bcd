// The operations behind "<entity>/$management": requests of Service Bus' own that links cannot express.
#pragma once

#include "amqp/message.hpp"
#include "base/clock.hpp"
#include "base/sas.hpp"
#include "broker/broker.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <optional>
#include <string>

namespace millrace::amqp {

namespace asio = boost::asio;

struct ManagementRequest {
    std::string entity;     ///< path without "/$management"
    std::string operation;  ///< e.g. "com.microsoft:renew-lock"
    std::string link_name;  ///< "associated-link-name", "" if there is none
    Map arguments;          ///< the body
};

struct ManagementAnswer {
    int status = 200;
    std::string description = "OK";
    std::string condition;  ///< a symbol; of every status from 400 on
    Map body;
};

/// What an operation works on, for the connection that asks.
struct ManagementContext {
    broker::Broker& broker;
    Clock& clock;
    Rights rights;  ///< of the caller on the entity
    /// The lock of a session of `entity` (its name as created) that a receiving link of this connection
    /// holds: the link of that name if it is not empty, else any.
    std::function<std::optional<broker::SessionLock>(std::string_view entity, std::string_view session_id,
                                                     std::string_view link_name)>
        session_of;
};

/// Does what is asked if `rights` allow it: Send for scheduling and its cancellation, Listen for all else,
/// rules included, as in Service Bus; Manage includes both. Everything that is wrong with a request is an
/// answer with its status and condition. Throws MachineError where the disk fails.
asio::awaitable<ManagementAnswer> manage(ManagementContext context, ManagementRequest request);

}  // namespace millrace::amqp
