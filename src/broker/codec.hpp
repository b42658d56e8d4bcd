// The `properties` column of a stored message: everything that has no column of its own.
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"

#include <string>
#include <string_view>

namespace millrace::broker {

/// Where a message was before: kept with it, not set by senders.
struct Origin {
    std::int64_t enqueued_sequence = 0;  ///< 0: the same as its present number
    std::string dead_letter_source;
};

/// A message as its row holds it, decoded.
struct Content {
    Message message;
    Origin origin;
    std::int64_t enqueued = 0;  ///< ms since 1970
    bool damaged = false;       ///< its properties were not readable to the end
    std::string body_damage;    ///< why its body could not be read; empty if it could
};

/// Tag-length-value bytes of all fields of `message` but message id, session id, schedule and body, and of
/// `origin`. Fields with their default value take no bytes. Grammar: docs/stored-formats.md.
std::string encode_properties(const Message& message, const Origin& origin);

/// Fills `message` and `origin` from `bytes`. corrupt: not what `encode_properties` makes. Unknown tags are
/// skipped.
Result<void> decode_properties(std::string_view bytes, Message& message, Origin& origin);

/// How many bytes `properties` take when encoded, names included.
std::size_t encoded_size(const Properties& properties);

/// An unsigned number in 7-bit groups, lowest first; the high bit says that more follow (LEB128).
void append_varint(std::string& bytes, std::uint64_t value);

}  // namespace millrace::broker
