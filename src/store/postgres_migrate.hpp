// Numbered schema migrations of PostgreSQL: src/store/schema/postgres/NNNN_name.sql.
#pragma once

#include "base/error.hpp"
#include "store/postgres.hpp"

namespace millrace::store {

/// The schema version that this program writes on PostgreSQL.
int postgres_schema_version() noexcept;

/// Brings the database to `postgres_schema_version()`, each migration in a transaction of its own. Any number
/// of processes may start at once: one migrates, the others wait for it. A database of a newer version is
/// left untouched: Errc::conflict.
Result<void> migrate_postgres(PostgresConnection& connection);

}  // namespace millrace::store
