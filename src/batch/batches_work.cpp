// From validating to the end: what is done in each status of a batch.
#include "base/ids.hpp"
#include "batch/active_batch.hpp"
#include "telemetry/log.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace millrace::batch {

namespace json = boost::json;

namespace {

constexpr Duration kLookPause = std::chrono::seconds(2);  ///< between two notes of how far it is

json::value text_or_null(const std::string& text) { return text.empty() ? json::value() : json::value(text); }

std::string errors_json(const std::vector<LineProblem>& problems) {
    json::array errors;
    for (const LineProblem& problem : problems)
        errors.push_back(
            json::object{{"code", problem.code},
                         {"message", problem.message},
                         {"param", text_or_null(problem.param)},
                         {"line", problem.line > 0 ? json::value(problem.line) : json::value()}});
    return json::serialize(errors);
}

/// For the lines of one batch only: part of its id.
RunId run_id(const BatchRow& row) {
    return row.id.substr(row.id.size() - std::min<std::size_t>(row.id.size(), 16));
}

bool is_same_counts(const RunCounts& a, const RunCounts& b) {
    return a.completed == b.completed && a.failed == b.failed;
}

void fail(BatchRow& row, const std::vector<LineProblem>& problems, TimePoint now) {
    row.status = BatchStatus::failed;
    row.failed_at = now;
    row.errors = errors_json(problems);
}

}  // namespace

asio::awaitable<void> Batches::validate_input(std::shared_ptr<Active> active, BatchRow row) {
    ValidateOptions options;
    options.endpoint = row.endpoint;
    options.deployment = row.deployment;
    options.cancelled = [active] { return active->halting.load(); };
    auto read = [this, path = files_.path_of_blob(row.input_blob), options] {
        return std::optional<Result<Validation>>(validate(path, targets_, options));
    };
    auto validated = co_await pool_.run(std::move(read));
    if (active->halting) co_return;
    const auto& validation = *validated;
    if (!validation) {
        fail(row, {{"invalid_file", "the input file is gone", "input_file_id", 0}}, clock_.now());
    } else if (!validation->problems.empty()) {
        fail(row, validation->problems, clock_.now());
    } else {
        row.status = BatchStatus::in_progress;
        row.in_progress_at = clock_.now();
        row.total = validation->lines;
        row.model = validation->model;
        row.deployment = validation->deployment;
    }
    co_await update(std::move(row), BatchStatus::validating);
}

asio::awaitable<Result<std::unique_ptr<Run>>> Batches::open_run(const BatchRow& row) {
    static const Target gone;  // of a batch whose lines are not asked for any more
    const Target* target = target_of(row);
    RunPaths paths{files_.path_of_blob(row.input_blob), files_.path_of_blob(row.output_blob),
                   files_.path_of_blob(row.error_blob)};
    RunOptions options;
    options.id = run_id(row);
    options.endpoint = row.endpoint;
    options.tenant = row.tenant;
    auto opening =
        Run::open(io_, pool_, clock_, target ? *target : gone, std::move(paths), std::move(options));
    co_return co_await std::move(opening);
}

asio::awaitable<void> Batches::run_lines(std::shared_ptr<Active> active, BatchRow row) {
    auto run = co_await open_run(row);
    if (!run) throw MachineError(run.error().detail);
    active->executed = false;
    active->expired = clock_.now() >= row.expires_at;
    active->run = std::move(*run);
    if (!active->expired && target_of(row) == nullptr)
        throw MachineError("its deployment \"" + row.deployment + "\" is not configured any more");
    if (active->expired || active->halting) active->run->stop(Duration::zero());
    auto execute = [](std::shared_ptr<Active> held) -> asio::awaitable<RunEnd> {
        std::exception_ptr broken;
        RunEnd end = RunEnd::stopped;
        try {
            end = co_await held->run->execute();
        } catch (...) {
            broken = std::current_exception();
        }
        held->executed = true;
        held->interrupted.notify();
        if (broken) std::rethrow_exception(broken);
        co_return end;
    };
    auto executing = execute(active);
    auto watching = watch(active, row.expires_at);
    auto both = std::move(executing) && std::move(watching);
    const RunEnd end = co_await std::move(both);
    row.counts = active->run->counts();
    const bool over = end == RunEnd::complete || active->expired;
    if (over) {
        row.status = BatchStatus::finalizing;
        row.ending = end == RunEnd::complete ? BatchStatus::completed : BatchStatus::expired;
        row.finalizing_at = clock_.now();
    }
    co_await update(std::move(row), BatchStatus::in_progress);
}

/// Beside the run: notes how far it is, ends it when its time is over, or when another process has cancelled
/// it, which is seen at the next look though no line may end for minutes.
asio::awaitable<void> Batches::watch(std::shared_ptr<Active> active, TimePoint expires_at) {
    RunCounts noted = active->run->counts();
    while (!active->executed) {
        const bool ending = active->expired || active->halting;
        const TimePoint next = clock_.now() + kLookPause;
        const TimePoint look = ending ? next : std::min(expires_at, next);
        auto interrupted = active->interrupted.wait();
        auto over = clock_.sleep_until(look);
        auto either = std::move(interrupted) || std::move(over);
        co_await std::move(either);
        if (active->executed || active->halting) continue;
        if (!active->expired && clock_.now() >= expires_at) {
            active->expired = true;
            active->run->stop(kGrace);
            continue;
        }
        const RunCounts counts = active->run->counts();
        const bool is_further = !is_same_counts(counts, noted);
        if (!is_further && !database_.shared()) continue;  // nobody else can have cancelled it
        noted = counts;
        try {
            auto looking = is_further ? note_counts(active->id, counts) : is_in_progress(active->id);
            const bool goes_on = co_await std::move(looking);
            if (!goes_on) active->run->stop(kGrace);
        } catch (const MachineError& broken) {
            telemetry::log_error("a batch can't note how far it is", active->id, broken.what());
        }
    }
}

/// False, and nothing is noted, where it is not in progress any more.
asio::awaitable<bool> Batches::note_counts(std::string id, RunCounts counts) {
    auto note = [id = std::move(id), counts](store::Connection& connection) -> Result<bool> {
        auto row = rows::find_batch(connection, id);
        if (!row || row->status != BatchStatus::in_progress) return false;
        row->counts = counts;
        return rows::update_batch(connection, *row, BatchStatus::in_progress);
    };
    const auto written = co_await database_.write(std::move(note));
    co_return !written || *written;
}

asio::awaitable<bool> Batches::is_in_progress(std::string id) {
    auto read = [id = std::move(id)](store::Connection& connection) {
        const auto row = rows::find_batch(connection, id);
        return row && row->status == BatchStatus::in_progress;
    };
    co_return co_await database_.read(std::move(read));
}

asio::awaitable<void> Batches::finish(std::shared_ptr<Active> active, BatchRow row) {
    if (row.total > 0) {
        auto run = co_await open_run(row);
        if (!run) throw MachineError(run.error().detail);
        active->run = std::move(*run);
        std::string code, message;
        if (row.ending == BatchStatus::expired) {
            code = "batch_expired";
            message = "this request could not be made before the batch's completion window ended";
        } else if (row.ending == BatchStatus::cancelled) {
            code = "batch_cancelled";
            message = "the batch was cancelled before this request was made";
        }
        if (!code.empty()) {
            auto ending = active->run->end_unmade(std::move(code), std::move(message));
            co_await std::move(ending);
        }
        row.counts = active->run->counts();
    }
    auto storing = store_files(active, std::move(row));
    co_await std::move(storing);
}

/// The results become files in the transaction that ends the batch.
asio::awaitable<void> Batches::store_files(std::shared_ptr<Active> active, BatchRow row) {
    const TimePoint now = clock_.now();
    const BatchStatus from = row.status;
    std::vector<FileView> made;
    std::vector<std::string> empty;
    const auto add = [&](std::uint64_t bytes, const std::string& blob, const std::string& kind) {
        if (bytes == 0) {
            empty.push_back(blob);
            return std::string();
        }
        FileView file;
        file.id = "file-" + to_hex(random_uuid());
        file.name = row.id + "_" + kind + ".jsonl";
        file.purpose = "batch_output";
        file.bytes = static_cast<std::int64_t>(bytes);
        file.blob = blob;
        file.place = row.place;
        file.created_at = now;
        if (row.output_kept > Duration::zero()) file.expires_at = now + row.output_kept;
        made.push_back(file);
        return file.id;
    };
    row.output_file = add(active->run ? active->run->output_bytes() : 0, row.output_blob, "output");
    row.error_file = add(active->run ? active->run->error_bytes() : 0, row.error_blob, "error");
    active->run.reset();  // its files are the callers' now
    row.status = row.ending;
    TimePoint& at = row.status == BatchStatus::completed ? row.completed_at
                    : row.status == BatchStatus::expired ? row.expired_at
                                                         : row.cancelled_at;
    at = now;
    auto write = [row, made, from](store::Connection& connection) -> Result<void> {
        for (const FileView& file : made) rows::insert_file(connection, file);
        if (rows::update_batch(connection, row, from)) return {};
        return Error{Errc::conflict, "the batch has moved on"};
    };
    const auto written = co_await database_.write(std::move(write));
    if (written) co_await files_.remove_blobs(std::move(empty));
}

}  // namespace millrace::batch
