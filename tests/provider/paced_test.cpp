#include "provider/paced.hpp"

#include "store/database.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <map>

namespace millrace::provider {
namespace {

/// Answers when the test lets it; rejects texts with "poison" in them.
class HeldProvider final : public Provider {
  public:
    explicit HeldProvider(const asio::any_io_executor& io) : open(io) {
        info.name = "held";
        info.completes = true;
        info.inputs_per_request_max = 100;
    }
    const ModelInfo& model() const noexcept override { return info; }

    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs,
                                               CallContext context) override {
        requests.push_back(inputs);
        while (held) co_await open.wait();
        if (!failures.empty() && unreachable) {
            Failure failure = failures.front();
            failures.erase(failures.begin());
            co_return failure;
        }
        if (context.on_sent) context.on_sent();
        sent += 1;
        while (slow) co_await open.wait();
        if (rate && context.on_rate) context.on_rate(*rate);
        if (!failures.empty()) {
            Failure failure = failures.front();
            failures.erase(failures.begin());
            co_return failure;
        }
        Embeddings embeddings;
        for (const auto& input : inputs) {
            if (input.find("poison") != std::string::npos)
                co_return Failure{FailureKind::rejected, 400, "poison"};
            embeddings.vectors.push_back({static_cast<float>(input.size())});
            embeddings.usage.prompt_tokens += 10;
        }
        co_return embeddings;
    }

    asio::awaitable<Outcome<Completion>> complete(CompletionRequest request, CallContext) override {
        completions.push_back(std::move(request));
        while (held) co_await open.wait();
        co_return Completion{"{}", {5, 5}, "held"};
    }

    /// Answers with each input's first number, written as no library would; 400 with "poison" in one.
    asio::awaitable<Outcome<RawAnswer>> call(RawRequest request, CallContext context) override {
        raw.push_back(request.body);
        while (held) co_await open.wait();
        if (context.on_sent) context.on_sent();
        if (request.body.find("poison") != std::string::npos)
            co_return RawAnswer{400, R"({"error":{"message":"poison"}})", "r", {}};
        const auto parsed = boost::json::parse(request.body);
        const auto* all = parsed.at("input").if_array();
        const std::size_t count = all == nullptr ? 1 : all->size();
        RawAnswer answer{200, R"({ "object":"list", "model":"m", "data":[)", "r", {}};
        for (std::size_t i = count; i-- > (short_by_one && count > 1 ? 1u : 0u);) {  // out of order
            const auto& input = all == nullptr ? parsed.at("input") : all->at(i);
            answer.body += R"({"object":"embedding","embedding":[0.50e0, )" + boost::json::serialize(input) +
                           R"(],"index":)" + std::to_string(i) + (i > 0 ? "}," : "}");
        }
        if (answer.body.back() == ',') answer.body.pop_back();
        answer.usage.prompt_tokens = 10 * static_cast<std::int64_t>(count) + 1;
        answer.body += R"(], "usage":{"prompt_tokens":1,"total_tokens":1}})";
        co_return answer;
    }

    ModelInfo info;
    Signal open;
    std::vector<std::string> raw;
    bool short_by_one = false;  ///< the answer to a shared request lacks a vector
    bool held = false;
    int sent = 0;
    bool unreachable = false;  ///< fails before the request is on its way
    bool slow = false;  ///< holds calls back when they are on their way
    std::optional<RateHeaders> rate;
    std::vector<Failure> failures;
    std::vector<std::vector<std::string>> requests;
    std::vector<CompletionRequest> completions;
};

class PacedTest : public testing::Test {
  protected:
    PacedTest() : inner(io.get_executor()) {
        store::Database::Options options;
        options.directory = directory.path();
        auto opened = store::Database::open(io.get_executor(), options);
        database = std::move(opened.value());
    }
    ~PacedTest() override {
        if (gate) test::run(io, gate->stop());
        if (paced) test::run(io, paced->stop());
        database->stop();
    }

    void make(quota::Limits limits, std::vector<quota::Cap> caps = {}, quota::Price price = {}) {
        ledger = std::make_unique<quota::Ledger>(*database, clock, "p", std::move(caps));
        quota::GateOptions options;
        options.deployment = "d";
        options.limits = limits;
        options.inputs_max = 100;
        gate = std::make_unique<quota::Gate>(io.get_executor(), *ledger, clock, std::move(options));
        PacedOptions paced_options;
        paced_options.limits = limits;
        paced_options.price = price;
        paced_options.count = [](std::string_view) { return 10; };
        paced = std::make_unique<Paced>(io.get_executor(), inner, *gate, clock, paced_options);
    }

    /// Starts an embedding whose outcome is put under `name`.
    void start(std::string name, std::vector<std::string> inputs, CallContext context = {}) {
        auto task = [](PacedTest& test, std::string who, std::vector<std::string> texts,
                       CallContext whose) -> asio::awaitable<void> {
            auto outcome = co_await test.paced->embed(std::move(texts), std::move(whose));
            test.outcomes.emplace(std::move(who), std::move(outcome));
        };
        asio::co_spawn(io, task(*this, std::move(name), std::move(inputs), std::move(context)),
                       asio::detached);
    }

    /// As `start`, with an embeddings request as its sender wrote it.
    void start_raw(std::string name, std::string body, CallContext context = {}) {
        auto task = [](PacedTest& test, std::string who, std::string text,
                       CallContext whose) -> asio::awaitable<void> {
            RawRequest request{"/v1/embeddings", std::move(text)};
            auto outcome = co_await test.paced->call(std::move(request), std::move(whose));
            test.answers.emplace(std::move(who), std::move(outcome));
        };
        asio::co_spawn(io, task(*this, std::move(name), std::move(body), std::move(context)), asio::detached);
    }
    /// Starts `bodies`, named "0", "1", …, while the only call is under way, then lets go of it.
    void answer_together(const std::vector<std::string>& bodies) {
        make({.calls_at_once = 1});
        inner.held = true;
        start_raw("first", R"({"input":"first"})");
        test::run_until(io, [&] { return inner.raw.size() == 1; });
        for (std::size_t i = 0; i < bodies.size(); ++i) start_raw(std::to_string(i), bodies[i]);
        test::run_until(io, [&] { return gate->waiting() == bodies.size(); });
        inner.held = false;
        inner.open.notify();
        test::run_until(io, [&] { return answers.size() == bodies.size() + 1; });
    }

    void until_done(std::size_t count) {
        test::run_until(io, [&] { return outcomes.size() >= count; });
    }

    test::TemporaryDirectory directory;
    asio::io_context io;
    HeldProvider inner;
    std::unique_ptr<store::Database> database;
    ManualClock clock;
    std::unique_ptr<quota::Ledger> ledger;
    std::unique_ptr<quota::Gate> gate;
    std::unique_ptr<Paced> paced;
    std::map<std::string, Outcome<Embeddings>> outcomes;
    std::map<std::string, Outcome<RawAnswer>> answers;
};

TEST_F(PacedTest, CallsThatWaitAtOneMomentShareARequest) {
    make({.calls_at_once = 1});
    inner.held = true;
    start("first", {"a"});
    test::run_until(io, [&] { return inner.requests.size() == 1; });
    start("second", {"bb", "ccc"});
    start("third", {"dddd"}, {.tenant = "other"});
    test::run_until(io, [&] { return gate->waiting() == 2; });
    inner.held = false;
    inner.open.notify();
    until_done(3);
    ASSERT_EQ(inner.requests.size(), 2u);
    EXPECT_EQ(inner.requests[1].size(), 3u);
    EXPECT_EQ(outcomes.at("second")->vectors, (std::vector<std::vector<float>>{{2}, {3}}));
    EXPECT_EQ(outcomes.at("second")->usage.prompt_tokens, 20);
    EXPECT_EQ(outcomes.at("third")->vectors, (std::vector<std::vector<float>>{{4}}));
    EXPECT_EQ(outcomes.at("third")->usage.prompt_tokens, 10);
}

TEST_F(PacedTest, RawEmbeddingsThatWaitShareARequestAndEachHasAnAnswerOfItsOwn) {
    answer_together({R"({"model":"a","input":"x"})", R"({"input":["y","z"],"model":"b"})"});
    ASSERT_EQ(inner.raw.size(), 2u);
    EXPECT_EQ(inner.raw[1], R"({"input":["x","y","z"]})");
    EXPECT_EQ(answers.at("0")->body,
              R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.50e0, "x"]}],)"
              R"("model":"m","usage":{"prompt_tokens":10,"total_tokens":10}})");
    EXPECT_EQ(answers.at("1")->body,
              R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.50e0, "y"]},)"
              R"({"object":"embedding","index":1,"embedding":[0.50e0, "z"]}],)"
              R"("model":"m","usage":{"prompt_tokens":21,"total_tokens":21}})");
    EXPECT_EQ(answers.at("0")->usage.prompt_tokens + answers.at("1")->usage.prompt_tokens, 31);
    // One that shares with nobody is answered as the provider wrote it.
    EXPECT_NE(answers.at("first")->body.find(R"({ "object")"), std::string::npos);
}

TEST_F(PacedTest, RawEmbeddingsThatAskForDifferentThingsDoNotShare) {
    answer_together({R"({"input":"a"})", R"({"input":"b","dimensions":8})", R"({"input":[1,2]})",
                     R"({"dimensions":8,"input":"c"})"});
    ASSERT_EQ(inner.raw.size(), 4u);
    EXPECT_EQ(inner.raw[2], R"({"input":["b","c"],"dimensions":8})");
    EXPECT_EQ(inner.raw[3], R"({"input":[1,2]})");
}

TEST_F(PacedTest, APoisonLineIsFoundByHalvingAndOnlyItIsAnsweredWith400) {
    answer_together({R"({"input":"a"})", R"({"input":"poison"})", R"({"input":"b"})", R"({"input":"c"})"});
    EXPECT_EQ(answers.at("1")->status, 400);
    for (const char* name : {"0", "2", "3"}) EXPECT_EQ(answers.at(name)->status, 200) << name;
}

TEST_F(PacedTest, AnAnswerThatCanNotBeDividedMakesEachAskAlone) {
    inner.short_by_one = true;
    answer_together({R"({"input":"a"})", R"({"input":"b"})"});
    ASSERT_EQ(inner.raw.size(), 4u);
    EXPECT_EQ(inner.raw[3], R"({"input":"b"})");
    for (const char* name : {"0", "1"}) EXPECT_EQ(answers.at(name)->status, 200) << name;
}

TEST_F(PacedTest, ACallCountsFromTheMomentAtWhichItIsOnItsWay) {
    make({.tokens_per_minute = 1000, .requests_per_minute = 10});
    inner.held = true;
    start("late", {"a"});
    test::run_until(io, [&] { return inner.requests.size() == 1; });
    clock.advance(std::chrono::seconds(10));
    inner.held = false;
    inner.open.notify();
    until_done(1);
    clock.advance(std::chrono::seconds(55));
    EXPECT_EQ(test::run(io, gate->view()).tokens_used, 10);
    clock.advance(std::chrono::seconds(6));
    EXPECT_EQ(test::run(io, gate->view()).tokens_used, 0);
}

TEST_F(PacedTest, ACallThatIsSentLateCountsWhileItGoesOn) {
    make({.tokens_per_minute = 1000});
    inner.held = inner.slow = true;
    start("late", {"a"});
    test::run_until(io, [&] { return inner.requests.size() == 1; });
    clock.advance(std::chrono::seconds(10));
    inner.held = false;
    inner.open.notify();
    test::run_until(io, [&] { return inner.sent == 1; });
    // What the call has told the ledger is written before this.
    auto nothing = [](store::Connection&) -> Result<void> { return {}; };
    ASSERT_TRUE(test::run(io, database->write(nothing)));
    clock.advance(std::chrono::seconds(55));
    EXPECT_EQ(test::run(io, gate->view()).tokens_used, 10);
    inner.slow = false;
    inner.open.notify();
    until_done(1);
    EXPECT_EQ(test::run(io, gate->view()).tokens_used, 10);
}

TEST_F(PacedTest, APoisonInputIsFoundByHalvingAndOnlyItsCallerFails) {
    make({.calls_at_once = 1});
    inner.held = true;
    start("first", {"x"});
    test::run_until(io, [&] { return inner.requests.size() == 1; });
    for (int i = 0; i < 16; ++i) start(std::to_string(i), {i == 5 ? "poison" : "text " + std::to_string(i)});
    test::run_until(io, [&] { return gate->waiting() == 16; });
    inner.held = false;
    inner.open.notify();
    until_done(17);
    for (int i = 0; i < 16; ++i) {
        const auto& outcome = outcomes.at(std::to_string(i));
        EXPECT_EQ(outcome.has_value(), i != 5) << i;
    }
    EXPECT_EQ(outcomes.at("5").error().kind, FailureKind::rejected);
    EXPECT_LE(inner.requests.size(), 1u + 1 + 2 * 4);  // not one by one
}

TEST_F(PacedTest, AThrottledCallIsAskedForAgainWhenItsProviderSaidAndNoCallerFails) {
    make({.tokens_per_minute = 100'000});
    inner.failures.push_back({FailureKind::throttled, 429, "slow down", Duration(20'000)});
    inner.rate = RateHeaders{};
    start("a", {"a"});
    test::run_until(io, [&] { return inner.requests.size() == 1 && gate->waits_for() == "throttled"; });
    EXPECT_TRUE(outcomes.empty());
    clock.advance(Duration(20'000));
    until_done(1);
    EXPECT_TRUE(outcomes.at("a").has_value());
    EXPECT_EQ(inner.requests.size(), 2u);
}

TEST_F(PacedTest, ACallLargerThanTheWholeQuotaIsRefusedWithTheReason) {
    make({.tokens_per_minute = 9});
    start("a", {"a"});
    until_done(1);
    EXPECT_EQ(outcomes.at("a").error().kind, FailureKind::rejected);
    EXPECT_EQ(outcomes.at("a").error().status, 413);
    EXPECT_NE(outcomes.at("a").error().detail.find("whole quota"), std::string::npos);
    EXPECT_TRUE(inner.requests.empty());
}

TEST_F(PacedTest, AQuotaSmallerThanTheUsualAnswerLetsTheFirstCallPass) {
    make({.tokens_per_minute = 100});
    CompletionRequest request;
    request.input = "short";
    auto outcome = test::run(io, paced->complete(std::move(request), {}));
    ASSERT_TRUE(outcome.has_value());
    EXPECT_GT(inner.completions[0].output_tokens_max, 0);
    EXPECT_LE(inner.completions[0].output_tokens_max, 100);
}

TEST_F(PacedTest, ACallerThatIsCancelledLeavesTheLineAndTheLedger) {
    make({.calls_at_once = 1});
    inner.held = true;
    start("first", {"a"});
    test::run_until(io, [&] { return inner.requests.size() == 1; });
    asio::cancellation_signal cancel;
    bool ended = false;
    asio::co_spawn(
        io, paced->embed({"b"}, {}),
        asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr, auto) { ended = true; }));
    test::run_until(io, [&] { return gate->waiting() == 1; });
    cancel.emit(asio::cancellation_type::terminal);
    test::run_until(io, [&] { return ended; });
    EXPECT_EQ(gate->waiting(), 0u);
    inner.held = false;
    inner.open.notify();
    until_done(1);
    EXPECT_EQ(inner.requests.size(), 1u);
    EXPECT_EQ(test::run(io, gate->view()).reserved, 0);
}

TEST_F(PacedTest, ASpendingCapHoldsACallBackUntilTheNextPeriod) {
    make({}, {{"", "", quota::Cap::Period::day, 15}}, {1, 1, 1});
    start("a", {"a"});
    until_done(1);
    EXPECT_TRUE(outcomes.at("a").has_value());
    start("b", {"b"});
    until_done(2);
    EXPECT_EQ(outcomes.at("b").error().kind, FailureKind::held);
    EXPECT_GT(*outcomes.at("b").error().retry_after, Duration(0));
    EXPECT_EQ(inner.requests.size(), 1u);
}

TEST_F(PacedTest, ACallThatNeverLeftTakesNothingOfTheQuota) {
    make({.tokens_per_minute = 1000});
    inner.unreachable = true;
    inner.failures = {{FailureKind::transient, 0, "connection refused", Duration(1)}};
    start("a", {"a"});
    test::run_until(io, [&] { return inner.failures.empty() && clock.sleepers() > 0; });
    test::run_until(io, [&] { return test::run(io, ledger->view("d", {})).calls == 0; });
    EXPECT_EQ(test::run(io, ledger->view("d", {})).tokens_used, 0);
}

TEST_F(PacedTest, ACallThatMayHaveBeenBilledCountsAsSpentInFull) {
    make({}, {}, {.prompt = 2, .completion = 2});
    inner.failures = {{FailureKind::transient, 200, "an answer without vectors"},
                      {FailureKind::rejected, 403, "no"}};
    start("unknown", {"a"});
    until_done(1);
    EXPECT_EQ(test::run(io, ledger->view("d", {})).micros_today, 20);
    start("turned away", {"a"});
    until_done(2);
    EXPECT_EQ(test::run(io, ledger->view("d", {})).micros_today, 20);
}

TEST_F(PacedTest, EveryTryHasAReservationOfItsOwn) {
    make({.requests_per_minute = 2});
    inner.failures.push_back({FailureKind::transient, 503, "down"});
    inner.failures.push_back({FailureKind::transient, 503, "down"});
    start("a", {"a"});
    test::run_until(io, [&] { return inner.requests.size() == 1 && clock.sleepers() == 3; });
    clock.advance(Duration(8'000));
    test::run_until(io, [&] { return inner.requests.size() == 2 && clock.sleepers() == 3; });
    clock.advance(Duration(8'000));
    test::run_until(io, [&] { return gate->waits_for() == "requests"; });
    EXPECT_EQ(inner.requests.size(), 2u);
    clock.advance(Duration(61'000));
    until_done(1);
    EXPECT_TRUE(outcomes.at("a").has_value());
}

}  // namespace
}  // namespace millrace::provider
