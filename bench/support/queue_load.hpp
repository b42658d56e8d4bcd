// Lifecycles of messages, send -> receive -> complete, in the broker, in a bare SQLite loop, and the flush
// beneath.
#pragma once

#include "bench/support/samples.hpp"

#include <cstddef>
#include <filesystem>
#include <vector>

namespace millrace::bench {

struct LoadShape {
    std::size_t clients = 1;      ///< lifecycles under way at once
    std::size_t body_bytes = 1024;
    double seconds = 1;
};

struct LoadResult {
    double lifecycles_per_second = 0;
    std::vector<double> send_micros;   ///< from the call of each send to its durable answer
    double commits_per_second = 0;
    double cpu_micros = 0;             ///< processor time of the process per lifecycle, all threads
};

/// `shape.clients` coroutines on one I/O thread, each sending, receiving and completing one message after the
/// other.
LoadResult run_broker(const std::filesystem::path& directory, const LoadShape& shape);

/// The same three steps without a broker: one thread plays the clients, one writes what they ask for in
/// groups, into the same tables with the same settings. Checks nothing, has no coroutines, knows one queue;
/// reads each body back where the broker may have it in memory.
LoadResult run_bare(const std::filesystem::path& directory, const LoadShape& shape);

/// 4 KiB overwritten and flushed with fdatasync, per second.
double run_flush(const std::filesystem::path& directory, double seconds);

/// What a long backlog costs.
struct BacklogResult {
    double fill_per_second = 0;
    double restart_seconds = 0;
    double rss_filled_mib = 0;
    double rss_restarted_mib = 0;
    double rss_peak_mib = 0;
    std::vector<double> drain_per_second;  ///< of each tenth
};

/// `messages` of 1 KiB sent in batches of 100, the broker opened again, all received and completed in
/// batches.
BacklogResult run_backlog(const std::filesystem::path& directory, std::size_t messages);

}  // namespace millrace::bench
