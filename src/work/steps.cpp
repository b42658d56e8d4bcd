#include "work/steps.hpp"

namespace millrace::work {

asio::awaitable<Result<std::string>> Steps::run(std::string name, Work work) {
    auto look_up = [message = message_id_,
                    name](store::Connection& connection) -> std::optional<std::string> {
        auto& query =
            connection.prepare("SELECT result FROM step WHERE message=? AND name=?").bind(message, name);
        if (!query.step()) return std::nullopt;
        return query.string(0);
    };
    auto remembered = co_await database_.read(std::move(look_up));
    if (remembered) co_return std::move(*remembered);

    auto result = co_await work();
    if (!result) co_return result;
    auto remember = [message = message_id_, name, now = clock_.now(),
                     bytes = *result](store::Connection& connection) -> Result<void> {
        connection
            .prepare(
                "INSERT INTO step (message, name, result, stored) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(message, name, store::Blob{bytes}, to_millis(now))
            .run();
        return {};
    };
    auto stored = co_await database_.write(std::move(remember));
    if (!stored) co_return stored.error();
    co_return result;
}

asio::awaitable<Result<std::int64_t>> Steps::prune(store::Database& database, TimePoint before) {
    auto work = [before](store::Connection& connection) -> Result<std::int64_t> {
        connection.prepare("DELETE FROM step WHERE stored < ?").bind(to_millis(before)).run();
        return connection.changes();
    };
    co_return co_await database.write(std::move(work));
}

}  // namespace millrace::work
