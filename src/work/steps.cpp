#include "work/steps.hpp"

#include "work/tasks.hpp"

namespace millrace::work {

namespace {

constexpr std::int64_t kPrunedAtOnce = 500;  // others wait for the writer meanwhile
/// A result that is used again after this long is noted as used: `prune` goes by the last use.
constexpr Duration kUseNoted = std::chrono::hours(6);

constexpr Duration kKeepTries = std::chrono::minutes(5);
constexpr Duration kKeepPause = std::chrono::milliseconds(200);
constexpr Duration kKeepPauseMax = std::chrono::seconds(5);

struct Remembered {
    std::string result;
    std::int64_t stored = 0;
};

}  // namespace

asio::awaitable<Result<std::string>> Steps::run(std::string name, Work work) {
    auto look_up = [message = message_id_, name](store::Connection& connection) -> std::optional<Remembered> {
        auto& query = connection.prepare("SELECT result, stored FROM step WHERE message=? AND name=?")
                          .bind(message, name);
        if (!query.step()) return std::nullopt;
        Remembered found{query.string(0), query.integer(1)};
        query.reset();
        return found;
    };
    auto remembered = co_await database_.read(std::move(look_up));
    if (remembered) {
        if (from_millis(remembered->stored) + kUseNoted < clock_.now()) co_await note_use(name);
        co_return std::move(remembered->result);
    }

    auto result = co_await work();
    if (!result) co_return result;
    auto keeping = keep(std::move(name), *result);
    const auto kept = co_await std::move(keeping);
    if (!kept) co_return kept.error();
    co_return result;
}

/// Stores a result that is paid for; while the store is out of reach, again and again.
asio::awaitable<Result<void>> Steps::keep(std::string name, std::string result) {
    auto remember = [message = message_id_, name, now = clock_.now(),
                     bytes = std::move(result)](store::Connection& connection) -> Result<void> {
        connection
            .prepare(
                "INSERT INTO step (message, name, result, stored) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(message, name, store::Blob{bytes}, to_millis(now))
            .run();
        return {};
    };
    const TimePoint give_up = clock_.now() + kKeepTries;
    for (Duration pause = kKeepPause;; pause = std::min(2 * pause, kKeepPauseMax)) {
        std::exception_ptr broken;
        try {
            co_return co_await database_.write(remember);
        } catch (const MachineError&) {
            broken = std::current_exception();
        }
        if (clock_.now() >= give_up) std::rethrow_exception(broken);
        co_await clock_.sleep_for(pause);
    }
}

asio::awaitable<void> Steps::note_use(std::string name) {
    auto work = [message = message_id_, name,
                 now = clock_.now()](store::Connection& connection) -> Result<void> {
        connection.prepare("UPDATE step SET stored=? WHERE message=? AND name=?")
            .bind(to_millis(now), message, name)
            .run();
        return {};
    };
    const auto noted = co_await database_.write(std::move(work));
    (void)noted;
}

asio::awaitable<Result<std::int64_t>> Steps::prune(store::Database& database, TimePoint before) {
    auto work = [before = to_millis(before), first = task_owner(""),
                 behind = task_owners_end()](store::Connection& connection) -> Result<std::int64_t> {
        connection
            .prepare(
                "DELETE FROM step WHERE (message, name) IN (SELECT message, name FROM step WHERE stored < ? "
                "AND NOT (message >= ? AND message < ?) LIMIT ?)")
            .bind(before, first, behind, kPrunedAtOnce)
            .run();
        return connection.changes();
    };
    std::int64_t all = 0;
    while (true) {
        const auto pruned = co_await database.write(work);
        if (!pruned) co_return pruned.error();
        all += *pruned;
        if (*pruned < kPrunedAtOnce) co_return all;
    }
}

}  // namespace millrace::work
