#include "http/simulator_call.hpp"
#include "provider/feature_hash.hpp"
#include "provider/openai_vectors.hpp"
#include "tests/http/simulator_world.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

namespace json = boost::json;

using World = SimulatorWorld;

std::string texts(std::size_t count, const std::string& text) {
    std::string list = "[";
    for (std::size_t i = 0; i < count; ++i) list += (i > 0 ? ",\"" : "\"") + text + "\"";
    return list + "]";
}

TEST(Simulator, AnswersEveryFormOfInputAndEncoding) {
    World world;
    const json::value floats = json::parse(world.embed(R"("hello world")").body);
    EXPECT_EQ(floats.at("object"), "list");
    EXPECT_EQ(floats.at("model"), "text-embedding-3-small");
    const json::array& numbers = floats.at("data").at(0).at("embedding").as_array();
    ASSERT_EQ(numbers.size(), 1536u);
    double sum = 0;
    for (const json::value& number : numbers) sum += number.to_number<double>() * number.to_number<double>();
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_EQ(floats.at("usage").at("prompt_tokens"), floats.at("usage").at("total_tokens"));

    const json::value packed =
        json::parse(world.embed(R"(["other","hello world"])", R"(,"encoding_format":"base64")").body);
    std::vector<float> vector;
    ASSERT_TRUE(
        provider::decode_vector(std::string(packed.at("data").at(1).at("embedding").as_string()), vector));
    ASSERT_EQ(vector.size(), 1536u);
    for (std::size_t i = 0; i < vector.size(); ++i)
        ASSERT_NEAR(vector[i], numbers[i].to_number<double>(), 1e-6);
    EXPECT_EQ(packed.at("data").at(1).at("index"), 1);

    EXPECT_EQ(json::parse(world.embed("[1,2,3]").body).at("usage").at("prompt_tokens"), 3);
    EXPECT_EQ(json::parse(world.embed("[[1,2,3],[4]]").body).at("usage").at("prompt_tokens"), 4);
    EXPECT_EQ(json::parse(world.embed(R"("x")", R"(,"dimensions":256)").body)
                  .at("data")
                  .at(0)
                  .at("embedding")
                  .as_array()
                  .size(),
              256u);
    EXPECT_EQ(world.simulator->stats().answered, 5u);
    EXPECT_EQ(world.simulator->stats().inputs, 7u);
}

TEST(Simulator, KnowsAzuresRoutes) {
    World world;
    const std::string body = R"({"input":"x","model":"ignored"})";
    EXPECT_EQ(world.ask("POST", "/openai/deployments/my-dep/embeddings", body).status, 200u);
    EXPECT_EQ(world.ask("POST", "/openai/v1/embeddings", R"({"input":"x","model":"text-embedding-3-large"})")
                  .status,
              200u);
    EXPECT_EQ(world.ask("POST", "/openai/deployments//embeddings", body).status, 404u);
    EXPECT_EQ(world.ask("POST", "/v1/embeddings", body).status, 404u);
    EXPECT_EQ(world.ask("GET", "/v1/embeddings").status, 405u);
    EXPECT_EQ(world.ask("POST", "/v1/chat/completions", body).status, 404u);
    const json::value models = json::parse(world.ask("GET", "/v1/models").body);
    EXPECT_EQ(models.at("data").as_array().size(), 7u);
    EXPECT_EQ(world.ask("GET", "/healthz").status, 200u);
}

struct BadCall {
    std::string name, body;
    unsigned status;
    std::string code;
};

TEST(Simulator, RefusesWhatOpenAiRefuses) {
    const std::string model = R"("model":"text-embedding-3-small",)";
    const BadCall cases[] = {
        {"no JSON", "{", 400, "null"},
        {"no object", "[]", 400, "null"},
        {"no model", R"({"input":"x"})", 400, "null"},
        {"a model of nobody", R"({"model":"text-embedding-9","input":"x"})", 404, "model_not_found"},
        {"no input", "{" + model + R"("user":"u"})", 400, "null"},
        {"an empty text", "{" + model + R"("input":""})", 400, "null"},
        {"an empty text among others", "{" + model + R"("input":["a",""]})", 400, "null"},
        {"no texts", "{" + model + R"("input":[]})", 400, "null"},
        {"an empty list of tokens", "{" + model + R"("input":[[]]})", 400, "null"},
        {"a number", "{" + model + R"("input":7})", 400, "null"},
        {"null among texts", "{" + model + R"("input":["a",null]})", 400, "null"},
        {"a negative token", "{" + model + R"("input":[1,-1]})", 400, "null"},
        {"2049 texts", "{" + model + R"("input":)" + texts(2049, "a") + "}", 400, "null"},
        {"8193 tokens in a text", "{" + model + R"("input":")" + std::string(4 * 8192 + 1, 'a') + "\"}", 400,
         "context_length_exceeded"},
        {"more than 300,000 tokens",
         "{" + model + R"("input":)" + texts(38, std::string(4 * 8000, 'a')) + "}", 400,
         "max_tokens_per_request"},
        {"another encoding", "{" + model + R"("input":"x","encoding_format":"hex"})", 400, "null"},
        {"too many dimensions", "{" + model + R"("input":"x","dimensions":1537})", 400, "null"},
        {"no dimensions", "{" + model + R"("input":"x","dimensions":0})", 400, "null"},
        {"dimensions of ada", R"({"model":"text-embedding-ada-002","input":"x","dimensions":1536})", 400,
         "null"},
        {"a filtered word", "{" + model + R"("input":["fine","a FORBIDDEN text"]})", 400, "content_filter"},
    };
    SimulatorOptions options;
    options.filtered_word = "FORBIDDEN";
    World world(options);
    for (const BadCall& c : cases) {
        const Response response = world.ask("POST", "/v1/embeddings", c.body);
        EXPECT_EQ(response.status, c.status) << c.name << response.body.substr(0, 200);
        EXPECT_EQ(code_of(response), c.code) << c.name;
    }
    EXPECT_EQ(world.simulator->stats().refused, std::size(cases));
    EXPECT_EQ(world.simulator->stats().tokens, 0u);
    EXPECT_EQ(world.embed(texts(2048, "a")).status, 200u);
    EXPECT_EQ(world.embed("\"" + std::string(4 * 8192, 'a') + "\"").status, 200u);
    EXPECT_EQ(world.embed(texts(37, std::string(4 * 8000, 'a'))).status, 200u);
}

TEST(Simulator, WantsItsKey) {
    SimulatorOptions options;
    options.key = "secret";
    World world(options);
    const std::string body = R"({"model":"text-embedding-3-small","input":"x"})";
    const std::pair<Fields, unsigned> cases[] = {
        {{}, 401},
        {{{"Authorization", "Bearer wrong"}}, 401},
        {{{"Authorization", "secret"}}, 401},
        {{{"Authorization", "Bearer secret"}}, 200},
        {{{"api-key", "secret"}}, 200},
        {{{"api-key", "secre"}}, 401},
    };
    for (const auto& [headers, status] : cases) {
        EXPECT_EQ(world.ask("POST", "/v1/embeddings", body, headers).status, status);
    }
    EXPECT_EQ(code_of(world.ask("POST", "/v1/embeddings", body)), "invalid_api_key");
    EXPECT_EQ(code_of(world.ask("POST", "/openai/deployments/d/embeddings", body)), "401");
    EXPECT_EQ(world.ask("GET", "/stats").status, 200u);
}

TEST(Simulator, HoldsItsTokenQuotaOverAnySixtySeconds) {
    SimulatorOptions options;
    options.quota.tokens_per_minute = 100;
    options.count_tokens = [](std::string_view, std::string_view text) { return text.size(); };
    World world(options);
    const std::string forty = "\"" + std::string(40, 'a') + "\"";
    const Response first = world.embed(forty);
    EXPECT_EQ(first.status, 200u);
    EXPECT_EQ(header(first, "x-ratelimit-limit-tokens"), "100");
    EXPECT_EQ(header(first, "x-ratelimit-remaining-tokens"), "60");
    EXPECT_EQ(header(first, "x-ratelimit-reset-tokens"), "1m0s");
    EXPECT_EQ(header(first, "x-ratelimit-limit-requests"), "");
    world.clock.advance(std::chrono::milliseconds(20'500));
    EXPECT_EQ(world.embed(forty).status, 200u);
    const Response third = world.embed(forty);
    EXPECT_EQ(third.status, 429u);
    EXPECT_EQ(code_of(third), "rate_limit_exceeded");
    EXPECT_EQ(header(third, "retry-after-ms"), "39500");
    EXPECT_EQ(header(third, "retry-after"), "40");
    EXPECT_EQ(header(third, "x-ratelimit-remaining-tokens"), "20");
    EXPECT_NE(third.body.find("try again in 39.5s"), std::string::npos) << third.body;
    world.clock.advance(Duration(39'499));
    EXPECT_EQ(world.embed(forty).status, 429u);
    world.clock.advance(Duration(1));
    EXPECT_EQ(world.embed(forty).status, 200u);
    EXPECT_EQ(world.embed("\"" + std::string(101, 'a') + "\"").status, 429u);
    EXPECT_EQ(world.simulator->stats().throttled, 3u);
    EXPECT_EQ(world.simulator->stats().tokens, 120u);
}

TEST(Simulator, HoldsItsRequestQuota) {
    SimulatorOptions options;
    options.quota.requests_per_minute = 2;
    options.azure = true;
    World world(options);
    const Response first = world.embed(R"("x")");
    EXPECT_EQ(first.status, 200u);
    EXPECT_EQ(header(first, "x-ratelimit-remaining-requests"), "1");
    EXPECT_EQ(header(first, "x-ratelimit-reset-requests"), "");
    EXPECT_EQ(world.embed("7").status, 400u);
    const Response third = world.embed(R"("x")");
    EXPECT_EQ(third.status, 429u);
    EXPECT_EQ(code_of(third), "429");
    EXPECT_EQ(header(third, "x-ratelimit-reset-requests"), "60");
    EXPECT_NE(third.body.find("Please retry after 60 seconds."), std::string::npos);
    world.clock.advance(std::chrono::seconds(60));
    EXPECT_EQ(world.embed(R"("x")").status, 200u);
}

TEST(SlidingWindow, IsNeverExceededInAnyMinute) {
    SlidingWindow window(1000);
    TimePoint now = from_millis(0);
    std::mt19937 random(3);
    std::vector<std::pair<TimePoint, std::int64_t>> admitted;
    for (int i = 0; i < 3000; ++i) {
        now += Duration(random() % 3000);
        const auto amount = static_cast<std::int64_t>(random() % 300 + 1);
        const Duration wait = window.wait_for(amount, now);
        if (wait > Duration::zero()) {
            EXPECT_EQ(SlidingWindow(window).wait_for(amount, now + wait), Duration::zero());
            EXPECT_GT(SlidingWindow(window).wait_for(amount, now + wait - Duration(1)), Duration::zero());
            continue;
        }
        window.use(amount, now);
        admitted.emplace_back(now, amount);
    }
    ASSERT_GT(admitted.size(), 100u);
    std::int64_t most = 0;
    for (const auto& [end, last] : admitted) {
        std::int64_t sum = 0;
        for (const auto& [when, amount] : admitted) {
            if (when <= end && when > end - SlidingWindow::kWindow) sum += amount;
        }
        most = std::max(most, sum);
    }
    EXPECT_LE(most, 1000);
    EXPECT_GT(most, 900);
}

TEST(Faults, ComeInTheOrderAndShareAskedFor) {
    auto plan = FaultPlan::parse("first:2:503, first:1:reset, 429:0.25,slow:0.25", 9).value();
    EXPECT_EQ(plan.next(), (Fault{Fault::Kind::status, 503}));
    EXPECT_EQ(plan.next(), (Fault{Fault::Kind::status, 503}));
    EXPECT_EQ(plan.next(), (Fault{Fault::Kind::reset, 0}));
    auto again = FaultPlan::parse("429:0.25,slow:0.25", 9).value();
    int throttled = 0, slow = 0;
    for (int i = 0; i < 4000; ++i) {
        const Fault fault = plan.next();
        EXPECT_EQ(fault, again.next());
        throttled += fault == Fault{Fault::Kind::status, 429};
        slow += fault.kind == Fault::Kind::slow;
    }
    EXPECT_NEAR(throttled, 1000, 100);
    EXPECT_NEAR(slow, 1000, 100);
    EXPECT_EQ(FaultPlan::parse("", 1)->next(), Fault{});
    EXPECT_EQ(FaultPlan::parse("timeout:1", 1)->next().kind, Fault::Kind::timeout);
}

TEST(Faults, AreRefusedWhenMalformed) {
    for (const char* text : {"x", "429", "429:", ":0.5", "429:x", "429:1.5", "429:-0.1", "429:nan", "399:0.1",
                             "600:0.1", "explode:0.1", "first:503", "first:x:503", "first:-1:503",
                             "first:1:2", "first::503", "429:0.6,500:0.5", "429:0.1,,500:0.1", "429 : 0.1"}) {
        const auto plan = FaultPlan::parse(text, 1);
        ASSERT_FALSE(plan) << text;
        EXPECT_EQ(plan.error().code, Errc::invalid_input);
    }
    ManualClock clock;
    SimulatorOptions options;
    options.faults = "often";
    EXPECT_FALSE(Simulator::make(clock, options));
    EXPECT_NE(Simulator::make(clock, options).error().detail.find("often"), std::string::npos);
    options.faults.clear();
    options.quota.tokens_per_minute = -1;
    EXPECT_FALSE(Simulator::make(clock, options));
}

TEST(Simulator, InjectsEachFault) {
    struct Case {
        std::string fault;
        unsigned status;
        Delivery delivery;
        std::uint64_t paid;
    };
    const Case cases[] = {
        {"first:1:503", 503, Delivery::whole, 0},     {"first:1:429", 429, Delivery::whole, 0},
        {"first:1:timeout", 200, Delivery::never, 0}, {"first:1:reset", 200, Delivery::reset, 0},
        {"first:1:garbage", 200, Delivery::whole, 0}, {"first:1:slow", 200, Delivery::slow, 1},
        {"first:1:cut", 200, Delivery::cut, 1},
    };
    for (const Case& c : cases) {
        SimulatorOptions options;
        options.faults = c.fault;
        World world(options);
        const Response response = world.embed(R"("x")");
        EXPECT_EQ(response.status, c.status) << c.fault;
        EXPECT_EQ(response.delivery, c.delivery) << c.fault;
        EXPECT_EQ(world.simulator->stats().inputs, c.paid) << c.fault;
        EXPECT_EQ(world.simulator->stats().faults, 1u);
        EXPECT_EQ(header(response, "retry-after").empty(), c.status < 400) << c.fault;
        EXPECT_EQ(world.embed(R"("x")").status, 200u);
    }
}

TEST(Simulator, TakesItsTime) {
    SimulatorOptions options;
    options.latency = Duration(100);
    options.latency_jitter = Duration(50);
    World world(options);
    std::vector<unsigned> answered;
    const auto one = [&]() -> asio::awaitable<void> {
        Request request;
        request.method = "POST";
        request.segments = {"v1", "embeddings"};
        request.body = R"({"model":"text-embedding-3-small","input":"x"})";
        const Response response = co_await world.simulator->answer(std::move(request));
        answered.push_back(response.status);
    };
    for (int i = 0; i < 3; ++i) spawn(world.io.get_executor(), one());
    world.io.poll();
    EXPECT_EQ(world.clock.sleepers(), 3u);
    world.clock.advance(Duration(99));
    world.io.poll();
    EXPECT_TRUE(answered.empty());
    world.clock.advance(Duration(51));
    world.io.poll();
    EXPECT_EQ(answered, (std::vector<unsigned>{200, 200, 200}));
    EXPECT_EQ(world.simulator->stats().at_once_max, 3u);
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
}

std::vector<float> vector_of(std::string_view text, std::size_t dimensions) {
    provider::FeatureHash hash(hashed_dimensions(dimensions));
    return simulated_vector(hash, text, dimensions);
}

TEST(SimulatedVector, IsNearWhereWordsAreShared) {
    const auto cat = vector_of("The cat sat on the mat", 1536);
    EXPECT_NEAR(dot(cat, cat), 1, 1e-5);
    EXPECT_GT(dot(cat, vector_of("a CAT sat, on the mat!", 1536)), 0.7);
    EXPECT_LT(dot(cat, vector_of("quarterly revenue grew by nine percent", 1536)), 0.2);
}

TEST(SimulatedVector, HasEveryLengthAskedForAndADirection) {
    for (const std::size_t dimensions : {1u, 2u, 63u, 64u, 65u, 256u, 1536u, 3072u}) {
        for (const char* text : {"!!!", "a", "a longer text of several words"}) {
            const auto vector = vector_of(text, dimensions);
            EXPECT_EQ(vector.size(), dimensions);
            EXPECT_NEAR(dot(vector, vector), 1, 1e-5) << text << " " << dimensions;
        }
    }
}

}  // namespace
}  // namespace millrace::http
