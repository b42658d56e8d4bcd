#include "tests/http/simulator_world.hpp"

#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>

namespace millrace::http {
namespace {

namespace json = boost::json;
using World = SimulatorWorld;

constexpr char kSchema[] =
    R"({"type":"object","properties":{"mood":{"enum":["good","bad"]},"score":{"type":"number","minimum":0,"maximum":1},)"
    R"("notes":{"type":"array","items":{"type":"string"}}},"required":["mood","score","notes"],"additionalProperties":false})";

std::string format(const std::string& schema) {
    return R"(,"response_format":{"type":"json_schema","json_schema":{"name":"mood","strict":true,"schema":)" +
           schema + "}}";
}

std::string content_of(const Response& response) {
    const json::value body = json::parse(response.body);
    return std::string(body.at("choices").at(0).at("message").at("content").as_string());
}

TEST(SimulatedChat, AnswersInOpenAisFormWithWordsOfThePrompt) {
    World world;
    const Response response = world.chat("windmill riverbank");
    ASSERT_EQ(response.status, 200u) << response.body;
    const json::value body = json::parse(response.body);
    EXPECT_EQ(body.at("object"), "chat.completion");
    EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "stop");
    EXPECT_NE(content_of(response).find("windmill"), std::string::npos);
    const json::value& usage = body.at("usage");
    EXPECT_EQ(usage.at("total_tokens").as_int64(),
              usage.at("prompt_tokens").as_int64() + usage.at("completion_tokens").as_int64());
    EXPECT_GT(usage.at("completion_tokens").as_int64(), 10);
    EXPECT_EQ(content_of(world.chat("windmill riverbank")), content_of(response)) << "the same each time";
    EXPECT_NE(content_of(world.chat("another windmill riverbank")), content_of(response));
}

TEST(SimulatedChat, FollowsASchema) {
    World world;
    for (int i = 0; i < 20; ++i) {
        const Response response = world.chat("text " + std::to_string(i), format(kSchema));
        ASSERT_EQ(response.status, 200u) << response.body;
        const json::value answer = json::parse(content_of(response));
        EXPECT_TRUE(answer.at("mood") == "good" || answer.at("mood") == "bad");
        EXPECT_LE(answer.at("score").to_number<double>(), 1);
        EXPECT_TRUE(answer.at("notes").is_array());
        EXPECT_EQ(answer.as_object().size(), 3u);
    }
}

TEST(SimulatedChat, AnswersResponsesInTheirForm) {
    World world;
    const Response response = world.ask(
        "POST", "/v1/responses",
        R"({"model":"gpt-4o-mini","instructions":"Judge.","input":"riverbank","text":{"format":{"type":"json_schema","name":"mood","strict":true,"schema":)" +
            std::string(kSchema) + "}}}");
    ASSERT_EQ(response.status, 200u) << response.body;
    const json::value body = json::parse(response.body);
    EXPECT_EQ(body.at("status"), "completed");
    const json::value& part = body.at("output").at(0).at("content").at(0);
    EXPECT_EQ(part.at("type"), "output_text");
    EXPECT_TRUE(json::parse(part.at("text").as_string()).at("mood").is_string());
    EXPECT_GT(body.at("usage").at("input_tokens").as_int64(), 0);
    EXPECT_GT(body.at("usage").at("output_tokens").as_int64(), 0);
}

TEST(SimulatedChat, StopsAtTheMostTokensItMayWrite) {
    World world;
    const json::value body =
        json::parse(world.chat("windmill riverbank", R"(,"max_completion_tokens":5)").body);
    EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "length");
    EXPECT_LE(body.at("usage").at("completion_tokens").as_int64(), 5);
    const json::value response = json::parse(
        world.ask("POST", "/v1/responses", R"({"model":"gpt-4o","input":"windmill","max_output_tokens":5})")
            .body);
    EXPECT_EQ(response.at("status"), "incomplete");
    EXPECT_EQ(response.at("incomplete_details").at("reason"), "max_output_tokens");
}

TEST(SimulatedChat, DeclinesFiltersAndCutsOnDemand) {
    SimulatorOptions options;
    options.faults = "first:1:refusal,first:1:filter,first:1:length";
    options.filtered_word = "FORBIDDEN";
    options.declined_word = "NEVER";
    World world(options);
    const auto choice = [&](const std::string& text) {
        const Response response = world.chat(text);
        EXPECT_EQ(response.status, 200u);
        return json::parse(response.body).at("choices").at(0);
    };
    const json::value refused = choice("x");
    EXPECT_TRUE(refused.at("message").at("content").is_null());
    EXPECT_TRUE(refused.at("message").at("refusal").is_string());
    EXPECT_EQ(choice("x").at("finish_reason"), "content_filter");
    EXPECT_EQ(choice("x").at("finish_reason"), "length");
    EXPECT_EQ(choice("x").at("finish_reason"), "stop");
    EXPECT_TRUE(choice("NEVER").at("message").at("refusal").is_string());
    const Response filtered = world.chat("FORBIDDEN");
    EXPECT_EQ(filtered.status, 400u);
    EXPECT_EQ(code_of(filtered), "content_filter");
    EXPECT_EQ(world.simulator->stats().answered, 5u);
}

TEST(SimulatedChat, SaysAtAzureWhatTheFilterFound) {
    SimulatorOptions options;
    options.azure = true;
    options.filtered_word = "FORBIDDEN";
    World world(options);
    const json::value error = json::parse(world.chat("FORBIDDEN").body).at("error");
    EXPECT_EQ(error.at("innererror").at("code"), "ResponsibleAIPolicyViolation");
}

TEST(SimulatedChat, IsServedUnderEveryAddress) {
    World world;
    const std::string chat = R"({"messages":[{"role":"user","content":"hi"}],"model":"gpt-4o"})";
    const std::string respond =
        R"({"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"model":"gpt-4o"})";
    const std::pair<std::string, std::string> served[] = {
        {"/v1/chat/completions", chat},
        {"/openai/v1/chat/completions", chat},
        {"/openai/deployments/mine/chat/completions", R"({"messages":[{"role":"user","content":"hi"}]})"},
        {"/v1/responses", respond},
        {"/openai/v1/responses", respond},
        {"/openai/responses", respond},
    };
    for (const auto& [path, body] : served) EXPECT_EQ(world.ask("POST", path, body).status, 200u) << path;
    for (const char* path :
         {"/v2/chat/completions", "/v1/chat", "/openai/deployments/mine/responses", "/openai"})
        EXPECT_EQ(world.ask("POST", path, chat).status, 404u) << path;
}

TEST(SimulatedChat, RefusesWhatOpenAiRefuses) {
    struct Case {
        std::string body;
        unsigned status;
        std::string code;
    };
    const std::string hi = R"("messages":[{"role":"user","content":"hi"}])";
    const std::string model = R"({"model":"gpt-4o-mini",)";
    const std::string loose = R"({"type":"object","properties":{"a":{"type":"string"}}})";
    const Case cases[] = {
        {"{", 400, "null"},
        {"{" + hi + "}", 400, "null"},
        {R"({"model":"nobody",)" + hi + "}", 404, "model_not_found"},
        {R"({"model":"text-embedding-3-small",)" + hi + "}", 404, "model_not_found"},
        {model + R"("messages":[]})", 400, "missing_required_parameter"},
        {model + R"("messages":[{"content":"hi"}]})", 400, "null"},
        {model + R"("messages":[{"role":"user","content":7}]})", 400, "null"},
        {model + hi + R"(,"stream":true})", 400, "unsupported_value"},
        {model + hi + R"(,"n":2})", 400, "unsupported_value"},
        {model + hi + R"(,"temperature":3})", 400, "null"},
        {model + hi + R"(,"max_completion_tokens":0})", 400, "integer_below_min_value"},
        {model + hi + R"(,"max_completion_tokens":99999999})", 400, "invalid_value"},
        {model + hi + R"(,"max_completion_tokens":5,"max_tokens":5})", 400, "invalid_parameter_combination"},
        {model + hi + R"(,"response_format":{"type":"json_object"}})", 400, "null"},
        {model + hi + R"(,"response_format":{"type":"xml"}})", 400, "null"},
        {model + hi + format(loose) + "}", 400, "null"},
        {model + R"("messages":[{"role":"user","content":")" + std::string(4 * 130'000, 'x') + R"("}]})", 400,
         "context_length_exceeded"},
    };
    for (const Case& c : cases) {
        World world;
        const Response response = world.ask("POST", "/v1/chat/completions", c.body);
        EXPECT_EQ(response.status, c.status) << c.body.substr(0, 200);
        EXPECT_EQ(code_of(response), c.code) << c.body.substr(0, 200);
        EXPECT_EQ(world.simulator->stats().refused, 1u);
        EXPECT_EQ(world.simulator->stats().tokens, 0u);
    }
}

TEST(SimulatedQuotaOfChat, ReservesTheMostThatMayBeWritten) {
    SimulatorOptions options;
    options.quota.rule = QuotaRule::azure;
    options.quota.tokens_per_minute = 20'000;
    World world(options);
    EXPECT_EQ(world.chat("hi", R"(,"max_completion_tokens":100)").status, 200u);
    EXPECT_EQ(world.chat("hi").status, 200u) << "reserves all 16,384 of the model";
    const Response full = world.chat("hi");
    EXPECT_EQ(full.status, 429u);
    EXPECT_EQ(code_of(full), "429");
    EXPECT_NE(full.body.find("ChatCompletions_Create"), std::string::npos) << full.body;
    EXPECT_EQ(world.chat("hi", R"(,"max_completion_tokens":100)").status, 200u);
}

TEST(SimulatorReport, SaysWhatWasGrantedRefusedAndBilledTwice) {
    std::vector<json::value> log;
    SimulatorOptions options;
    options.quota.requests_per_minute = 5;
    options.log = [&](const std::string& line) {
        EXPECT_TRUE(line.ends_with('\n'));
        log.push_back(json::parse(line));
    };
    World world(options);
    const auto once = world.simulator->stats().tokens;
    EXPECT_EQ(once, 0u);
    EXPECT_EQ(world.embed(R"(["one","two"])").status, 200u);
    EXPECT_EQ(world.embed(R"(["two","three"])").status, 200u);
    EXPECT_EQ(world.chat("four").status, 200u);
    EXPECT_EQ(world.chat("four").status, 200u);
    EXPECT_EQ(world.embed("7").status, 400u);
    EXPECT_EQ(world
                  .ask("POST", "/v1/embeddings", R"({"model":"text-embedding-3-small","input":"x"})",
                       {{"x-client-id", "worker-2"}})
                  .status,
              429u);
    const json::value report = json::parse(world.ask("GET", "/simulator/report").body);
    EXPECT_EQ(report.at("calls"), 6);
    EXPECT_EQ(report.at("granted"), 4);
    EXPECT_EQ(report.at("refused"), 1);
    EXPECT_EQ(report.at("throttled"), 1);
    EXPECT_EQ(json::serialize(report.at("inputs")), R"({"billed":6,"distinct":4,"repeated":2})");
    const double billed = report.at("billedTokens").at("total").to_number<double>();
    EXPECT_EQ(billed, static_cast<double>(world.simulator->stats().tokens));
    EXPECT_NEAR(report.at("amplification").to_number<double>(),
                billed / report.at("neededTokens").to_number<double>(), 1e-9);
    EXPECT_GT(report.at("amplification").to_number<double>(), 1.5);
    EXPECT_EQ(report.at("minutes").at(0).at("throttled"), 1);
    ASSERT_EQ(log.size(), 6u);
    EXPECT_EQ(log[0].at("inputs").as_array().size(), 2u);
    EXPECT_EQ(log[0].at("inputs").at(1), log[1].at("inputs").at(0));
    EXPECT_EQ(log[2].at("inputs"), log[3].at("inputs"));
    EXPECT_EQ(log[4].at("status"), 400);
    EXPECT_EQ(log[5].at("client"), "worker-2");
    EXPECT_EQ(log[5].at("admitted"), false);
    EXPECT_EQ(log[5].at("tokens_billed"), 0);
    EXPECT_EQ(log[0].at("at_ms"), to_millis(world.clock.now()));
    EXPECT_EQ(world.ask("GET", "/simulator/report", "", {}, "10.0.0.7").status, 403u);
}

}  // namespace
}  // namespace millrace::http
