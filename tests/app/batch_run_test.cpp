// `millrace batch run` as a program, killed in the middle.
#include "tests/support/process.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <fstream>
#include <map>
#include <random>

namespace millrace::app {

class BatchRunTest : public testing::Test {
  protected:
    static constexpr int kLines = 400;
    static constexpr int kCallsAtOnce = 16;

    BatchRunTest() {
        simulator_ = std::make_unique<test::Process>(std::vector<std::string>{
            MILLRACE_BINARY, "simulate", "--listen", "127.0.0.1:0", "--latency", "5", "--log", path("log")});
        EXPECT_TRUE(simulator_->wait_for("http://127.0.0.1:") && simulator_->wait_for("\n"));
        const auto at = simulator_->out.find("http://");
        url_ = simulator_->out.substr(at, simulator_->out.find_first_of(" \n/", at + 7) - at);
        configure("");
    }

    std::string path(const std::string& name) const { return directory_.path() / name; }

    void configure(const std::string& more) {
        std::ofstream(path("millrace.toml"))
            << "[server]\ndata_dir = \"" << path("data") << "\"\n[[deployments]]\nname = \"sim\"\n"
            << "provider = \"openai\"\nendpoint = \"" << url_ << "/v1\"\nmodel = \"text-embedding-3-small\"\n"
            << "concurrency = " << kCallsAtOnce << "\n"
            << more;
    }
    void write_input(int lines, const std::string& model = "text-embedding-3-small") {
        std::ofstream file(path("in.jsonl"));
        for (int i = 0; i < lines; ++i)
            file << R"({"custom_id":"line-)" << i
                 << R"(","method":"POST","url":"/v1/embeddings","body":{"model":")" << model
                 << R"(","dimensions":8,"input":"text )" << i << "\"}}\n";
    }
    std::vector<std::string> command(std::vector<std::string> more = {}) const {
        std::vector<std::string> words = {MILLRACE_BINARY, "batch",     "run",      path("in.jsonl"),
                                          "--out",         path("out"), "--config", path("millrace.toml")};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    static std::size_t lines_in(const std::string& file) {
        std::ifstream stream(file);
        return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(stream), {}, '\n'));
    }
    std::map<std::string, int> results() const {
        std::map<std::string, int> found;
        std::ifstream file(path("out"));
        for (std::string line; std::getline(file, line);)
            found[std::string(boost::json::parse(line).at("custom_id").as_string())] += 1;
        return found;
    }

    test::TemporaryDirectory directory_;
    /// How often the provider was asked for each input; lines may share a request.
    std::map<std::string, int> inputs_asked() const {
        std::map<std::string, int> asked;
        std::ifstream log(path("log"));
        for (std::string line; std::getline(log, line);) {
            const auto decision = boost::json::parse(line);
            for (const auto& input : decision.at("inputs").as_array())
                asked[std::string(input.as_string())] += 1;
        }
        return asked;
    }

    std::unique_ptr<test::Process> simulator_;
    std::string url_;
};

TEST_F(BatchRunTest, KilledSeveralTimesItEndsWithEachLineOnce) {
    write_input(kLines);
    std::minstd_rand random(7);
    constexpr int kills = 3;
    for (int kill = 0; kill < kills; ++kill) {
        test::Process process(command());
        const std::size_t until = static_cast<std::size_t>(kill) * 120 + 1 + random() % 100;
        while (lines_in(path("out")) < until) std::this_thread::yield();
        process.signal(SIGKILL);
        EXPECT_EQ(process.wait(), 128 + SIGKILL);
    }
    const auto last = test::run_program(command());
    EXPECT_EQ(last.code, 0) << last.err;
    const auto found = results();
    EXPECT_EQ(found.size(), static_cast<std::size_t>(kLines));
    for (const auto& [id, count] : found) EXPECT_EQ(count, 1) << id;
    const auto asked = inputs_asked();
    EXPECT_EQ(asked.size(), static_cast<std::size_t>(kLines));
    int repeated = 0;
    for (const auto& [input, count] : asked) repeated += count - 1;
    EXPECT_LE(repeated, kills * kCallsAtOnce) << "calls that were not in flight were made again";
    const auto again = test::run_program(command());
    EXPECT_EQ(again.code, 0);
    EXPECT_EQ(inputs_asked(), asked) << "a finished run asks nothing";
    EXPECT_FALSE(std::filesystem::exists(path("out.errors")));
}

TEST_F(BatchRunTest, InterruptedItEndsWhatIsInFlightAndSaysHowToGoOn) {
    write_input(kLines);
    test::Process process(command());
    while (lines_in(path("out")) < 20) std::this_thread::yield();
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(), 1);
    EXPECT_THAT(process.err, testing::HasSubstr("run it again"));
    const std::size_t done = lines_in(path("out"));
    EXPECT_LT(done, static_cast<std::size_t>(kLines));
    EXPECT_EQ(inputs_asked().size(), done) << "a call was made and its answer dropped";
    const auto last = test::run_program(command());
    EXPECT_EQ(last.code, 0) << last.err;
    const auto asked = inputs_asked();
    EXPECT_EQ(asked.size(), static_cast<std::size_t>(kLines));
    for (const auto& [input, count] : asked) EXPECT_EQ(count, 1) << input;
}

TEST_F(BatchRunTest, MistakesAreNamedBeforeAnythingIsSent) {
    write_input(3, "nobody");
    const auto wrong = test::run_program(command());
    EXPECT_EQ(wrong.code, 1);
    EXPECT_THAT(wrong.err, testing::HasSubstr("in.jsonl:1: model_not_found"));
    EXPECT_THAT(wrong.err, testing::HasSubstr("3 problems"));
    EXPECT_EQ(lines_in(path("log")), 0u);
    const auto told = test::run_program(command({"--deployment", "sim", "--json"}));
    EXPECT_EQ(told.code, 0) << told.err;
    EXPECT_EQ(boost::json::parse(told.out).at("completed").as_int64(), 3);
}

TEST_F(BatchRunTest, AChangedInputIsNotMixedWithResultsOfTheOldOne) {
    write_input(3);
    EXPECT_EQ(test::run_program(command()).code, 0);
    write_input(4);
    const auto refused = test::run_program(command());
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, testing::HasSubstr("another input"));
    EXPECT_EQ(results().size(), 3u);
}

TEST_F(BatchRunTest, ALineThatIsRefusedIsInTheErrorsAndInTheExitCode) {
    write_input(2);
    std::ofstream(path("in.jsonl"), std::ios::app)
        << R"({"custom_id":"bad","method":"POST","url":"/v1/embeddings","body":{"model":)"
        << R"("text-embedding-3-small","input":""}})" << "\n";
    const auto ended = test::run_program(command());
    EXPECT_EQ(ended.code, 1);
    EXPECT_EQ(results().size(), 2u);
    std::ifstream errors(path("out.errors"));
    std::string line;
    std::getline(errors, line);
    const auto error = boost::json::parse(line);
    EXPECT_EQ(error.at("custom_id").as_string(), "bad");
    EXPECT_EQ(error.at("response").at("status_code").as_int64(), 400);
}

}  // namespace millrace::app
