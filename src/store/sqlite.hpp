// SQLite behind `Connection`. The only folder that knows SQLite's C interface.
#pragma once

#include "store/connection.hpp"

#include <memory>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace millrace::store {

class SqliteStatement final : public Statement {
  public:
    explicit SqliteStatement(sqlite3_stmt* handle) : handle_(handle) {}
    ~SqliteStatement() override;
    SqliteStatement(const SqliteStatement&) = delete;

    bool step() override;
    void run() override;
    void reset() noexcept override;
    std::int64_t integer(int column) const noexcept override;
    double real(int column) const noexcept override;
    bool is_null(int column) const noexcept override;
    std::string_view text(int column) const noexcept override;

  private:
    void bind_integer(int position, std::int64_t value) override;
    void bind_real(int position, double value) override;
    void bind_text(int position, std::string_view text) override;
    void bind_blob(int position, std::string_view bytes) override;
    void bind_null(int position) override;

    sqlite3_stmt* handle_;
};

/// How a connection is opened.
enum class Access { read_write, read_only };

/// A connection to one database file.
class SqliteConnection final : public Connection {
  public:
    /// Opens `path` (created if absent and `access` allows) with the product's pragmas: WAL,
    /// synchronous=FULL, busy timeout, foreign keys off, 64 MiB page cache and a gathered log for the writer,
    /// 8 KiB pages in a new database. `values` outlives it. Throws MachineError.
    SqliteConnection(const std::string& path, Access access, ValueLog* values = nullptr);
    ~SqliteConnection() override;
    SqliteConnection(const SqliteConnection&) = delete;

    Statement& prepare(std::string_view sql) override;
    void execute(const std::string& sql) override;
    std::int64_t changes() override;
    std::int64_t last_insert_row() const override;
    void notify(std::string_view) override {}

    /// Begins a transaction that writes, which others wait for.
    void begin_write();
    /// Resets every statement that was left in the middle of its rows: one would pin the connection's
    /// snapshot, and with it the log.
    void end_reads() noexcept;
    /// False between BEGIN and COMMIT; after a failed statement it may turn true by itself (SQLite rolled
    /// back).
    bool autocommit() const noexcept;

  private:
    sqlite3* database_ = nullptr;
    std::unordered_map<std::string, std::unique_ptr<SqliteStatement>, TextHash, std::equal_to<>> statements_;
};

}  // namespace millrace::store
