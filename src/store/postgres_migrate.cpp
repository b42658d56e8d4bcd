#include "store/postgres_migrate.hpp"

#include "migrations_postgres.hpp"

namespace millrace::store {

namespace {

Result<void> migrate_locked(PostgresConnection& connection) {
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)");
    const auto stored = static_cast<int>(connection.integer("SELECT max(version) FROM schema_version"));
    if (stored > postgres_schema_version()) {
        return Error{Errc::conflict, "the database has schema " + std::to_string(stored) +
                                         ", this program knows " + std::to_string(postgres_schema_version()) +
                                         "; run the newer version that wrote it, or restore a backup"};
    }
    for (int next = stored; next < postgres_schema_version(); ++next) {
        std::string script = "BEGIN;";
        script += kPostgresMigrations[static_cast<std::size_t>(next)];
        script += "INSERT INTO schema_version VALUES (" + std::to_string(next + 1) + ");COMMIT;";
        try {
            connection.execute(script);
        } catch (const StatementError&) {
            connection.roll_back();
            throw;
        }
    }
    return {};
}

}  // namespace

int postgres_schema_version() noexcept { return static_cast<int>(kPostgresMigrations.size()); }

Result<void> migrate_postgres(PostgresConnection& connection) {
    connection.set_answer_time(postgres::kMigrationTimeMax);
    // The lock is this session's, so that each migration can be a transaction; its number reads "millrace".
    connection.execute("SET statement_timeout=" + std::to_string(postgres::kMigrationTimeMax.count()) +
                       "; SELECT pg_advisory_lock(7883951835720016741)");
    auto migrated = migrate_locked(connection);
    connection.execute("SELECT pg_advisory_unlock(7883951835720016741); SET statement_timeout=" +
                       std::to_string(postgres::kStatementTimeMax.count()));
    connection.set_answer_time(postgres::kAnswerTimeMax);
    return migrated;
}

}  // namespace millrace::store
