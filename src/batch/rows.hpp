// The rows of batches: what was asked for and how far it is. Functions run on a database thread.
#pragma once

#include "base/clock.hpp"
#include "batch/request_line.hpp"
#include "batch/run.hpp"
#include "store/connection.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::batch {

/// Life of a batch: docs/batches.md. The words are stored and sent: do not change them.
enum class BatchStatus {
    validating,
    failed,
    in_progress,
    finalizing,
    completed,
    expired,
    cancelling,
    cancelled,
};
std::string_view to_string(BatchStatus status) noexcept;
BatchStatus parse_batch_status(std::string_view word) noexcept;
/// True if nothing will change any more.
bool has_ended(BatchStatus status) noexcept;

/// A batch as it is stored; moments that have not come are the epoch.
struct BatchRow {
    std::string id;
    std::string place;
    BatchStatus status = BatchStatus::validating;
    BatchStatus ending = BatchStatus::completed;  ///< what it becomes after finalizing
    std::string endpoint;
    std::string shown_endpoint;
    std::string deployment;
    std::string model;
    std::string tenant;
    std::string metadata;  ///< JSON object or ""
    std::string completion_window;
    Duration output_kept{};  ///< zero: for ever
    std::string input_file;
    std::string input_blob;
    std::string output_blob;
    std::string error_blob;
    std::string output_file;
    std::string error_file;
    std::string errors;  ///< JSON array or ""
    std::int64_t total = 0;
    RunCounts counts;
    TimePoint created_at{};
    TimePoint in_progress_at{};
    TimePoint expires_at{};
    TimePoint finalizing_at{};
    TimePoint completed_at{};
    TimePoint failed_at{};
    TimePoint expired_at{};
    TimePoint cancelling_at{};
    TimePoint cancelled_at{};
};

/// "24h", "90m": hours or minutes, at least a minute and at most a day; nothing for another text.
std::optional<Duration> parse_window(std::string_view text);

namespace rows {

void insert_batch(store::Connection& connection, const BatchRow& row);
std::optional<BatchRow> find_batch(store::Connection& connection, const std::string& id);
/// Newest first: those behind `after`, "" for the first page. Nothing if there is no batch `after`.
std::vector<BatchRow> list_batches(store::Connection& connection, const std::string& after,
                                   std::size_t items_max);
/// Those of `place` that have not ended, oldest first.
std::vector<std::string> open_batches(store::Connection& connection, const std::string& place);
/// Stores all that may change of `row`, if its status still is `from`; false if it isn't.
bool update_batch(store::Connection& connection, const BatchRow& row, BatchStatus from);

}  // namespace rows
}  // namespace millrace::batch
