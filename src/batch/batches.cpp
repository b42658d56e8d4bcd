#include "batch/batches.hpp"

#include "base/ids.hpp"
#include "batch/active_batch.hpp"
#include "telemetry/log.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace millrace::batch {

namespace {

constexpr Duration kRetryPause = std::chrono::seconds(5);

}  // namespace

struct Batches::Checked {
    FileView file;
    std::filesystem::path path;
    std::string endpoint;
    Duration window{};
};

Batches::Batches(asio::any_io_executor io, store::Database& database, Files& files, CpuPool& pool,
                 Clock& clock, Targets targets)
    : io_(io),
      database_(database),
      files_(files),
      pool_(pool),
      clock_(clock),
      targets_(std::move(targets)),
      ended_(io) {}

Batches::~Batches() = default;

asio::awaitable<void> Batches::start() {
    auto read = [place = files_.place()](store::Connection& connection) {
        return rows::open_batches(connection, place);
    };
    const auto ids = co_await database_.read(std::move(read));
    for (const std::string& id : ids) begin(id);
}

void Batches::close() {
    stopping_ = true;
    for (const auto& [id, active] : active_) active->interrupt(kGrace);
}

asio::awaitable<void> Batches::stop(TimePoint deadline) {
    close();
    const Duration left = std::max(deadline - clock_.now(), Duration::zero());
    for (const auto& [id, active] : active_) active->interrupt(left);
    while (!active_.empty()) co_await ended_.wait();
}

asio::awaitable<Result<Batches::Checked>> Batches::check(const NewBatch& batch) {
    Checked checked;
    checked.endpoint = normal_endpoint(batch.endpoint);
    if (checked.endpoint.empty())
        co_return Error{Errc::invalid_input,
                        "endpoint is /v1/embeddings, /v1/chat/completions or /v1/responses"};
    const auto window = parse_window(batch.completion_window);
    if (!window)
        co_return Error{Errc::invalid_input,
                        "completion_window is \"24h\", or a shorter time as \"2h\" or \"90m\""};
    checked.window = *window;
    auto file = co_await files_.find(batch.input_file);
    if (!file) co_return file.error();
    if (file->purpose != "batch")
        co_return Error{Errc::invalid_input, "input_file_id: the file's purpose is \"" + file->purpose +
                                                 "\"; upload it with purpose \"batch\""};
    const auto path = files_.path_of(*file);
    if (!path) co_return path.error();
    checked.path = *path;
    checked.file = std::move(*file);
    co_return checked;
}

asio::awaitable<Result<BatchRow>> Batches::create(NewBatch batch, AlsoWrite also) {
    auto checked = co_await check(batch);
    if (!checked) co_return checked.error();
    BatchRow row;
    row.id = "batch_" + to_hex(random_uuid());
    row.place = files_.place();
    row.endpoint = checked->endpoint;
    row.shown_endpoint = batch.endpoint;
    row.deployment = batch.deployment;
    row.tenant = batch.tenant;
    row.metadata = batch.metadata;
    row.completion_window = batch.completion_window;
    row.output_kept = batch.output_kept;
    row.input_file = checked->file.id;
    row.input_blob = checked->file.blob;
    row.output_blob = store::Blobs::new_name();
    row.error_blob = store::Blobs::new_name();
    row.created_at = clock_.now();
    row.expires_at = row.created_at + checked->window;
    auto insert = [row, also = std::move(also)](store::Connection& connection) -> Result<void> {
        rows::insert_batch(connection, row);
        return also ? also(connection, row) : Result<void>();
    };
    Result<void> inserted;
    try {
        inserted = co_await database_.write(std::move(insert));
    } catch (const MachineError&) {
        // The connection may have been lost after the commit. If there is no such row, nothing comes of it.
        begin(row.id);
        throw;
    }
    if (!inserted) co_return inserted.error();
    begin(row.id);
    co_return row;
}

asio::awaitable<Result<BatchEstimate>> Batches::estimate(NewBatch batch) {
    auto checked = co_await check(batch);
    if (!checked) co_return checked.error();
    ValidateOptions options;
    options.endpoint = checked->endpoint;
    options.deployment = batch.deployment;
    options.estimates = true;
    auto read = [this, path = checked->path, options] {
        return std::optional<Result<Validation>>(validate(path, targets_, options));
    };
    auto validation = co_await pool_.run(std::move(read));
    if (!*validation) co_return validation->error();
    BatchEstimate estimate;
    estimate.validation = std::move(**validation);
    const TokenEstimate& tokens = estimate.validation.tokens;
    const Target* target = find_target(targets_, estimate.validation.deployment);
    if (target == nullptr) co_return estimate;
    estimate.micros_max = target->price.micros(tokens.prompt, tokens.output);
    if (target->tokens_per_minute > 0)
        estimate.time_min = Duration((tokens.prompt + tokens.output) * 60'000 / target->tokens_per_minute);
    co_return estimate;
}

asio::awaitable<Result<BatchRow>> Batches::find(std::string id) {
    auto read = [id](store::Connection& connection) { return rows::find_batch(connection, id); };
    auto row = co_await database_.read(std::move(read));
    if (!row) co_return Error{Errc::not_found, "there is no batch " + id.substr(0, 100)};
    overlay(*row);
    co_return std::move(*row);
}

asio::awaitable<std::vector<BatchRow>> Batches::list(std::string after, std::size_t items_max) {
    auto read = [after = std::move(after), items_max](store::Connection& connection) {
        return rows::list_batches(connection, after, items_max);
    };
    auto found = co_await database_.read(std::move(read));
    for (BatchRow& row : found) overlay(row);
    co_return found;
}

asio::awaitable<Result<BatchRow>> Batches::cancel(std::string id) {
    auto mark = [id, now = clock_.now()](store::Connection& connection) -> Result<BatchRow> {
        auto row = rows::find_batch(connection, id);
        if (!row) return Error{Errc::not_found, "there is no batch " + id.substr(0, 100)};
        const BatchStatus from = row->status;
        if (from == BatchStatus::cancelling || from == BatchStatus::cancelled) return std::move(*row);
        if (from != BatchStatus::validating && from != BatchStatus::in_progress)
            return Error{Errc::conflict,
                         "a batch that is " + std::string(to_string(from)) + " can't be cancelled any more"};
        row->status = BatchStatus::cancelling;
        row->ending = BatchStatus::cancelled;
        row->cancelling_at = now;
        rows::update_batch(connection, *row, from);
        return std::move(*row);
    };
    auto row = co_await database_.write(std::move(mark));
    if (!row) co_return row;
    overlay(*row);
    const auto found = active_.find(id);
    if (found != active_.end()) {
        const auto active = found->second;
        active->cancelled = true;
        active->interrupt(kGrace);
    }
    co_return row;
}

/// The counts of this moment are those of the run.
void Batches::overlay(BatchRow& row) const {
    const auto found = active_.find(row.id);
    if (found != active_.end() && found->second->run) row.counts = found->second->run->counts();
}

void Batches::begin(std::string id) {
    if (stopping_ || active_.contains(id)) return;
    auto active = std::make_shared<Active>(io_, id);
    active_.emplace(std::move(id), active);
    spawn(io_, work(std::move(active)));
}

/// Takes a batch from one status to the next until it has ended or the process does.
asio::awaitable<void> Batches::work(std::shared_ptr<Active> active) {
    for (bool more = true; more && !stopping_;) {
        bool failed = false;
        try {
            more = co_await step(active);
        } catch (const std::exception& broken) {
            failed = true;
            telemetry::log_error("a batch is held up", active->id, broken.what());
        }
        active->run.reset();
        if (!failed || stopping_) continue;
        auto interrupted = active->interrupted.wait();
        auto over = clock_.sleep_for(kRetryPause);
        auto either = std::move(interrupted) || std::move(over);
        co_await std::move(either);
    }
    active_.erase(active->id);
    ended_.notify();
}

/// One status of its life; false at the end.
asio::awaitable<bool> Batches::step(std::shared_ptr<Active> active) {
    auto row = co_await find(active->id);
    if (!row) co_return false;
    const BatchStatus status = row->status;
    if (has_ended(status)) co_return false;
    BatchRow copy = std::move(*row);
    if (status == BatchStatus::validating) {
        auto validating = validate_input(active, std::move(copy));
        co_await std::move(validating);
    } else if (status == BatchStatus::in_progress) {
        auto running = run_lines(active, std::move(copy));
        co_await std::move(running);
    } else {
        auto finishing = finish(active, std::move(copy));
        co_await std::move(finishing);
    }
    co_return true;
}

asio::awaitable<bool> Batches::update(BatchRow row, BatchStatus from) {
    auto write = [row = std::move(row), from](store::Connection& connection) -> Result<bool> {
        return rows::update_batch(connection, row, from);
    };
    const auto written = co_await database_.write(std::move(write));
    co_return written && *written;
}

const Target* Batches::target_of(const BatchRow& row) const { return find_target(targets_, row.deployment); }

}  // namespace millrace::batch
