// `millrace serve` as a program of its own, and the other commands that talk to it.
#pragma once

#include "tests/support/process.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

namespace millrace::app {

/// Runs the program. It finds no server and no file of the developer's.
inline test::Finished millrace_says(std::vector<std::string> arguments,
                                    test::Process::Environment environment = {}) {
    arguments.insert(arguments.begin(), MILLRACE_BINARY);
    environment.try_emplace("MILLRACE_URL", "http://127.0.0.1:9");
    environment.try_emplace("MILLRACE_API_KEY", "");
    return test::run_program(std::move(arguments), environment);
}

class ServeCommand : public testing::Test {
  protected:
    /// Starts `millrace serve`; the URL that it tells.
    void start(const test::Process::Environment& environment = {}) {
        test::Process::Environment all = environment;
        all["MILLRACE_DEPLOYMENTS__0__NAME"] = "default";
        all["MILLRACE_DEPLOYMENTS__0__PROVIDER"] = "local-hash";
        const std::vector<std::string> arguments = {MILLRACE_BINARY, "serve",       "--listen", "127.0.0.1:0",
                                                    "--amqp",        "127.0.0.1:0", "--data",   data()};
        server_ = std::make_unique<test::Process>(arguments, all);
        ASSERT_TRUE(server_->wait_for("\n")) << server_->err;
        const std::string words = "listening on ";
        const auto begin = server_->out.find(words) + words.size();
        url_ = server_->out.substr(begin, server_->out.find('\n') - begin);
    }
    std::string data() const { return directory_.path() / "data"; }
    test::Finished ask(std::vector<std::string> arguments, std::string key = "") {
        return millrace_says(std::move(arguments),
                             {{"MILLRACE_URL", url_}, {"MILLRACE_API_KEY", std::move(key)}});
    }
    std::string write(const std::string& name, const std::string& text) {
        const auto path = directory_.path() / "in" / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
        return path;
    }

    test::TemporaryDirectory directory_;
    std::unique_ptr<test::Process> server_;
    std::string url_;
};

}  // namespace millrace::app
