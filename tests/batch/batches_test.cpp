#include "batch/batches.hpp"

#include "tests/batch/world.hpp"
#include "tests/support/engines.hpp"

namespace millrace::batch {

class BatchesTest : public BatchTest, public testing::WithParamInterface<test::Engine> {
  protected:
    BatchesTest() { start(); }
    ~BatchesTest() override { stop(); }

    void start() {
        database_ = std::move(place_.open(io_.get_executor()).value());
        files_.emplace(*database_, pool_, clock_, directory_.path() / "data" / "files");
        test::run(io_, files_->start());
        batches_.emplace(io_.get_executor(), *database_, *files_, pool_, clock_, Targets{target_});
        test::run(io_, batches_->start());
    }
    void stop() {
        if (!batches_) return;
        test::run(io_, batches_->stop(clock_.now()));
        batches_.reset(), files_.reset();
        database_->stop();
        database_.reset();
    }

    std::string upload(const std::string& text, const std::string& purpose = "batch") {
        NewFile file;
        file.name = "in.jsonl";
        file.purpose = purpose;
        file.read = [text, given = false]() mutable { return std::exchange(given, true) ? "" : text; };
        return test::run(io_, files_->add(std::move(file))).id;
    }
    Result<BatchRow> create(const std::string& file, const std::string& window = "24h") {
        NewBatch batch;
        batch.input_file = file;
        batch.endpoint = "/v1/embeddings";
        batch.completion_window = window;
        return test::run(io_, batches_->create(std::move(batch)));
    }
    BatchRow find(const std::string& id) { return test::run(io_, batches_->find(id)).value(); }
    BatchRow wait_for(const std::string& id, BatchStatus status) {
        BatchRow row = find(id);
        while (row.status != status && !has_ended(row.status)) row = find(id);
        EXPECT_EQ(row.status, status) << to_string(row.status) << " " << row.errors;
        return row;
    }
    std::vector<std::string> content(const std::string& file) {
        const auto view = test::run(io_, files_->find(file)).value();
        return lines_of(files_->path_of(view).value());
    }
    void wait_for_calls(std::size_t calls) {
        test::run_until(io_, [&] { return provider_->at_once >= calls; });
    }

    test::DatabasePlace place_{GetParam()};
    std::unique_ptr<store::Database> database_;
    std::optional<Files> files_;
    std::optional<Batches> batches_;
};

TEST_P(BatchesTest, ABatchGoesFromValidatingToCompleted) {
    const auto created = create(upload(requests(20)));
    ASSERT_TRUE(created);
    EXPECT_EQ(created->status, BatchStatus::validating);
    const BatchRow row = wait_for(created->id, BatchStatus::completed);
    EXPECT_EQ(row.total, 20);
    EXPECT_EQ(row.counts.completed, 20);
    EXPECT_EQ(row.counts.usage.prompt_tokens, 60);
    EXPECT_EQ(row.model, "m");
    EXPECT_EQ(row.error_file, "");
    EXPECT_EQ(ids_of(content(row.output_file)).size(), 20u);
    EXPECT_NE(row.in_progress_at, TimePoint());
    EXPECT_NE(row.finalizing_at, TimePoint());
    EXPECT_NE(row.completed_at, TimePoint());
    EXPECT_EQ(test::run(io_, files_->find(row.output_file)).value().purpose, "batch_output");
}

TEST_P(BatchesTest, AnInputWithAMistakeFailsAndNothingIsAsked) {
    const auto created = create(upload(requests(3) + "oops\n"));
    const BatchRow row = wait_for(created->id, BatchStatus::failed);
    EXPECT_THAT(row.errors, testing::HasSubstr("invalid_json_line"));
    EXPECT_THAT(row.errors, testing::HasSubstr("\"line\":4"));
    EXPECT_EQ(provider_->total(), 0);
}

TEST_P(BatchesTest, WhatCanNeverBecomeABatchIsRefusedAtOnce) {
    const std::string good = upload(requests(1));
    EXPECT_EQ(create("file-none").error().code, Errc::not_found);
    EXPECT_EQ(create(upload(requests(1), "assistants")).error().code, Errc::invalid_input);
    for (const char* window : {"25h", "0h", "24", "h", "1441m", "1d", ""})
        EXPECT_EQ(create(good, window).error().code, Errc::invalid_input) << window;
    EXPECT_TRUE(create(good, "90m"));
}

TEST_P(BatchesTest, ACancelledBatchKeepsWhatIsDoneAndNamesTheRest) {
    provider_->script = [&](const std::string& input, int) -> std::optional<Outcome<RawAnswer>> {
        if (input == "line-3") provider_->held = true;  // the calls after this one wait
        return std::nullopt;
    };
    const auto created = create(upload(requests(30)));
    wait_for_calls(4);
    const auto cancelling = test::run(io_, batches_->cancel(created->id));
    ASSERT_TRUE(cancelling);
    EXPECT_EQ(cancelling->status, BatchStatus::cancelling);
    provider_->script = nullptr;
    provider_->release();
    const BatchRow row = wait_for(created->id, BatchStatus::cancelled);
    EXPECT_GE(row.counts.completed, 3);
    EXPECT_LT(row.counts.completed, 30);
    const auto done = content(row.output_file), rest = content(row.error_file);
    EXPECT_EQ(done.size() + rest.size(), 30u);
    EXPECT_THAT(rest.front(), testing::HasSubstr("batch_cancelled"));
    EXPECT_EQ(static_cast<int>(done.size()), provider_->total())
        << "a call was paid for and its answer dropped";
    EXPECT_TRUE(test::run(io_, batches_->cancel(created->id))) << "twice is harmless";
}

TEST_P(BatchesTest, ABatchThatMayHaveBeenStoredIsWorkedOnThoughItsCreatorIsToldOfAFailure) {
    NewBatch batch;
    batch.input_file = upload(requests(3));
    batch.endpoint = "/v1/embeddings";
    const auto lose_the_answer = [](store::Connection& connection, const BatchRow&) -> Result<void> {
        connection.prepare("COMMIT").run();  // what follows fails, as if the connection had been lost here
        return {};
    };
    EXPECT_THROW((void)test::run(io_, batches_->create(batch, lose_the_answer)), MachineError);
    ASSERT_EQ(batches_->active(), 1u);
    const auto stored = test::run(io_, batches_->list("", 10));
    ASSERT_EQ(stored.size(), 1u);
    EXPECT_EQ(wait_for(stored.front().id, BatchStatus::completed).counts.completed, 3);
}

TEST_P(BatchesTest, ABatchThatWasNotStoredIsForgottenOnceThatIsSeen) {
    NewBatch batch;
    batch.input_file = upload(requests(3));
    batch.endpoint = "/v1/embeddings";
    const auto fail = [](store::Connection&, const BatchRow&) -> Result<void> { throw MachineError("disk"); };
    EXPECT_THROW((void)test::run(io_, batches_->create(batch, fail)), MachineError);
    test::run_until(io_, [&] { return batches_->active() == 0; });
    EXPECT_EQ(test::run(io_, batches_->list("", 10)).size(), 0u);
    EXPECT_EQ(provider_->total(), 0);
}

TEST_P(BatchesTest, ABatchThatHasEndedCannotBeCancelled) {
    const auto created = create(upload(requests(1)));
    wait_for(created->id, BatchStatus::completed);
    EXPECT_EQ(test::run(io_, batches_->cancel(created->id)).error().code, Errc::conflict);
    EXPECT_EQ(test::run(io_, batches_->cancel("batch_none")).error().code, Errc::not_found);
}

TEST_P(BatchesTest, WhenItsWindowEndsWhatIsDoneIsKeptAndTheRestIsNamed) {
    provider_->script = [&](const std::string& input, int) -> std::optional<Outcome<RawAnswer>> {
        if (input == "line-3") provider_->held = true;
        return std::nullopt;
    };
    const auto created = create(upload(requests(30)), "1h");
    wait_for_calls(4);
    clock_.advance(std::chrono::minutes(61));
    test::run_until(io_, [&] { return clock_.sleepers() > 0; });
    provider_->release();
    const BatchRow row = wait_for(created->id, BatchStatus::expired);
    const auto done = content(row.output_file), rest = content(row.error_file);
    EXPECT_EQ(done.size() + rest.size(), 30u);
    EXPECT_GE(done.size(), 3u);
    EXPECT_THAT(rest.front(), testing::HasSubstr("batch_expired"));
    EXPECT_NE(row.expired_at, TimePoint());
}

TEST_P(BatchesTest, AfterARestartOnlyTheRestIsAskedFor) {
    provider_->script = [&](const std::string& input, int) -> std::optional<Outcome<RawAnswer>> {
        if (input == "line-10") provider_->held = true;
        return std::nullopt;
    };
    const auto created = create(upload(requests(30)));
    wait_for_calls(4);
    stop();
    EXPECT_LT(provider_->total(), 30);
    provider_->script = nullptr;
    provider_->release();
    start();
    const BatchRow row = wait_for(created->id, BatchStatus::completed);
    EXPECT_EQ(ids_of(content(row.output_file)).size(), 30u);
    for (const auto& [input, calls] : provider_->calls) EXPECT_LE(calls, 2) << input;
    EXPECT_LE(provider_->total(), 30 + 4) << "no more than the calls in flight are repeated";
}

TEST_P(BatchesTest, EveryStatusIsTakenUpAgain) {
    for (const BatchStatus status : {BatchStatus::validating, BatchStatus::in_progress,
                                     BatchStatus::finalizing, BatchStatus::cancelling}) {
        const std::string file = upload(requests(5));
        BatchRow row;
        row.id = "batch_" + std::string(to_string(status)) + "_0123456789";
        row.status = status;
        row.ending = status == BatchStatus::cancelling ? BatchStatus::cancelled : BatchStatus::completed;
        row.place = files_->place();
        row.endpoint = row.shown_endpoint = "/v1/embeddings";
        row.deployment = "deployment";
        row.total = status == BatchStatus::validating ? 0 : 5;
        row.input_file = file;
        row.input_blob = test::run(io_, files_->find(file)).value().blob;
        row.output_blob = store::Blobs::new_name(), row.error_blob = store::Blobs::new_name();
        row.created_at = clock_.now();
        row.expires_at = clock_.now() + std::chrono::hours(1);
        auto insert = [row](store::Connection& connection) -> Result<void> {
            rows::insert_batch(connection, row);
            return {};
        };
        test::run(io_, database_->write(insert)).value();
        stop();
        start();
        wait_for(row.id, row.ending);
    }
}

TEST_P(BatchesTest, AFileThatABatchReadsIsNotRemoved) {
    provider_->held = true;
    const std::string file = upload(requests(3));
    const auto created = create(file);
    wait_for_calls(3);
    EXPECT_EQ(test::run(io_, files_->remove(file)).error().code, Errc::conflict);
    provider_->release();
    wait_for(created->id, BatchStatus::completed);
    EXPECT_TRUE(test::run(io_, files_->remove(file)));
    EXPECT_FALSE(test::run(io_, files_->find(file)));
}

TEST_P(BatchesTest, FilesAreGoneWhenTheirTimeIsOver) {
    NewFile file;
    file.purpose = "batch";
    file.kept = std::chrono::hours(1);
    file.read = [given = false]() mutable { return std::exchange(given, true) ? "" : "x"; };
    const auto view = test::run(io_, files_->add(std::move(file)));
    const auto path = files_->path_of(view).value();
    clock_.advance(std::chrono::hours(1));
    EXPECT_FALSE(test::run(io_, files_->find(view.id)));
    EXPECT_TRUE(std::filesystem::exists(path));
    test::run(io_, files_->prune());
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_P(BatchesTest, AnEstimateCountsAndPricesAndCreatesNothing) {
    target_.price.prompt = 2;
    target_.tokens_per_minute = 100;
    stop();
    start();
    NewBatch batch;
    batch.input_file = upload(requests(9));
    batch.endpoint = "/v1/embeddings";
    const auto estimate = test::run(io_, batches_->estimate(std::move(batch)));
    ASSERT_TRUE(estimate);
    EXPECT_EQ(estimate->validation.lines, 9);
    EXPECT_EQ(estimate->validation.tokens.prompt, 9 * 6);  // the test's counter: characters of "line-N"
    EXPECT_EQ(estimate->micros_max, 108);
    EXPECT_EQ(estimate->time_min, Duration(32'400));
    EXPECT_EQ(test::run(io_, batches_->list("", 10)).size(), 0u);
}

TEST_P(BatchesTest, ListsArePagedNewestFirst) {
    const std::string file = upload(requests(1));
    std::vector<std::string> ids;
    for (int i = 0; i < 5; ++i) {
        ids.push_back(create(file)->id);
        clock_.advance(Duration(1));
    }
    std::vector<std::string> seen;
    for (std::string after;;) {
        const auto page = test::run(io_, batches_->list(after, 2));
        if (page.empty()) break;
        for (const auto& row : page) seen.push_back(row.id);
        after = page.back().id;
    }
    EXPECT_EQ(seen, std::vector<std::string>(ids.rbegin(), ids.rend()));
}

MILLRACE_ON_EVERY_ENGINE(BatchesTest);

class SharedBatchesTest : public BatchesTest {};

TEST_P(SharedBatchesTest, ABatchThatIsCancelledThroughAnotherServerEndsThoughNoneOfItsLinesDoes) {
    provider_->held = true;
    const auto created = create(upload(requests(30)));
    wait_for_calls(4);
    Batches other(io_.get_executor(), *database_, *files_, pool_, clock_, Targets{target_});
    ASSERT_TRUE(test::run(io_, other.cancel(created->id)));
    EXPECT_EQ(find(created->id).status, BatchStatus::cancelling);
    for (int i = 0; i < 1'000 && !has_ended(find(created->id).status); ++i)
        clock_.advance(std::chrono::seconds(2));
    EXPECT_EQ(find(created->id).status, BatchStatus::cancelled);
    EXPECT_EQ(provider_->total(), 4);
    provider_->release();
}

INSTANTIATE_TEST_SUITE_P(Engines, SharedBatchesTest, testing::Values(test::Engine::postgres),
                         test::engine_name);

}  // namespace millrace::batch
