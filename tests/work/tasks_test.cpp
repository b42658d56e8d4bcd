#include "work/tasks.hpp"

#include "broker/broker.hpp"
#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

namespace millrace::work {
namespace {

class TasksTest : public testing::TestWithParam<test::Engine> {
  protected:
    TasksTest() {
        local = std::move(*store::Database::open(io.get_executor(), {directory.path()}));
        if (place.shared()) shared = std::move(*place.open(io.get_executor()));
        database = shared ? shared.get() : local.get();
        broker = std::move(*test::run(io, broker::Broker::open(*local, clock, {})));
        test::run(io, broker->put_entity(queue::tasks, {})).value();
        handover.emplace(*database, *local, *broker);
        test::run(io, handover->start()).value();
        tasks.emplace(*database, blobs, pool, *handover, clock);
    }
    ~TasksTest() override {
        test::run(io, broker->stop());
        broker.reset();
        if (shared) shared->stop();
        local->stop();
    }

    static NewTask task(std::string id, std::string content, std::string options = {}) {
        NewTask made;
        made.id = std::move(id);
        made.type = "summarize";
        made.content = std::move(content);
        made.options = std::move(options);
        return made;
    }

    Result<std::vector<Accepted>> accept(std::vector<NewTask> several) {
        return test::run(io, tasks->accept(std::move(several), nullptr));
    }

    template <class F>
    auto write(F work) {
        return test::run(io, database->write(std::move(work)));
    }

    TaskView find(const std::string& id) { return *test::run(io, tasks->find(id)); }
    std::uint64_t queued() { return broker->counts(queue::tasks)->active; }

    asio::io_context io;
    test::TemporaryDirectory directory;
    ManualClock clock;
    CpuPool pool{1};
    store::Blobs blobs{directory.path() / "blobs"};
    test::DatabasePlace place{GetParam()};
    std::unique_ptr<store::Database> local;
    std::unique_ptr<store::Database> shared;
    store::Database* database = nullptr;
    std::unique_ptr<broker::Broker> broker;
    std::optional<Handover> handover;
    std::optional<Tasks> tasks;
};

TEST_P(TasksTest, ADatabaseThatFailsLeavesNoBlobBehindUnlessItMayHaveStoredItsName) {
    // Rows are refused when content files are written already.
    (void)write([](store::Connection& connection) -> Result<void> {
        connection.prepare("ALTER TABLE blob RENAME TO away").run();
        return {};
    });
    EXPECT_THROW((void)accept({task("t", std::string(1'000'000, 'x'))}), MachineError);
    EXPECT_EQ(blobs.list(std::chrono::seconds(-5)).empty(), !place.shared());
}

TEST_P(TasksTest, AnAcceptedTaskIsAMessageATaskAndAnOperation) {
    NewTask one = task("t1", "text", R"({"maxWords":5})");
    one.tenant = "acme";
    one.batch = true;
    const auto accepted = accept({one});
    ASSERT_TRUE(accepted) << accepted.error().detail;
    broker::ReceiveOptions options;
    const auto received = *test::run(io, broker->receive(queue::tasks, options));
    ASSERT_EQ(received.size(), 1u);
    const auto& message = received.front().message;
    EXPECT_EQ(message.body, R"({"id":"t1","type":"summarize","content":"text","options":{"maxWords":5}})");
    EXPECT_EQ(std::get<std::string>(message.properties.at("tenant")), "acme");
    EXPECT_EQ(std::get<std::string>(message.properties.at("priority")), "batch");
    const TaskView view = find("t1");
    EXPECT_EQ(view.status, Status::accepted);
    EXPECT_EQ(view.tenant, "acme");
    EXPECT_EQ(view.operation, accepted->front().operation);
    auto look_up = [&](store::Connection& c) { return records::find_operation(c, view.operation); };
    const auto operation = test::run(io, database->read(look_up));
    ASSERT_TRUE(operation);
    EXPECT_EQ(operation->kind, "task");
    EXPECT_EQ(operation->subject, "t1");
}

TEST_P(TasksTest, AKnownIdWithTheSameContentAnswersAsBeforeAndWithOtherContentIsAConflict) {
    const auto first = accept({task("t1", "text", R"({"style":"short","maxWords":5})")});
    const auto again = accept({task("t1", "text", R"({"maxWords": 5, "style": "short"})")});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->front().operation, first->front().operation);
    EXPECT_EQ(queued(), 1u);
    const auto other = accept({task("t2", "new"), task("t1", "other text")});
    EXPECT_EQ(other.error().code, Errc::conflict);
    EXPECT_EQ(queued(), 1u) << "all or none";
    EXPECT_EQ(accept({task("t1", "text")}).error().code, Errc::conflict) << "options count too";
    const auto twice = accept({task("t3", "x"), task("t3", "x")});
    EXPECT_EQ(twice->at(0).operation, twice->at(1).operation);
    EXPECT_EQ(queued(), 2u);
}

TEST_P(TasksTest, TwoRequestsAtOnceWithTheSameIdAcceptOneTask) {
    std::vector<std::string> operations;
    auto one = [&]() -> asio::awaitable<void> {
        std::vector<NewTask> list{task("t1", "text")};
        auto accepted = co_await tasks->accept(std::move(list), nullptr);
        operations.push_back(accepted ? accepted->front().operation : accepted.error().detail);
    };
    for (int i = 0; i < 2; ++i) spawn(io.get_executor(), one());
    test::run_until(io, [&] { return operations.size() == 2; });
    EXPECT_EQ(operations[0], operations[1]);
    EXPECT_EQ(queued(), 1u);
}

TEST_P(TasksTest, LargeContentGoesToTheBlobStore) {
    const auto accepted = accept({task("", std::string(100'000, 'x'))});
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->front().id.substr(0, 5), "task_");
    EXPECT_EQ(blobs.list(std::chrono::seconds(-5)).size(), 1u);
    EXPECT_EQ(accept({task(accepted->front().id, "other")}).error().code, Errc::conflict);
    EXPECT_EQ(blobs.list(std::chrono::seconds(-5)).size(), 1u);
}

TEST_P(TasksTest, AResultIsStoredOnceAndItsStepsAreForgotten) {
    accept({task("t1", "text")}).value();
    const TaskCost cost{"model-x", 10, 5, 2, 77};
    const bool first = *write([&](store::Connection& c) -> Result<bool> {
        c.prepare("INSERT INTO step (message, name, result, stored) VALUES (?, 'a', 'b', 0)")
            .bind(task_owner("t1"))
            .run();
        records::begin_task(c, "t1", "summarize", clock.now());
        return records::finish_task(c, "t1", R"({"summary":"s"})", cost, clock.now());
    });
    EXPECT_TRUE(first);
    const bool second = *write([&](store::Connection& c) -> Result<bool> {
        return records::finish_task(c, "t1", R"({"summary":"other"})", {}, clock.now());
    });
    EXPECT_FALSE(second);
    write([&](store::Connection& c) -> Result<void> {
        records::fail_task(c, "t1", "summarize", "too late", {}, clock.now());
        return {};
    }).value();
    const TaskView view = find("t1");
    EXPECT_EQ(view.status, Status::succeeded);
    EXPECT_EQ(view.result, R"({"summary":"s"})");
    EXPECT_EQ(view.model, "model-x");
    EXPECT_EQ(view.cost_micros, 77);
    EXPECT_EQ(view.attempts, 1);
    auto steps = [](store::Connection& c) { return c.integer("SELECT count(*) FROM step"); };
    EXPECT_EQ(test::run(io, database->read(steps)), 0);
}

TEST_P(TasksTest, ADeletedDocumentOfTheSameNameLeavesTheTaskAlone) {
    const auto accepted = accept({task("t1", "text")});
    write([&](store::Connection& c) -> Result<void> {
        records::remove_document(c, "t1");
        return {};
    }).value();
    auto look_up = [&](store::Connection& c) {
        return records::find_operation(c, accepted->front().operation).has_value();
    };
    EXPECT_TRUE(test::run(io, database->read(look_up)));
}

TEST_P(TasksTest, ForgetsWhatEndedLongAgoAndNothingElse) {
    ASSERT_TRUE(accept({task("old", "a"), task("new", "b"), task("waits", "c"), task("failed", "d")}));
    const auto fail = [now = clock.now()](store::Connection& connection) -> Result<void> {
        records::fail_task(connection, "failed", "summarize", "no", {}, now);
        return {};
    };
    ASSERT_TRUE(write(fail));
    const auto end = [this](const std::string& id) {
        const auto finish = [id, now = clock.now()](store::Connection& connection) -> Result<void> {
            records::finish_task(connection, id, "{}", {}, now);
            return {};
        };
        ASSERT_TRUE(write(finish));
    };
    end("old");
    const std::string operation = find("old").operation;
    clock.advance(Duration(1000));
    end("new");
    ASSERT_TRUE(test::run(io, Tasks::prune(*database, clock.now())));
    EXPECT_EQ(test::run(io, tasks->find("old")).error().code, Errc::not_found);
    EXPECT_EQ(find("new").status, Status::succeeded);
    EXPECT_EQ(find("waits").status, Status::accepted);
    EXPECT_EQ(find("failed").status, Status::failed);  // it may be redriven
    const auto left = [operation](store::Connection& connection) -> Result<bool> {
        auto& rows = connection.prepare("SELECT 1 FROM operation WHERE id=?").bind(operation);
        const bool there = rows.step();
        rows.reset();
        return there;
    };
    EXPECT_FALSE(*write(left));
}

MILLRACE_ON_EVERY_ENGINE(TasksTest);

}  // namespace
}  // namespace millrace::work
