// PostgreSQL behind `Connection`, by libpq in pipeline mode: statements that answer no rows are sent without
// waiting for their answers.
#pragma once

#include "base/error.hpp"
#include "store/connection.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

struct pg_conn;
struct pg_result;

namespace millrace::store {

namespace postgres {
inline constexpr int kServerVersionMin = 150'000;
/// The server ends a statement after this time; the client gives the server up some seconds later.
inline constexpr std::chrono::milliseconds kStatementTimeMax{30'000};
inline constexpr std::chrono::milliseconds kAnswerTimeMax{40'000};
inline constexpr std::chrono::milliseconds kMigrationTimeMax{600'000};
/// The server ends a transaction whose process has stopped in the middle, so that its locks don't stay.
inline constexpr std::chrono::milliseconds kIdleInTransactionMax{60'000};
inline constexpr int kConnectSecondsMax = 10;
static_assert(kStatementTimeMax < kAnswerTimeMax);
/// Statements under way at most before their answers are read.
inline constexpr std::size_t kPipelineMax = 256;
inline constexpr char kChannel[] = "millrace";
}  // namespace postgres

/// Where a database is, with the limits of every connection to it.
struct PostgresTarget {
    std::string connection_string;

    /// invalid_input, without any part of `text`: it is no connection string. Does not connect.
    static Result<PostgresTarget> parse(std::string text);
};

/// The connection is gone, and what was not committed with it.
class ConnectionLost : public Unreachable {
    using Unreachable::Unreachable;
};

/// The server refused a statement; the connection goes on.
class StatementError : public MachineError {
  public:
    StatementError(const std::string& what, std::string sql_state);
    /// Another transaction was in the way: the same work succeeds when it is tried again.
    bool conflict() const noexcept { return state_ == "40001" || state_ == "40P01"; }

  private:
    std::string state_;
};

class PostgresConnection;

class PostgresStatement final : public Statement {
  public:
    PostgresStatement(PostgresConnection& connection, std::string_view sql, std::string name);
    ~PostgresStatement() override;
    PostgresStatement(const PostgresStatement&) = delete;

    bool step() override;
    void run() override;
    void reset() noexcept override;
    std::int64_t integer(int column) const noexcept override;
    double real(int column) const noexcept override;
    bool is_null(int column) const noexcept override;
    std::string_view text(int column) const noexcept override;

  private:
    friend class PostgresConnection;
    /// A value on its way: `bytes` refers to memory of the caller or to `own`.
    struct Parameter {
        std::string own;
        std::string_view bytes;
        bool null = false;
        bool binary = false;
    };
    void bind_integer(int position, std::int64_t value) override;
    void bind_real(int position, double value) override;
    void bind_text(int position, std::string_view text) override;
    void bind_blob(int position, std::string_view bytes) override;
    void bind_null(int position) override;
    Parameter& parameter(int position);

    PostgresConnection& connection_;
    std::string sql_;
    std::string name_;
    bool prepared_ = false;   ///< or its preparation is under way
    std::deque<Parameter> parameters_;   ///< their texts stay where they are when one is added
    int bound_ = 0;
    pg_result* rows_ = nullptr;
    int row_ = -1;
};

/// Not open until `open`. Every function throws ConnectionLost or StatementError, both MachineErrors; none
/// takes longer than the limits above.
class PostgresConnection final : public Connection {
  public:
    explicit PostgresConnection(PostgresTarget target) : target_(std::move(target)) {}
    ~PostgresConnection() override { close(); }
    PostgresConnection(const PostgresConnection&) = delete;

    void open();
    void close() noexcept;
    /// False if it is not open, or the server has ended it since it was used.
    bool alive() noexcept;

    Statement& prepare(std::string_view sql) override;
    void execute(const std::string& sql) override;
    std::int64_t changes() override;
    std::int64_t last_insert_row() const override;
    void notify(std::string_view subject) override;

    /// Waits for the answers to all that was sent; throws the first error among them.
    void wait();
    /// Sends what was asked for; the answers are read with those of the next call.
    void send();
    /// Ends the transaction, durable when it returns. StatementError if the server has rolled it back.
    void commit();
    /// Ends the transaction, or the connection if that fails.
    void roll_back() noexcept;
    void set_answer_time(std::chrono::milliseconds time) noexcept { answer_time_ = time; }

    /// For the listener: the socket to wait on, and the subjects of what has arrived there. Nothing else may
    /// be under way.
    int socket() const noexcept;
    std::vector<std::string> notifications();

  private:
    friend class PostgresStatement;
    struct Pending {
        enum class Kind { preparation, execution, end_of_batch } kind;
        PostgresStatement* statement = nullptr;
        bool keep = false;  ///< its rows are asked for
    };
    struct Failure;
    void submit(PostgresStatement& statement, bool keep);
    void mark_end_of_batch();
    void read_answer(const Pending& pending, Failure& failure);
    void configure();
    pg_result* next_result();
    void flush_and_poll();
    [[noreturn]] void lose(std::string why);

    PostgresTarget target_;
    pg_conn* handle_ = nullptr;
    std::chrono::milliseconds answer_time_ = postgres::kAnswerTimeMax;
    std::chrono::steady_clock::time_point deadline_{};  ///< of the answers that are waited for
    std::deque<Pending> pending_;
    std::int64_t changes_ = 0;
    std::string last_tag_;  ///< of the last statement that succeeded, e.g. "COMMIT"
    std::unordered_map<std::string, std::unique_ptr<PostgresStatement>, TextHash, std::equal_to<>>
        statements_;
};

}  // namespace millrace::store
