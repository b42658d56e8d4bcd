// What a process keeps on disk, and the threads it computes with.
#pragma once

#include "app/configuration.hpp"
#include "base/async.hpp"
#include "store/blobs.hpp"
#include "store/database.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace millrace::app {

/// Every member is there once `open_state` has answered. Whoever owns it stops `pool` and `database`, in this
/// order, when nothing that uses them runs any more.
struct State {
    std::unique_ptr<store::Database> database;
    std::unique_ptr<store::Blobs> blobs;
    std::unique_ptr<CpuPool> pool;
};

/// Opens the data directory of `configuration` and starts `server.cpu_threads` threads; 0 of them: one fewer
/// than the machine has cores, at least one. Errors as `store::Database::open`; then nothing is left running.
Result<State> open_state(asio::any_io_executor io, const Configuration& configuration);

}  // namespace millrace::app
