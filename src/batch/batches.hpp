// Batches of OpenAI requests: accepted, worked on in the background, looked up. OpenAI's /v1/batches.
#pragma once

#include "base/async.hpp"
#include "base/clock.hpp"
#include "batch/files.hpp"
#include "batch/rows.hpp"
#include "batch/validate.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::batch {

struct NewBatch {
    std::string input_file;
    std::string endpoint;          ///< as its creator wrote it
    std::string deployment;        ///< for lines that name no model; may be empty
    std::string completion_window = "24h";
    std::string metadata;          ///< JSON object or ""
    std::string tenant;
    Duration output_kept{};        ///< zero: for ever
};

/// What a batch would need: nothing is created.
struct BatchEstimate {
    Validation validation;
    std::int64_t micros_max =
        0;  ///< millionths of the prices' currency, were every answer as long as it may be
    Duration time_min{};          ///< at the deployment's tokens per minute, were nothing else going on
};

/// Works on the batches of this data directory, all at once, each over its own window of lines. All calls on
/// the I/O thread; stopped before it is destroyed.
class Batches {
  public:
    /// Cancelled calls may end within this time, so that what is paid for is not lost.
    static constexpr Duration kGrace = std::chrono::seconds(60);

    /// What is referred to outlives it.
    Batches(asio::any_io_executor io, store::Database& database, Files& files, CpuPool& pool, Clock& clock,
            Targets targets);
    ~Batches();
    Batches(const Batches&) = delete;

    /// Goes on with what an earlier process left.
    asio::awaitable<void> start();
    /// No line is begun any more.
    void close();
    /// Waits for calls under way until `deadline`, then cancels them; all goes on at the next start. A second
    /// stop is harmless.
    asio::awaitable<void> stop(TimePoint deadline);

    /// Told within the transaction that creates a batch; an error undoes it.
    using AlsoWrite = std::function<Result<void>(store::Connection&, const BatchRow&)>;

    /// Durable when this returns; its lines are validated afterwards. invalid_input: the endpoint or the
    /// window isn't known, or the file is not for batches; not_found: no such file. `also` may be empty.
    asio::awaitable<Result<BatchRow>> create(NewBatch batch, AlsoWrite also = {});
    /// Reads the whole input. Errors as `create`.
    asio::awaitable<Result<BatchEstimate>> estimate(NewBatch batch);
    /// With the counts of this moment. not_found.
    asio::awaitable<Result<BatchRow>> find(std::string id);
    /// Newest first: those behind `after`, "" for the first page.
    asio::awaitable<std::vector<BatchRow>> list(std::string after, std::size_t items_max);
    /// Nothing is begun any more; what is under way may end. not_found; conflict: it has ended otherwise.
    asio::awaitable<Result<BatchRow>> cancel(std::string id);

    /// How many are being worked on.
    std::size_t active() const noexcept { return active_.size(); }

  private:
    struct Active;
    struct Checked;

    asio::awaitable<Result<Checked>> check(const NewBatch& batch);
    void begin(std::string id);
    asio::awaitable<void> work(std::shared_ptr<Active> active);
    asio::awaitable<bool> step(std::shared_ptr<Active> active);
    asio::awaitable<void> validate_input(std::shared_ptr<Active> active, BatchRow row);
    asio::awaitable<void> run_lines(std::shared_ptr<Active> active, BatchRow row);
    asio::awaitable<void> finish(std::shared_ptr<Active> active, BatchRow row);
    asio::awaitable<void> store_files(std::shared_ptr<Active> active, BatchRow row);
    asio::awaitable<Result<std::unique_ptr<Run>>> open_run(const BatchRow& row);
    asio::awaitable<void> watch(std::shared_ptr<Active> active, TimePoint expires_at);
    asio::awaitable<bool> note_counts(std::string id, RunCounts counts);
    asio::awaitable<bool> is_in_progress(std::string id);
    asio::awaitable<bool> update(BatchRow row, BatchStatus from);
    void overlay(BatchRow& row) const;
    const Target* target_of(const BatchRow& row) const;

    asio::any_io_executor io_;
    store::Database& database_;
    Files& files_;
    CpuPool& pool_;
    Clock& clock_;
    Targets targets_;
    std::map<std::string, std::shared_ptr<Active>> active_;  ///< by id
    Signal ended_;
    bool stopping_ = false;
};

}  // namespace millrace::batch
