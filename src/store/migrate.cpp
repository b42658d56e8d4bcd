#include "store/migrate.hpp"

#include "migrations.hpp"

namespace millrace::store {

int schema_version() noexcept { return static_cast<int>(kMigrations.size()); }

Result<void> migrate(Connection& connection) {
    const auto stored = static_cast<int>(connection.integer("PRAGMA user_version"));
    if (stored > schema_version()) {
        return Error{Errc::conflict, "the database has schema " + std::to_string(stored) +
                                         ", this program knows " + std::to_string(schema_version()) +
                                         "; run the newer version that wrote it, or restore a backup"};
    }
    for (int next = stored; next < schema_version(); ++next) {
        std::string script = "BEGIN IMMEDIATE;";
        script += kMigrations[static_cast<std::size_t>(next)];
        script += "PRAGMA user_version=" + std::to_string(next + 1) + ";COMMIT;";
        connection.execute(script);
    }
    return {};
}

}  // namespace millrace::store
