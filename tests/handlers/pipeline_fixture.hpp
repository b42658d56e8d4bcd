// The document pipeline of one process, for tests of its handlers on every engine of the state.
#pragma once

#include "handlers/dead_letter_watch.hpp"
#include "handlers/stages.hpp"
#include "index/embedded_index.hpp"
#include "provider/remembered.hpp"
#include "tests/support/counting_provider.hpp"
#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"
#include "work/processor.hpp"
#include "work/trace.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::handlers {

using work::NewDocument;
using work::OperationView;
using work::Status;

/// Three paragraphs, each a passage of its own for the counting provider.
inline std::string paragraphs(const std::string& middle) {
    auto paragraph = [](const std::string& topic) {
        std::string text = "# About " + topic + "\n\n";
        for (int i = 0; i < 12; ++i)
            text += "The " + topic + " stands here in sentence " + std::to_string(i) + ". ";
        return text + "\n\n";
    };
    return paragraph("mill") + paragraph(middle) + paragraph("river");
}

/// A whole pipeline on a real database, queue and index; only the provider is the test's.
class PipelineTest : public testing::TestWithParam<test::Engine> {
  protected:
    void SetUp() override {
        open();
        start();
    }
    void TearDown() override { close(); }

    void open() {
        local = std::move(*store::Database::open(io.get_executor(), {directory.path()}));
        if (place.shared()) shared = std::move(*place.open(io.get_executor()));
        database = shared ? shared.get() : local.get();
        blobs = std::make_unique<store::Blobs>(directory.path() / "blobs");
        broker = std::move(*test::run(io, broker::Broker::open(*local, clock, {})));
        index::EmbeddedIndexOptions index_options;
        index_options.state = shared.get();
        index = std::move(*test::run(io, index::make_embedded_index(*local, pool, index_options)));
        handover = std::make_unique<work::Handover>(*database, *local, *broker);
        documents = std::make_unique<work::Documents>(*database, *blobs, pool, *handover, clock);
        operations = std::make_unique<work::Operations>(io.get_executor(), *database, clock);
        test::run(io, documents->start());
        broker::EntityOptions options;
        options.delivery_count_max = 3;
        options.duplicate_window = std::chrono::minutes(10);
        for (const auto& row : kHandlers) {
            if (row.run == nullptr) continue;
            const std::string name = row.queue.empty() ? "inline" : std::string(row.queue);
            ASSERT_TRUE(test::run(io, broker->put_entity(name, options)));
        }
        ASSERT_TRUE(test::run(io, handover->start()));
        broker->start();
        services.reset(new Services{
            tasks, *database, *blobs, pool, clock, *index, model(), *documents, *operations, nullptr, {}});
    }

    provider::Provider& model() {
        if (!shares_vectors) return provider;
        remembered = std::make_unique<provider::Remembered>(provider, *database, clock);
        return *remembered;
    }

    void start() {
        for (const auto& row : kHandlers) {
            if (row.run == nullptr) continue;
            work::ProcessorOptions options;
            options.queue = row.queue.empty() ? "inline" : std::string(row.queue);
            auto complete = [this](broker::LockRef lock, work::Done done) {
                return finish(std::move(lock), std::move(done));
            };
            auto handler = make_stage_handler(*services, std::string(row.stage), row.run);
            processors.push_back(std::make_unique<work::Processor>(io.get_executor(), *broker, clock,
                                                                   complete, options, std::move(handler)));
            processors.back()->start();
        }
    }

    void close() {
        for (auto& processor : processors) test::run(io, processor->stop(std::chrono::seconds(10)));
        processors.clear();
        test::run(io, tasks.stop());
        test::run(io, broker->stop());
        services.reset();
        remembered.reset();
        operations.reset();
        documents.reset();
        index.reset();
        broker.reset();
        if (shared) shared->stop();
        shared.reset();
        local->stop();
        local.reset();
    }

    asio::awaitable<Result<void>> finish(broker::LockRef lock, work::Done done) {
        completions += 1;
        if (completions == fail_completion) {
            // As after a crash between the rows and the completion, where these are not one transaction.
            if (shared && done.with) {
                auto written = co_await shared->write(std::move(done.with));
                EXPECT_TRUE(written);
            }
            co_return Error{Errc::unavailable, "failed on purpose"};
        }
        for (const auto& one : done.follow_ups) {
            const auto trace = work::trace_of(one.message);
            traced[one.entity] = trace ? trace->traceparent() : "none";
            requesters[one.entity] = work::requester_of(one.message);
        }
        co_return co_await handover->complete_with(std::move(lock), std::move(done));
    }

    std::string accept(const std::string& id, const std::string& content,
                       const std::string& type = "text/markdown") {
        std::vector<NewDocument> one(1);
        one[0].id = id;
        one[0].content = content;
        one[0].content_type = type;
        auto accepted = test::run(io, documents->accept(std::move(one), nullptr));
        EXPECT_TRUE(accepted);
        return accepted->front().operation;
    }

    OperationView wait(const std::string& operation) {
        OperationView view;
        do {
            auto found = test::run(io, operations->wait(operation, std::chrono::seconds(20)));
            if (!found) throw std::runtime_error(operation + ": " + found.error().detail);
            view = *found;
        } while (!view.ended());
        return view;
    }

    OperationView ingest(const std::string& id, const std::string& content) {
        return wait(accept(id, content));
    }

    std::vector<index::SearchHit> search(const std::string& query) {
        index::SearchRequest request;
        request.query = query;
        request.vector = test::CountingProvider::vector_of(query);
        request.model = services->model_key();
        return *test::run(io, index->search(std::move(request)));
    }

    std::int64_t rows(const std::string& table) {
        const bool of_state = table == "document" || table == "operation" || table == "blob";
        auto count = [&](store::Connection& c) { return c.integer("SELECT count(*) FROM " + table); };
        return test::run(io, (of_state ? *database : *local).read(count));
    }

    std::string dead_letter_reason(const std::string& queue) {
        test::run_until(io, [&] { return broker->counts(queue)->dead_lettered > 0; });
        auto dead = test::run(io, broker->peek(broker::dead_letter_queue_of(queue), 1, 10));
        if (!dead || dead->empty()) return "";
        return std::get<std::string>(dead->front().message.properties[broker::kDeadLetterReason]);
    }

    asio::io_context io;
    test::TemporaryDirectory directory;
    SystemClock clock;
    TaskGroup tasks{io.get_executor(),
                    [](const std::string& name, const char* what) { ADD_FAILURE() << name << ": " << what; }};
    CpuPool pool{2};
    test::CountingProvider provider;
    bool shares_vectors = false;  ///< from the next `open` on
    std::unique_ptr<provider::Remembered> remembered;  ///< then
    std::map<std::string, std::string> traced;  ///< of the last message to each queue
    std::map<std::string, work::Requester> requesters;  ///< likewise
    test::DatabasePlace place{GetParam()};
    std::unique_ptr<store::Database> local;
    std::unique_ptr<store::Database> shared;
    store::Database* database = nullptr;  ///< of the state
    std::unique_ptr<store::Blobs> blobs;
    std::unique_ptr<broker::Broker> broker;
    std::unique_ptr<index::Index> index;
    std::unique_ptr<work::Handover> handover;
    std::unique_ptr<work::Documents> documents;
    std::unique_ptr<work::Operations> operations;
    std::unique_ptr<Services> services;
    std::vector<std::unique_ptr<work::Processor>> processors;
    int completions = 0;
    int fail_completion = 0;
};

}  // namespace millrace::handlers
