// One SQLite connection and its prepared statements. The only folder that knows SQLite's C interface.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace millrace::store {

/// Bytes bound or read as a BLOB (a std::string_view is bound as TEXT). Refers to memory that it does not
/// own.
struct Blob {
    std::string_view bytes;
};

/// A prepared statement, positioned on at most one row. Owned and cached by its connection: use it through
/// the reference that `Connection::prepare` returns, on the connection's thread, and not across another
/// `prepare` of the same text. Every function throws MachineError where the database fails.
class Statement {
  public:
    explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    /// Binds `values` to parameters 1, 2, … after resetting. Text and blobs are not copied: they must stay
    /// alive until the last `step`. Takes integers, bool, double, text, Blob, std::nullopt and std::optional
    /// of these.
    template <class... Values>
    Statement& bind(const Values&... values) {
        reset();
        int position = 0;
        (bind_one(++position, values), ...);
        return *this;
    }

    /// Moves to the next row; false at the end (then the statement is reset).
    bool step();
    /// Runs a statement that yields no rows.
    void run() {
        while (step()) {
        }
    }
    /// Ends the read of rows before their end, releasing the snapshot.
    void reset() noexcept;

    std::int64_t integer(int column) const noexcept;
    double real(int column) const noexcept;
    bool is_null(int column) const noexcept;
    /// Text or blob of the present row; valid until the next step or reset.
    std::string_view text(int column) const noexcept;
    std::string string(int column) const { return std::string(text(column)); }

  private:
    void bind_one(int position, std::int64_t value);
    void bind_one(int position, int value) { bind_one(position, static_cast<std::int64_t>(value)); }
    void bind_one(int position, unsigned value) { bind_one(position, static_cast<std::int64_t>(value)); }
    void bind_one(int position, std::size_t value) { bind_one(position, static_cast<std::int64_t>(value)); }
    void bind_one(int position, long long value) { bind_one(position, static_cast<std::int64_t>(value)); }
    void bind_one(int position, bool value) { bind_one(position, static_cast<std::int64_t>(value)); }
    void bind_one(int position, double value);
    void bind_one(int position, std::string_view text);
    void bind_one(int position, const std::string& text) { bind_one(position, std::string_view(text)); }
    void bind_one(int position, const char* text) { bind_one(position, std::string_view(text)); }
    void bind_one(int position, Blob blob);
    void bind_one(int position, std::nullopt_t);
    template <class T>
    void bind_one(int position, const std::optional<T>& value) {
        if (value)
            bind_one(position, *value);
        else
            bind_one(position, std::nullopt);
    }

    sqlite3_stmt* handle_;
};

/// How a connection is opened.
enum class Access { read_write, read_only };

/// A connection to one database file. Not shared between threads.
class Connection {
  public:
    /// Opens `path` (created if absent and `access` allows) with the product's pragmas: WAL,
    /// synchronous=FULL, busy timeout, foreign keys off, 64 MiB page cache for the writer. Throws
    /// MachineError.
    Connection(const std::string& path, Access access);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// The cached prepared statement for `sql`, reset. `sql` must be one statement. Cheap after the first
    /// time: one hash lookup.
    Statement& prepare(std::string_view sql);
    /// Runs any number of statements, without results.
    void execute(const std::string& sql);
    /// The one integer that `sql` yields, or `otherwise` when it yields no row or NULL.
    std::int64_t integer(std::string_view sql, std::int64_t otherwise = 0);

    /// Resets every statement that was left in the middle of its rows: one would pin the connection's
    /// snapshot, and with it the log.
    void end_reads() noexcept;

    std::int64_t last_insert_row() const noexcept;
    /// Rows changed by the last INSERT, UPDATE or DELETE.
    std::int64_t changes() const noexcept;
    /// False between BEGIN and COMMIT; after a failed statement it may turn true by itself (SQLite rolled
    /// back).
    bool autocommit() const noexcept;

    /// The raw handle, for the few SQLite features that `store` wraps elsewhere.
    sqlite3* handle() const noexcept { return database_; }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    sqlite3* database_ = nullptr;
    std::unordered_map<std::string, std::unique_ptr<Statement>, Hash, std::equal_to<>> statements_;
};

}  // namespace millrace::store
