#include "store/sqlite.hpp"

#include "base/error.hpp"
#include "store/gathered_log.hpp"

#include <sqlite3.h>

namespace millrace::store {

namespace {

/// Whether an I/O error was one of space: SQLite itself calls only ENOSPC a full disk, not a quota. A failed
/// COMMIT leaves its errno at the log's file, other statements leave it at the connection.
bool is_out_of_space(sqlite3* database) {
    int log_error = 0;
    sqlite3_file* log = nullptr;
    sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log != nullptr && log->pMethods != nullptr)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &log_error);
    return is_disk_full(log_error) || is_disk_full(sqlite3_system_errno(database));
}

[[noreturn]] void fail(sqlite3* database, std::string_view what) {
    const int code = sqlite3_errcode(database);
    std::string text = "database: ";
    text.append(what).append(": ").append(sqlite3_errmsg(database));
    const bool full = code == SQLITE_FULL || ((code & 0xff) == SQLITE_IOERR && is_out_of_space(database));
    if (full) text += "; free space on the disk of the data directory";
    throw MachineError(text, full);
}

/// What of `sql` an error message shows: its first statement, cut to a line.
std::string_view shown(std::string_view sql) {
    return sql.substr(0, std::min<std::size_t>(sql.find(';'), 120));
}

void check(int code, sqlite3_stmt* statement, const char* what) {
    if (code != SQLITE_OK) fail(sqlite3_db_handle(statement), what);
}

constexpr std::int64_t kLogBytes = 16 * 1024 * 1024;  // then it is emptied into the database
constexpr std::int64_t kPageBytesMin = 512;

// NULL pointers would bind SQL NULL; an empty text or blob is not NULL.
const char* non_null(std::string_view text) { return text.data() == nullptr ? "" : text.data(); }

}  // namespace

SqliteStatement::~SqliteStatement() { sqlite3_finalize(handle_); }

bool SqliteStatement::step() {
    const int code = sqlite3_step(handle_);
    if (code == SQLITE_ROW) return true;
    sqlite3* database = sqlite3_db_handle(handle_);
    if (code != SQLITE_DONE) {
        const std::string_view sql = shown(sqlite3_sql(handle_));
        try {
            fail(database, sql);
        } catch (...) {
            sqlite3_reset(handle_);
            throw;
        }
    }
    sqlite3_reset(handle_);
    return false;
}

void SqliteStatement::run() {
    while (step()) {
    }
}

void SqliteStatement::reset() noexcept { sqlite3_reset(handle_); }

std::int64_t SqliteStatement::integer(int column) const noexcept {
    return sqlite3_column_int64(handle_, column);
}

double SqliteStatement::real(int column) const noexcept { return sqlite3_column_double(handle_, column); }

bool SqliteStatement::is_null(int column) const noexcept {
    return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

std::string_view SqliteStatement::text(int column) const noexcept {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
    return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

void SqliteStatement::bind_integer(int position, std::int64_t value) {
    check(sqlite3_bind_int64(handle_, position, value), handle_, "bind");
}

void SqliteStatement::bind_real(int position, double value) {
    check(sqlite3_bind_double(handle_, position, value), handle_, "bind");
}

void SqliteStatement::bind_text(int position, std::string_view text) {
    check(sqlite3_bind_text64(handle_, position, non_null(text), text.size(), SQLITE_STATIC, SQLITE_UTF8),
          handle_, "bind");
}

void SqliteStatement::bind_blob(int position, std::string_view bytes) {
    check(sqlite3_bind_blob64(handle_, position, non_null(bytes), bytes.size(), SQLITE_STATIC), handle_,
          "bind");
}

void SqliteStatement::bind_null(int position) {
    check(sqlite3_bind_null(handle_, position), handle_, "bind");
}

SqliteConnection::SqliteConnection(const std::string& path, Access access, ValueLog* values)
    : Connection(values) {
    const bool writes = access == Access::read_write;
    const int flags = writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    const int code = sqlite3_open_v2(path.c_str(), &database_, flags | SQLITE_OPEN_NOMUTEX,
                                     writes ? gathered_log_vfs() : nullptr);
    if (code != SQLITE_OK) {
        const std::string why = sqlite3_errmsg(database_);
        sqlite3_close_v2(database_);
        throw MachineError("cannot open the database " + path + ": " + why);
    }
    sqlite3_busy_timeout(database_, 10'000);
    try {
        // `synchronous` acts when a statement is prepared: it must come before any other statement.
        execute("PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;");
        if (access == Access::read_write) {
            // Debian's SQLite zeroes what is deleted; a page that becomes free is left as it is instead of
            // being written twice, as SQLite does elsewhere.
            execute("PRAGMA secure_delete=FAST;");
            // Of a new database; an older one keeps its own. Large bodies need half as many pages of this
            // size.
            execute("PRAGMA page_size=8192;");
            execute("PRAGMA journal_mode=WAL; PRAGMA cache_size=-65536;");
            const std::int64_t log_pages = kLogBytes / integer("PRAGMA page_size", kPageBytesMin);
            execute("PRAGMA wal_autocheckpoint=" + std::to_string(log_pages));
        } else {
            execute("PRAGMA cache_size=-16384; PRAGMA mmap_size=268435456;");
        }
    } catch (...) {
        sqlite3_close_v2(database_);
        throw;
    }
}

SqliteConnection::~SqliteConnection() {
    statements_.clear();
    sqlite3_close_v2(database_);
}

Statement& SqliteConnection::prepare(std::string_view sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) {
        found->second->reset();
        return *found->second;
    }
    sqlite3_stmt* handle = nullptr;
    const int code = sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
    if (code != SQLITE_OK) fail(database_, shown(sql));
    auto statement = std::make_unique<SqliteStatement>(handle);
    return *statements_.emplace(std::string(sql), std::move(statement)).first->second;
}

void SqliteConnection::execute(const std::string& sql) {
    if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
        fail(database_, shown(sql));
}

void SqliteConnection::begin_write() {
    begin_gathering(database_);
    prepare("BEGIN IMMEDIATE").run();
}

void SqliteConnection::end_reads() noexcept {
    sqlite3_stmt* statement = sqlite3_next_stmt(database_, nullptr);
    for (; statement != nullptr; statement = sqlite3_next_stmt(database_, statement)) {
        if (sqlite3_stmt_busy(statement) != 0) sqlite3_reset(statement);
    }
}

std::int64_t SqliteConnection::last_insert_row() const { return sqlite3_last_insert_rowid(database_); }

std::int64_t SqliteConnection::changes() { return sqlite3_changes64(database_); }

bool SqliteConnection::autocommit() const noexcept { return sqlite3_get_autocommit(database_) != 0; }

}  // namespace millrace::store
