// How a thread of the database runs commands: one connection, and its engine's way with transactions.
#pragma once

#include "store/database.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace millrace::store {

using Jobs = std::vector<std::unique_ptr<Job>>;

/// What became of a group.
struct Committed {
    std::uint64_t commits = 0;
    std::uint64_t commands = 0;
};

/// A connection of one thread. After each call every job has its result or its failure; nothing is thrown.
class Session {
  public:
    virtual ~Session() = default;
    /// Runs `group` in order, as one transaction if the engine can.
    virtual Committed run_group(Jobs& group) noexcept = 0;
    /// Runs `job` on one snapshot.
    virtual void run_read(Job& job) noexcept = 0;
};

}  // namespace millrace::store
