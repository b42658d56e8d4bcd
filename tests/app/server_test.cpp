#include "tests/app/server_fixture.hpp"

#include "store/sqlite.hpp"

namespace millrace::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST_F(ServerTest, MakesADocumentSearchable) {
    start();
    const auto operation = ingest("mills/1", "The mill race carries water to the wheel.");
    EXPECT_EQ(operation.at("status"), "succeeded") << boost::json::serialize(operation);
    EXPECT_GT(operation.at("progress").at("total").to_number<int>(), 0);
    const auto hits = search("water wheel");
    ASSERT_FALSE(hits.empty());
    EXPECT_EQ(hits[0].at("documentId"), "mills/1");
    EXPECT_EQ(get("/v1/documents/mills%2F1").body.at("status"), "succeeded");
    EXPECT_EQ(get("/readyz").status, 200);
    EXPECT_EQ(get("/healthz").status, 200);
    EXPECT_EQ(server_->metrics().value(telemetry::metric::documents_processed, {""}), 1);
}

TEST_F(ServerTest, KeepsItsDocumentsOverARestart) {
    start();
    ingest("a", "The mill race carries water.");
    stop();
    start();
    EXPECT_EQ(search("water").size(), 1u);
}

TEST_F(ServerTest, AChangedDocumentTakesThePlaceOfTheOldOne) {
    start();
    ingest("a", "The old text is about windmills.");
    ingest("a", "The new text is about waterwheels.");
    EXPECT_EQ(search("waterwheels").size(), 1u);
    for (const auto& hit : search("windmills"))
        EXPECT_THAT(std::string(hit.at("text").as_string()), HasSubstr("new text"));
}

TEST_F(ServerTest, ADocumentThatCannotBecomeTextEndsAsADeadLetterWithItsReason) {
    start();
    const auto accepted = send({.method = "POST",
                                .target = "/v1/documents?id=broken&filename=x.pdf",
                                .body = "%PDF-1.7 cut off",
                                .content_type = "application/pdf"});
    ASSERT_EQ(accepted.status, 202);
    const auto operation = finished(std::string(accepted.body.at("operation").as_string()));
    EXPECT_EQ(operation.at("status"), "failed");
    EXPECT_THAT(std::string(operation.at("error").as_string()), HasSubstr("MalformedPayload"));
    EXPECT_EQ(get("/v1/documents/broken").body.at("status"), "failed");
    // The operation fails a moment before its message is moved.
    boost::json::value dead;
    for (int i = 0; i < 10'000; ++i) {
        dead = get("/v1/queues/document-ingestion/messages?state=deadLettered").body;
        if (!dead.at("messages").as_array().empty()) break;
    }
    ASSERT_EQ(dead.at("messages").as_array().size(), 1u);
    EXPECT_EQ(dead.at("messages").at(0).at("deadLetterReason"), "MalformedPayload");
}

TEST_F(ServerTest, ASecondOneOnTheSameDataIsRefused) {
    start();
    Server second(io_.get_executor(), clock_, test_configuration(data()));
    const auto started = test::run(io_, second.start());
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail,
                AllOf(HasSubstr("in use by another server"), HasSubstr(data().string())));
}

TEST_F(ServerTest, DataThatCannotBeWrittenIsNamed) {
    for (const char* path : {"/proc/millrace-data", "/dev/null/data"}) {
        auto configuration = test_configuration(path);
        const auto started = try_start(configuration);
        ASSERT_FALSE(started) << path;
        EXPECT_THAT(started.error().detail, HasSubstr(path));
    }
}

TEST_F(ServerTest, DataOfANewerVersionIsLeftAlone) {
    start();
    stop();
    {
        store::SqliteConnection connection((data() / "millrace.db").string(), store::Access::read_write);
        connection.execute("PRAGMA user_version = 9999");
    }
    const auto started = try_start(test_configuration(data()));
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail, HasSubstr("newer"));
}

TEST_F(ServerTest, TheRulesOfTheConfigurationAreThoseOfTheSubscription) {
    auto configuration = test_configuration(data());
    configuration.topics.push_back({.name = "t"});
    configuration.subscriptions.push_back({.topic = "t", .name = "s"});
    const auto stored = [&] {
        start(configuration);
        stop();
        store::SqliteConnection connection((data() / "millrace.db").string(), store::Access::read_only);
        auto& select = connection.prepare("SELECT name,action FROM rule");
        std::string rules;
        while (select.step()) rules += select.string(0) + ":" + select.string(1) + " ";
        return rules;
    };
    EXPECT_EQ(stored(), "$Default: ");
    broker::Rule rule;
    rule.name = "mine";
    rule.action = "SET a = 1";
    configuration.subscriptions[0].rules = {rule};
    EXPECT_EQ(stored(), "mine:SET a = 1 ");
    configuration.subscriptions[0].rules.reset();
    EXPECT_EQ(stored(), "mine:SET a = 1 ") << "without the key they are left alone";
    configuration.subscriptions[0].rules.emplace();
    EXPECT_EQ(stored(), "");
    rule.action = "SET";
    configuration.subscriptions[0].rules = {rule};
    const auto started = try_start(configuration);
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail, HasSubstr("subscription \"t/Subscriptions/s\": rule \"mine\""));
}

TEST_F(ServerTest, ARestartKeepsWhatProgramsHaveSetOfAnEntity) {
    auto configuration = test_configuration(data());
    configuration.queues.push_back({.name = "q"});
    start(configuration);
    stop();
    {
        store::SqliteConnection connection((data() / "millrace.db").string(), store::Access::read_write);
        connection.execute(
            "UPDATE entity SET options=json_set(options,'$.status','disabled','$.user_metadata','mine') "
            "WHERE name='q'");
    }
    configuration.queues[0].lock_seconds = 30;
    start(configuration);
    stop();
    store::SqliteConnection connection((data() / "millrace.db").string(), store::Access::read_only);
    EXPECT_EQ(connection.integer("SELECT options->>'$.lock_ms' FROM entity WHERE name='q'"), 30'000);
    EXPECT_EQ(connection.integer("SELECT options->>'$.status'='disabled' AND "
                                 "options->>'$.user_metadata'='mine' FROM entity WHERE name='q'"),
              1);
}

TEST_F(ServerTest, AnAddressInUseIsNamed) {
    start();
    auto configuration = test_configuration(directory_.path() / "other");
    configuration.server.listen = server_->url().substr(7);
    Server second(io_.get_executor(), clock_, configuration);
    const auto started = test::run(io_, second.start());
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Errc::unavailable);
    EXPECT_THAT(started.error().detail, HasSubstr("in use"));
}

TEST_F(ServerTest, AWorkerOfAnUnknownQueueOrHandlerIsNamed) {
    struct {
        WorkerEntry entry;
        const char* words;
    } cases[] = {
        {{.queue = "none", .handler = "embed-index"}, "there is no such queue"},
        {{.queue = "embed-queue", .handler = "chunk"}, "no handler \"chunk\" for this queue"},
        {{.queue = "mine", .handler = "sumarize"}, "no handler \"sumarize\""},
    };
    for (const auto& [entry, words] : cases) {
        auto configuration = test_configuration(data());
        configuration.queues.push_back({.name = "mine"});
        configuration.workers.push_back(entry);
        const auto started = try_start(configuration);
        ASSERT_FALSE(started) << words;
        EXPECT_THAT(started.error().detail, HasSubstr(words));
    }
}

TEST_F(ServerTest, ConfiguredQueuesExist) {
    auto configuration = test_configuration(data());
    configuration.queues.push_back({.name = "orders", .lock_seconds = 30, .forward_to = "archive"});
    configuration.queues.push_back({.name = "archive", .forward_to = "attic"});
    configuration.queues.push_back({.name = "attic", .forward_dead_letters_to = "orders"});
    configuration.topics.push_back({.name = "news"});
    configuration.subscriptions.push_back({.topic = "news", .name = "all"});
    start(configuration);
    EXPECT_EQ(get("/v1/queues/orders").body.at("options").at("lockSeconds"), 30);
    EXPECT_EQ(get("/v1/queues/orders").body.at("options").at("forwardTo"), "archive");
    EXPECT_EQ(get("/v1/queues/archive").body.at("options").at("forwardTo"), "attic");
    EXPECT_EQ(get("/v1/queues/attic").body.at("options").at("forwardDeadLettersTo"), "orders");
    EXPECT_EQ(get("/v1/queues/news%2FSubscriptions%2Fall").body.at("kind"), "subscription");
}

TEST_F(ServerTest, AQueueThatForwardsToWhatIsNotThereIsNamed) {
    auto configuration = test_configuration(data());
    configuration.queues.push_back({.name = "orders", .forward_to = "archive"});
    const auto started = try_start(configuration);
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail, HasSubstr("\"orders\" cannot forward to \"archive\""));
}

TEST_F(ServerTest, StopsTwiceWithoutHarm) {
    start();
    test::run(io_, server_->stop());
    test::run(io_, server_->stop());
    EXPECT_FALSE(test::run(io_, client_->send({.target = "/readyz"})));
}

TEST_F(ServerTest, ADryRunKnowsThePriceAndTheQuotaOfTheDeployment) {
    Configuration configuration = test_configuration(data());
    DeploymentEntry& remote = configuration.deployments.front();
    remote.provider = "openai";
    remote.endpoint = "http://127.0.0.1:9/v1";
    remote.model = "text-embedding-3-small";
    remote.dimensions = 8;
    remote.tokens_per_minute = 600;
    remote.price_prompt = 3;
    start(configuration);
    const boost::json::object document{{"title", "t"},
                                       {"content", "The mill race carries water to the wheel."}};
    const auto estimate = post("/v1/documents?dryRun=true", document).body;
    const auto tokens = estimate.at("promptTokens").to_number<double>();
    EXPECT_GT(tokens, 0);
    EXPECT_DOUBLE_EQ(estimate.at("cost").to_number<double>(), 3e-6 * tokens);
    EXPECT_EQ(estimate.at("backlogSeconds").to_number<double>(), 0);
    EXPECT_DOUBLE_EQ(estimate.at("secondsUntilDone").to_number<double>(), tokens / 10);
    const boost::json::object task{{"type", "embed"},
                                   {"content", "The mill race carries water to the wheel."}};
    EXPECT_DOUBLE_EQ(post("/v1/tasks?dryRun=true", task).body.at("secondsUntilDone").to_number<double>(),
                     tokens / 10);

    // Accepted, it waits for a model that is down; what comes then waits behind it.
    post("/v1/documents", document);
    const boost::json::object next{{"title", "t"}, {"content", "Another wheel is turned by the same water."}};
    double backlog = 0;
    while (backlog == 0)
        backlog = post("/v1/documents?dryRun=true", next).body.at("backlogSeconds").to_number<double>();
    EXPECT_DOUBLE_EQ(backlog, tokens / 10);
}

}  // namespace
}  // namespace millrace::app
