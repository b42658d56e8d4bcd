#include "store/postgres.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cassert>
#include <charconv>

namespace millrace::store {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A message of the server or of libpq as one line.
std::string one_line(const char* text) {
    std::string line = text == nullptr ? "" : text;
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    const auto both_blank = [](char a, char b) { return a == ' ' && b == ' '; };
    line.erase(std::unique(line.begin(), line.end(), both_blank), line.end());
    return line;
}

std::string field(const PGresult* result, int code) { return one_line(PQresultErrorField(result, code)); }

/// How many rows the statement has changed.
std::int64_t changed_rows(PGresult* result) {
    const std::string_view text = PQcmdTuples(result);
    std::int64_t count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count;
}

std::string milliseconds_text(milliseconds time) { return std::to_string(time.count()); }

}  // namespace

Result<PostgresTarget> PostgresTarget::parse(std::string text) {
    // What libpq says is wrong may hold a part of the text, and so of the password.
    PQconninfoOption* const options = text.empty() ? nullptr : PQconninfoParse(text.c_str(), nullptr);
    if (options == nullptr)
        return Error{Errc::invalid_input,
                     "this is no connection string of PostgreSQL; write "
                     "postgresql://USER:PASSWORD@HOST/DATABASE or host=HOST dbname=DATABASE user=USER"};
    PQconninfoFree(options);
    return PostgresTarget{std::move(text)};
}

StatementError::StatementError(const std::string& what, std::string sql_state)
    : MachineError(what, sql_state == "53100"), state_(std::move(sql_state)) {}

/// The first error of those statements whose answers are being read.
struct PostgresConnection::Failure {
    bool any = false;
    std::string text;
    std::string state;
};

void PostgresConnection::open() {
    close();
    // Those before `dbname` are defaults, which the connection string may change.
    const char* const keys[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                                "keepalives_count", "tcp_user_timeout", "fallback_application_name",
                                "dbname",           "client_encoding",  nullptr};
    const std::string seconds = std::to_string(postgres::kConnectSecondsMax);
    const char* const values[] = {
        seconds.c_str(), "30",   "5", "3", "30000", "millrace", target_.connection_string.c_str(),
        "UTF8",          nullptr};
    handle_ = PQconnectdbParams(keys, values, 1);
    if (handle_ == nullptr) throw std::bad_alloc();
    if (PQstatus(handle_) != CONNECTION_OK) lose(one_line(PQerrorMessage(handle_)));
    PQsetNoticeProcessor(handle_, [](void*, const char*) {}, nullptr);
    if (PQserverVersion(handle_) < postgres::kServerVersionMin) {
        const std::string version = std::to_string(PQserverVersion(handle_) / 10'000);
        close();
        throw ConnectionLost("database: the server is PostgreSQL " + version + "; version " +
                             std::to_string(postgres::kServerVersionMin / 10'000) + " or later is needed");
    }
    if (PQsetnonblocking(handle_, 1) != 0 || PQenterPipelineMode(handle_) != 1)
        lose(one_line(PQerrorMessage(handle_)));
    configure();
}

void PostgresConnection::configure() {
    execute("SET client_min_messages=warning; SET statement_timeout=" +
            milliseconds_text(postgres::kStatementTimeMax) + "; SET idle_in_transaction_session_timeout=" +
            milliseconds_text(postgres::kIdleInTransactionMax) +
            // What is acknowledged is on the server's disk, whatever the server's own default is.
            "; SELECT set_config('synchronous_commit', 'on', false) WHERE "
            "current_setting('synchronous_commit')='off'");
}

void PostgresConnection::close() noexcept {
    if (handle_ != nullptr) PQfinish(handle_);
    handle_ = nullptr;
    pending_.clear();
    for (auto& [sql, statement] : statements_) {
        statement->prepared_ = false;
        statement->reset();
    }
}

void PostgresConnection::lose(std::string why) {
    close();
    if (why.empty()) why = "the server closed the connection";
    throw ConnectionLost("database: PostgreSQL is out of reach: " + why);
}

bool PostgresConnection::alive() noexcept {
    if (handle_ == nullptr) return false;
    pollfd file{PQsocket(handle_), POLLIN, 0};
    // The server says why it ends a connection before it does: both are read.
    while (PQstatus(handle_) == CONNECTION_OK && ::poll(&file, 1, 0) > 0) {
        if (PQconsumeInput(handle_) == 0) return false;
    }
    return PQstatus(handle_) == CONNECTION_OK;
}

Statement& PostgresConnection::prepare(std::string_view sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) {
        found->second->reset();
        return *found->second;
    }
    auto statement =
        std::make_unique<PostgresStatement>(*this, sql, "s" + std::to_string(statements_.size()));
    return *statements_.emplace(std::string(sql), std::move(statement)).first->second;
}

void PostgresConnection::submit(PostgresStatement& statement, bool keep) {
    if (handle_ == nullptr) throw ConnectionLost("database: not connected to PostgreSQL");
    if (pending_.size() >= postgres::kPipelineMax) wait();
    if (!statement.prepared_) {
        if (PQsendPrepare(handle_, statement.name_.c_str(), statement.sql_.c_str(), 0, nullptr) != 1)
            lose(one_line(PQerrorMessage(handle_)));
        statement.prepared_ = true;
        pending_.push_back({Pending::Kind::preparation, &statement});
    }
    const auto count = static_cast<std::size_t>(statement.bound_);
    std::vector<const char*> values(count);
    std::vector<int> lengths(count);
    std::vector<int> formats(count);
    for (std::size_t i = 0; i < count; ++i) {
        const auto& one = statement.parameters_[i];
        // No pointer at all would mean NULL.
        values[i] = one.null ? nullptr : one.bytes.data() == nullptr ? "" : one.bytes.data();
        lengths[i] = static_cast<int>(one.bytes.size());
        formats[i] = one.binary ? 1 : 0;
    }
    if (PQsendQueryPrepared(handle_, statement.name_.c_str(), statement.bound_, values.data(), lengths.data(),
                            formats.data(), 1) != 1)
        lose(one_line(PQerrorMessage(handle_)));
    pending_.push_back({Pending::Kind::execution, &statement, keep});
}

void PostgresConnection::mark_end_of_batch() {
    if (pending_.empty() || pending_.back().kind == Pending::Kind::end_of_batch) return;
    if (PQpipelineSync(handle_) != 1) lose(one_line(PQerrorMessage(handle_)));
    pending_.push_back({Pending::Kind::end_of_batch});
}

void PostgresConnection::send() {
    mark_end_of_batch();
    if (handle_ != nullptr && PQflush(handle_) < 0) lose(one_line(PQerrorMessage(handle_)));
}

void PostgresConnection::wait() {
    mark_end_of_batch();
    deadline_ = steady_clock::now() + answer_time_;
    Failure failure;
    while (!pending_.empty()) {
        read_answer(pending_.front(), failure);
        pending_.pop_front();
    }
    if (failure.any) throw StatementError(failure.text, failure.state);
}

void PostgresConnection::read_answer(const Pending& pending, Failure& failure) {
    PGresult* const result = next_result();
    if (result == nullptr) lose(one_line(PQerrorMessage(handle_)));
    const ExecStatusType status = PQresultStatus(result);
    if (pending.kind == Pending::Kind::end_of_batch) {
        PQclear(result);
        if (status != PGRES_PIPELINE_SYNC) lose(one_line(PQerrorMessage(handle_)));
        return;
    }
    const bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!done && pending.kind == Pending::Kind::preparation) pending.statement->prepared_ = false;
    if (status == PGRES_FATAL_ERROR) {
        const std::string text = field(result, PG_DIAG_MESSAGE_PRIMARY);
        const std::string severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
        const std::string state = field(result, PG_DIAG_SQLSTATE);
        PQclear(result);
        if (severity == "FATAL" || severity == "PANIC" || PQstatus(handle_) == CONNECTION_BAD)
            lose(text.empty() ? one_line(PQerrorMessage(handle_)) : text);
        if (!failure.any)
            failure = {true, "database: " + pending.statement->sql_.substr(0, 120) + ": " + text, state};
    } else if (done && pending.kind == Pending::Kind::execution) {
        changes_ = changed_rows(result);
        last_tag_ = PQcmdStatus(result);
        if (pending.keep) {
            PQclear(std::exchange(pending.statement->rows_, result));
        } else {
            PQclear(result);
        }
    } else {
        PQclear(result);
    }
    // Each statement's results end with a null one.
    while (PGresult* const more = next_result()) PQclear(more);
}

PGresult* PostgresConnection::next_result() {
    while (PQisBusy(handle_) != 0) flush_and_poll();
    return PQgetResult(handle_);
}

void PostgresConnection::flush_and_poll() {
    const int unsent = PQflush(handle_);
    if (unsent < 0) lose(one_line(PQerrorMessage(handle_)));
    const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - steady_clock::now());
    if (left.count() <= 0)
        lose("no answer within " + std::to_string(answer_time_.count() / 1000) + " seconds");
    pollfd file{PQsocket(handle_), static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN), 0};
    if (::poll(&file, 1, static_cast<int>(left.count())) <= 0) return;
    if ((file.revents & ~POLLOUT) != 0 && PQconsumeInput(handle_) == 0)
        lose(one_line(PQerrorMessage(handle_)));
}

// Several statements at once are not for a pipeline.
void PostgresConnection::execute(const std::string& sql) {
    if (handle_ == nullptr) throw ConnectionLost("database: not connected to PostgreSQL");
    wait();
    if (PQexitPipelineMode(handle_) != 1 || PQsendQuery(handle_, sql.c_str()) != 1)
        lose(one_line(PQerrorMessage(handle_)));
    deadline_ = steady_clock::now() + answer_time_;
    Failure failure;
    while (PGresult* const result = next_result()) {
        const bool failed = PQresultStatus(result) == PGRES_FATAL_ERROR;
        if (failed && !failure.any)
            failure = {true,
                       "database: " + sql.substr(0, std::min<std::size_t>(sql.find(';'), 120)) + ": " +
                           field(result, PG_DIAG_MESSAGE_PRIMARY),
                       field(result, PG_DIAG_SQLSTATE)};
        if (!failed) changes_ = changed_rows(result);
        PQclear(result);
        if (PQstatus(handle_) == CONNECTION_BAD) lose(failure.text);
    }
    if (PQenterPipelineMode(handle_) != 1) lose(one_line(PQerrorMessage(handle_)));
    if (failure.any) throw StatementError(failure.text, failure.state);
}

std::int64_t PostgresConnection::changes() {
    wait();
    return changes_;
}

std::int64_t PostgresConnection::last_insert_row() const {
    assert(!"SQL of both engines says RETURNING");
    throw std::logic_error("last_insert_row is for SQLite alone; use RETURNING");
}

void PostgresConnection::notify(std::string_view subject) {
    prepare("SELECT pg_notify(?, ?)").bind(postgres::kChannel, subject).run();
}

// An aborted transaction answers COMMIT with ROLLBACK and without an error.
void PostgresConnection::commit() {
    prepare("COMMIT").run();
    wait();
    if (last_tag_ != "COMMIT") throw StatementError("database: the server rolled back", "25000");
}

void PostgresConnection::roll_back() noexcept {
    try {
        if (handle_ == nullptr) return;
        try {
            wait();
        } catch (const StatementError&) {
            // Why it is rolled back.
        }
        prepare("ROLLBACK").run();
        wait();
    } catch (const std::exception&) {
        close();
    }
}

int PostgresConnection::socket() const noexcept { return handle_ == nullptr ? -1 : PQsocket(handle_); }

std::vector<std::string> PostgresConnection::notifications() {
    if (handle_ == nullptr) lose("");
    if (PQconsumeInput(handle_) == 0) lose(one_line(PQerrorMessage(handle_)));
    std::vector<std::string> subjects;
    while (PGnotify* const one = PQnotifies(handle_)) {
        subjects.emplace_back(one->extra);
        PQfreemem(one);
    }
    if (PQstatus(handle_) != CONNECTION_OK) lose(one_line(PQerrorMessage(handle_)));
    return subjects;
}

}  // namespace millrace::store
