#include "broker/rows.hpp"

#include "base/error.hpp"
#include "store/value_log.hpp"

namespace millrace::broker::rows {

using store::Blob;
using store::Connection;
using store::Statement;
using store::ValueLog;
using store::ValuePlace;

namespace {

constexpr std::string_view kInsert =
    "INSERT INTO message(id,entity,sequence,state,enqueued,scheduled,expires,message_id,session_id,bytes,"
    "properties,body) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr std::string_view kInsertWithPlace =
    "INSERT INTO message(id,entity,sequence,state,enqueued,scheduled,expires,message_id,session_id,bytes,"
    "properties,value_file,value_offset,value_bytes) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

/// Where the bodies of one command go: the rows that share a message share its place.
class Bodies {
  public:
    Bodies(ValueLog* values, const std::vector<Message>& messages) : values_(values), messages_(messages) {
        if (values_ == nullptr) return;
        for (const Message& message : messages) together_ += message.body.size();
    }

    /// Null if the body goes into the row itself.
    const ValuePlace* place_for(const NewMessage& row) {
        const std::string& body = messages_[row.message].body;
        if (values_ == nullptr || !values_->takes(body.size(), together_)) return nullptr;
        if (place_ && of_ == row.message)
            values_->share(row.id);
        else
            place_ = values_->append(body, row.id);
        of_ = row.message;
        return &*place_;
    }

  private:
    ValueLog* values_;
    const std::vector<Message>& messages_;
    std::size_t together_ = 0;
    std::optional<ValuePlace> place_;
    std::size_t of_ = 0;  ///< the message that it is the place of
};

void insert(Connection& connection, const NewMessage& row, const std::string& message_id,
            const std::optional<std::string>& session_id, const std::string& body, const ValuePlace* place) {
    const int state = static_cast<int>(row.state);
    Statement& statement = connection.prepare(place == nullptr ? kInsert : kInsertWithPlace);
    if (place == nullptr) {
        statement.bind(row.id, row.entity, row.sequence, state, row.enqueued, row.scheduled, row.expires,
                       message_id, session_id, row.bytes, Blob{row.properties}, Blob{body});
    } else {
        statement.bind(row.id, row.entity, row.sequence, state, row.enqueued, row.scheduled, row.expires,
                       message_id, session_id, row.bytes, Blob{row.properties}, place->file, place->offset,
                       place->bytes);
    }
    statement.run();
}

}  // namespace

void Inserts::apply(Connection& connection) const {
    for (const NextSequence& next : reserved) set_next(connection, next);
    for (const NewDuplicate& seen : duplicates) {
        connection.prepare("INSERT INTO duplicate(id,entity,seen,message_id) VALUES(?,?,?,?)")
            .bind(seen.id, seen.entity, seen.seen, seen.message_id)
            .run();
    }
    Bodies bodies(connection.values(), messages);
    for (const NewMessage& row : rows) {
        const Message& message = messages[row.message];
        const ValuePlace* const place = bodies.place_for(row);
        if (row.changed) {
            const ChangedIds& ids = changed[*row.changed];
            insert(connection, row, ids.message_id, ids.session_id, message.body, place);
        } else {
            insert(connection, row, message.message_id, message.session_id, message.body, place);
        }
    }
}

namespace {

/// The columns body, value_file, value_offset and value_bytes of the present row, from `column` on.
Result<std::string> body_in(Connection& connection, const Statement& row, int column) {
    if (row.is_null(column + 1)) return row.string(column);
    return connection.values()->read(
        {row.integer(column + 1), row.integer(column + 2), row.integer(column + 3)});
}

std::optional<StoredMessage> read_columns(Connection& connection, std::string_view query, std::int64_t id,
                                          bool with_body) {
    auto& select = connection.prepare(query);
    select.bind(id);
    if (!select.step()) return std::nullopt;
    StoredMessage stored;
    stored.message_id = select.string(0);
    if (!select.is_null(1)) stored.session_id = select.string(1);
    stored.enqueued = select.integer(2);
    if (!select.is_null(3)) stored.scheduled = select.integer(3);
    stored.properties = select.string(4);
    if (with_body) {
        auto body = body_in(connection, select, 5);
        if (body)
            stored.body = std::move(*body);
        else
            stored.body_damage = body.error().detail;
    }
    select.reset();
    return stored;
}

}  // namespace

std::optional<StoredMessage> read(Connection& connection, std::int64_t id) {
    return read_columns(connection,
                        "SELECT message_id,session_id,enqueued,scheduled,properties,body,value_file,"
                        "value_offset,value_bytes FROM message WHERE id=?",
                        id, true);
}

std::optional<StoredMessage> read_without_body(Connection& connection, std::int64_t id) {
    return read_columns(connection,
                        "SELECT message_id,session_id,enqueued,scheduled,properties FROM message WHERE id=?",
                        id, false);
}

std::string read_body(Connection& connection, std::int64_t id) {
    auto& select =
        connection.prepare("SELECT body,value_file,value_offset,value_bytes FROM message WHERE id=?");
    select.bind(id);
    if (!select.step()) return {};
    auto body = body_in(connection, select, 0);
    select.reset();
    return body ? std::move(*body) : std::string();
}

Content decode(StoredMessage&& stored) {
    Content content;
    Message& message = content.message;
    message.message_id = std::move(stored.message_id);
    message.session_id = std::move(stored.session_id);
    if (stored.scheduled) message.scheduled_at = from_millis(*stored.scheduled);
    message.body = std::move(stored.body);
    content.body_damage = std::move(stored.body_damage);
    content.enqueued = stored.enqueued;
    content.damaged = decode_properties(stored.properties, message, content.origin).has_error();
    return content;
}

void remove(Connection& connection, std::int64_t id) {
    connection.prepare("DELETE FROM message WHERE id=?").bind(id).run();
    connection.prepare("DELETE FROM delivery WHERE message=?").bind(id).run();
}

void set_deliveries(Connection& connection, std::int64_t id, int count,
                    std::optional<std::int64_t> ready_at) {
    connection.prepare("INSERT OR REPLACE INTO delivery(message,count,ready_at) VALUES(?,?,?)")
        .bind(id, count, ready_at)
        .run();
}

void set_next(Connection& connection, const NextSequence& next) {
    connection.prepare("INSERT OR REPLACE INTO entity_sequence(entity,next) VALUES(?,?)")
        .bind(next.entity, next.next)
        .run();
}

void set_state(Connection& connection, std::int64_t id, State state) {
    connection.prepare("UPDATE message SET state=? WHERE id=?").bind(static_cast<int>(state), id).run();
}

void activate(Connection& connection, std::int64_t id, std::int64_t sequence, std::int64_t enqueued) {
    connection.prepare("UPDATE message SET state=0,sequence=?,enqueued=? WHERE id=?")
        .bind(sequence, enqueued, id)
        .run();
}

Merged merge(Connection& connection, std::int64_t id, const Properties& changes, std::string_view source) {
    auto& select = connection.prepare("SELECT properties FROM message WHERE id=?");
    select.bind(id);
    if (!select.step())
        throw MachineError("message row " + std::to_string(id) + " is missing from the database");
    Message message;
    Origin origin;
    // Damaged properties must not keep a message from its dead-letter queue: what is readable goes with it.
    (void)decode_properties(select.text(0), message, origin).has_error();
    const auto before = static_cast<std::int64_t>(select.text(0).size());
    select.reset();
    for (const auto& [name, value] : changes) message.properties.insert_or_assign(name, value);
    if (!source.empty()) origin.dead_letter_source = source;
    Merged merged;
    merged.properties = encode_properties(message, origin);
    merged.growth = static_cast<std::int64_t>(merged.properties.size()) - before;
    return merged;
}

void set_properties(Connection& connection, std::int64_t id, const Merged& merged) {
    connection.prepare("UPDATE message SET properties=?,bytes=bytes+? WHERE id=?")
        .bind(Blob{merged.properties}, merged.growth, id)
        .run();
}

void move_to(Connection& connection, std::int64_t id, std::int64_t entity, std::int64_t sequence,
             const Merged& merged) {
    connection
        .prepare(
            "UPDATE message SET entity=?,sequence=?,state=0,expires=NULL,properties=?,bytes=bytes+? WHERE "
            "id=?")
        .bind(entity, sequence, Blob{merged.properties}, merged.growth, id)
        .run();
    connection.prepare("UPDATE delivery SET ready_at=NULL WHERE message=?").bind(id).run();
}

}  // namespace millrace::broker::rows
