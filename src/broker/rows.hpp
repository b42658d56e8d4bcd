// The SQL of the broker: plain functions for database threads.
#pragma once

#include "broker/codec.hpp"
#include "broker/message.hpp"
#include "store/connection.hpp"

#include <boost/container/small_vector.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace millrace::broker::rows {

/// A row of `message`; its texts and body are those of a Message beside it. Times are milliseconds since
/// 1970.
struct NewMessage {
    std::size_t message = 0;  ///< which of the messages beside it
    std::optional<std::size_t> changed;  ///< which of the changed ids beside it takes the place of its own
    std::int64_t id = 0;
    std::int64_t entity = 0;
    std::int64_t sequence = 0;
    State state = State::active;
    std::int64_t enqueued = 0;
    std::optional<std::int64_t> scheduled;
    std::optional<std::int64_t> expires;
    std::uint32_t bytes = 0;
    std::string properties;
};

struct NewDuplicate {
    std::int64_t id = 0;
    std::int64_t entity = 0;
    std::int64_t seen = 0;
    std::string message_id;
};

/// Ids of a copy that a rule has changed; its body is that of the message.
struct ChangedIds {
    std::string message_id;
    std::optional<std::string> session_id;
};

/// "No number below `next` is free."
struct NextSequence {
    std::int64_t entity = 0;
    std::int64_t next = 0;
};

/// Everything that one send stores.
struct Inserts {
    std::vector<Message> messages;
    std::vector<ChangedIds> changed;
    boost::container::small_vector<NewMessage, 1> rows;  ///< most sends store one
    std::vector<NewDuplicate> duplicates;
    std::vector<NextSequence> reserved;

    void apply(store::Connection& connection) const;
};

/// What a row holds beside what a slot knows.
struct StoredMessage {
    std::string message_id;
    std::optional<std::string> session_id;
    std::int64_t enqueued = 0;
    std::optional<std::int64_t> scheduled;
    std::string properties;
    std::string body;
    std::string body_damage;  ///< why there is none; empty if there is
};

/// Nothing if there is no such row.
std::optional<StoredMessage> read(store::Connection& connection, std::int64_t id);
/// As `read`, with an empty body.
std::optional<StoredMessage> read_without_body(store::Connection& connection, std::int64_t id);
/// The body alone; "" if there is no such row, or it can't be read.
std::string read_body(store::Connection& connection, std::int64_t id);
/// The message of a stored row; with damaged properties, what was readable of them.
Content decode(StoredMessage&& stored);

/// Deletes the message and its delivery count.
void remove(store::Connection& connection, std::int64_t id);
void set_deliveries(store::Connection& connection, std::int64_t id, int count,
                    std::optional<std::int64_t> ready_at);
void set_next(store::Connection& connection, const NextSequence& next);
void set_state(store::Connection& connection, std::int64_t id, State state);
/// A scheduled message enters its queue.
void activate(store::Connection& connection, std::int64_t id, std::int64_t sequence, std::int64_t enqueued);

/// `changes` merged into the stored properties, as they would be stored: how many bytes more they take.
struct Merged {
    std::string properties;
    std::int64_t growth = 0;
};
Merged merge(store::Connection& connection, std::int64_t id, const Properties& changes,
             std::string_view source);
void set_properties(store::Connection& connection, std::int64_t id, const Merged& merged);
/// Puts the message into a dead-letter queue: it is ready there and never expires.
void move_to(store::Connection& connection, std::int64_t id, std::int64_t entity, std::int64_t sequence,
             const Merged& merged);

}  // namespace millrace::broker::rows
