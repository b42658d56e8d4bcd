// Numbered schema migrations: src/store/schema/NNNN_name.sql, applied once each, in order.
#pragma once

#include "base/error.hpp"
#include "store/connection.hpp"

namespace millrace::store {

/// The schema version that this program writes: how many migrations it knows.
int schema_version() noexcept;

/// Brings the database to `schema_version()`, each migration in a transaction of its own; `PRAGMA
/// user_version` holds how many have run. A database of a newer version is left untouched: Errc::conflict.
Result<void> migrate(Connection& connection);

}  // namespace millrace::store
