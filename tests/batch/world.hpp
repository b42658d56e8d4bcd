// A provider that a test scripts, and files of requests.
#pragma once

#include "batch/batches.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace millrace::batch {

using provider::Failure;
using provider::FailureKind;
using provider::Outcome;
using provider::RawAnswer;

inline std::string request_text(const std::string& id, const std::string& model = "m") {
    return R"({"custom_id":")" + id + R"(","method":"POST","url":"/v1/embeddings","body":{"model":")" +
           model + R"(","input":")" + id + R"("}})";
}

inline std::string requests(int count) {
    std::string text;
    for (int i = 1; i <= count; ++i) text += request_text("line-" + std::to_string(i)) + "\n";
    return text;
}

inline std::vector<std::string> lines_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

/// The custom ids of result lines, each as often as it stands there.
inline std::multiset<std::string> ids_of(const std::vector<std::string>& lines) {
    std::multiset<std::string> ids;
    for (const std::string& line : lines)
        ids.insert(std::string(boost::json::parse(line).at("custom_id").as_string()));
    return ids;
}

/// Answers every call with 200 unless `script` says otherwise. While `held`, calls wait.
class ScriptedProvider final : public provider::Provider {
  public:
    explicit ScriptedProvider(const boost::asio::any_io_executor& io) : released(io) {}

    const provider::ModelInfo& model() const noexcept override { return info_; }
    boost::asio::awaitable<Outcome<provider::Embeddings>> embed(std::vector<std::string>,
                                                                provider::CallContext) override {
        co_return Failure{FailureKind::rejected, 0, "no embeddings"};
    }
    boost::asio::awaitable<Outcome<RawAnswer>> call(provider::RawRequest request,
                                                    provider::CallContext context) override {
        const std::string input(boost::json::parse(request.body).at("input").as_string());
        const int number = ++calls[input];
        last_context = std::move(context);
        at_once += 1;
        most_at_once = std::max(most_at_once, at_once);
        struct Leave {
            std::size_t& count;
            ~Leave() { count -= 1; }
        } const leave{at_once};
        if (!unsent && last_context.on_sent) last_context.on_sent();
        while (held) co_await released.wait();
        if (script) {
            if (auto scripted = script(input, number)) co_return std::move(*scripted);
        }
        RawAnswer answer;
        answer.status = 200;
        answer.request_id = "req_" + input;
        answer.body =
            "{\n \"object\": \"list\", \"data\": [],\n \"usage\": {\"prompt_tokens\": 3, "
            "\"total_tokens\": 3}\n}";
        answer.usage.prompt_tokens = 3;
        co_return answer;
    }

    void release() {
        held = false;
        released.notify();
    }
    int total() const {
        int sum = 0;
        for (const auto& [input, count] : calls) sum += count;
        return sum;
    }

    /// Told the input and which call for it this is, from 1.
    std::function<std::optional<Outcome<RawAnswer>>(const std::string&, int)> script;
    std::map<std::string, int> calls;
    provider::CallContext last_context;
    std::size_t at_once = 0;
    std::size_t most_at_once = 0;
    bool held = false;
    bool unsent = false;  ///< calls wait before they are on their way
    Signal released;

  private:
    provider::ModelInfo info_{.name = "m"};
};

class BatchTest : public testing::Test {
  protected:
    BatchTest() : provider_(std::make_unique<ScriptedProvider>(io_.get_executor())) {
        target_.name = "deployment";
        target_.model = "m";
        target_.provider = provider_.get();
        target_.calls_at_once = 4;
        target_.count = [](std::string_view text) { return text.size(); };
    }

    std::filesystem::path write(const std::string& name, const std::string& text) {
        const auto path = directory_.path() / name;
        std::ofstream(path, std::ios::binary) << text;
        return path;
    }

    test::TemporaryDirectory directory_;
    boost::asio::io_context io_;
    ManualClock clock_;
    CpuPool pool_{2};
    std::unique_ptr<ScriptedProvider> provider_;
    Target target_;
};

}  // namespace millrace::batch
