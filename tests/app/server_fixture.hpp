// A whole server with its workers in the process of a test, in one line: `ServerRun server;`.
#pragma once

#include "app/client.hpp"
#include "app/server.hpp"
#include "provider/http_client.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fstream>
#include <memory>

namespace millrace::app {

/// The embedded default with the model that needs no weights, on a free port.
inline Configuration test_configuration(const std::filesystem::path& data) {
    Configuration configuration;
    configuration.server.listen = "127.0.0.1:0";
    configuration.server.amqp_listen = "127.0.0.1:0";
    configuration.server.data_dir = data.string();
    configuration.server.drain_seconds = 10;
    DeploymentEntry deployment;
    deployment.name = "default";
    deployment.provider = "local-hash";
    configuration.deployments.push_back(deployment);
    return configuration;
}

class ServerTest : public testing::Test {
  protected:
    ~ServerTest() override { stop(); }

    std::filesystem::path data() const { return directory_.path() / "data"; }

    /// Starts a server; the error if it doesn't start.
    Result<void> try_start(const Configuration& configuration) {
        server_ = std::make_unique<Server>(io_.get_executor(), clock_, configuration);
        auto started = test::run(io_, server_->start());
        if (!started) {
            test::run(io_, server_->stop());
            server_.reset();
            return started;
        }
        client_ = std::move(Client::make(io_.get_executor(), {server_->url(), ""}).value());
        return started;
    }
    void start() { start(test_configuration(data())); }
    void start(const Configuration& configuration) {
        const auto started = try_start(configuration);
        ASSERT_TRUE(started) << started.error().detail;
    }
    void stop() {
        if (!server_) return;
        client_->stop();
        test::run(io_, server_->stop());
        client_.reset(), server_.reset();
    }

    Reply send(Client::Call call) {
        auto reply = test::run(io_, client_->send(std::move(call)));
        if (reply) return std::move(*reply);
        ADD_FAILURE() << reply.error().detail;
        return {};
    }
    Reply get(const std::string& target) { return send({.target = target}); }
    Reply post(const std::string& target, const boost::json::value& body) {
        return send(Client::post(target, body));
    }

    /// What a program gets that is no client of this product, e.g. over HTTPS with `ca_file` trusted.
    provider::HttpAnswer fetch(const std::string& url, const std::string& ca_file = "") {
        provider::HttpClientOptions options;
        options.ca_file = ca_file;
        auto client = provider::HttpClient::make(io_.get_executor(), options);
        provider::HttpRequest request;
        request.method = "GET";
        request.url = provider::parse_url(url).value();
        auto answer = test::run(io_, (*client)->send(std::move(request)));
        (*client)->stop();
        if (answer) return std::move(*answer);
        ADD_FAILURE() << url << ": " << answer.error().detail;
        return {};
    }

    /// Sends a document and waits until its operation has ended; answers that.
    boost::json::value ingest(const std::string& id, const std::string& content) {
        const auto accepted =
            post("/v1/documents",
                 boost::json::object{{"id", id}, {"title", "Title of " + id}, {"content", content}});
        EXPECT_EQ(accepted.status, 202);
        return finished(std::string(accepted.body.at("operation").as_string()));
    }
    boost::json::value finished(const std::string& operation) {
        return get("/v1/operations/" + operation + "?wait=30").body;
    }
    boost::json::array search(const std::string& query) {
        return post("/v1/search", boost::json::object{{"query", query}}).body.at("results").as_array();
    }

    test::TemporaryDirectory directory_;
    boost::asio::io_context io_;
    SystemClock clock_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<Client> client_;
};

}  // namespace millrace::app
