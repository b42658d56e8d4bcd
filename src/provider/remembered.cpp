#include "provider/remembered.hpp"

#include "base/ids.hpp"
#include "telemetry/log.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace millrace::provider {

namespace {

using store::Connection;
using Vector = std::vector<float>;

constexpr std::int64_t kPrunedAtOnce = 500;  // others wait for the writer meanwhile
// The parameters of one look-up: of vectors, and of nothing but whether they are there.
constexpr std::size_t kAtOnce = 8;
constexpr std::size_t kKnownAtOnce = 64;

std::string_view bytes_of(const Vector& vector) {
    return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

Vector vector_of(std::string_view bytes) {
    Vector vector(bytes.size() / sizeof(float));
    std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
    return vector;
}

/// `columns` of up to as many `hashes` as there are numbers, which stay alive until the last row was read.
template <std::size_t... I>
store::Statement& find_rows(Connection& connection, std::string_view columns, const std::string& identity,
                            std::span<const std::string> hashes, std::index_sequence<I...>) {
    std::string sql = "SELECT " + std::string(columns) + " FROM embedding WHERE model = ? AND hash IN (?";
    for (std::size_t i = 1; i < sizeof...(I); ++i) sql += ", ?";
    return connection.prepare(sql + ")").bind(identity, hashes[std::min(I, hashes.size() - 1)]...);
}

/// The vectors of up to kAtOnce `hashes`.
void look_up(Connection& connection, const std::string& identity, std::span<const std::string> hashes,
             std::unordered_map<std::string, Vector>& found) {
    auto& rows = find_rows(connection, "hash, vector", identity, hashes, std::make_index_sequence<kAtOnce>());
    while (rows.step()) found[rows.string(0)] = vector_of(rows.text(1));
}

/// Those of `hashes` that have a vector.
std::unordered_set<std::string> find_known(Connection& connection, const std::string& identity,
                                           std::span<const std::string> hashes) {
    std::unordered_set<std::string> known;
    for (std::size_t at = 0; at < hashes.size(); at += kKnownAtOnce) {
        const auto some = hashes.subspan(at, std::min(kKnownAtOnce, hashes.size() - at));
        auto& rows = find_rows(connection, "hash", identity, some, std::make_index_sequence<kKnownAtOnce>());
        while (rows.step()) known.insert(rows.string(0));
    }
    return known;
}

}  // namespace

/// One for each hash; empty where it is not known.
boost::asio::awaitable<std::vector<Vector>> Remembered::find(const std::vector<std::string>& hashes) {
    std::vector<Vector> vectors(hashes.size());
    auto work = [&hashes, &identity = identity_](Connection& connection) {
        std::unordered_map<std::string, Vector> found;
        const std::span<const std::string> all(hashes);
        for (std::size_t at = 0; at < all.size(); at += kAtOnce)
            look_up(connection, identity, all.subspan(at, std::min(kAtOnce, all.size() - at)), found);
        return found;
    };
    try {
        const auto found = co_await database_.read(std::move(work));
        for (std::size_t i = 0; i < hashes.size(); ++i)
            if (const auto known = found.find(hashes[i]); known != found.end()) vectors[i] = known->second;
    } catch (const MachineError& broken) {
        telemetry::log_warning("remembered vectors", "database", broken.what());
    }
    co_return vectors;
}

boost::asio::awaitable<void> Remembered::store(std::vector<std::string> hashes,
                                               const Embeddings& embeddings) {
    auto work = [hashes = std::move(hashes), vectors = embeddings.vectors, identity = identity_,
                 now = to_millis(clock_.now())](Connection& connection) -> Result<void> {
        for (std::size_t i = 0; i < vectors.size(); ++i) {
            connection
                .prepare(
                    "INSERT INTO embedding (model, hash, vector, stored) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (model, hash) DO NOTHING")
                .bind(identity, hashes[i], store::Blob{bytes_of(vectors[i])}, now)
                .run();
        }
        return {};
    };
    try {
        auto stored = co_await database_.write(std::move(work));
        (void)stored;
    } catch (const MachineError& broken) {
        telemetry::log_warning("remembered vectors", "database", broken.what());
    }
}

boost::asio::awaitable<Outcome<Embeddings>> Remembered::embed(std::vector<std::string> inputs,
                                                              CallContext context) {
    std::vector<std::string> hashes;
    hashes.reserve(inputs.size());
    for (const std::string& input : inputs) hashes.push_back(sha256_hex(input));
    auto vectors = co_await find(hashes);
    std::vector<std::string> missing;
    std::vector<std::string> missing_hashes;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!vectors[i].empty()) continue;
        missing.push_back(std::move(inputs[i]));
        missing_hashes.push_back(hashes[i]);
    }
    Embeddings all;
    if (!missing.empty()) {
        auto asked = inner_.embed(std::move(missing), std::move(context));
        auto answer = co_await std::move(asked);
        if (!answer) co_return answer;
        auto storing = store(std::move(missing_hashes), *answer);
        co_await std::move(storing);
        all.usage = answer->usage;
        auto next = answer->vectors.begin();
        for (Vector& vector : vectors)
            if (vector.empty() && next != answer->vectors.end()) vector = std::move(*next++);
    }
    for (Vector& vector : vectors) {
        if (vector.empty()) break;  // of fewer vectors than inputs, those behind them failed
        all.vectors.push_back(std::move(vector));
    }
    co_return all;
}

boost::asio::awaitable<std::vector<bool>> Remembered::known(std::vector<std::string> inputs) {
    std::vector<bool> known(inputs.size(), false);
    if (inputs.empty()) co_return known;
    auto work = [inputs = std::move(inputs), identity = identity_](Connection& connection) {
        std::vector<std::string> hashes;
        hashes.reserve(inputs.size());
        for (const std::string& input : inputs) hashes.push_back(sha256_hex(input));
        const auto found = find_known(connection, identity, hashes);
        std::vector<bool> each;
        for (const std::string& hash : hashes) each.push_back(found.contains(hash));
        return each;
    };
    try {
        known = co_await database_.read(std::move(work));
    } catch (const MachineError& broken) {
        telemetry::log_warning("remembered vectors", "database", broken.what());
    }
    co_return known;
}

boost::asio::awaitable<std::int64_t> Remembered::prune(store::Database& database, TimePoint before) {
    auto work = [before = to_millis(before)](Connection& connection) -> Result<std::int64_t> {
        connection
            .prepare(
                "DELETE FROM embedding WHERE (model, hash) IN (SELECT model, hash FROM embedding WHERE "
                "stored < "
                "? LIMIT ?)")
            .bind(before, kPrunedAtOnce)
            .run();
        return connection.changes();
    };
    std::int64_t all = 0;
    while (true) {
        const auto forgotten = co_await database.write(work);
        if (forgotten) all += *forgotten;
        if (!forgotten || *forgotten < kPrunedAtOnce) co_return all;
    }
}

}  // namespace millrace::provider
