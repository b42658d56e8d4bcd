// A batch that is being worked on. Only for batch/batches*.cpp.
#pragma once

#include "batch/batches.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <atomic>
#include <memory>
#include <string>

namespace millrace::batch {

using namespace asio::experimental::awaitable_operators;

struct Batches::Active {
    Active(const asio::any_io_executor& io, std::string batch) : id(std::move(batch)), interrupted(io) {}

    /// What it does ends soon: calls under way within `grace`.
    void interrupt(Duration grace) {
        halting = true;
        if (run) run->stop(grace);
        interrupted.notify();
    }

    std::string id;
    std::unique_ptr<Run> run;  ///< while there is one
    Signal interrupted;
    std::atomic<bool> halting{false};  ///< read by the thread that validates
    bool cancelled = false;
    bool expired = false;
    bool executed = false;  ///< `run` has ended
};

}  // namespace millrace::batch
