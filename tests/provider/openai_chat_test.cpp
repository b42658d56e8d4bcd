// Completions and passed-on requests of the OpenAI provider, over a real connection to the simulator or to a
// script.
#include "tests/provider/openai_world.hpp"
#include "tests/provider/scripted_server.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

namespace millrace::provider {
namespace {

namespace json = boost::json;

constexpr char kSchema[] =
    R"({"type":"object","properties":{"mood":{"enum":["good","bad"]}},"required":["mood"],"additionalProperties":false})";

OpenAiOptions chat_options(CompletionApi api = CompletionApi::chat) {
    OpenAiOptions options;
    options.server.model = "gpt-4o-mini";
    options.api = api;
    return options;
}

CompletionRequest question(const std::string& input = "A riverbank in spring.") {
    CompletionRequest request;
    request.task = "sentiment";
    request.instructions = "Judge the text.";
    request.input = input;
    request.schema = kSchema;
    request.schema_name = "mood";
    request.output_tokens_max = 200;
    return request;
}

TEST(OpenAiCompletion, IsAnsweredThroughBothInterfacesAndUnderEveryAddress) {
    struct Place {
        std::string path, api_version;
        bool azure;
    };
    const Place places[] = {{"/v1", "", false}, {"", "", false}, {"", "", true}, {"", "2024-10-21", true}};
    for (const CompletionApi api : {CompletionApi::chat, CompletionApi::responses}) {
        for (const Place& place : places) {
            OpenAiOptions options = chat_options(api);
            options.server.azure = place.azure;
            options.server.api_version = place.api_version;
            options.server.key = "k";
            http::SimulatorOptions simulated;
            simulated.key = "k";
            OpenAiWorld world(simulated, options, place.path);
            const auto answer = world.complete(question());
            ASSERT_TRUE(answer) << place.path << place.api_version << answer.error().detail;
            EXPECT_TRUE(json::parse(answer->text).at("mood").is_string());
            EXPECT_EQ(answer->model, "gpt-4o-mini");
            EXPECT_EQ(
                static_cast<std::uint64_t>(answer->usage.prompt_tokens + answer->usage.completion_tokens),
                world.simulator->stats().tokens);
        }
    }
}

struct FailureCase {
    std::string faults;
    FailureKind kind;
    int status;
    std::uint64_t calls;
    bool billed;
};

TEST(OpenAiCompletion, FailsAsTheTableSays) {
    using enum FailureKind;
    const FailureCase cases[] = {
        {"first:1:refusal", refused, 200, 1, true}, {"first:1:filter", content_filtered, 200, 1, true},
        {"first:1:length", cut_off, 200, 1, true},  {"first:1:garbage", transient, 200, 1, false},
        {"first:1:429", throttled, 429, 1, false},  {"first:3:503", transient, 503, 3, false},
        {"first:1:400", rejected, 400, 1, false},
    };
    for (const CompletionApi api : {CompletionApi::chat, CompletionApi::responses}) {
        for (const FailureCase& c : cases) {
            http::SimulatorOptions simulated;
            simulated.faults = c.faults;
            OpenAiWorld world(simulated, chat_options(api));
            const auto answer = world.complete(question());
            ASSERT_FALSE(answer) << c.faults;
            EXPECT_EQ(answer.error().kind, c.kind) << c.faults << ": " << answer.error().detail;
            EXPECT_EQ(answer.error().status, c.status) << c.faults;
            EXPECT_EQ(world.simulator->stats().calls, c.calls) << c.faults;
            EXPECT_EQ(answer.error().usage.prompt_tokens > 0, c.billed) << c.faults;
            EXPECT_TRUE(world.complete(question())) << "the next call succeeds";
        }
    }
}

TEST(OpenAiCompletion, IsFilteredByItsPromptInOpenAisAndAzuresForm) {
    for (const bool azure : {false, true}) {
        http::SimulatorOptions simulated;
        simulated.filtered_word = "FORBIDDEN";
        simulated.azure = azure;
        OpenAiWorld world(simulated, chat_options());
        const auto answer = world.complete(question("a FORBIDDEN word"));
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().kind, FailureKind::content_filtered);
        EXPECT_EQ(answer.error().usage, Usage{});
    }
}

TEST(OpenAiCompletion, OfNothingOrWithABadSchemaIsNotSent) {
    OpenAiWorld world({}, chat_options());
    CompletionRequest bad = question();
    bad.schema = "{";
    for (const CompletionRequest& request : {question(""), bad}) {
        const auto answer = world.complete(request);
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().kind, FailureKind::rejected);
    }
    EXPECT_EQ(world.simulator->stats().calls, 0u);
}

TEST(OpenAiCompletion, OfALooseSchemaIsNotAskedForStrictly) {
    OpenAiWorld world({}, chat_options());
    CompletionRequest loose = question();
    loose.schema = R"({"type":"object","properties":{"mood":{"type":"string"}}})";
    EXPECT_TRUE(world.complete(loose)) << "strict would be refused";
}

TEST(OpenAiCompletion, KnowsItsModel) {
    OpenAiOptions options = chat_options(CompletionApi::responses);
    OpenAiWorld known({}, options);
    EXPECT_TRUE(known.openai->model().completes);
    EXPECT_FALSE(known.openai->model().embeds);
    EXPECT_EQ(known.openai->model().api, CompletionApi::responses);
    EXPECT_EQ(known.openai->model().context_tokens_max, 128'000u);
    EXPECT_EQ(known.openai->model().encoding, "o200k_base");
    options.context_tokens_max = 4096;
    options.output_tokens_max = 512;
    OpenAiWorld told({}, options);
    EXPECT_EQ(told.openai->model().context_tokens_max, 4096u);
    EXPECT_EQ(told.openai->model().output_tokens_max, 512u);
    OpenAiWorld embeds;
    EXPECT_FALSE(embeds.openai->model().completes);
    EXPECT_TRUE(embeds.openai->model().embeds);
}

TEST(OpenAiPassedOn, IsAnsweredAsItsSenderAskedButByThisModel) {
    OpenAiWorld world({}, chat_options());
    const std::pair<std::string, std::string> requests[] = {
        {"/v1/chat/completions",
         R"({"model":"theirs","messages":[{"role":"user","content":"hi"}],"seed":1})"},
        {"/v1/responses", R"({"model":"theirs","input":"hi"})"},
    };
    for (const auto& [endpoint, body] : requests) {
        const auto answer = world.call({endpoint, body});
        ASSERT_TRUE(answer) << answer.error().detail;
        EXPECT_EQ(answer->status, 200);
        EXPECT_EQ(json::parse(answer->body).at("model"), "gpt-4o-mini");
        EXPECT_TRUE(answer->request_id.starts_with("req_"));
        EXPECT_GT(answer->usage.prompt_tokens, 0);
        EXPECT_GT(answer->usage.completion_tokens, 0);
    }
    OpenAiWorld embeds;
    const auto vectors = embeds.call({"/v1/embeddings", R"({"model":"theirs","input":["one","two"]})"});
    ASSERT_TRUE(vectors);
    EXPECT_EQ(json::parse(vectors->body).at("data").as_array().size(), 2u);
    EXPECT_EQ(vectors->usage.completion_tokens, 0);
}

TEST(OpenAiPassedOn, IsAnsweredWithWhatIsWrongWithIt) {
    OpenAiWorld world({}, chat_options());
    const auto answer = world.call({"/v1/chat/completions", R"({"messages":[]})"});
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 400);
    EXPECT_EQ(json::parse(answer->body).at("error").at("code"), "missing_required_parameter");
    EXPECT_EQ(answer->usage, Usage{});
    EXPECT_EQ(world.simulator->stats().calls, 1u);
}

TEST(OpenAiPassedOn, FailsWhereTheRequestIsNotToBlame) {
    struct Case {
        std::string faults;
        FailureKind kind;
    };
    const Case cases[] = {{"first:1:429", FailureKind::throttled},
                          {"first:3:500", FailureKind::transient},
                          {"first:3:408", FailureKind::transient},
                          {"first:3:409", FailureKind::transient},
                          {"first:1:garbage", FailureKind::transient}};
    for (const Case& c : cases) {
        http::SimulatorOptions simulated;
        simulated.faults = c.faults;
        OpenAiWorld world(simulated, chat_options());
        const auto answer = world.call({"/v1/responses", R"({"input":"hi"})"});
        ASSERT_FALSE(answer) << c.faults;
        EXPECT_EQ(answer.error().kind, c.kind) << c.faults;
    }
    OpenAiWorld world({}, chat_options());
    const RawRequest bad[] = {
        {"/v1/files", "{}"}, {"/v1/responses", "no JSON"}, {"/v1/responses", R"({"stream":true})"}};
    for (const RawRequest& request : bad) {
        const auto answer = world.call(request);
        ASSERT_FALSE(answer) << request.body;
        EXPECT_EQ(answer.error().kind, FailureKind::rejected) << request.body;
    }
    EXPECT_EQ(world.simulator->stats().calls, 0u);
}

TEST(OpenAiPassedOn, TreatsAnEmptyAccountAsAFailureOfTheDeployment) {
    asio::io_context io;
    ManualClock clock;
    const Play answer{http_answer(429, R"({"error":{"code":"insufficient_quota","message":"pay"}})")};
    ScriptedServer server(io, {answer});
    auto client = std::move(HttpClient::make(io.get_executor()).value());
    OpenAiOptions options;
    options.server = {server.url(), "", "m"};
    auto provider = std::move(make_openai(*client, clock, options).value());
    const auto failed = run(io, provider->call({"/v1/responses", "{}"}));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, FailureKind::rejected);
    EXPECT_EQ(failed.error().status, 429);
}

}  // namespace
}  // namespace millrace::provider
