// How one thread works on PostgreSQL: it connects when it has something to do, and again when it has to.
#pragma once

#include "store/pause.hpp"
#include "store/postgres.hpp"
#include "store/session.hpp"

#include <span>

namespace millrace::store {

class PostgresSession final : public Session {
  public:
    /// Does not connect yet. A requested stop ends the pauses between attempts to connect.
    PostgresSession(PostgresTarget target, std::stop_token stopped)
        : connection_(std::move(target)), pause_(std::move(stopped)) {}

    /// Connects and brings the schema to this program's version; throws MachineError.
    Result<void> migrate();

    Committed run_group(Jobs& group) noexcept override;
    void run_read(Job& job) noexcept override;

  private:
    void connect();
    void commit_together(std::span<std::unique_ptr<Job>> jobs);
    Committed run_alone(std::unique_ptr<Job>& job) noexcept;
    void take_turn();
    void pass_turn() noexcept;
    void run_one(Job& job);
    void drain();

    PostgresConnection connection_;
    Pause pause_;
    bool has_turn_ = false;
};

}  // namespace millrace::store
