#include "index/rows.hpp"

#include "base/limits.hpp"

#include <algorithm>
#include <bit>
#include <charconv>

namespace millrace::index {

static_assert(std::endian::native == std::endian::little, "vectors are stored as little-endian numbers");

namespace {

// Indexed in about 6 ms.
constexpr std::size_t kDocumentTextBytesMax = 256 * limits::kKiB;

std::string_view bytes_of(std::span<const float> vector) {
    return {reinterpret_cast<const char*>(vector.data()), vector.size_bytes()};
}

/// The number after the last '/' of a model key; 0 if there is none.
std::size_t dimensions_of(const std::string& model) {
    const std::size_t slash = model.rfind('/');
    std::size_t value = 0;
    if (slash != std::string::npos)
        std::from_chars(model.data() + slash + 1, model.data() + model.size(), value);
    return value;
}

std::int64_t model_row(store::Connection& database, const std::string& name) {
    database.prepare("INSERT INTO model (name) VALUES (?) ON CONFLICT DO NOTHING").bind(name).run();
    auto& find = database.prepare("SELECT id FROM model WHERE name = ?").bind(name);
    find.step();
    const std::int64_t id = find.integer(0);
    find.reset();
    return id;
}

bool newer_is_live(store::Connection& database, const DocumentVersion& version) {
    auto& find = database.prepare("SELECT 1 FROM version WHERE document = ? AND live = 1 AND generation > ?");
    find.bind(version.id, version.generation);
    const bool found = find.step();
    find.reset();
    return found;
}

Error newer_live_error(const DocumentVersion& version) {
    return {Errc::conflict, "a newer version of document " + version.id + " is live"};
}

void park_row(store::Connection& database, std::int64_t version) {
    database.prepare("UPDATE version SET generation = -id, live = 0 WHERE id = ?").bind(version).run();
}

std::vector<std::uint32_t> missing_ordinals(store::Connection& database, std::int64_t version) {
    std::vector<std::uint32_t> missing;
    auto& find =
        database.prepare("SELECT ordinal FROM chunk WHERE version = ? AND embedded = 0 ORDER BY ordinal");
    find.bind(version);
    while (find.step()) missing.push_back(static_cast<std::uint32_t>(find.integer(0)));
    return missing;
}

std::size_t count_missing(store::Connection& database, std::int64_t version) {
    auto& count =
        database.prepare("SELECT count(*) FROM chunk WHERE version = ? AND embedded = 0").bind(version);
    count.step();
    const auto missing = static_cast<std::size_t>(count.integer(0));
    count.reset();
    return missing;
}

bool same_content(store::Connection& database, const VersionRow& row, const StageInput& input) {
    if (row.chunks != input.chunks.size() || row.title != input.version.title || row.model != input.model ||
        row.category != input.version.category) {
        return false;
    }
    auto& rows =
        database.prepare("SELECT hash, heading FROM chunk WHERE version = ? ORDER BY ordinal").bind(row.id);
    std::size_t same = 0;
    while (rows.step() && rows.text(0) == input.hashes[same] && rows.text(1) == input.chunks[same].heading)
        ++same;
    rows.reset();
    return same == input.chunks.size();
}

/// The row of a passage with this text that `model` has embedded; 0: none.
std::int64_t embedded_before(store::Connection& database, const std::string& hash, std::int64_t model) {
    auto& find =
        database.prepare("SELECT id FROM chunk WHERE hash = ? AND model = ? AND embedded = 1 LIMIT 1");
    find.bind(store::Blob{hash}, model);
    const std::int64_t id = find.step() ? find.integer(0) : 0;
    find.reset();
    return id;
}

bool being_staged(store::Connection& database, std::int64_t version) {
    auto& find =
        database.prepare("SELECT 1 FROM version WHERE id = ? AND generation >= 0 AND chunks IS NULL");
    const bool found = find.bind(version).step();
    find.reset();
    return found;
}

/// Answers true if the passage has a vector.
bool stage_row(store::Connection& database, const StageInput& input, std::int64_t version, std::int64_t model,
               std::size_t ordinal) {
    const ChunkText& chunk = input.chunks[ordinal];
    const std::int64_t same = embedded_before(database, input.hashes[ordinal], model);
    database
        .prepare(
            "INSERT INTO chunk (version, ordinal, heading, page, begin, end, tokens, hash, model, embedded, "
            "text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(version, ordinal, chunk.heading, chunk.page, chunk.begin, chunk.end, chunk.tokens,
              store::Blob{input.hashes[ordinal]}, model, same != 0, chunk.text)
        .run();
    const std::int64_t id = database.last_insert_row();
    database.prepare("INSERT INTO chunk_words (rowid, title, heading, text) VALUES (?, ?, ?, ?)")
        .bind(id, input.version.title, chunk.heading, chunk.text)
        .run();
    if (same == 0) return false;
    database
        .prepare(
            "INSERT INTO chunk_vector (chunk, vector) SELECT ?, vector FROM chunk_vector WHERE chunk = ?")
        .bind(id, same)
        .run();
    return true;
}

/// The words of a document as a whole: of its first passages, which bounds what one command writes. What a
/// passage repeats of the one before is taken once, or BM25 would count it twice.
class DocumentText {
  public:
    /// `begin` and `end`: the place of `passage` in the document. False once the text is full.
    bool add(std::string_view passage, std::uint64_t begin, std::uint64_t end) {
        const bool placed = end - begin == passage.size();
        const std::uint64_t repeated = placed && begin < end_ ? std::min(end_, end) - begin : 0;
        end_ = std::max(end_, end);
        passage.remove_prefix(repeated);
        text_.append(passage.substr(0, kDocumentTextBytesMax - text_.size())).append("\n");
        return text_.size() < kDocumentTextBytesMax;
    }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
    std::uint64_t end_ = 0;
};

void add_document_words(store::Connection& database, std::int64_t version, const StageInput& input) {
    DocumentText document;
    for (const ChunkText& chunk : input.chunks) {
        if (!document.add(chunk.text, chunk.begin, chunk.end)) break;
    }
    database.prepare("INSERT INTO document_words (rowid, title, text) VALUES (?, ?, ?)")
        .bind(version, input.version.title, document.text())
        .run();
}

/// Needs the passages; does nothing where there are no words (any more).
void remove_document_words(store::Connection& database, std::int64_t version) {
    auto& find =
        database.prepare("SELECT title FROM version WHERE id = ? AND live = 0 AND chunks IS NOT NULL");
    if (!find.bind(version).step()) return;
    const std::string title = find.string(0);
    find.reset();
    DocumentText document;
    auto& passages =
        database.prepare("SELECT text, begin, end FROM chunk WHERE version = ? ORDER BY ordinal");
    passages.bind(version);
    const auto place = [&](int column) { return static_cast<std::uint64_t>(passages.integer(column)); };
    while (passages.step() && document.add(passages.text(0), place(1), place(2))) {
    }
    passages.reset();
    database
        .prepare("INSERT INTO document_words (document_words, rowid, title, text) VALUES ('delete', ?, ?, ?)")
        .bind(version, title, document.text())
        .run();
    database.prepare("UPDATE version SET chunks = NULL WHERE id = ?").bind(version).run();
}

void set_stamp(store::Connection& database, std::uint64_t stamp) {
    database.prepare("UPDATE index_state SET stamp = ?").bind(static_cast<std::int64_t>(stamp)).run();
}

}  // namespace

std::optional<VersionRow> find_version(store::Connection& database, const std::string& document,
                                       std::int64_t generation) {
    auto& find = database.prepare(
        "SELECT v.id, v.title, v.category, m.name, v.chunks, v.live FROM version v JOIN model m ON m.id = "
        "v.model"
        " WHERE v.document = ? AND v.generation = ?");
    find.bind(document, generation);
    if (generation < 0 || !find.step()) return std::nullopt;
    VersionRow row{find.integer(0), find.string(1), find.string(2),
                   find.string(3),  std::nullopt,   find.integer(5) != 0};
    if (!find.is_null(4)) row.chunks = static_cast<std::size_t>(find.integer(4));
    find.reset();
    return row;
}

Result<StageStart> begin_stage(store::Connection& database, const StageInput& input) {
    if (newer_is_live(database, input.version)) return newer_live_error(input.version);
    StageStart start;
    const auto earlier = find_version(database, input.version.id, input.version.generation);
    if (earlier && (earlier->live || same_content(database, *earlier, input))) {
        start.done = {earlier->chunks.value_or(0), missing_ordinals(database, earlier->id)};
        return start;
    }
    if (earlier) {
        park_row(database, earlier->id);
        start.parked.push_back(earlier->id);
    }
    const std::int64_t model = model_row(database, input.model);
    database
        .prepare("INSERT INTO version (document, generation, title, category, model) VALUES (?, ?, ?, ?, ?)")
        .bind(input.version.id, input.version.generation, input.version.title, input.version.category, model)
        .run();
    start.version = database.last_insert_row();
    return start;
}

Result<std::vector<std::uint32_t>> stage_rows(store::Connection& database, const StageInput& input,
                                              std::int64_t version, std::size_t first, std::size_t last) {
    if (!being_staged(database, version)) {
        return Error{Errc::conflict,
                     "document " + input.version.id + " was staged anew or removed meanwhile"};
    }
    const std::int64_t model = model_row(database, input.model);
    std::vector<std::uint32_t> missing;
    for (std::size_t ordinal = first; ordinal < last; ++ordinal) {
        const bool embedded = stage_row(database, input, version, model, ordinal);
        if (!embedded) missing.push_back(static_cast<std::uint32_t>(ordinal));
    }
    if (last == input.chunks.size()) {
        add_document_words(database, version, input);
        database.prepare("UPDATE version SET chunks = ? WHERE id = ?")
            .bind(input.chunks.size(), version)
            .run();
    }
    return missing;
}

Result<std::vector<Index::StagedText>> staged_rows(store::Connection& database, const std::string& document,
                                                   std::int64_t generation,
                                                   std::span<const std::uint32_t> ordinals) {
    const Error gone{Errc::not_found, "this version of document " + document + " is gone"};
    const auto row = find_version(database, document, generation);
    if (!row) return gone;
    std::vector<Index::StagedText> texts;
    for (const std::uint32_t ordinal : ordinals) {
        auto& find = database.prepare("SELECT text, embedded FROM chunk WHERE version = ? AND ordinal = ?");
        if (!find.bind(row->id, ordinal).step()) return gone;
        texts.push_back({find.string(0), find.integer(1) != 0});
        find.reset();
    }
    return texts;
}

std::vector<bool> remembered_rows(store::Connection& database, const std::string& model,
                                  std::span<const std::string> hashes) {
    std::vector<bool> remembered(hashes.size(), false);
    auto& find = database.prepare("SELECT id FROM model WHERE name = ?").bind(model);
    const std::int64_t row = find.step() ? find.integer(0) : 0;
    find.reset();
    if (row == 0) return remembered;
    for (std::size_t i = 0; i < hashes.size(); ++i)
        remembered[i] = embedded_before(database, hashes[i], row) != 0;
    return remembered;
}

std::vector<Index::Unembedded> unembedded_rows(store::Connection& database) {
    std::vector<Index::Unembedded> list;
    auto& rows = database.prepare(
        "SELECT v.document, v.generation, w.chunks, w.tokens FROM (SELECT version, count(*) AS chunks, "
        "sum(tokens) AS tokens FROM chunk WHERE embedded = 0 GROUP BY version) w CROSS JOIN version v ON "
        "v.id = w.version WHERE v.generation >= 0");
    while (rows.step()) list.push_back({rows.string(0), rows.integer(1), rows.integer(2), rows.integer(3)});
    return list;
}

Result<std::size_t> put_vector_rows(store::Connection& database, const std::string& document,
                                    std::int64_t generation,
                                    std::span<const OrdinalVectors::value_type> vectors) {
    const auto row = find_version(database, document, generation);
    if (!row) return Error{Errc::not_found, "this version of document " + document + " is gone"};
    const std::size_t expected = dimensions_of(row->model);
    for (const auto& [ordinal, vector] : vectors) {
        if (expected != 0 && vector.size() != expected) {
            return Error{Errc::invalid_input, "a vector of " + row->model + " came with " +
                                                  std::to_string(vector.size()) + " numbers"};
        }
        auto& find = database.prepare("SELECT id, embedded FROM chunk WHERE version = ? AND ordinal = ?");
        if (!find.bind(row->id, ordinal).step()) {
            return Error{Errc::not_found,
                         "document " + document + " has no passage " + std::to_string(ordinal)};
        }
        const std::int64_t chunk = find.integer(0);
        const bool embedded = find.integer(1) != 0;
        find.reset();
        if (embedded) continue;
        database.prepare("INSERT INTO chunk_vector (chunk, vector) VALUES (?, ?)")
            .bind(chunk, store::Blob{bytes_of(vector)})
            .run();
        database.prepare("UPDATE chunk SET embedded = 1 WHERE id = ?").bind(chunk).run();
    }
    return count_missing(database, row->id);
}

Result<Published> publish_rows(store::Connection& database, const DocumentVersion& version,
                               std::int64_t expected, std::uint64_t stamp) {
    if (newer_is_live(database, version)) return newer_live_error(version);
    const auto row = find_version(database, version.id, version.generation);
    if (!row) return Error{Errc::not_found, "this version of document " + version.id + " is gone"};
    Published published;
    published.chunks = row->chunks.value_or(0);
    published.unchanged = row->live;
    if (row->live) return published;
    if (row->id != expected)
        return Error{Errc::conflict, "document " + version.id + " was staged anew meanwhile"};
    if (!row->chunks) return Error{Errc::conflict, "document " + version.id + " is not completely staged"};
    const std::size_t missing = count_missing(database, row->id);
    if (missing > 0) {
        return Error{Errc::conflict,
                     std::to_string(missing) + " passages of document " + version.id + " have no vector yet"};
    }
    auto& older =
        database.prepare("SELECT id, live, chunks FROM version WHERE document = ? AND generation < ?");
    older.bind(version.id, version.generation);
    while (older.step()) {
        published.superseded.push_back(older.integer(0));
        if (older.integer(1) == 0) continue;
        published.was_live = true;
        published.live_chunks_removed = static_cast<std::size_t>(older.integer(2));
    }
    for (const std::int64_t id : published.superseded) park_row(database, id);
    database.prepare("UPDATE version SET live = 1 WHERE id = ?").bind(row->id).run();
    set_stamp(database, stamp);
    return published;
}

Published unpublish_rows(store::Connection& database, const std::string& document, std::uint64_t stamp) {
    Published removed;
    auto& all = database.prepare("SELECT id, live, chunks FROM version WHERE document = ?").bind(document);
    while (all.step()) {
        removed.superseded.push_back(all.integer(0));
        if (all.integer(1) == 0) continue;
        removed.was_live = true;
        removed.live_chunks_removed = static_cast<std::size_t>(all.integer(2));
    }
    for (const std::int64_t id : removed.superseded) park_row(database, id);
    removed.unchanged = !removed.was_live;
    if (removed.was_live) set_stamp(database, stamp);
    return removed;
}

std::int64_t park(store::Connection& database, const std::string& document, std::int64_t generation) {
    const auto row = find_version(database, document, generation);
    if (!row || row->live) return 0;
    park_row(database, row->id);
    return row->id;
}

bool purge_rows(store::Connection& database, std::int64_t version) {
    struct Row {
        std::int64_t id;
        std::string title, heading, text;
    };
    remove_document_words(database, version);
    std::vector<Row> rows;
    auto& find = database.prepare(
        "SELECT c.id, v.title, c.heading, c.text FROM version v JOIN chunk c ON c.version = v.id"
        " WHERE v.id = ? AND v.live = 0 LIMIT ?");
    find.bind(version, kRowsPerCommand);
    while (find.step()) rows.push_back({find.integer(0), find.string(1), find.string(2), find.string(3)});
    for (const Row& row : rows) {
        database
            .prepare(
                "INSERT INTO chunk_words (chunk_words, rowid, title, heading, text) VALUES ('delete', ?, ?, "
                "?, ?)")
            .bind(row.id, row.title, row.heading, row.text)
            .run();
        database.prepare("DELETE FROM chunk_vector WHERE chunk = ?").bind(row.id).run();
        database.prepare("DELETE FROM chunk WHERE id = ?").bind(row.id).run();
    }
    if (rows.size() == kRowsPerCommand) return false;
    database.prepare("DELETE FROM version WHERE id = ? AND live = 0").bind(version).run();
    return true;
}

std::vector<Unpublished> unpublished(store::Connection& database) {
    std::vector<Unpublished> found;
    auto& find = database.prepare(
        "SELECT v.id, v.document, v.generation, coalesce(l.generation, 0) FROM version v"
        " LEFT JOIN version l ON l.document = v.document AND l.live = 1 WHERE v.live = 0");
    while (find.step()) found.push_back({find.integer(0), find.string(1), find.integer(2), find.integer(3)});
    return found;
}

bool is_orphan(store::Connection& state, const Unpublished& version) {
    if (version.generation < 0 || version.generation < version.live) return true;
    auto& find = state.prepare("SELECT generation, live FROM document WHERE id=?").bind(version.document);
    if (!find.step()) return true;
    const bool superseded = version.generation < find.integer(0) && version.generation != find.integer(1);
    find.reset();
    return superseded;
}

}  // namespace millrace::index
