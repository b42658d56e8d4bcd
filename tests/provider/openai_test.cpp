#include "provider/openai.hpp"

#include "tests/provider/openai_world.hpp"
#include "tests/provider/provider_contract.hpp"
#include "tests/provider/scripted_server.hpp"

#include <gtest/gtest.h>

namespace millrace::provider {

INSTANTIATE_TYPED_TEST_SUITE_P(OpenAi, ProviderContract, OpenAiWorld);

namespace {

http::SimulatorOptions faulty(const std::string& faults) {
    http::SimulatorOptions options;
    options.faults = faults;
    return options;
}

TEST(OpenAi, SpeaksToEveryFormOfServer) {
    struct Case {
        bool azure;
        std::string path, model;
        std::size_t dimensions, length;
    };
    const Case cases[] = {
        {false, "", "text-embedding-3-small", 0, 1536},
        {false, "/v1/", "text-embedding-3-large", 0, 3072},
        {false, "/v1", "text-embedding-3-small", 256, 256},
        {false, "/v1", "text-embedding-ada-002", 1536, 1536},
        {false, "/v1", "my-own-model", 0, 384},
        {false, "/v1", "my-own-model", 384, 384},
        {true, "", "text-embedding-3-large", 0, 3072},
        {true, "/openai/deployments/embed-prod", "text-embedding-3-large", 0, 384},
        {true, "/openai/deployments/text-embedding-3-large", "text-embedding-3-large", 1024, 1024},
        {true, "/openai/v1", "text-embedding-3-large", 1024, 1024},
    };
    for (const Case& c : cases) {
        http::SimulatorOptions simulated;
        simulated.key = "the-key";
        simulated.model = "my-own-model";
        simulated.dimensions = 384;
        OpenAiOptions options;
        options.server.azure = c.azure;
        options.server.model = c.model;
        options.server.key = "the-key";
        options.dimensions = c.dimensions;
        OpenAiWorld world(simulated, options, c.path);
        const auto result = world.embed({"hello", "world"});
        if (c.path.ends_with("embed-prod")) {
            // A deployment of another model than its configuration says: found out, not stored.
            ASSERT_FALSE(result);
            EXPECT_EQ(result.error().kind, FailureKind::rejected);
            continue;
        }
        ASSERT_TRUE(result) << c.path << " " << c.model << ": " << result.error().detail;
        EXPECT_EQ(result->vectors[1].size(), c.length);
        EXPECT_EQ(world.openai->model().dimensions, c.length);
        EXPECT_EQ(world.openai->model().name, c.model);
    }
}

struct FaultCase {
    std::string faults;
    bool answered;
    FailureKind kind;
    int status;
    std::uint64_t calls;   ///< that reached the provider
};

TEST(OpenAi, TriesAgainWhatMayPass) {
    using enum FailureKind;
    const FaultCase cases[] = {
        {"first:1:500", true, transient, 0, 2},        {"first:2:503", true, transient, 0, 3},
        {"first:2:408", true, transient, 0, 3},        {"first:2:409", true, transient, 0, 3},
        {"first:2:reset", true, transient, 0, 3},      {"first:1:cut", true, transient, 0, 2},
        {"first:1:timeout", true, transient, 0, 2},    {"first:3:502", false, transient, 502, 3},
        {"first:3:reset", false, transient, 0, 3},     {"first:1:slow", true, transient, 0, 1},
        {"first:1:garbage", false, transient, 200, 1}, {"first:1:429", false, throttled, 429, 1},
        {"first:1:400", false, rejected, 400, 1},      {"first:1:401", false, rejected, 401, 1},
        {"first:1:403", false, rejected, 403, 1},      {"first:1:404", false, rejected, 404, 1},
        {"first:1:413", false, rejected, 413, 1},      {"first:1:422", false, rejected, 422, 1},
    };
    for (const FaultCase& c : cases) {
        OpenAiOptions options;
        options.try_time_max = c.faults == "first:1:slow" ? Duration(30'000) : Duration(200);
        OpenAiWorld world(faulty(c.faults), options);
        const auto result = world.embed({"hello"});
        EXPECT_EQ(result.has_value(), c.answered) << c.faults;
        EXPECT_EQ(world.simulator->stats().calls, c.calls) << c.faults;
        EXPECT_EQ(world.slept > Duration(0), c.calls > 1) << c.faults;
        if (result || c.answered) continue;
        EXPECT_EQ(result.error().kind, c.kind) << c.faults << result.error().detail;
        EXPECT_EQ(result.error().status, c.status) << c.faults << result.error().detail;
        EXPECT_FALSE(result.error().detail.empty());
    }
}

TEST(OpenAi, WaitsAsLongAsAnOverloadedServerAsks) {
    OpenAiWorld world(faulty("first:1:503"));
    EXPECT_TRUE(world.embed({"hello"}));
    EXPECT_GE(world.slept, Duration(1000));
    EXPECT_LE(world.slept, Duration(1110));
}

TEST(OpenAi, GivesA429ToTheCallerWithItsWait) {
    http::SimulatorOptions simulated;
    simulated.quota.requests_per_minute = 1;
    OpenAiWorld world(simulated);
    const auto& rates = world.rates;
    EXPECT_TRUE(world.embed({"hello"}));
    world.clock.advance(std::chrono::seconds(18));
    const auto throttled = world.embed({"hello"});
    ASSERT_FALSE(throttled);
    EXPECT_EQ(throttled.error().kind, FailureKind::throttled);
    EXPECT_EQ(throttled.error().retry_after, Duration(42'000));
    EXPECT_EQ(world.slept, Duration(0));
    ASSERT_EQ(rates.size(), 2u);
    EXPECT_EQ(rates[0].limit_requests, 1);
    EXPECT_EQ(rates[0].remaining_requests, 0);
    EXPECT_EQ(rates[0].reset_requests, Duration(60'000));
    EXPECT_EQ(rates[1].status, 429);
    EXPECT_EQ(rates[1].retry_after, Duration(42'000));
    world.clock.advance(Duration(42'000));
    EXPECT_TRUE(world.embed({"hello"}));
}

TEST(OpenAi, TellsAFilteredTextFromABadOne) {
    http::SimulatorOptions simulated;
    simulated.filtered_word = "forbidden";
    OpenAiWorld world(simulated);
    const auto filtered = world.embed({"something forbidden"});
    ASSERT_FALSE(filtered);
    EXPECT_EQ(filtered.error().kind, FailureKind::content_filtered);
    EXPECT_EQ(filtered.error().status, 400);
}

TEST(OpenAi, KeepsItsKeyOutOfWhatItSays) {
    asio::io_context io;
    ManualClock clock;
    const std::string echo = R"({"error":{"message":"bad key sk-very-secret given","code":"x"}})";
    ScriptedServer server(io, {{http_answer(400, echo)}, {http_answer(401, echo)}});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "sk-very-secret", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    for (int i = 0; i < 2; ++i) {
        const auto result = run(io, provider->embed({"x"}));
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().detail.find("sk-very-secret"), std::string::npos) << result.error().detail;
    }
    EXPECT_NE(server.requests[0].find("Authorization: Bearer sk-very-secret\r\n"), std::string::npos);
}

TEST(OpenAi, TellsTheServerToWhichTraceACallBelongs) {
    asio::io_context io;
    ManualClock clock;
    const Play answer{http_answer(200, R"({"data":[{"embedding":[3,4]}]})")};
    ScriptedServer server(io, {answer, answer});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    const std::string traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    CallContext context;
    context.trace = TraceContext::parse(traceparent);
    EXPECT_TRUE(run(io, provider->embed({"x"}, std::move(context))));
    EXPECT_TRUE(run(io, provider->embed({"x"})));
    EXPECT_NE(server.requests[0].find("\r\ntraceparent: " + traceparent + "\r\n"), std::string::npos);
    EXPECT_EQ(server.requests[1].find("traceparent"), std::string::npos);
}

TEST(OpenAi, HeedsTheServersAdviceOnRetrying) {
    asio::io_context io;
    ManualClock clock;
    ScriptedServer server(io, {{http_answer(500, "", "x-should-retry: false\r\n")},
                               {http_answer(404, "", "x-should-retry: true\r\nretry-after-ms: 0.001\r\n")},
                               {http_answer(200, R"({"data":[{"embedding":[3,4]}]})")}});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    options.seed = 1;
    auto provider = std::move(make_openai(*client, clock, options).value());
    const auto first = run(io, provider->embed({"x"}));
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().status, 500);
    EXPECT_EQ(server.requests.size(), 1u);
    std::optional<Outcome<Embeddings>> second;
    auto work = [&]() -> asio::awaitable<void> {
        auto embedding = provider->embed({"x"});
        second.emplace(co_await std::move(embedding));
    };
    spawn(io.get_executor(), work());
    io.restart();
    while (!second) {
        io.run_one_for(Duration(100));
        clock.advance(Duration(100));
    }
    ASSERT_TRUE(*second) << second->error().detail;
    EXPECT_EQ((*second)->vectors, (std::vector<std::vector<float>>{{0.6f, 0.8f}}));
    EXPECT_EQ(server.requests.size(), 3u);
    EXPECT_EQ(provider->model().dimensions, 2u);
}

TEST(OpenAi, LearnsHowManyInputsTheServerTakes) {
    asio::io_context io;
    ManualClock clock;
    const std::string one = R"({"embedding":[3,4]})";
    const std::string two = R"({"data":[)" + one + R"(,{"embedding":[4,3]}],"usage":{"prompt_tokens":7}})";
    const std::string large = R"({"message":"batch size 5 > maximum allowed batch size 2","code":413})";
    ScriptedServer server(io, {{http_answer(413, large)},
                               {http_answer(413, large)},
                               {http_answer(200, two)},
                               {http_answer(200, two)},
                               {http_answer(200, R"({"data":[)" + one + R"(],"usage":{"prompt_tokens":3}})")},
                               {http_answer(413, large)}});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    const auto result = run(io, provider->embed({"1", "2", "3", "4", "5"}));
    ASSERT_TRUE(result) << result.error().detail;
    const std::vector<float> a = {0.6f, 0.8f}, b = {0.8f, 0.6f};
    EXPECT_EQ(result->vectors, (std::vector<std::vector<float>>{a, b, a, b, a}));
    EXPECT_EQ(result->usage.prompt_tokens, 17);
    EXPECT_EQ(provider->model().inputs_per_request_max, 2u);
    EXPECT_NE(server.requests[2].find(R"("input":["1","2"])"), std::string::npos) << server.requests[2];
    EXPECT_NE(server.requests[4].find(R"("input":["5"])"), std::string::npos) << server.requests[4];
    const auto alone = run(io, provider->embed({"a text that is too large by itself"}));
    ASSERT_FALSE(alone);
    EXPECT_EQ(alone.error().kind, FailureKind::rejected);
    EXPECT_EQ(server.requests.size(), 6u);
}

TEST(OpenAi, SplitsARequestThatIsLongerThanWhatItHasLearned) {
    asio::io_context io;
    ManualClock clock;
    const std::string one = R"({"data":[{"embedding":[3,4]}],"usage":{"prompt_tokens":3}})";
    const std::string two =
        R"({"data":[{"embedding":[3,4]},{"embedding":[4,3]}],"usage":{"prompt_tokens":7}})";
    ScriptedServer server(io, {{http_answer(413, "{}")},
                               {http_answer(200, two)},
                               {http_answer(200, two)},
                               {http_answer(200, two)},
                               {http_answer(200, two)},
                               {http_answer(200, one)}});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    ASSERT_TRUE(run(io, provider->embed({"1", "2", "3", "4"})));
    ASSERT_EQ(provider->model().inputs_per_request_max, 2u);
    const auto longer = run(io, provider->embed({"1", "2", "3", "4", "5"}));
    ASSERT_TRUE(longer) << longer.error().detail;
    EXPECT_EQ(longer->vectors.size(), 5u);
    EXPECT_EQ(longer->usage.prompt_tokens, 17);
    ASSERT_EQ(server.requests.size(), 6u);
    EXPECT_NE(server.requests[3].find(R"("input":["1","2"])"), std::string::npos) << server.requests[3];
    EXPECT_NE(server.requests[5].find(R"("input":["5"])"), std::string::npos) << server.requests[5];
}

TEST(OpenAi, LearnsNothingFromAnInputThatIsTooLargeByItself) {
    asio::io_context io;
    ManualClock clock;
    const std::string one = R"({"data":[{"embedding":[3,4]}]})";
    const std::string three = R"({"data":[{"embedding":[3,4]},{"embedding":[3,4]},{"embedding":[3,4]}]})";
    ScriptedServer server(io, {{http_answer(413, "{}")},
                               {http_answer(200, one)},
                               {http_answer(413, "{}")},
                               {http_answer(413, "{}")},
                               {http_answer(413, "{}")},
                               {http_answer(413, "{}")},
                               {http_answer(200, three)}});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    const auto first = run(io, provider->embed({"1", "large"}));
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_EQ(first->vectors.size(), 1u);
    const auto second = run(io, provider->embed({"large", "3"}));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().status, 413);
    const auto alone = run(io, provider->embed({"large"}));
    ASSERT_FALSE(alone);
    EXPECT_EQ(alone.error().kind, FailureKind::rejected);
    EXPECT_EQ(provider->model().inputs_per_request_max, options.inputs_per_request_max);
    EXPECT_TRUE(run(io, provider->embed({"4", "5", "6"}))) << "in one request";
    EXPECT_EQ(server.requests.size(), 7u);
}

TEST(OpenAi, KeepsWhatIsPaidWhenALaterPartOfARequestFails) {
    asio::io_context io;
    ManualClock clock;
    const std::string large = R"({"message":"batch size 2 > maximum allowed batch size 1","code":413})";
    ScriptedServer server(
        io, {{http_answer(413, large)},
             {http_answer(200, R"({"data":[{"embedding":[3,4]}],"usage":{"prompt_tokens":3}})")},
             {http_answer(401, "{}")},
             {http_answer(401, "{}")}});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    const auto result = run(io, provider->embed({"1", "2"}));
    ASSERT_TRUE(result) << result.error().detail;
    EXPECT_EQ(result->vectors, (std::vector<std::vector<float>>{{0.6f, 0.8f}}));
    EXPECT_EQ(result->usage.prompt_tokens, 3);
    const auto rest = run(io, provider->embed({"2"}));
    ASSERT_FALSE(rest);
    EXPECT_EQ(rest.error().status, 401);
}

TEST(OpenAi, RefusesVectorsThatChangeTheirLength) {
    asio::io_context io;
    ManualClock clock;
    ScriptedServer server(io, {{http_answer(200, R"({"data":[{"embedding":[3,4]}]})")},
                               {http_answer(200, R"({"data":[{"embedding":[3,4,0]}]})")}});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    EXPECT_TRUE(run(io, provider->embed({"x"})));
    const auto other = run(io, provider->embed({"x"}));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind, FailureKind::rejected);
}

TEST(OpenAi, ReadsLargeAnswersOnThePool) {
    CpuPool pool(1);
    OpenAiWorld world({}, {}, "/v1", &pool);
    std::vector<std::string> texts;
    for (int i = 0; i < 500; ++i) texts.push_back("text " + std::to_string(i));
    const auto result = world.embed(texts);
    ASSERT_TRUE(result) << result.error().detail;
    const auto alone = world.embed({texts[321]});
    EXPECT_EQ(result->vectors[321], alone->vectors[0]);
    pool.stop();   // its threads let go of the context before the context goes
}

TEST(OpenAi, IsNotMadeFromABadConfiguration) {
    asio::io_context io;
    ManualClock clock;
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    const auto good = [] {
        OpenAiOptions options;
        options.server = {"http://127.0.0.1:1", "key", "model"};
        return options;
    };
    EXPECT_TRUE(make_openai(*client, clock, good()));
    std::vector<OpenAiOptions> bad(7, good());
    bad[0].server.endpoint = "127.0.0.1:1";
    bad[1].server.endpoint = "http://user:hunter2@127.0.0.1";
    bad[2].server.key = "line\nfeed";
    bad[3].server.model = "";
    bad[4].inputs_per_request_max = 0;
    bad[5].tries_max = 0;
    bad[6].try_time_max = Duration(0);
    for (std::size_t i = 0; i < bad.size(); ++i) {
        const auto made = make_openai(*client, clock, bad[i]);
        ASSERT_FALSE(made) << i;
        EXPECT_EQ(made.error().code, Errc::invalid_input) << i;
        EXPECT_EQ(made.error().detail.find("hunter2"), std::string::npos);
        EXPECT_EQ(made.error().detail.find("feed"), std::string::npos);
    }
}

}  // namespace
}  // namespace millrace::provider
