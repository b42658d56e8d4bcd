// `millrace work` as a program of its own, on the queue of another program.
#include "tests/amqp/rabbitmq_node.hpp"
#include "tests/app/serve_fixture.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>

namespace millrace::app {
namespace {

using testing::HasSubstr;

constexpr char kDocument[] = R"({"documentId": "d1", "title": "Mill", "content": "water turns the wheel"})";

class WorkCommand : public ServeCommand {
  protected:
    boost::asio::io_context io;
    SystemClock clock;
    std::unique_ptr<amqp::RemoteQueue> queue;

    void TearDown() override {
        if (queue) test::run(io, queue->stop());
    }
    std::string worker_data() const { return directory_.path() / "worker"; }
    test::Process::Environment with_model(test::Process::Environment environment = {}) const {
        environment["MILLRACE_DEPLOYMENTS__0__NAME"] = "default";
        environment["MILLRACE_DEPLOYMENTS__0__PROVIDER"] = "local-hash";
        return environment;
    }

    void send(const std::string& name, std::string body) {
        std::vector<broker::Message> messages(1);
        messages[0].body = std::move(body);
        const auto sent = test::run(io, queue->send(name, std::move(messages)));
        ASSERT_TRUE(sent) << sent.error().detail;
    }
    /// One document, and behind it what is none: once that is a dead letter, the document is done.
    void send_work(const std::string& name) {
        send(name, kDocument);
        send(name, "not JSON");
    }
    void wait_for_dead_letter(const std::string& name) {
        broker::ReceiveOptions options;
        options.wait = std::chrono::seconds(60);
        const auto received = test::run(io, queue->receive(name + "/$DeadLetterQueue", options));
        ASSERT_TRUE(received) << received.error().detail;
        ASSERT_EQ(received->size(), 1u);
        EXPECT_EQ(received->at(0).message.body, "not JSON");
        EXPECT_EQ(received->at(0).message.properties.at(broker::kDeadLetterReason),
                  broker::Value(std::string("MalformedPayload")));
    }
    /// Works until the dead letter is there, then is told to end.
    void work(std::vector<std::string> arguments, const test::Process::Environment& environment,
              const std::string& name) {
        arguments.insert(arguments.begin(), {MILLRACE_BINARY, "work", "--data", worker_data()});
        test::Process worker(arguments, with_model(environment));
        ASSERT_TRUE(worker.wait_for("working on " + name + "\n")) << worker.err;
        wait_for_dead_letter(name);
        worker.signal(SIGTERM);
        EXPECT_EQ(worker.wait(), 0) << worker.err;
        EXPECT_THAT(worker.err, HasSubstr("stopped"));
    }
    /// A server on the worker's directory finds the document.
    void expect_indexed() {
        test::Process server({MILLRACE_BINARY, "serve", "--listen", "127.0.0.1:0", "--amqp", "127.0.0.1:0",
                              "--data", worker_data()},
                             with_model());
        ASSERT_TRUE(server.wait_for("\n")) << server.err;
        const std::string words = "listening on ";
        const auto begin = server.out.find(words) + words.size();
        const std::string url = server.out.substr(begin, server.out.find('\n') - begin);
        const auto found = millrace_says({"search", "wheel", "--json"}, {{"MILLRACE_URL", url}});
        EXPECT_EQ(found.code, 0) << found.err;
        EXPECT_THAT(found.out, HasSubstr("\"d1\""));
        server.signal(SIGTERM);
        EXPECT_EQ(server.wait(), 0);
    }
};

TEST_F(WorkCommand, WorksByAppsettingsOnTheQueueOfAServerAndEndsCleanly) {
    start({{"MILLRACE_SERVER__WORKERS", "false"}});
    const std::string words = "listening on amqp://127.0.0.1:";
    ASSERT_TRUE(server_->wait_for(words)) << server_->err;
    const std::string port =
        std::to_string(std::stoi(server_->out.substr(server_->out.find(words) + words.size())));
    const std::string target = "Endpoint=sb://127.0.0.1:" + port +
                               "/;SharedAccessKeyName=Root;SharedAccessKey=k;UseDevelopmentEmulator=true";
    amqp::RemoteOptions options;
    options.target = amqp::parse_connection_string(target).value();
    queue = amqp::make_service_bus_queue(io.get_executor(), clock, std::move(options));
    send_work("document-ingestion");
    const std::string file = write("appsettings.json", R"({
        // as a .NET worker has it
        "AzureServiceBus": {"ConnectionString": ")" + target +
                                                           R"(", "QueueName": "document-ingestion",
                            "MaxConcurrentCalls": 1, "PrefetchCount": 0},
    })");
    work({"--appsettings", file}, {}, "document-ingestion");
    const auto shown = ask({"queue", "show", "document-ingestion", "--json"});
    ASSERT_EQ(shown.code, 0) << shown.err;
    const auto counts = boost::json::parse(shown.out);
    EXPECT_EQ(counts.at("active").to_number<int>(), 0) << shown.out;
    EXPECT_EQ(counts.at("locked").to_number<int>(), 0) << shown.out;
    expect_indexed();
}

TEST_F(WorkCommand, WorksOnAQueueOfRabbitMq) {
    using amqp::test::RabbitNode;
    if (!RabbitNode::is_installed()) GTEST_SKIP() << "no RabbitMQ; tools/fetch_clients.py fetches it";
    RabbitNode& node = RabbitNode::shared();
    ASSERT_NE(node.port(), 0) << "RabbitMQ does not start:\n" << node.said();
    const std::string name = amqp::test::name_at_node("documents");
    queue = amqp::make_rabbitmq_queue(io.get_executor(), clock, node.options());
    send_work(name);
    work(
        {},
        {{"MILLRACE_QUEUE__ENGINE", "rabbitmq"},
         {"MILLRACE_QUEUE__CONNECTION_STRING", "amqp://guest:guest@127.0.0.1:" + std::to_string(node.port())},
         {"MILLRACE_WORKERS__0__QUEUE", name},
         {"MILLRACE_WORKERS__0__CONCURRENCY", "1"}},
        name);
    broker::ReceiveOptions at_once;
    EXPECT_TRUE(test::run(io, queue->receive(name, at_once)).value().empty());
    expect_indexed();
}

TEST_F(WorkCommand, SaysInOneLineWhatIsMissing) {
    const auto said =
        millrace_says({"work", "--data", worker_data()}, {{"MILLRACE_WORKERS__0__QUEUE", "documents"}});
    EXPECT_EQ(said.code, 1);
    EXPECT_THAT(said.err, HasSubstr("need a remote queue"));
}

}  // namespace
}  // namespace millrace::app
