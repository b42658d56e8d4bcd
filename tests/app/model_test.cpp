#include "app/model.hpp"

#include "tests/provider/scripted_server.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

namespace millrace::app {
namespace {

DeploymentEntry deployment(const std::string& name, const std::string& provider) {
    DeploymentEntry entry;
    entry.name = name;
    entry.provider = provider;
    return entry;
}

/// No provider can be made of it.
DeploymentEntry broken(const std::string& name) {
    DeploymentEntry entry = deployment(name, "openai");
    entry.key = "secret";
    entry.model = "any";
    entry.endpoint = "no URL";
    return entry;
}

class ModelsTest : public testing::Test {
  protected:
    ModelsTest() {
        store::Database::Options options;
        options.directory = directory_.path();
        database_ = std::move(store::Database::open(io_.get_executor(), options).value());
    }
    ~ModelsTest() override { database_->stop(); }

    Result<std::unique_ptr<Models>> make() {
        const ModelsBase base{*database_, pool_, clock_, metrics_};
        return Models::make(io_.get_executor(), configuration_, base);
    }

    test::TemporaryDirectory directory_;
    boost::asio::io_context io_;
    std::unique_ptr<store::Database> database_;
    CpuPool pool_{1};
    SystemClock clock_;
    telemetry::Metrics metrics_;
    Configuration configuration_;
};

TEST_F(ModelsTest, EveryDeploymentIsThereUnderItsNameAndTheOneThatWorkersNameIsInUse) {
    DeploymentEntry remote = broken("remote");
    remote.endpoint = "http://127.0.0.1:1/v1";
    configuration_.deployments = {remote, deployment("words", "local-hash")};
    configuration_.workers.emplace_back().deployment = "words";
    const auto models = make();
    ASSERT_TRUE(models) << models.error().detail;
    EXPECT_EQ((*models)->in_use().deployment.name, "words");
    EXPECT_TRUE((*models)->in_use().local);
    EXPECT_EQ((*models)->find("words").value(), &(*models)->in_use());
    const Model& other = *(*models)->find("remote").value();
    EXPECT_FALSE(other.local);
    EXPECT_EQ(other.provider->model().name, "any");
    EXPECT_EQ((*models)->find("none").error().code, Errc::not_found);
}

TEST_F(ModelsTest, ADeploymentThatCannotBeMadeStopsTheStartOnlyIfItIsInUse) {
    configuration_.deployments = {deployment("words", "local-hash"), broken("remote")};
    const auto models = make();
    ASSERT_TRUE(models) << models.error().detail;
    const auto found = (*models)->find("remote");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::invalid_input);
    EXPECT_EQ(found.error().detail.rfind("deployments.remote: ", 0), 0U) << found.error().detail;

    std::swap(configuration_.deployments[0], configuration_.deployments[1]);
    const auto failed = make();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().detail, found.error().detail);
}

TEST_F(ModelsTest, SearchesFailFastOnlyWhereTheDeploymentIsRemote) {
    DeploymentEntry remote = broken("remote");
    remote.endpoint = "http://127.0.0.1:1/v1";
    configuration_.deployments = {deployment("words", "local-hash"), remote};
    const auto models = make();
    ASSERT_TRUE(models) << models.error().detail;
    const Model& local = (*models)->in_use();
    EXPECT_EQ(&local.for_search(), local.provider.get());
    const Model& other = *(*models)->find("remote").value();
    EXPECT_EQ(&other.for_search(), other.for_callers.get());
}

TEST_F(ModelsTest, WhatAServerTeachesAboutTheSizeOfARequestBoundsWhatTheGateLetsShareOne) {
    const std::string one = R"({"data":[{"embedding":[3,4]}]})";
    provider::ScriptedServer server(io_, {{provider::http_answer(413, "{}")},
                                          {provider::http_answer(200, one)},
                                          {provider::http_answer(200, one)}});
    DeploymentEntry remote = broken("remote");
    remote.endpoint = server.url();
    configuration_.deployments = {remote};
    const auto models = make();
    ASSERT_TRUE(models) << models.error().detail;
    const Model& model = (*models)->in_use();
    const auto& options = model.gate->options();
    ASSERT_EQ(options.inputs_fit(), options.inputs_max);
    std::vector<std::string> inputs = {"1", "2"};
    ASSERT_TRUE(test::run(io_, model.provider->embed(std::move(inputs), provider::CallContext())));
    EXPECT_EQ(options.inputs_fit(), 1u);
    test::run(io_, (*models)->stop());
}

}  // namespace
}  // namespace millrace::app
