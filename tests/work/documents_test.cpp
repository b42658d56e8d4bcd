#include "work/documents.hpp"

#include "tests/support/engines.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace millrace::work {
namespace {

class DocumentsTest : public testing::TestWithParam<test::Engine> {
  protected:
    void SetUp() override {
        local = std::move(*store::Database::open(io.get_executor(), {directory.path()}));
        if (place.shared()) shared = std::move(*place.open(io.get_executor()));
        database = shared ? shared.get() : local.get();
        blobs = std::make_unique<store::Blobs>(directory.path() / "blobs");
        broker = std::move(*test::run(io, broker::Broker::open(*local, clock, {})));
        ASSERT_TRUE(test::run(io, broker->put_entity(queue::ingestion, {})));
        handover = std::make_unique<Handover>(*database, *local, *broker);
        ASSERT_TRUE(test::run(io, handover->start()));
        documents = std::make_unique<Documents>(*database, *blobs, pool, *handover, clock);
        operations = std::make_unique<Operations>(io.get_executor(), *database, clock);
        test::run(io, documents->start());
    }
    void TearDown() override {
        test::run(io, broker->stop());
        operations.reset();
        if (shared) shared->stop();
        local->stop();
    }

    static NewDocument document(std::string id, std::string content = "text") {
        NewDocument one;
        one.id = std::move(id);
        one.content = std::move(content);
        one.content_type = "text/plain; charset=utf-8";
        return one;
    }

    Result<std::vector<Accepted>> accept(std::vector<NewDocument> list,
                                         std::shared_ptr<const Idempotency> idempotency = nullptr) {
        return test::run(io, documents->accept(std::move(list), std::move(idempotency)));
    }

    void succeed(const Accepted& accepted) {
        auto work = [&](store::Connection& connection) -> Result<void> {
            const VersionRef version{accepted.id, accepted.generation};
            records::finish_part(connection, version, Part::indexed, clock.now());
            records::finish_part(connection, version, Part::metadata, clock.now());
            return {};
        };
        ASSERT_TRUE(test::run(io, database->write(work)));
        operations->changed(accepted.id);
    }

    std::int64_t rows(const std::string& table) {
        auto count = [&](store::Connection& c) { return c.integer("SELECT count(*) FROM " + table); };
        return test::run(io, (table == "message" ? *local : *database).read(count));
    }

    asio::io_context io;
    test::TemporaryDirectory directory;
    ManualClock clock;
    CpuPool pool{1};
    test::DatabasePlace place{GetParam()};
    std::unique_ptr<store::Database> local;
    std::unique_ptr<store::Database> shared;
    store::Database* database = nullptr;   ///< of the state
    std::unique_ptr<store::Blobs> blobs;
    std::unique_ptr<broker::Broker> broker;
    std::unique_ptr<Handover> handover;
    std::unique_ptr<Documents> documents;
    std::unique_ptr<Operations> operations;
};

TEST_P(DocumentsTest, AcceptsDocumentOperationAndMessageTogether) {
    const auto accepted = accept({document("a"), document("b")});
    ASSERT_TRUE(accepted);
    EXPECT_EQ(rows("document"), 2);
    EXPECT_EQ(rows("operation"), 2);
    EXPECT_EQ(broker->counts(queue::ingestion)->active, 2u);
    EXPECT_EQ(test::run(io, operations->find(accepted->front().operation))->status, Status::accepted);
}

TEST_P(DocumentsTest, AcceptsAllOrNone) {
    broker::EntityOptions tiny;
    tiny.bytes_max = 1000;
    ASSERT_TRUE(test::run(io, broker->put_entity(queue::ingestion, tiny)));
    const auto accepted =
        accept({document("a"), document("b", std::string(2000, 'x')), document("c", "\xff")});
    ASSERT_FALSE(accepted);
    EXPECT_EQ(accepted.error().code, Errc::over_limit);
    for (const char* table : {"document", "operation", "blob", "message"}) EXPECT_EQ(rows(table), 0) << table;
    EXPECT_TRUE(blobs->list(std::chrono::seconds(-5)).empty());
}

TEST_P(DocumentsTest, ADatabaseThatFailsLeavesNoBlobBehindUnlessItMayHaveStoredItsName) {
    database->stop();
    EXPECT_THROW((void)accept({document("a", std::string(1'000'000, 'x')), document("c", "\xff")}),
                 MachineError);
    EXPECT_EQ(blobs->list(std::chrono::seconds(-5)).empty(), !place.shared());
}

TEST_P(DocumentsTest, LargeContentGoesToABlobAndTheMessageStaysSmall) {
    ASSERT_TRUE(accept({document("a", std::string(1'000'000, 'x'))}));
    EXPECT_EQ(rows("blob"), 1);
    EXPECT_LT(broker->counts(queue::ingestion)->bytes, 2000u);
}

TEST_P(DocumentsTest, GenerationsGrowEvenWhenTheClockStandsStillOrGoesBack) {
    const auto first = accept({document("a"), document("a")});
    ASSERT_TRUE(first);
    EXPECT_LT(first->at(0).generation, first->at(1).generation);
    ManualClock behind(clock.now() - std::chrono::hours(1));
    Documents later(*database, *blobs, pool, *handover, behind);
    test::run(io, later.start());
    EXPECT_GT(later.next_generation(), first->at(1).generation);
}

TEST_P(DocumentsTest, TwoProcessesCannotAcceptVersionsOfOneDocumentInOneMoment) {
    ASSERT_TRUE(accept({document("a", "one")}));
    Documents of_another(*database, *blobs, pool, *handover, clock);
    std::vector<NewDocument> list{document("a", "two"), document("b")};
    auto accepting = of_another.accept(list, nullptr);
    const auto refused = test::run(io, std::move(accepting));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_EQ(rows("operation"), 1);
    EXPECT_EQ(broker->counts(queue::ingestion)->active, 1u);
    // A moment later its versions are newer.
    auto again = of_another.accept(list, nullptr);
    EXPECT_TRUE(test::run(io, std::move(again)));
    EXPECT_EQ(rows("operation"), 3);
}

TEST_P(DocumentsTest, AKeyIsAnsweredOnceAndAConcurrentUseIsRefusedWhole) {
    auto idempotency = std::make_shared<Idempotency>();
    idempotency->key = "key";
    idempotency->fingerprint = "print";
    idempotency->answer = [](const std::vector<Accepted>& accepted) { return accepted.front().operation; };
    const auto accepted = accept({document("a")}, idempotency);
    ASSERT_TRUE(accepted);
    const auto stored = test::run(io, documents->stored_answer("key"));
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->answer, accepted->front().operation);
    EXPECT_EQ(stored->fingerprint, "print");
    const auto second = accept({document("b")}, idempotency);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_EQ(rows("document"), 1);
    clock.advance(std::chrono::hours(25));
    EXPECT_FALSE(test::run(io, documents->stored_answer("key")));
    ASSERT_TRUE(test::run(io, documents->prune()));
    EXPECT_EQ(rows("idempotency"), 0);
}

TEST_P(DocumentsTest, AWaitEndsWithTheOperationOrWithItsTime) {
    const auto accepted = accept({document("a")});
    std::optional<OperationView> view;
    auto wait = [&]() -> asio::awaitable<void> {
        auto found = co_await operations->wait(accepted->front().operation, std::chrono::seconds(30));
        view = *found;
    };
    asio::co_spawn(io, wait(), [](std::exception_ptr) {});
    test::run_until(io, [&] { return clock.sleepers() == 1; });
    EXPECT_FALSE(view);
    succeed(accepted->front());
    test::run_until(io, [&] { return view.has_value(); });
    EXPECT_EQ(view->status, Status::succeeded);

    const auto other = accept({document("b")});
    view.reset();
    auto wait_in_vain = [&]() -> asio::awaitable<void> {
        auto found = co_await operations->wait(other->front().operation, std::chrono::seconds(30));
        view = *found;
    };
    asio::co_spawn(io, wait_in_vain(), [](std::exception_ptr) {});
    test::run_until(io, [&] { return clock.sleepers() == 1; });
    clock.advance(std::chrono::seconds(30));
    test::run_until(io, [&] { return view.has_value(); });
    EXPECT_EQ(view->status, Status::accepted);
}

TEST_P(DocumentsTest, AWaitEndsWhenAnotherProcessEndsTheOperation) {
    if (!place.shared()) return;  // there is no other process
    const auto accepted = accept({document("a")});
    std::optional<OperationView> view;
    auto wait = [&]() -> asio::awaitable<void> {
        auto found = co_await operations->wait(accepted->front().operation, std::chrono::seconds(30));
        view = *found;
    };
    asio::co_spawn(io, wait(), [](std::exception_ptr) {});
    test::run_until(io, [&] { return clock.sleepers() == 1; });
    auto other = std::move(*place.open(io.get_executor()));
    auto finish = [&](store::Connection& connection) -> Result<void> {
        const VersionRef version{"a", accepted->front().generation};
        records::finish_part(connection, version, Part::indexed, clock.now());
        records::finish_part(connection, version, Part::metadata, clock.now());
        return {};
    };
    ASSERT_TRUE(test::run(io, other->write(finish)));
    // The clock stands still: only what is heard can wake it.
    test::run_until(io, [&] { return view.has_value(); });
    EXPECT_EQ(view->status, Status::succeeded);
}

TEST_P(DocumentsTest, FilesThatNoRowNamesAreSweptAtTheNextStart) {
    ASSERT_TRUE(accept({document("a", std::string(100'000, 'x'))}));
    const std::string stray = blobs->put("left by a crash");
    const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::hours(2);
    for (const auto& name : blobs->list(std::chrono::seconds(-5))) {
        std::filesystem::last_write_time(directory.path() / "blobs" / name.substr(0, 2) / name, old);
    }
    test::run(io, documents->start());
    EXPECT_FALSE(blobs->get(stray));
    EXPECT_EQ(blobs->list(std::chrono::seconds(-5)).size(), 1u);
}

TEST_P(DocumentsTest, ListsByCategoryStatusAndPage) {
    auto first = document("a");
    first.category = "x";
    auto second = document("b");
    second.category = "y";
    const auto accepted = accept({first, second, document("c")});
    succeed(accepted->at(0));
    auto ids = [&](DocumentFilter filter) {
        std::string text;
        for (const auto& view : test::run(io, documents->list(std::move(filter)))) text += view.id;
        return text;
    };
    EXPECT_EQ(ids({}), "abc");
    EXPECT_EQ(ids({.category = "y"}), "b");
    EXPECT_EQ(ids({.status = "succeeded"}), "a");
    EXPECT_EQ(ids({.after = "a"}), "bc");
    EXPECT_EQ(ids({.items_max = 1}), "a");
}

TEST_P(DocumentsTest, TheHistoryOfAttemptsIsAppendedToAndBounded) {
    const auto accepted = accept({document("a")});
    const VersionRef version{"a", accepted->front().generation};
    auto work = [&](store::Connection& connection) -> Result<void> {
        for (int i = 0; i < kAttemptsMax + 10; ++i) {
            records::add_attempt(connection, version, "embed", "attempt \"" + std::to_string(i) + "\"",
                                 clock.now());
        }
        return {};
    };
    ASSERT_TRUE(test::run(io, database->write(work)));
    const auto view = *test::run(io, operations->find(accepted->front().operation));
    EXPECT_NE(view.attempts.find(R"(attempt \"0\")"), std::string::npos);
    EXPECT_NE(view.attempts.find("attempt \\\"" + std::to_string(kAttemptsMax - 1)), std::string::npos);
    EXPECT_EQ(view.attempts.find("attempt \\\"" + std::to_string(kAttemptsMax) + "\\"), std::string::npos);
}

MILLRACE_ON_EVERY_ENGINE(DocumentsTest);

}  // namespace
}  // namespace millrace::work
