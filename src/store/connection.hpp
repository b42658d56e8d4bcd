// One connection to a database and its prepared statements: the seam between the engines. SQL that runs on
// both is one text: `?` or `?1` for parameters, upserts by ON CONFLICT, no function that only one of them
// has.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::store {

/// Bytes bound or read as a BLOB (a std::string_view is bound as TEXT). Refers to memory that it does not
/// own.
struct Blob {
    std::string_view bytes;
};

/// A prepared statement, positioned on at most one row. Owned and cached by its connection: use it through
/// the reference that `Connection::prepare` returns, on the connection's thread, and not across another
/// `prepare` of the same text. Every function throws MachineError where the database fails; on PostgreSQL the
/// error of a `run` may come with a later call of the same command.
class Statement {
  public:
    virtual ~Statement() = default;

    /// Binds `values` to parameters 1, 2, … after resetting. Text and blobs are not copied: they must stay
    /// alive until the last `step`. Takes integers, bool, double, text, Blob, std::nullopt and std::optional
    /// of these. PostgreSQL holds no text with NUL or broken UTF-8: there U+FFFD takes its place.
    template <class... Values>
    Statement& bind(const Values&... values) {
        reset();
        int position = 0;
        (bind_one(++position, values), ...);
        return *this;
    }

    /// Moves to the next row; false at the end (then the statement is reset).
    virtual bool step() = 0;
    /// Runs a statement whose rows, if any, are of no interest.
    virtual void run() = 0;
    /// Ends the read of rows before their end, releasing the snapshot.
    virtual void reset() noexcept = 0;

    virtual std::int64_t integer(int column) const noexcept = 0;
    virtual double real(int column) const noexcept = 0;
    virtual bool is_null(int column) const noexcept = 0;
    /// Text or blob of the present row; valid until the next step or reset.
    virtual std::string_view text(int column) const noexcept = 0;
    std::string string(int column) const { return std::string(text(column)); }

  protected:
    virtual void bind_integer(int position, std::int64_t value) = 0;
    virtual void bind_real(int position, double value) = 0;
    virtual void bind_text(int position, std::string_view text) = 0;
    virtual void bind_blob(int position, std::string_view bytes) = 0;
    virtual void bind_null(int position) = 0;

  private:
    void bind_one(int position, std::int64_t value) { bind_integer(position, value); }
    void bind_one(int position, int value) { bind_integer(position, value); }
    void bind_one(int position, unsigned value) { bind_integer(position, value); }
    void bind_one(int position, std::size_t value) {
        bind_integer(position, static_cast<std::int64_t>(value));
    }
    void bind_one(int position, long long value) { bind_integer(position, value); }
    void bind_one(int position, bool value) { bind_integer(position, value ? 1 : 0); }
    void bind_one(int position, double value) { bind_real(position, value); }
    void bind_one(int position, std::string_view text) { bind_text(position, text); }
    void bind_one(int position, const std::string& text) { bind_text(position, text); }
    void bind_one(int position, const char* text) { bind_text(position, text); }
    void bind_one(int position, Blob blob) { bind_blob(position, blob.bytes); }
    void bind_one(int position, std::nullopt_t) { bind_null(position); }
    template <class T>
    void bind_one(int position, const std::optional<T>& value) {
        if (value)
            bind_one(position, *value);
        else
            bind_null(position);
    }
};

/// For hash maps that are searched with a std::string_view.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};

class ValueLog;

/// A connection to one database. Not shared between threads.
class Connection {
  public:
    explicit Connection(ValueLog* values = nullptr) : values_(values) {}
    virtual ~Connection() = default;

    /// Where large values are kept; null where all of them are in their rows.
    ValueLog* values() const noexcept { return values_; }

    /// The cached prepared statement for `sql`, reset. `sql` must be one statement. Cheap after the first
    /// time: one hash lookup.
    virtual Statement& prepare(std::string_view sql) = 0;
    /// Runs any number of statements, without parameters and results.
    virtual void execute(const std::string& sql) = 0;
    /// Rows changed by the last INSERT, UPDATE or DELETE.
    virtual std::int64_t changes() = 0;
    /// Row number of the last INSERT. SQLite only: SQL that runs on both engines says RETURNING.
    virtual std::int64_t last_insert_row() const = 0;
    /// Tells the processes that share the database, once this transaction is committed, that something about
    /// `subject` (at most 7,000 bytes) has changed: `Database::listen`. On SQLite nobody shares it: nothing.
    virtual void notify(std::string_view subject) = 0;

    /// The one integer that `sql` yields, or `otherwise` when it yields no row or NULL.
    std::int64_t integer(std::string_view sql, std::int64_t otherwise = 0) {
        Statement& statement = prepare(sql);
        const bool found = statement.step() && !statement.is_null(0);
        const std::int64_t value = found ? statement.integer(0) : otherwise;
        statement.reset();
        return value;
    }

  private:
    ValueLog* values_;
};

}  // namespace millrace::store
