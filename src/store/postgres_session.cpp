#include "store/postgres_session.hpp"

#include "store/postgres_migrate.hpp"

#include <algorithm>

namespace millrace::store {

namespace {

/// How often a command is tried that others get in the way of.
constexpr int kAttemptsMax = 20;
/// The number of the lock that those hold, one at a time, whose command has met another before ("millturn").
constexpr char kTakeTurn[] = "SELECT pg_advisory_lock(7883951835754885742)";
constexpr char kPassTurn[] = "SELECT pg_advisory_unlock(7883951835754885742)";

}  // namespace

Result<void> PostgresSession::migrate() {
    connect();
    return migrate_postgres(connection_);
}

void PostgresSession::connect() {
    if (connection_.alive()) {
        try {
            connection_.wait();
            return;
        } catch (const MachineError&) {
            // The end of an earlier read has failed, and nobody has missed it.
        }
    }
    has_turn_ = false;
    pause_.wait();
    try {
        connection_.open();
        pause_.succeeded();
    } catch (...) {
        pause_.failed();
        throw;
    }
}

Committed PostgresSession::run_group(Jobs& group) noexcept {
    bool met_another = false;
    try {
        connect();
        commit_together(group);
        return {1, group.size()};
    } catch (const StatementError& error) {
        met_another = error.conflict();
        connection_.roll_back();
        if (!met_another)
            for (auto& job : group) job->fail(std::current_exception());
    } catch (...) {
        connection_.roll_back();
        for (auto& job : group) job->fail(std::current_exception());
    }
    Committed committed;
    if (!met_another) return committed;
    // Which of them was in the way of another process is not known, and the others need not wait for it.
    for (auto& job : group) {
        const Committed one = run_alone(job);
        committed.commits += one.commits;
        committed.commands += one.commands;
    }
    return committed;
}

Committed PostgresSession::run_alone(std::unique_ptr<Job>& job) noexcept {
    for (int attempt = 1;; ++attempt) {
        try {
            connect();
            if (attempt > 1) take_turn();
            commit_together({&job, 1});
            pass_turn();
            return {1, 1};
        } catch (const StatementError& error) {
            connection_.roll_back();
            if (error.conflict() && attempt < kAttemptsMax) continue;
            job->fail(std::current_exception());
        } catch (...) {
            connection_.roll_back();
            job->fail(std::current_exception());
        }
        pass_turn();
        return {};
    }
}

// Before the transaction begins: it sees what was committed until its first statement.
void PostgresSession::take_turn() {
    if (has_turn_) return;
    connection_.prepare(kTakeTurn).step();
    has_turn_ = true;
}

void PostgresSession::pass_turn() noexcept {
    if (!has_turn_) return;
    try {
        connection_.prepare(kPassTurn).step();
        has_turn_ = false;
    } catch (...) {
        // The server takes it from an ended connection.
        connection_.close();
    }
}

void PostgresSession::commit_together(std::span<std::unique_ptr<Job>> jobs) {
    connection_.prepare("BEGIN ISOLATION LEVEL SERIALIZABLE").run();
    const bool durable =
        std::any_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->sync == Sync::durable; });
    if (!durable) connection_.prepare("SET LOCAL synchronous_commit=off").run();
    for (auto& job : jobs) run_one(*job);
    connection_.commit();
}

// Without a savepoint one failed statement would undo the whole group, so Undo::none makes no difference
// here. One round trip for a command that reads nothing.
void PostgresSession::run_one(Job& job) {
    connection_.prepare("SAVEPOINT command").run();
    try {
        job.run(connection_);
        connection_.wait();
    } catch (const ConnectionLost&) {
        throw;
    } catch (const StatementError& error) {
        if (error.conflict()) throw;
        job.fail(std::current_exception());
    } catch (...) {
        drain();  // the job keeps its own exception
    }
    if (job.failed()) connection_.prepare("ROLLBACK TO SAVEPOINT command").run();
    connection_.prepare("RELEASE SAVEPOINT command").run();
}

/// Reads the answers to what a failed command has sent.
void PostgresSession::drain() {
    try {
        connection_.wait();
    } catch (const StatementError& error) {
        if (error.conflict()) throw;
    }
}

void PostgresSession::run_read(Job& job) noexcept {
    try {
        connect();
        connection_.prepare("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").run();
        job.run(connection_);
        connection_.wait();
        connection_.prepare("COMMIT").run();
        connection_.send();
    } catch (...) {
        job.fail(std::current_exception());
        connection_.roll_back();
    }
}

}  // namespace millrace::store
