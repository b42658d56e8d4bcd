#include "work/documents.hpp"

#include "work/answers.hpp"

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/utf8.hpp"
#include "telemetry/log.hpp"
#include "work/trace.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <unordered_set>

namespace millrace::work {

namespace json = boost::json;

namespace {

constexpr std::chrono::seconds kSweepAge{3600};
constexpr std::chrono::seconds kLookAgain{2};

broker::Message ingestion_message(const NewDocument& document, const VersionRef& version,
                                  const std::string& blob) {
    json::object body{{"documentId", version.document},       {"title", document.title},
                      {"category", document.category},        {"uploadedAt", document.uploaded_at},
                      {"contentType", document.content_type}, {"fileName", document.file_name}};
    if (blob.empty()) {
        body["content"] = document.content;
    } else {
        body["contentRef"] = blob;
    }
    broker::Message message;
    message.message_id =
        sha256_hex(version.document).substr(0, 40) + "/" + std::to_string(version.generation);
    message.subject = version.document;
    message.content_type = "application/json";
    message.properties[kGenerationProperty] = version.generation;
    set_requester(message, document.requester);
    if (document.trace) set_trace(message, *document.trace);
    message.body = json::serialize(body);
    return message;
}

// An older version than the newest is stored and dropped later. One of the same moment, which only another
// process on the same state can have accepted, would mix with it.
Result<void> insert_rows(store::Connection& connection, const NewDocument& document, const Accepted& accepted,
                         std::int64_t now) {
    connection
        .prepare(
            "INSERT INTO document (id, title, category, metadata, uploaded_at, status, generation, "
            "operation, "
            "created_at, updated_at) VALUES (?, ?, ?, ?, ?, 'accepted', ?, ?, ?, ?) ON CONFLICT (id) DO "
            "UPDATE SET "
            "title=excluded.title, category=excluded.category, metadata=excluded.metadata, "
            "uploaded_at=excluded.uploaded_at, status='accepted', generation=excluded.generation, error='', "
            "operation=excluded.operation, updated_at=excluded.updated_at "
            "WHERE excluded.generation > document.generation")
        .bind(accepted.id, document.title, document.category,
              document.metadata.empty() ? std::string_view("{}") : std::string_view(document.metadata),
              document.uploaded_at, accepted.generation, accepted.operation, now, now)
        .run();
    const VersionRef version{accepted.id, accepted.generation};
    if (connection.changes() == 0 && records::is_newest(connection, version))
        return Error{Errc::conflict, "another version of document " + accepted.id +
                                         " was accepted at this moment; ask again"};
    connection
        .prepare(
            "INSERT INTO operation (id, kind, subject, generation, status, created_at, updated_at) VALUES "
            "(?, "
            "'document', ?, ?, 'accepted', ?, ?)")
        .bind(accepted.operation, accepted.id, accepted.generation, now, now)
        .run();
    return {};
}

}  // namespace

// A message body is JSON: only UTF-8 can travel in it, and only if it is small.
bool travels_inline(const NewDocument& document) {
    return document.content.size() < limits::claim_check_bytes_min && is_utf8(document.content);
}

std::string document_id_problem(std::string_view id) {
    if (id.empty()) return "id is empty";
    if (id.size() > limits::document_id_bytes_max)
        return "id is longer than " + std::to_string(limits::document_id_bytes_max) + " bytes";
    if (!is_utf8(id)) return "id isn't UTF-8";
    // RFC 3986, 5.2.4: clients take such segments out of a path, encoded or not.
    if (id == "." || id == "..") return "id is \".\" or \"..\": no URL could lead to the document";
    for (const char c : id) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) return "id holds a control character";
    }
    return {};
}

struct Documents::Prepared {
    NewDocument document;  ///< its content has moved into the message or the blob
    Accepted accepted;
    std::string blob;
    broker::Message message;
};

Documents::Documents(store::Database& database, store::Blobs& blobs, CpuPool& pool, Handover& handover,
                     Clock& clock)
    : database_(database), blobs_(blobs), pool_(pool), handover_(handover), clock_(clock) {}

std::int64_t Documents::next_generation() {
    const std::int64_t micros = to_millis(clock_.now()) * 1000;
    last_generation_ = std::max(last_generation_ + 1, micros);
    return last_generation_;
}

asio::awaitable<Documents::Prepared> Documents::prepare(NewDocument document) {
    Prepared prepared;
    prepared.accepted.id = document.id.empty() ? to_hex(random_uuid()) : document.id;
    prepared.accepted.operation = "op_" + to_hex(random_uuid());
    prepared.accepted.generation = next_generation();
    if (!travels_inline(document)) {
        auto put = [this, &document] { return blobs_.put(document.content); };
        prepared.blob = co_await pool_.run(put);
    }
    const VersionRef version{prepared.accepted.id, prepared.accepted.generation};
    prepared.message = ingestion_message(document, version, prepared.blob);
    document.content.clear();
    prepared.document = std::move(document);
    co_return prepared;
}

asio::awaitable<Result<std::vector<Accepted>>> Documents::accept(
    std::vector<NewDocument> documents, std::shared_ptr<const Idempotency> idempotency) {
    auto prepared = std::make_shared<std::vector<Prepared>>();
    std::exception_ptr broken;
    try {
        auto sent = co_await prepare_and_send(std::move(documents), std::move(idempotency), prepared);
        if (sent) co_return sent;
        co_await remove_blobs(blobs_of(*prepared));
        co_return sent;
    } catch (const MachineError&) {
        broken = std::current_exception();
    }
    // Nothing was stored, so nobody knows of the blobs. Where the connection broke it may have been: then the
    // sweep of the next start decides.
    if (!database_.shared()) co_await remove_blobs(blobs_of(*prepared));
    std::rethrow_exception(broken);
}

std::vector<std::string> Documents::blobs_of(const std::vector<Prepared>& prepared) {
    std::vector<std::string> names;
    for (const auto& one : prepared) {
        if (!one.blob.empty()) names.push_back(one.blob);
    }
    return names;
}

asio::awaitable<Result<std::vector<Accepted>>> Documents::prepare_and_send(
    std::vector<NewDocument> documents, std::shared_ptr<const Idempotency> idempotency,
    std::shared_ptr<std::vector<Prepared>> prepared) {
    std::vector<broker::Message> messages;
    std::vector<Accepted> accepted;
    for (auto& document : documents) {
        Prepared one = co_await prepare(std::move(document));
        messages.push_back(std::move(one.message));
        accepted.push_back(one.accepted);
        prepared->push_back(std::move(one));
    }
    auto rows = [prepared, idempotency, accepted,
                 now = to_millis(clock_.now())](store::Connection& connection) -> Result<void> {
        for (const auto& one : *prepared) {
            auto inserted = insert_rows(connection, one.document, one.accepted, now);
            if (!inserted) return inserted;
            const VersionRef version{one.accepted.id, one.accepted.generation};
            if (!one.blob.empty()) records::add_blob(connection, version, one.blob);
        }
        if (idempotency) return insert_answer(connection, *idempotency, accepted, now);
        return {};
    };
    const std::string queue_name = queue::ingestion;
    Handover::Rows with = std::move(rows);
    auto sent = co_await handover_.send_with(queue_name, std::move(messages), std::move(with));
    if (!sent) co_return sent.error();
    co_return accepted;
}

asio::awaitable<void> Documents::start() {
    auto look_up = [](store::Connection& connection) {
        return connection.integer("SELECT max(generation) FROM document");
    };
    last_generation_ = co_await database_.read(std::move(look_up));
    co_await sweep_blobs();
}

asio::awaitable<std::optional<StoredAnswer>> Documents::stored_answer(std::string key) {
    const std::int64_t oldest = to_millis(clock_.now() - kAnswersKept);
    auto look_up = [key = std::move(key),
                    oldest](store::Connection& connection) -> std::optional<StoredAnswer> {
        auto& row =
            connection.prepare("SELECT fingerprint, status, answer FROM idempotency WHERE key=? AND stored>?")
                .bind(key, oldest);
        if (!row.step()) return std::nullopt;
        return StoredAnswer{row.string(0), static_cast<unsigned>(row.integer(1)), row.string(2)};
    };
    co_return co_await database_.read(std::move(look_up));
}

asio::awaitable<Result<void>> Documents::prune() {
    const std::int64_t oldest = to_millis(clock_.now() - kAnswersKept);
    auto work = [oldest](store::Connection& connection) -> Result<void> {
        connection.prepare("DELETE FROM idempotency WHERE stored<=?").bind(oldest).run();
        return {};
    };
    co_return co_await database_.write(std::move(work));
}

asio::awaitable<Result<DocumentView>> Documents::find(std::string id) {
    auto look_up = [&id](store::Connection& connection) { return records::find_document(connection, id); };
    auto found = co_await database_.read(std::move(look_up));
    if (found) co_return std::move(*found);
    co_return Error{Errc::not_found, "no document with this id"};
}

asio::awaitable<std::vector<DocumentView>> Documents::list(DocumentFilter filter) {
    auto look_up = [&filter](store::Connection& connection) {
        std::vector<std::string> ids;
        auto& rows =
            connection
                .prepare(
                    "SELECT id FROM document WHERE (?1='' OR category=?1) AND (?2='' OR status=?2) AND "
                    "id>?3 ORDER BY id LIMIT ?4")
                .bind(filter.category, filter.status, filter.after, filter.items_max);
        while (rows.step()) ids.push_back(rows.string(0));
        std::vector<DocumentView> views;
        for (const auto& id : ids) {
            if (auto view = records::find_document(connection, id)) views.push_back(std::move(*view));
        }
        return views;
    };
    co_return co_await database_.read(std::move(look_up));
}

asio::awaitable<void> Documents::sweep_blobs() {
    auto list_files = [this] { return blobs_.list(kSweepAge); };
    std::vector<std::string> files = co_await pool_.run(std::move(list_files));
    auto look_up = [](store::Connection& connection) {
        std::unordered_set<std::string> names;
        auto& rows = connection.prepare("SELECT name FROM blob").bind();
        while (rows.step()) names.insert(rows.string(0));
        return names;
    };
    const std::unordered_set<std::string> known = co_await database_.read(std::move(look_up));
    std::erase_if(files, [&known](const std::string& name) { return known.contains(name); });
    co_await remove_blobs(std::move(files));
}

Operations::Operations(asio::any_io_executor io, store::Database& database, Clock& clock)
    : io_(std::move(io)), database_(database), clock_(clock) {
    database_.listen([this](const std::string& document) { heard(document); });
}

Operations::~Operations() { database_.listen(nullptr); }

asio::awaitable<Result<OperationView>> Operations::find(std::string id) {
    auto look_up = [&id](store::Connection& connection) { return records::find_operation(connection, id); };
    auto found = co_await database_.read(std::move(look_up));
    if (found) co_return std::move(*found);
    co_return Error{Errc::not_found, "no operation with this id"};
}

/// Wakes waiters of one document; `count` tells a waiter that it missed a change while it was looking.
struct Operations::Change {
    explicit Change(const asio::any_io_executor& io) : signal(io) {}
    Signal signal;
    std::uint64_t count = 0;
};

asio::awaitable<Result<OperationView>> Operations::wait(std::string id, Duration time) {
    using namespace asio::experimental::awaitable_operators;
    const TimePoint deadline = clock_.now() + std::min(time, limits::long_poll_time_max);
    auto found = co_await find(id);
    if (!found || found->ended()) co_return found;
    const std::string document = found->subject;
    std::shared_ptr<Change> change = change_of(document);
    // Also where this coroutine is cancelled while it waits.
    const std::shared_ptr<void> forget(nullptr, [this, &change, document](void*) {
        change.reset();
        const auto entry = waiting_.find(document);
        if (entry != waiting_.end() && entry->second.expired()) waiting_.erase(entry);
    });
    while (true) {
        const std::uint64_t count = change->count;
        found = co_await find(id);
        if (!found || found->ended() || clock_.now() >= deadline) break;
        if (change->count != count) continue;
        auto changed = change->signal.wait();
        // Another process is heard of, but not while the connection that listens is away.
        const TimePoint look_again = clock_.now() + kLookAgain;
        auto late = clock_.sleep_until(database_.shared() ? std::min(deadline, look_again) : deadline);
        auto either = std::move(changed) || std::move(late);
        co_await std::move(either);
    }
    co_return found;
}

std::shared_ptr<Operations::Change> Operations::change_of(const std::string& document) {
    auto& slot = waiting_[document];
    std::shared_ptr<Change> change = slot.lock();
    if (!change) slot = change = std::make_shared<Change>(io_);
    return change;
}

void Operations::changed(const std::string& document) {
    const auto found = waiting_.find(document);
    if (found == waiting_.end()) return;
    if (const auto change = found->second.lock()) {
        change->count += 1;
        change->signal.notify();
    }
}

// What other processes have said; "" where it is not known what.
void Operations::heard(const std::string& document) {
    if (!document.empty()) return changed(document);
    for (const auto& [waited_for, change] : waiting_) {
        if (const auto alive = change.lock()) {
            alive->count += 1;
            alive->signal.notify();
        }
    }
}

}  // namespace millrace::work
