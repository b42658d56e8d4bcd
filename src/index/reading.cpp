#include "index/reading.hpp"

#include "index/keyword.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace millrace::index {

namespace {

// Measured best from 0.4 to 0.6 on both sets of docs/search.md.
constexpr double kDocumentShare = 0.5;

std::vector<float> floats_of(std::string_view bytes) {
    std::vector<float> vector(bytes.size() / sizeof(float));
    std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
    return vector;
}

/// A passage that matches, and the version it is of.
struct Match {
    Ranked passage;
    std::int64_t version = 0;
};

// The ranking drives: its rows come best first, and the join is done for as many as are needed.
std::vector<Match> match_passages(store::Connection& database, const std::string& expression,
                                  const std::string& category, std::size_t count) {
    std::vector<Match> found;
    auto& find = database.prepare(
        "SELECT w.rowid, w.rank, v.id FROM chunk_words w CROSS JOIN chunk c ON c.id = w.rowid"
        " CROSS JOIN version v ON v.id = c.version"
        " WHERE w.chunk_words MATCH ? AND v.live = 1 AND (? = '' OR v.category = ?) ORDER BY w.rank LIMIT ?");
    find.bind(expression, category, category, count);
    while (find.step()) found.push_back({{find.integer(0), -find.real(1)}, find.integer(2)});
    return found;
}

std::vector<Ranked> match_documents(store::Connection& database, const std::string& expression,
                                    const std::string& category, std::size_t count) {
    std::vector<Ranked> found;
    auto& find = database.prepare(
        "SELECT w.rowid, w.rank FROM document_words w CROSS JOIN version v ON v.id = w.rowid"
        " WHERE w.document_words MATCH ? AND v.live = 1 AND (? = '' OR v.category = ?) ORDER BY w.rank LIMIT "
        "?");
    find.bind(expression, category, category, count);
    while (find.step()) found.push_back({find.integer(0), -find.real(1)});
    return found;
}

bool ranks_first(const Ranked& a, const Ranked& b) {
    return a.score != b.score ? a.score > b.score : a.id < b.id;
}

/// A place in a ranking with the names that break ties.
struct Named {
    Ranked ranked;
    std::string document;
    std::uint32_t ordinal = 0;
};

std::vector<Named> with_names(store::Connection& database, const std::vector<Ranked>& ranking) {
    std::vector<Named> named;
    named.reserve(ranking.size());
    for (const Ranked& ranked : ranking) {
        auto& find = database.prepare(
            "SELECT v.document, c.ordinal FROM chunk c JOIN version v ON v.id = c.version WHERE c.id = ?");
        if (!find.bind(ranked.id).step()) continue;
        named.push_back({ranked, find.string(0), static_cast<std::uint32_t>(find.integer(1))});
        find.reset();
    }
    std::sort(named.begin(), named.end(), [](const Named& a, const Named& b) {
        return std::tie(b.ranked.score, a.document, a.ordinal) <
               std::tie(a.ranked.score, b.document, b.ordinal);
    });
    return named;
}

SearchHit read_hit(store::Connection& database, const Named& named) {
    auto& find = database.prepare(
        "SELECT v.title, v.category, c.heading, c.page, c.text FROM chunk c JOIN version v ON v.id = "
        "c.version"
        " WHERE c.id = ?");
    find.bind(named.ranked.id).step();
    SearchHit hit{named.document, named.ordinal,     find.string(0),
                  find.string(1), find.string(2),    static_cast<int>(find.integer(3)),
                  find.string(4), named.ranked.score};
    find.reset();
    return hit;
}

}  // namespace

Stamp read_stamp(store::Connection& database) {
    return static_cast<Stamp>(database.integer("SELECT stamp FROM index_state"));
}

std::vector<Ranked> keyword_ranking(store::Connection& database, const std::string& query,
                                    const std::string& category, std::size_t count, std::size_t enough) {
    const std::vector<std::string> words = query_words(query);
    if (words.empty()) return {};
    std::vector<Match> matches = match_passages(database, match_expression(words, true), category, count);
    const std::string any = match_expression(words, false);
    if (words.size() > 1 && matches.size() < enough) matches = match_passages(database, any, category, count);

    std::vector<Ranked> ranking;
    std::unordered_map<std::int64_t, std::int64_t> version_of;
    for (const Match& match : matches) {
        ranking.push_back(match.passage);
        version_of[match.passage.id] = match.version;
    }
    const std::vector<Ranked> documents = match_documents(database, any, category, count);
    return add_document_scores(ranking, documents, version_of, kDocumentShare);
}

std::vector<Ranked> exact_ranking(store::Connection& database, const std::vector<Candidate>& candidates,
                                  const std::vector<float>& vector) {
    std::vector<Ranked> ranking;
    ranking.reserve(candidates.size());
    for (const Candidate& candidate : candidates) {
        auto& find =
            database.prepare("SELECT vector FROM chunk_vector WHERE chunk = ?").bind(candidate.chunk);
        if (!find.step()) continue;
        const std::vector<float> stored = floats_of(find.text(0));
        find.reset();
        double score = 0;
        for (std::size_t i = 0; i < std::min(stored.size(), vector.size()); ++i)
            score += stored[i] * vector[i];
        ranking.push_back({candidate.chunk, score});
    }
    std::sort(ranking.begin(), ranking.end(), ranks_first);
    return ranking;
}

std::vector<LiveVersion> read_live_versions(store::Connection& database) {
    std::vector<LiveVersion> versions;
    auto& find = database.prepare(
        "SELECT v.id, m.name, v.category, v.chunks FROM version v JOIN model m ON m.id = v.model WHERE "
        "v.live = 1");
    while (find.step()) {
        versions.push_back(
            {find.integer(0), find.string(1), find.string(2), static_cast<std::size_t>(find.integer(3))});
    }
    return versions;
}

QuantizedRows read_vectors(store::Connection& database, std::int64_t version, std::size_t first,
                           std::size_t count) {
    QuantizedRows rows;
    auto& find = database.prepare(
        "SELECT c.id, e.vector FROM chunk c CROSS JOIN chunk_vector e ON e.chunk = c.id"
        " WHERE c.version = ? AND c.ordinal >= ? ORDER BY c.ordinal LIMIT ?");
    find.bind(version, first, count);
    while (find.step()) rows.add(find.integer(0), floats_of(find.text(1)));
    return rows;
}

std::vector<SearchHit> read_hits(store::Connection& database, const std::vector<Ranked>& ranking,
                                 std::size_t top, std::size_t chunks_per_document_max) {
    std::vector<SearchHit> hits;
    std::unordered_map<std::string, std::size_t> taken;
    for (const Named& named : with_names(database, ranking)) {
        if (hits.size() == top) break;
        if (chunks_per_document_max != 0 && taken[named.document]++ >= chunks_per_document_max) continue;
        hits.push_back(read_hit(database, named));
    }
    return hits;
}

}  // namespace millrace::index
