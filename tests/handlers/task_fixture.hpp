// Tasks on a real database and queue; only the provider is the test's.
#pragma once

#include "handlers/dead_letter_watch.hpp"
#include "handlers/stages.hpp"
#include "handlers/tasks.hpp"
#include "index/embedded_index.hpp"
#include "tests/support/counting_provider.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"
#include "work/processor.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

namespace millrace::handlers {

/// An answer that fits the built-in schema of what was asked.
inline std::string fitting_answer(const provider::CompletionRequest& request) {
    if (request.task == "summarize") return R"({"summary":"short","keyPoints":["a point"]})";
    if (request.task == "entities") return R"({"entities":[{"text":"Ada","type":"person","count":2}]})";
    if (request.task == "sentiment") return R"({"sentiment":"positive","score":0.5})";
    if (request.task == "classify") return R"({"label":"b","confidence":0.9})";
    return R"({"x":1})";
}

class TaskTest : public testing::Test {
  protected:
    TaskTest() {
        database = std::move(*store::Database::open(io.get_executor(), {directory.path()}));
        broker = std::move(*test::run(io, broker::Broker::open(*database, clock, {})));
        index = std::move(*test::run(io, index::make_embedded_index(*database, pool)));
        handover.emplace(*database, *database, *broker);
        test::run(io, handover->start()).value();
        documents = std::make_unique<work::Documents>(*database, blobs, pool, *handover, clock);
        operations = std::make_unique<work::Operations>(io.get_executor(), *database, clock);
        test::run(io, documents->start());
        broker::EntityOptions options;
        options.delivery_count_max = 3;
        for (const char* queue : {work::queue::tasks, work::queue::ingestion, "joins"})
            test::run(io, broker->put_entity(queue, options)).value();
        broker->start();
        fan_out.emplace(*database, clock);
        tasks.emplace(*database, blobs, pool, *handover, clock);
        services.reset(new Services{
            group, *database, blobs, pool, clock, *index, provider, *documents, *operations, nullptr, {}});
        provider.info().completes = true;
        provider.info().context_tokens_max = 100'000;
        provider.answer = fitting_answer;
        configure({});
    }
    ~TaskTest() override {
        stop();
        test::run(io, group.stop());
        test::run(io, broker->stop());
        services.reset(), operations.reset(), documents.reset(), index.reset(), broker.reset();
        database->stop();
    }

    void configure(std::vector<TaskType> types) {
        std::vector<std::string> problems;
        auto catalogue = TaskCatalogue::make(std::move(types), problems);
        EXPECT_TRUE(problems.empty()) << problems.front();
        auto model = [this](const std::string& deployment, bool) -> Result<TaskModel> {
            deployments.push_back(deployment);
            if (deployment == "nowhere") return Error{Errc::not_found, "no deployment \"nowhere\""};
            return TaskModel{&provider, quota::Price{1, 0, 2}, nullptr};
        };
        parts.reset(new TaskParts{std::move(catalogue), *fan_out, std::move(model)});
        services->task_parts = parts.get();
    }

    void start() {
        work::ProcessorOptions options;
        options.queue = work::queue::tasks;
        work::Complete complete = [this](broker::LockRef lock,
                                         work::Done done) -> asio::awaitable<Result<void>> {
            completions += 1;
            if (completions == fail_completion) co_return Error{Errc::unavailable, "failed on purpose"};
            std::vector<std::pair<std::string, broker::Message>> next;
            for (auto& one : done.follow_ups) next.emplace_back(one.entity, std::move(one.message));
            co_return co_await broker->complete_with(std::move(lock), std::move(next), std::move(done.with));
        };
        auto handler = make_handler(*services, *find_handler("task"));
        processor = std::make_unique<work::Processor>(io.get_executor(), *broker, clock, complete, options,
                                                      std::move(handler));
        processor->start();
    }
    void stop() {
        if (processor) test::run(io, processor->stop(std::chrono::seconds(10)));
        processor.reset();
    }

    std::string accept(std::string type, std::string content, std::string options = {},
                       std::string id = "t1") {
        work::NewTask task;
        task.id = std::move(id);
        task.type = std::move(type);
        task.content = std::move(content);
        task.options = std::move(options);
        std::vector<work::NewTask> list{task};
        auto accepted = test::run(io, tasks->accept(std::move(list), nullptr));
        if (!accepted) throw std::runtime_error(accepted.error().detail);
        return accepted->front().operation;
    }

    std::string accept_document(std::string document) {
        work::NewTask task;
        task.type = "sentiment";
        task.document_id = std::move(document);
        std::vector<work::NewTask> list{task};
        return test::run(io, tasks->accept(std::move(list), nullptr)).value().front().operation;
    }

    /// Accepts a task and waits for its end.
    work::OperationView run_task(std::string type, std::string content, std::string options = {}) {
        const std::string operation = accept(std::move(type), std::move(content), std::move(options));
        if (!processor) start();
        return wait(operation);
    }

    work::OperationView wait(const std::string& operation) {
        work::OperationView view;
        do {
            view = test::run(io, operations->wait(operation, std::chrono::seconds(20))).value();
        } while (!view.ended());
        return view;
    }

    void send(std::string body, broker::Properties properties = {}) {
        std::vector<broker::Message> one(1);
        one[0].body = std::move(body);
        one[0].properties = std::move(properties);
        test::run(io, broker->send(work::queue::tasks, std::move(one))).value();
    }

    /// "Reason: description" of the first dead letter.
    std::string dead_letter() {
        test::run_until(io, [&] { return broker->counts(work::queue::tasks)->dead_lettered > 0; });
        const std::string queue = broker::dead_letter_queue_of(work::queue::tasks);
        auto dead = test::run(io, broker->peek(queue, 1, 10)).value();
        auto& properties = dead.front().message.properties;
        return std::get<std::string>(properties[broker::kDeadLetterReason]) + ": " +
               std::get<std::string>(properties[broker::kDeadLetterDescription]);
    }

    work::TaskView find(const std::string& id) { return *test::run(io, tasks->find(id)); }

    asio::io_context io;
    test::TemporaryDirectory directory;
    SystemClock clock;
    TaskGroup group{io.get_executor(),
                    [](const std::string& name, const char* what) { ADD_FAILURE() << name << ": " << what; }};
    CpuPool pool{2};
    store::Blobs blobs{directory.path() / "blobs"};
    test::CountingProvider provider;
    std::unique_ptr<store::Database> database;
    std::unique_ptr<broker::Broker> broker;
    std::unique_ptr<index::Index> index;
    std::optional<work::Handover> handover;
    std::unique_ptr<work::Documents> documents;
    std::unique_ptr<work::Operations> operations;
    std::optional<work::FanOut> fan_out;
    std::optional<work::Tasks> tasks;
    std::unique_ptr<Services> services;
    std::unique_ptr<TaskParts> parts;
    std::unique_ptr<work::Processor> processor;
    std::vector<std::string> deployments;  ///< that tasks asked for
    int completions = 0;
    int fail_completion = 0;
};

}  // namespace millrace::handlers
