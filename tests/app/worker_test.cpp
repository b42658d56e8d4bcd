// Workers of their own against the queues of another server, all in one process.
#include "app/worker.hpp"
#include "app/app_settings.hpp"
#include "tests/app/server_fixture.hpp"

namespace millrace::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class WorkerTest : public ServerTest {
  protected:
    SystemClock clock_of_worker;

    /// A server that works on nothing itself, with a queue "docs".
    void start_server() {
        Configuration configuration = test_configuration(data());
        configuration.server.workers = false;
        configuration.queues.emplace_back().name = "docs";
        start(configuration);
    }
    Configuration worker_configuration() {
        Configuration configuration = test_configuration(directory_.path() / "worker");
        configuration.queue.engine = "servicebus";
        const std::string url = server_->amqp_urls().at(0);
        configuration.queue.connection_string = "Endpoint=sb://" + url.substr(url.find("//") + 2) +
                                                ";SharedAccessKeyName=Root;SharedAccessKey=k;"
                                                "UseDevelopmentEmulator=true";
        WorkerEntry worker;
        worker.queue = "docs";
        configuration.workers.push_back(worker);
        return configuration;
    }
    std::unique_ptr<amqp::RemoteQueue> producer() {
        return make_remote_queue(io_.get_executor(), clock_of_worker, worker_configuration().queue).value();
    }
    void produce(amqp::RemoteQueue& queue, std::string body) {
        broker::Message message;
        message.body = std::move(body);
        std::vector<broker::Message> messages{std::move(message)};
        const auto sent = test::run(io_, queue.send("docs", std::move(messages)));
        ASSERT_TRUE(sent) << sent.error().detail;
    }
    boost::json::value queue_named(const std::string& name) {
        const auto reply = get("/v1/queues/" + name);
        return reply.body;
    }
};

TEST_F(WorkerTest, WorksOnTheQueueOfAnotherServer) {
    start_server();
    const auto queue = producer();
    produce(*queue, R"({"documentId": "d1", "title": "Mill", "content": "water turns the wheel"})");
    produce(*queue, "not JSON");
    Worker worker(io_.get_executor(), clock_of_worker, worker_configuration());
    const auto started = test::run(io_, worker.start());
    ASSERT_TRUE(started) << started.error().detail;
    EXPECT_THAT(worker.queues(), ElementsAre("docs"));
    // However many looks it takes: a look costs less than a millisecond.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < end) {
        io_.run_one_for(std::chrono::milliseconds(10));
        const auto shown = queue_named("docs");
        if (shown.at("totals").at("completed").to_number<int>() == 1 &&
            shown.at("deadLettered").to_number<int>() == 1 && shown.at("locked").to_number<int>() == 0)
            break;
    }
    const auto shown = queue_named("docs");
    EXPECT_EQ(shown.at("active").to_number<int>(), 0);
    EXPECT_EQ(shown.at("locked").to_number<int>(), 0);
    EXPECT_EQ(shown.at("deadLettered").to_number<int>(), 1) << "as a dead letter of the server's own queue";
    test::run(io_, worker.stop());
    test::run(io_, worker.stop());
    test::run(io_, queue->stop());
    stop();

    // What the worker knows is in its own directory: a server on it finds the document.
    Configuration after = test_configuration(directory_.path() / "worker");
    start(after);
    EXPECT_EQ(get("/v1/documents/d1").body.at("status").as_string(), "succeeded");
    const auto found = post("/v1/search", {{"query", "wheel"}});
    EXPECT_EQ(found.body.at("results").at(0).at("documentId").as_string(), "d1");
}

TEST_F(WorkerTest, WorksOnTheTasksOfAnotherServer) {
    start_server();
    const auto accepted =
        post("/v1/tasks", {{"id", "t1"}, {"type", "sentiment"}, {"content", "a wonderful day"}});
    ASSERT_EQ(accepted.status, 202u);
    Configuration configuration = worker_configuration();
    configuration.workers[0].queue = "ai-tasks";
    Worker worker(io_.get_executor(), clock_of_worker, configuration);
    ASSERT_TRUE(test::run(io_, worker.start()));
    const auto completed = [this] {
        return queue_named("ai-tasks").at("totals").at("completed").to_number<int>() == 1;
    };
    for (int i = 0; i < 2000 && !completed(); ++i) io_.run_one_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(completed());
    test::run(io_, worker.stop());
    stop();
    start(test_configuration(directory_.path() / "worker"));
    const auto task = get("/v1/tasks/t1").body;
    EXPECT_EQ(task.at("status").as_string(), "succeeded");
    EXPECT_EQ(task.at("result").at("sentiment").as_string(), "positive");
}

TEST_F(WorkerTest, AServerWithoutWorkersLeavesDocumentsInTheirQueue) {
    start_server();
    const auto accepted = post("/v1/documents", {{"title", "t"}, {"content", "words"}});
    EXPECT_EQ(accepted.status, 202u);
    for (int i = 0; i < 20; ++i) io_.run_one_for(std::chrono::milliseconds(5));
    EXPECT_EQ(queue_named("document-ingestion").at("active").to_number<int>(), 1);
}

TEST_F(WorkerTest, SaysInOneLineWhatIsMissing) {
    start_server();
    struct Case {
        const char* why;
        std::function<void(Configuration&)> change;
    };
    const Case cases[] = {
        {"need a remote queue", [](Configuration& c) { c.queue.engine = "embedded"; }},
        {"connection_string_file", [](Configuration& c) { c.queue.connection_string.clear(); }},
        {"has no Endpoint", [](Configuration& c) { c.queue.connection_string = "SharedAccessKey=SECRET"; }},
        {"which queue?", [](Configuration& c) { c.workers.clear(); }},
        {"handler \"extract\"", [](Configuration& c) { c.workers[0].handler = "extract"; }},
        {"queue.ca_file",
         [](Configuration& c) {
             c.queue.connection_string = "amqps://u:SECRET@h";
             c.queue.engine = "rabbitmq";
             c.queue.ca_file = "/nowhere.pem";
         }},
    };
    for (const Case& one : cases) {
        Configuration configuration = worker_configuration();
        one.change(configuration);
        Worker worker(io_.get_executor(), clock_of_worker, configuration);
        const auto started = test::run(io_, worker.start());
        ASSERT_TRUE(started.has_error()) << one.why;
        EXPECT_THAT(started.error().detail, HasSubstr(one.why));
        EXPECT_THAT(started.error().detail, Not(HasSubstr("SECRET")));
    }
}

TEST(AppSettingsTest, BecomeTheRemoteQueueOneWorkerAndOneDeployment) {
    Configuration configuration;
    std::vector<std::string> notices;
    const auto applied =
        apply_app_settings(R"({
        // what a .NET worker has
        "Logging": {"LogLevel": {"Default": "Information"}},
        "AzureServiceBus": {"ConnectionString": "Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=k",
                            "QueueName": "document-ingestion", "MaxConcurrentCalls": 8, "PrefetchCount": 4},
        "AzureOpenAI": {"Endpoint": "https://o.openai.azure.com", "ApiKey": "K",
                        "EmbeddingDeployment": "text-embedding-3-small"},
        "AzureSearch": {"Endpoint": "https://s.search.windows.net", "ApiKey": "K", "IndexName": "docs"},
    })",
                           {{"AZURESERVICEBUS__QUEUENAME", "other"}}, configuration, notices);
    ASSERT_TRUE(applied) << applied.error().detail;
    EXPECT_EQ(configuration.queue.engine, "servicebus");
    EXPECT_THAT(configuration.queue.connection_string, HasSubstr("sb://h/"));
    ASSERT_EQ(configuration.workers.size(), 1u);
    EXPECT_EQ(configuration.workers[0].queue, "other");
    EXPECT_EQ(configuration.workers[0].handler, "embed-index");
    EXPECT_EQ(configuration.workers[0].concurrency, 8);
    ASSERT_EQ(configuration.deployments.size(), 1u);
    EXPECT_EQ(configuration.deployments[0].provider, "azure-openai");
    EXPECT_EQ(configuration.deployments[0].model, "text-embedding-3-small");
    EXPECT_THAT(notices, ElementsAre(HasSubstr("nothing is written to Azure AI Search"),
                                     "appsettings: AzureServiceBus:PrefetchCount is not used"));
}

TEST(AppSettingsTest, SayWhatIsWrong) {
    struct Case {
        const char* text;
        const char* why;
    };
    const Case cases[] = {
        {"[]", "not a JSON object"},
        {"{", "not a JSON object"},
        {"{}", "AzureServiceBus:ConnectionString is missing"},
        {R"({"AzureServiceBus": {"ConnectionString": "SECRET"}})", "AzureServiceBus:QueueName is missing"},
        {R"({"AzureServiceBus": {"ConnectionString": "SECRET", "QueueName": "q", "MaxConcurrentCalls": 0}})",
         "MaxConcurrentCalls"},
        {R"({"AzureServiceBus": {"ConnectionString": "SECRET", "QueueName": "q"}, "AzureOpenAI": {"ApiKey": "SECRET"}})",
         "AzureOpenAI:Endpoint is missing"},
    };
    for (const Case& one : cases) {
        Configuration configuration;
        std::vector<std::string> notices;
        const auto applied = apply_app_settings(one.text, {}, configuration, notices);
        ASSERT_TRUE(applied.has_error()) << one.text;
        EXPECT_THAT(applied.error().detail, HasSubstr(one.why));
        EXPECT_THAT(applied.error().detail, Not(HasSubstr("SECRET")));
    }
}

}  // namespace
}  // namespace millrace::app
