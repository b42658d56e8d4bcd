// What a process keeps, and the threads it computes with.
#pragma once

#include "app/configuration.hpp"
#include "base/async.hpp"
#include "store/blobs.hpp"
#include "store/database.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace millrace::app {

/// Every member but `shared` is there once `open_state` has answered. Whoever owns it stops `pool` and the
/// databases, in this order, when nothing that uses them runs any more.
struct State {
    std::unique_ptr<store::Database> database;  ///< in the data directory: queues and index
    std::unique_ptr<store::Database> shared;    ///< PostgreSQL; null: all is in `database`
    std::unique_ptr<store::Blobs> blobs;
    std::unique_ptr<CpuPool> pool;

    /// Where documents, operations, steps and answers are.
    store::Database& records() const noexcept { return shared ? *shared : *database; }
    void stop_databases() {
        if (shared) shared->stop();
        if (database) database->stop();
    }
};

/// Opens the data directory of `configuration`, connects to PostgreSQL if it says so, and starts
/// `server.cpu_threads` threads; 0 of them: one fewer than the machine has cores, at least one. Errors as
/// `store::Database::open` and `connect`; then nothing is left running.
Result<State> open_state(asio::any_io_executor io, const Configuration& configuration);

}  // namespace millrace::app
