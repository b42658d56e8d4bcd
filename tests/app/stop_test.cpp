// How a server ends while work is under way, and what an outage of the model does to that work.
#include "tests/app/server_fixture.hpp"

#include "base/async.hpp"
#include "http/server.hpp"
#include "work/documents.hpp"

#include <boost/json/parse.hpp>

namespace millrace::app {
namespace {

/// A model on this machine that breaks or hangs as the test wants.
class ModelServer {
  public:
    explicit ModelServer(asio::io_context& io) : io_(io), released_(io.get_executor()) {
        auto answer = [this](http::Request request) { return respond(std::move(request)); };
        http::ServerOptions options;
        options.port = 0;
        server_ = std::move(http::Server::start(io.get_executor(), std::move(options), answer).value());
    }
    ~ModelServer() { stop(); }

    std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()) + "/v1"; }
    void release() {
        stuck = false;
        released_.notify();
    }
    void stop() { test::run(io_, server_->stop(Duration::zero())); }

    int calls = 0;
    bool stuck = false;
    int failures = 0;  ///< how many calls to answer with 503

  private:
    asio::awaitable<http::Response> respond(http::Request request) {
        calls += 1;
        while (stuck) co_await released_.wait();
        http::Response response;
        response.headers.emplace_back("Content-Type", "application/json");
        if (failures > 0) {
            failures -= 1;
            response.status = 503;
            response.headers.emplace_back("retry-after-ms", "1");
            response.body = R"({"error":{"message":"down"}})";
            co_return response;
        }
        const auto inputs = boost::json::parse(request.body).at("input").as_array().size();
        boost::json::array data;
        for (std::size_t i = 0; i < inputs; ++i)
            data.push_back({{"index", i}, {"embedding", {1.0, 0.5, 0.25}}});
        response.body = boost::json::serialize(boost::json::object{
            {"data", std::move(data)}, {"model", "m"}, {"usage", {{"prompt_tokens", 1}}}});
        co_return response;
    }

    asio::io_context& io_;
    Signal released_;
    std::unique_ptr<http::Server> server_;
};

class StopTest : public ServerTest {
  protected:
    Configuration configuration() {
        Configuration configuration = test_configuration(data());
        configuration.server.drain_seconds = 0;
        DeploymentEntry& deployment = configuration.deployments.front();
        deployment.provider = "openai";
        deployment.endpoint = model_.url();
        deployment.model = "m";
        return configuration;
    }

    ModelServer model_{io_};
};

TEST_F(StopTest, AServerWithAStuckModelStopsAndFinishesTheDocumentAfterTheNextStart) {
    model_.stuck = true;
    start(configuration());
    const auto accepted = post(
        "/v1/documents",
        boost::json::object{{"id", "a"}, {"title", "Mills"}, {"content", "The mill race carries water."}});
    ASSERT_EQ(accepted.status, 202);
    test::run_until(io_, [&] { return model_.calls > 0; });
    stop();
    model_.release();
    start(configuration());
    const auto operation = finished(std::string(accepted.body.at("operation").as_string()));
    EXPECT_EQ(operation.at("status"), "succeeded") << boost::json::serialize(operation);
}

TEST_F(StopTest, AnOutageOfTheModelDeadLettersNothing) {
    Configuration short_lived = configuration();
    QueueEntry queue;
    queue.name = work::queue::embed;
    queue.max_delivery_count = 1;
    short_lived.queues.push_back(queue);
    model_.failures = 18;  // six calls of three tries each: the breaker opens at the fifth
    start(short_lived);
    const auto operation = ingest("a", "The mill race carries water.");
    EXPECT_EQ(operation.at("status"), "succeeded") << boost::json::serialize(operation);
    EXPECT_EQ(model_.failures, 0);
    EXPECT_EQ(get("/v1/queues/embed-queue").body.at("deadLettered"), 0);
}

}  // namespace
}  // namespace millrace::app
