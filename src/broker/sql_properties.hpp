// System properties of a message as the filter language knows them: "sys.NAME".
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"

#include <string_view>

namespace millrace::broker::sql {

/// A message on its way through a topic, and what the topic knows of it.
struct Arriving {
    const Message& message;
    std::int64_t sequence = 0;  ///< its number in the topic
    TimePoint enqueued_at{};
    std::size_t bytes = 0;  ///< of the body
};

/// One row of the table of system properties.
struct SystemProperty {
    std::string_view name;
    /// Null where the message does not have it.
    Value (*get)(const Arriving&);
    /// Null: read-only. Takes a text, or nothing to remove it.
    void (*set)(Message&, const std::string*) = nullptr;
};

/// The row called `name`, in any case; null if there is none.
const SystemProperty* find_system_property(std::string_view name);

}  // namespace millrace::broker::sql
