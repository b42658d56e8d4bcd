#include "batch/run.hpp"

#include "tests/batch/world.hpp"

namespace millrace::batch {

class RunTest : public BatchTest {
  protected:
    RunPaths paths() const {
        return {directory_.path() / "in.jsonl", directory_.path() / "out.jsonl",
                directory_.path() / "err.jsonl"};
    }
    Result<std::unique_ptr<batch::Run>> try_open(RunOptions options = {}) {
        options.id = options.id.empty() ? "run1" : options.id;
        options.endpoint = "/v1/embeddings";
        return test::run(io_, batch::Run::open(io_.get_executor(), pool_, clock_, target_, paths(), options));
    }
    std::unique_ptr<batch::Run> open(RunOptions options = {}) {
        auto opened = try_open(std::move(options));
        EXPECT_TRUE(opened) << opened.error().detail;
        return std::move(*opened);
    }
    /// Starts it without waiting; `end_` gets what it answers.
    void begin(batch::Run& run) {
        auto keep = [](batch::Run* one, std::optional<RunEnd>* end) -> boost::asio::awaitable<void> {
            *end = co_await one->execute();
        };
        end_.reset();
        spawn(io_.get_executor(), keep(&run, &end_));
    }
    std::multiset<std::string> answered() const { return ids_of(lines_of(paths().output)); }
    std::multiset<std::string> failed() const { return ids_of(lines_of(paths().errors)); }

    std::optional<RunEnd> end_;
};

TEST_F(RunTest, EveryLineHasItsAnswerOnOneLine) {
    write("in.jsonl", requests(300));
    const auto run = open();
    EXPECT_EQ(test::run(io_, run->execute()), RunEnd::complete);
    EXPECT_EQ(run->counts().completed, 300);
    EXPECT_EQ(run->counts().usage.prompt_tokens, 900);
    const auto ids = answered();
    EXPECT_EQ(ids.size(), 300u);
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 300u);
    EXPECT_LE(provider_->most_at_once, target_.calls_at_once);
    const auto line = boost::json::parse(lines_of(paths().output).front());
    EXPECT_EQ(line.at("response").at("status_code").as_int64(), 200);
    EXPECT_EQ(line.at("response").at("body").at("object").as_string(), "list");
    EXPECT_TRUE(line.at("error").is_null());
    EXPECT_EQ(provider_->last_context.priority, provider::Priority::batch);
}

TEST_F(RunTest, ARequestThatIsWrongGoesToTheErrorsWithTheProvidersBody) {
    write("in.jsonl", requests(3));
    provider_->script = [](const std::string& input, int) -> std::optional<Outcome<RawAnswer>> {
        if (input != "line-2") return std::nullopt;
        RawAnswer answer;
        answer.status = 400;
        answer.body = R"({"error":{"message":"too long","code":"context_length_exceeded"}})";
        return answer;
    };
    const auto run = open();
    EXPECT_EQ(test::run(io_, run->execute()), RunEnd::complete);
    EXPECT_EQ(run->counts().failed, 1);
    ASSERT_EQ(lines_of(paths().errors).size(), 1u);
    const auto line = boost::json::parse(lines_of(paths().errors).front());
    EXPECT_EQ(line.at("custom_id").as_string(), "line-2");
    EXPECT_EQ(line.at("response").at("status_code").as_int64(), 400);
    EXPECT_EQ(line.at("response").at("body").at("error").at("code").as_string(), "context_length_exceeded");
}

TEST_F(RunTest, ThrottlingFailsNoLineHoweverOftenItComes) {
    write("in.jsonl", requests(1));
    provider_->script = [](const std::string&, int number) -> std::optional<Outcome<RawAnswer>> {
        if (number > 40) return std::nullopt;
        return Failure{FailureKind::throttled, 429, "slow down", std::chrono::seconds(2)};
    };
    const auto run = open();
    begin(*run);
    for (int i = 0; i < 40; ++i) {
        test::run_until(io_, [&] { return clock_.sleepers() > 0; });
        clock_.advance(std::chrono::seconds(2));
        test::run_until(io_, [&] { return provider_->calls["line-1"] > i + 1; });
    }
    test::run_until(io_, [&] { return end_.has_value(); });
    EXPECT_EQ(run->counts().completed, 1);
}

TEST_F(RunTest, FailuresThatPassAreTriedAgainAFewTimes) {
    write("in.jsonl", requests(2));
    provider_->script = [](const std::string& input, int number) -> std::optional<Outcome<RawAnswer>> {
        if (input == "line-1" && number > 2) return std::nullopt;
        return Failure{FailureKind::transient, 503, "overloaded", std::chrono::seconds(1)};
    };
    const auto run = open({.tries_max = 3});
    begin(*run);
    while (!end_) {
        test::run_until(io_, [&] { return end_ || clock_.sleepers() > 0; });
        clock_.advance(std::chrono::seconds(1));
        io_.poll();
    }
    EXPECT_EQ(provider_->calls["line-1"], 3);
    EXPECT_EQ(provider_->calls["line-2"], 3);
    EXPECT_EQ(answered(), (std::multiset<std::string>{"line-1"}));
    const auto line = boost::json::parse(lines_of(paths().errors).at(0));
    EXPECT_EQ(line.at("response").at("status_code").as_int64(), 503);
    EXPECT_EQ(line.at("response").at("body").at("error").at("message").as_string(), "overloaded");
}

TEST_F(RunTest, WhatIsStoppedGoesOnWhereItWas) {
    write("in.jsonl", requests(40));
    auto run = open();
    int seen = 0;
    run->on_progress([&] {
        if (++seen == 15) run->stop(std::chrono::seconds(60));
    });
    EXPECT_EQ(test::run(io_, run->execute()), RunEnd::stopped);
    const auto first = run->counts().completed;
    EXPECT_GE(first, 15);
    EXPECT_LT(first, 40);
    run.reset();
    run = open();
    EXPECT_EQ(run->counts().completed, first);
    EXPECT_EQ(run->counts().usage.prompt_tokens, 3 * first);
    EXPECT_EQ(test::run(io_, run->execute()), RunEnd::complete);
    EXPECT_EQ(answered().size(), 40u);
    EXPECT_EQ(provider_->total(), 40);
}

TEST_F(RunTest, ACrashAtAnyByteOfTheResultsRepeatsOneLineAtMost) {
    write("in.jsonl", requests(3));
    auto run = open();
    EXPECT_EQ(test::run(io_, run->execute()), RunEnd::complete);
    run.reset();
    std::ifstream file(paths().output, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(file)), {});
    for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
        write("out.jsonl", whole.substr(0, cut));
        const auto left =
            static_cast<int>(std::count(whole.begin(), whole.begin() + static_cast<long>(cut), '\n'));
        provider_->calls.clear();
        run = open();
        EXPECT_EQ(test::run(io_, run->execute()), RunEnd::complete);
        run.reset();
        EXPECT_EQ(provider_->total(), 3 - left) << "cut at " << cut;
        EXPECT_EQ(answered(), (std::multiset<std::string>{"line-1", "line-2", "line-3"})) << "cut at " << cut;
    }
}

TEST_F(RunTest, ResultsOfAnotherInputAreNotTouched) {
    write("in.jsonl", requests(2));
    auto run = open({.id = "other"});
    EXPECT_EQ(test::run(io_, run->execute()), RunEnd::complete);
    run.reset();
    const auto refused = try_open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::corrupt);
    EXPECT_EQ(lines_of(paths().output).size(), 2u);
    for (const char* text : {"my notes", "my notes\n", "{\"a\":1}\n{\"b\":2}"}) {
        write("out.jsonl", text);
        EXPECT_FALSE(try_open());
        std::ifstream file(paths().output);
        EXPECT_EQ(std::string((std::istreambuf_iterator<char>(file)), {}), text);
    }
}

TEST_F(RunTest, ASecondRunOnTheSameFilesIsRefused) {
    write("in.jsonl", requests(2));
    const auto run = open();
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
}

TEST_F(RunTest, AfterTheGraceCallsAreCancelledAndTheirLinesStay) {
    write("in.jsonl", requests(10));
    provider_->held = true;
    const auto run = open();
    begin(*run);
    test::run_until(io_, [&] { return provider_->at_once == 4; });
    run->stop(std::chrono::seconds(60));
    test::run_until(io_, [&] { return clock_.sleepers() > 0; });
    clock_.advance(std::chrono::seconds(61));
    test::run_until(io_, [&] { return end_.has_value(); });
    EXPECT_EQ(*end_, RunEnd::stopped);
    EXPECT_EQ(run->counts().completed, 0);
    test::run(io_, run->end_unmade("batch_cancelled", "cancelled"));
    EXPECT_EQ(run->counts().unmade, 10);
    const auto line = boost::json::parse(lines_of(paths().errors).at(0));
    EXPECT_TRUE(line.at("response").is_null());
    EXPECT_EQ(line.at("error").at("code").as_string(), "batch_cancelled");
}

TEST_F(RunTest, WhatIsNotOnItsWayWhenTheRunIsStoppedIsNeverSent) {
    write("in.jsonl", requests(10));
    provider_->held = provider_->unsent = true;
    const auto run = open();
    begin(*run);
    test::run_until(io_, [&] { return provider_->at_once == 4; });
    run->stop(std::chrono::seconds(60));
    test::run_until(io_, [&] { return end_.has_value(); });  // without the clock's help
    EXPECT_EQ(*end_, RunEnd::stopped);
    EXPECT_EQ(provider_->at_once, 0u);
    EXPECT_EQ(run->counts().completed, 0);
}

TEST_F(RunTest, MoreLinesOfEmbeddingsThanCallsAreUnderWayWhereTheyMayShareCalls) {
    write("in.jsonl", requests(50));
    target_.lines_per_call = 3;
    provider_->held = true;
    const auto run = open();
    begin(*run);
    test::run_until(io_, [&] { return provider_->at_once == 12; });
    provider_->release();
    test::run_until(io_, [&] { return end_.has_value(); });
    EXPECT_EQ(*end_, RunEnd::complete);
    EXPECT_EQ(provider_->most_at_once, 12u);
}

TEST_F(RunTest, AKeyThatIsRefusedStopsTheRunBeforeLinesFail) {
    write("in.jsonl", requests(50));
    provider_->script = [](const std::string&, int) -> std::optional<Outcome<RawAnswer>> {
        return Failure{FailureKind::rejected, 401, "Incorrect API key"};
    };
    const auto run = open({.stop_when_refused = true});
    EXPECT_EQ(test::run(io_, run->execute()), RunEnd::refused);
    EXPECT_EQ(run->refusal(), "Incorrect API key");
    EXPECT_EQ(failed().size(), 0u);
    EXPECT_LE(provider_->total(), 8);
}

TEST_F(RunTest, AnswersThatArriveTogetherShareAFlush) {
    auto opening = ResultLog::open(io_.get_executor(), pool_, directory_.path() / "log", {});
    const auto log = std::move(*test::run(io_, std::move(opening)));
    int ended = 0;
    auto append = [](ResultLog* one, int* count) -> boost::asio::awaitable<void> {
        std::string line = "x";
        co_await one->append(std::move(line));
        *count += 1;
    };
    for (int i = 0; i < 100; ++i) spawn(io_.get_executor(), append(log.get(), &ended));
    test::run_until(io_, [&] { return ended == 100; });
    EXPECT_LE(log->flushes(), 3u);
    EXPECT_EQ(log->size(), 200u);
}

}  // namespace millrace::batch
