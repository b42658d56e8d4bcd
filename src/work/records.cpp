#include "work/records.hpp"

#include "base/ids.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::work {

namespace json = boost::json;

namespace {

constexpr std::string_view kStatusWords[] = {"accepted", "running", "succeeded", "failed"};

constexpr std::string_view kDocumentColumns =
    "id, title, category, metadata, uploaded_at, status, generation, live, chunks, error, operation, "
    "created_at, "
    "updated_at";

Status status_of(std::string_view word) { return parse_status(word).value_or(Status::failed); }

json::object parse_object(std::string_view text) {
    boost::system::error_code error;
    json::value value = json::parse(text, error);
    return !error && value.is_object() ? std::move(value.as_object()) : json::object();
}

}  // namespace

std::string_view to_string(Status status) noexcept { return kStatusWords[static_cast<int>(status)]; }

std::optional<Status> parse_status(std::string_view word) noexcept {
    for (int i = 0; i < 4; ++i) {
        if (kStatusWords[i] == word) return static_cast<Status>(i);
    }
    return std::nullopt;
}

namespace records {

namespace {

DocumentView document_row(store::Statement& row) {
    DocumentView view;
    view.id = row.string(0);
    view.title = row.string(1);
    view.category = row.string(2);
    view.metadata = row.string(3);
    view.uploaded_at = row.string(4);
    view.status = status_of(row.text(5));
    view.generation = row.integer(6);
    view.live = row.integer(7);
    view.chunks = row.integer(8);
    view.error = row.string(9);
    view.operation = row.string(10);
    view.created_at = from_millis(row.integer(11));
    view.updated_at = from_millis(row.integer(12));
    return view;
}

}  // namespace

std::optional<DocumentView> find_document(store::Connection& connection, std::string_view id) {
    static const std::string sql = "SELECT " + std::string(kDocumentColumns) + " FROM document WHERE id=?";
    auto& row = connection.prepare(sql).bind(id);
    if (!row.step()) return std::nullopt;
    DocumentView view = document_row(row);
    row.reset();
    return view;
}

std::optional<OperationView> find_operation(store::Connection& connection, std::string_view id) {
    auto& row =
        connection
            .prepare(
                "SELECT id, kind, subject, generation, status, stage, done, total, wait_reason, attempts, "
                "result, error, prompt_tokens, completion_tokens, created_at, updated_at FROM operation "
                "WHERE id=?")
            .bind(id);
    if (!row.step()) return std::nullopt;
    OperationView view;
    view.id = row.string(0);
    view.kind = row.string(1);
    view.subject = row.string(2);
    view.generation = row.integer(3);
    view.status = status_of(row.text(4));
    view.stage = row.string(5);
    view.done = row.integer(6);
    view.total = row.integer(7);
    view.wait_reason = row.string(8);
    view.attempts = row.string(9);
    view.result = row.string(10);
    view.error = row.string(11);
    view.prompt_tokens = row.integer(12);
    view.completion_tokens = row.integer(13);
    view.created_at = from_millis(row.integer(14));
    view.updated_at = from_millis(row.integer(15));
    row.reset();
    return view;
}

void adopt(store::Connection& connection, const VersionRef& version, std::string_view title,
           std::string_view category, std::string_view uploaded_at, TimePoint now) {
    const std::string operation = "op_" + to_hex(random_uuid());
    connection
        .prepare(
            "INSERT INTO document (id, title, category, uploaded_at, status, generation, operation, "
            "created_at, "
            "updated_at) VALUES (?1, ?2, ?3, ?4, 'accepted', ?5, ?6, ?7, ?7) ON CONFLICT (id) DO UPDATE SET "
            "title=excluded.title, category=excluded.category, uploaded_at=excluded.uploaded_at, "
            "status='accepted', error='', generation=excluded.generation, operation=excluded.operation, "
            "updated_at=excluded.updated_at WHERE excluded.generation > document.generation")
        .bind(version.document, title, category, uploaded_at, version.generation, operation, to_millis(now))
        .run();
    if (connection.changes() == 0) return;
    connection
        .prepare(
            "INSERT INTO operation (id, kind, subject, generation, status, created_at, updated_at) VALUES "
            "(?1, "
            "'document', ?2, ?3, 'accepted', ?4, ?4)")
        .bind(operation, version.document, version.generation, to_millis(now))
        .run();
}

bool is_newest(store::Connection& connection, const VersionRef& version) {
    auto& row = connection.prepare("SELECT generation FROM document WHERE id=?").bind(version.document);
    const bool newest = row.step() && row.integer(0) == version.generation;
    row.reset();
    return newest;
}

std::set<std::pair<std::string, std::int64_t>> under_way(store::Connection& connection) {
    std::set<std::pair<std::string, std::int64_t>> versions;
    auto& rows = connection.prepare(
        "SELECT subject, generation FROM operation WHERE kind='document' AND status IN ('accepted', "
        "'running')");
    while (rows.step()) versions.emplace(rows.string(0), rows.integer(1));
    return versions;
}

void set_stage(store::Connection& connection, const VersionRef& version, std::string_view stage,
               TimePoint now) {
    connection
        .prepare(
            "UPDATE operation SET status='running', stage=?, wait_reason='', updated_at=? WHERE subject=? "
            "AND "
            "generation=? AND status IN ('accepted', 'running')")
        .bind(stage, to_millis(now), version.document, version.generation)
        .run();
    connection
        .prepare(
            "UPDATE document SET status='running', error='', updated_at=? WHERE id=? AND generation=? AND "
            "status = 'accepted'")
        .bind(to_millis(now), version.document, version.generation)
        .run();
}

void revive(store::Connection& connection, const VersionRef& version, TimePoint now) {
    for (const char* sql :
         {"UPDATE operation SET status='running', error='', updated_at=? WHERE subject=? AND "
          "generation=? AND status='failed'",
          "UPDATE document SET status='running', error='', updated_at=? WHERE id=? AND "
          "generation=? AND status='failed'"}) {
        connection.prepare(sql).bind(to_millis(now), version.document, version.generation).run();
    }
}

void set_progress(store::Connection& connection, const VersionRef& version, std::int64_t done,
                  std::int64_t total, TimePoint now) {
    connection
        .prepare(
            "UPDATE operation SET done=?, total=?, wait_reason='', updated_at=? WHERE subject=? AND "
            "generation=?")
        .bind(done, total, to_millis(now), version.document, version.generation)
        .run();
}

void add_tokens(store::Connection& connection, const VersionRef& version, std::int64_t prompt,
                std::int64_t completion) {
    connection
        .prepare(
            "UPDATE operation SET prompt_tokens=prompt_tokens+?, completion_tokens=completion_tokens+? WHERE "
            "subject=? AND generation=?")
        .bind(prompt, completion, version.document, version.generation)
        .run();
}

void add_attempt(store::Connection& connection, const VersionRef& version, std::string_view stage,
                 std::string_view error, TimePoint now) {
    auto& row = connection.prepare("SELECT attempts FROM operation WHERE subject=? AND generation=?")
                    .bind(version.document, version.generation);
    if (!row.step()) return;
    boost::system::error_code broken;
    json::parse_options options;
    options.allow_invalid_utf8 = true;  // what other systems have said
    json::value attempts = json::parse(row.text(0), broken, {}, options);
    row.reset();
    if (broken || !attempts.is_array()) attempts = json::array();
    if (attempts.get_array().size() >= kAttemptsMax) return;
    attempts.get_array().push_back(json::object{{"at", to_rfc3339(now)}, {"stage", stage}, {"error", error}});
    connection
        .prepare(
            "UPDATE operation SET attempts=?, wait_reason=?, updated_at=? WHERE subject=? AND generation=?")
        .bind(json::serialize(attempts), error, to_millis(now), version.document, version.generation)
        .run();
}

void set_live(store::Connection& connection, const VersionRef& version) {
    connection
        .prepare(
            "UPDATE document SET live=?2, chunks=coalesce((SELECT total FROM operation WHERE subject=?1 AND "
            "generation=?2), 0) WHERE id=?1 AND live <= ?2")
        .bind(version.document, version.generation)
        .run();
}

void set_title(store::Connection& connection, const VersionRef& version, std::string_view title) {
    connection.prepare("UPDATE document SET title=? WHERE id=? AND generation=? AND title=''")
        .bind(title, version.document, version.generation)
        .run();
}

void merge_metadata(store::Connection& connection, const VersionRef& version, std::string_view found) {
    const auto document = find_document(connection, version.document);
    if (!document || document->generation != version.generation) return;
    json::object metadata = parse_object(found);
    for (const auto& member : parse_object(document->metadata)) metadata[member.key()] = member.value();
    connection.prepare("UPDATE document SET metadata=? WHERE id=?")
        .bind(json::serialize(metadata), version.document)
        .run();
}

bool finish_part(store::Connection& connection, const VersionRef& version, Part part, TimePoint now) {
    connection.prepare("UPDATE operation SET parts=parts|?, updated_at=? WHERE subject=? AND generation=?")
        .bind(static_cast<int>(part), to_millis(now), version.document, version.generation)
        .run();
    connection
        .prepare(
            "UPDATE operation SET status='succeeded', stage='ready', wait_reason='', error='' WHERE "
            "subject=? AND "
            "generation=? AND parts=? AND status <> 'succeeded'")
        .bind(version.document, version.generation, kAllParts)
        .run();
    if (connection.changes() == 0) return false;
    connection
        .prepare("UPDATE document SET status='succeeded', error='', updated_at=? WHERE id=? AND generation=?")
        .bind(to_millis(now), version.document, version.generation)
        .run();
    connection.notify(version.document);
    return true;
}

void fail(store::Connection& connection, const VersionRef& version, std::string_view stage,
          std::string_view error, TimePoint now) {
    add_attempt(connection, version, stage, error, now);
    connection
        .prepare(
            "UPDATE operation SET status='failed', stage=?, wait_reason='', error=?, updated_at=? WHERE "
            "subject=? "
            "AND generation=? AND status <> 'succeeded'")
        .bind(stage, error, to_millis(now), version.document, version.generation)
        .run();
    connection
        .prepare(
            "UPDATE document SET status='failed', error=?, updated_at=? WHERE id=? AND generation=? AND "
            "status <> "
            "'succeeded'")
        .bind(error, to_millis(now), version.document, version.generation)
        .run();
    connection.notify(version.document);
}

void supersede(store::Connection& connection, const VersionRef& version, TimePoint now) {
    connection
        .prepare(
            "UPDATE operation SET status='succeeded', stage='superseded', wait_reason='', updated_at=?, "
            "result='{\"superseded\":true}' WHERE subject=? AND generation=? AND status IN ('accepted', "
            "'running')")
        .bind(to_millis(now), version.document, version.generation)
        .run();
    connection.notify(version.document);
}

void add_blob(store::Connection& connection, const VersionRef& version, std::string_view name) {
    connection
        .prepare("INSERT INTO blob (name, document, generation) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(name, version.document, version.generation)
        .run();
}

std::vector<std::string> forget_blobs(store::Connection& connection, const VersionRef& version) {
    std::vector<std::string> names;
    auto& rows = connection.prepare("DELETE FROM blob WHERE document=? AND generation<=? RETURNING name")
                     .bind(version.document, version.generation);
    while (rows.step()) names.push_back(rows.string(0));
    return names;
}

std::vector<std::string> remove_document(store::Connection& connection, std::string_view id) {
    std::vector<std::string> names = forget_blobs(connection, VersionRef{std::string(id), INT64_MAX});
    connection.prepare("DELETE FROM operation WHERE subject=? AND kind='document'").bind(id).run();
    connection.prepare("DELETE FROM document WHERE id=?").bind(id).run();
    connection.notify(id);
    return names;
}

}  // namespace records
}  // namespace millrace::work
