#include "app/worker.hpp"
#include "tests/app/server_fixture.hpp"
#include "tests/support/engines.hpp"

namespace millrace::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// Processes whose state is on one PostgreSQL.
class SharedStateTest : public ServerTest {
  protected:
    ~SharedStateTest() override { stop(); }

    Configuration configuration(const std::filesystem::path& directory) {
        Configuration configuration = test_configuration(directory);
        configuration.store.engine = "postgres";
        configuration.store.connection_string = test::PostgresServer::shared().target(place_.name());
        return configuration;
    }
    void start_shared() {
        Configuration own = configuration(data());
        own.queues.emplace_back().name = "docs";
        start(own);
    }

    Configuration worker_configuration(const std::string& name) {
        Configuration own = configuration(directory_.path() / name);
        own.queue.engine = "servicebus";
        const std::string url = server_->amqp_urls().at(0);
        own.queue.connection_string = "Endpoint=sb://" + url.substr(url.find("//") + 2) +
                                      ";SharedAccessKeyName=Root;SharedAccessKey=k;"
                                      "UseDevelopmentEmulator=true";
        own.workers.emplace_back().queue = "docs";
        return own;
    }

    test::DatabasePlace place_{test::Engine::postgres};
    SystemClock clock_of_workers_;
};

TEST_F(SharedStateTest, AServerTakesInServesAndRemovesDocuments) {
    start_shared();
    const auto operation = ingest("mill", "The mill race carries water to the wheel.");
    EXPECT_EQ(operation.at("status"), "succeeded") << boost::json::serialize(operation);
    EXPECT_EQ(search("water wheel").size(), 1u);
    EXPECT_EQ(get("/readyz").status, 200u);
    stop();
    start_shared();
    EXPECT_EQ(get("/v1/documents/mill").body.at("status"), "succeeded");
    EXPECT_EQ(search("water wheel").size(), 1u);
    EXPECT_EQ(send({.method = "DELETE", .target = "/v1/documents/mill"}).status, 204u);
    EXPECT_EQ(get("/v1/documents/mill").status, 404u);
    EXPECT_TRUE(search("water wheel").empty());
}

TEST_F(SharedStateTest, WhatTwoWorkersHaveDoneIsKnownToTheServer) {
    start_shared();
    Worker one(io_.get_executor(), clock_of_workers_, worker_configuration("one"));
    Worker other(io_.get_executor(), clock_of_workers_, worker_configuration("other"));
    ASSERT_TRUE(test::run(io_, one.start()));
    ASSERT_TRUE(test::run(io_, other.start()));
    auto queue = make_remote_queue(io_.get_executor(), clock_of_workers_, worker_configuration("one").queue);
    for (int i = 0; i < 10; ++i) {
        std::vector<broker::Message> messages(1);
        messages[0].body = R"({"documentId": "d)" + std::to_string(i) +
                           R"(", "title": "Mill", "content": ")" + "water turns wheel " + std::to_string(i) +
                           R"("})";
        ASSERT_TRUE(test::run(io_, (*queue)->send("docs", std::move(messages))));
    }
    std::size_t succeeded = 0;
    for (int i = 0; i < 2000 && succeeded < 10; ++i) {
        io_.run_one_for(std::chrono::milliseconds(10));
        succeeded = get("/v1/documents?status=succeeded").body.at("documents").as_array().size();
    }
    EXPECT_EQ(succeeded, 10u);
    test::run(io_, (*queue)->stop());
    test::run(io_, one.stop());
    test::run(io_, other.stop());
}

TEST_F(SharedStateTest, WhilePostgresqlIsAwayCallsFailAndTheProcessGoesOn) {
    start_shared();
    ingest("before", "The mill race carries water.");
    test::PostgresServer::shared().stop();
    const boost::json::object during{{"id", "during"}, {"title", "t"}, {"content", "words"}};
    EXPECT_EQ(post("/v1/documents", during).status, 503u);
    EXPECT_EQ(get("/readyz").status, 503u);
    test::PostgresServer::shared().start();
    const auto operation = ingest("after", "The mill race carries water.");
    EXPECT_EQ(operation.at("status"), "succeeded");
    EXPECT_EQ(get("/v1/documents/during").status, 404u);
    EXPECT_EQ(get("/readyz").status, 200u);
}

TEST_F(SharedStateTest, AStartWithoutPostgresqlSaysSoInOneLine) {
    Configuration wrong = configuration(data());
    wrong.store.connection_string = "postgresql://mill:SECRET@127.0.0.1:1/mill";
    const auto refused = try_start(wrong);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail, AllOf(HasSubstr("store: "), HasSubstr("127.0.0.1"),
                                              Not(HasSubstr("SECRET")), Not(HasSubstr("\n"))));
    wrong.store.connection_string.clear();
    const auto nowhere = try_start(wrong);
    ASSERT_FALSE(nowhere);
    EXPECT_THAT(nowhere.error().detail, HasSubstr("MILLRACE_STORE__CONNECTION_STRING"));
}

}  // namespace
}  // namespace millrace::app
