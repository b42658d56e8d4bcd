#include "batch/rows.hpp"

#include <array>
#include <charconv>

namespace millrace::batch {

namespace {

constexpr std::array<std::string_view, 8> kStatusWords = {
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"};

constexpr char kColumns[] =
    "id, place, status, ending, endpoint, shown_endpoint, deployment, model, tenant, metadata, "
    "completion_window, output_kept, input_file, input_blob, output_blob, error_blob, output_file, "
    "error_file, errors, total, completed, failed, prompt_tokens, cached_tokens, completion_tokens, "
    "created_at, in_progress_at, expires_at, finalizing_at, completed_at, failed_at, expired_at, "
    "cancelling_at, cancelled_at";
constexpr std::size_t kColumnCount = 34;

std::string select(const std::string& rest) {
    return std::string("SELECT ") + kColumns + " FROM batch " + rest;
}

/// The texts, numbers and moments of a row, each in the order of its columns.
template <class Row>
auto texts_of(Row& row) {
    return std::array{&row.endpoint, &row.shown_endpoint, &row.deployment,       &row.model,
                      &row.tenant,   &row.metadata,       &row.completion_window};
}
template <class Row>
auto files_of(Row& row) {
    return std::array{&row.input_file,  &row.input_blob, &row.output_blob, &row.error_blob,
                      &row.output_file, &row.error_file, &row.errors};
}
template <class Row>
auto numbers_of(Row& row) {
    return std::array{&row.total,
                      &row.counts.completed,
                      &row.counts.failed,
                      &row.counts.usage.prompt_tokens,
                      &row.counts.usage.cached_tokens,
                      &row.counts.usage.completion_tokens};
}
template <class Row>
auto moments_of(Row& row) {
    return std::array{&row.created_at,    &row.in_progress_at, &row.expires_at,
                      &row.finalizing_at, &row.completed_at,   &row.failed_at,
                      &row.expired_at,    &row.cancelling_at,  &row.cancelled_at};
}

BatchRow read_row(const store::Statement& statement) {
    BatchRow row;
    int column = 0;
    row.id = statement.string(column++);
    row.place = statement.string(column++);
    row.status = parse_batch_status(statement.text(column++));
    row.ending = parse_batch_status(statement.text(column++));
    for (std::string* text : texts_of(row)) *text = statement.string(column++);
    row.output_kept = std::chrono::seconds(statement.integer(column++));
    for (std::string* text : files_of(row)) *text = statement.string(column++);
    for (std::int64_t* number : numbers_of(row)) *number = statement.integer(column++);
    for (TimePoint* moment : moments_of(row)) *moment = from_millis(statement.integer(column++));
    return row;
}

std::int64_t seconds(Duration time) { return std::chrono::duration_cast<std::chrono::seconds>(time).count(); }

}  // namespace

std::string_view to_string(BatchStatus status) noexcept {
    return kStatusWords[static_cast<std::size_t>(status)];
}

BatchStatus parse_batch_status(std::string_view word) noexcept {
    for (std::size_t i = 0; i < kStatusWords.size(); ++i)
        if (kStatusWords[i] == word) return static_cast<BatchStatus>(i);
    return BatchStatus::failed;
}

bool has_ended(BatchStatus status) noexcept {
    return status == BatchStatus::failed || status == BatchStatus::completed ||
           status == BatchStatus::expired || status == BatchStatus::cancelled;
}

std::optional<Duration> parse_window(std::string_view text) {
    std::int64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    const std::string_view unit(read.ptr, static_cast<std::size_t>(end - read.ptr));
    if (read.ec != std::errc() || number < 1 || number > 24 * 60) return std::nullopt;
    const Duration time = unit == "h"   ? Duration(std::chrono::hours(number))
                          : unit == "m" ? Duration(std::chrono::minutes(number))
                                        : Duration::zero();
    if (time <= Duration::zero() || time > limits::batch_time_max) return std::nullopt;
    return time;
}

namespace rows {

void insert_batch(store::Connection& connection, const BatchRow& row) {
    std::string marks = "?";
    for (std::size_t i = 1; i < kColumnCount; ++i) marks += ", ?";
    const std::string sql = std::string("INSERT INTO batch (") + kColumns + ") VALUES (" + marks + ")";
    const auto texts = texts_of(row);
    const auto files = files_of(row);
    const auto numbers = numbers_of(row);
    const auto moments = moments_of(row);
    const auto millis = [&](std::size_t i) { return to_millis(*moments[i]); };
    connection.prepare(sql)
        .bind(row.id, row.place, to_string(row.status), to_string(row.ending), *texts[0], *texts[1],
              *texts[2], *texts[3], *texts[4], *texts[5], *texts[6], seconds(row.output_kept), *files[0],
              *files[1], *files[2], *files[3], *files[4], *files[5], *files[6], *numbers[0], *numbers[1],
              *numbers[2], *numbers[3], *numbers[4], *numbers[5], millis(0), millis(1), millis(2), millis(3),
              millis(4), millis(5), millis(6), millis(7), millis(8))
        .run();
}

std::optional<BatchRow> find_batch(store::Connection& connection, const std::string& id) {
    const std::string sql = select("WHERE id=?");
    auto& statement = connection.prepare(sql).bind(id);
    if (!statement.step()) return std::nullopt;
    BatchRow row = read_row(statement);
    statement.reset();
    return row;
}

std::vector<BatchRow> list_batches(store::Connection& connection, const std::string& after,
                                   std::size_t items_max) {
    std::vector<BatchRow> found;
    std::int64_t at = std::numeric_limits<std::int64_t>::max();
    if (!after.empty()) {
        const auto last = find_batch(connection, after);
        if (!last) return found;
        at = to_millis(last->created_at);
    }
    const std::string sql =
        select("WHERE created_at<?1 OR (created_at=?1 AND id<?2) ORDER BY created_at DESC, id DESC LIMIT ?3");
    auto& statement = connection.prepare(sql).bind(at, after, items_max);
    while (statement.step()) found.push_back(read_row(statement));
    return found;
}

std::vector<std::string> open_batches(store::Connection& connection, const std::string& place) {
    std::vector<std::string> ids;
    auto& row = connection
                    .prepare(
                        "SELECT id FROM batch WHERE place=? AND status IN ('validating', 'in_progress', "
                        "'finalizing', 'cancelling') ORDER BY created_at, id")
                    .bind(place);
    while (row.step()) ids.push_back(row.string(0));
    return ids;
}

bool update_batch(store::Connection& connection, const BatchRow& row, BatchStatus from) {
    connection
        .prepare(
            "UPDATE batch SET status=?, ending=?, deployment=?, model=?, output_file=?, error_file=?, "
            "errors=?, total=?, completed=?, failed=?, prompt_tokens=?, cached_tokens=?, "
            "completion_tokens=?, in_progress_at=?, finalizing_at=?, completed_at=?, failed_at=?, "
            "expired_at=?, cancelling_at=?, cancelled_at=? WHERE id=? AND status=?")
        .bind(to_string(row.status), to_string(row.ending), row.deployment, row.model, row.output_file,
              row.error_file, row.errors, row.total, row.counts.completed, row.counts.failed,
              row.counts.usage.prompt_tokens, row.counts.usage.cached_tokens,
              row.counts.usage.completion_tokens, to_millis(row.in_progress_at), to_millis(row.finalizing_at),
              to_millis(row.completed_at), to_millis(row.failed_at), to_millis(row.expired_at),
              to_millis(row.cancelling_at), to_millis(row.cancelled_at), row.id, to_string(from))
        .run();
    return connection.changes() > 0;
}

}  // namespace rows
}  // namespace millrace::batch
