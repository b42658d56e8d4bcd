#include "provider/openai_completions.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::provider {
namespace {

namespace json = boost::json;

constexpr char kStrict[] =
    R"({"type":"object","properties":{"mood":{"type":"string"}},"required":["mood"],"additionalProperties":false})";

OpenAiServer server() {
    OpenAiServer server;
    server.model = "gpt-4o-mini";
    return server;
}

CompletionRequest question() {
    CompletionRequest request;
    request.task = "sentiment";
    request.instructions = "Judge the text.";
    request.input = "It rains.";
    return request;
}

json::value body(const CompletionRequest& request, CompletionApi api) {
    return json::parse(completion_body(server(), request, api).value());
}

TEST(CompletionRequest, IsWrittenForChatCompletions) {
    CompletionRequest request = question();
    request.schema = kStrict;
    request.schema_name = "mood";
    request.output_tokens_max = 300;
    request.temperature = 0;
    const json::value written = body(request, CompletionApi::chat);
    EXPECT_EQ(written.at("model"), "gpt-4o-mini");
    EXPECT_EQ(written.at("messages"), json::parse(R"([{"role":"system","content":"Judge the text."},
                                                      {"role":"user","content":"It rains."}])"));
    EXPECT_EQ(written.at("max_completion_tokens"), 300);
    EXPECT_EQ(written.at("temperature").to_number<double>(), 0);
    const json::value& format = written.at("response_format");
    EXPECT_EQ(format.at("type"), "json_schema");
    EXPECT_EQ(format.at("json_schema").at("name"), "mood");
    EXPECT_EQ(format.at("json_schema").at("strict"), true);
    EXPECT_EQ(format.at("json_schema").at("schema"), json::parse(kStrict));
}

TEST(CompletionRequest, IsWrittenForResponses) {
    CompletionRequest request = question();
    request.schema = kStrict;
    request.output_tokens_max = 300;
    const json::value written = body(request, CompletionApi::responses);
    EXPECT_EQ(written.at("instructions"), "Judge the text.");
    EXPECT_EQ(written.at("input"), "It rains.");
    EXPECT_EQ(written.at("max_output_tokens"), 300);
    EXPECT_EQ(written.at("store"), false);
    EXPECT_EQ(written.at("text").at("format").at("type"), "json_schema");
    EXPECT_EQ(written.at("text").at("format").at("name"), "answer");
    EXPECT_EQ(written.at("text").at("format").at("schema"), json::parse(kStrict));
}

TEST(CompletionRequest, LeavesOutWhatIsNotAskedFor) {
    CompletionRequest request;
    request.input = "hi";
    const json::value chat = body(request, CompletionApi::chat);
    EXPECT_EQ(chat.at("messages").as_array().size(), 1u);
    for (const char* name : {"max_completion_tokens", "temperature", "response_format"})
        EXPECT_FALSE(chat.as_object().contains(name)) << name;
    const json::value responses = body(request, CompletionApi::responses);
    for (const char* name : {"max_output_tokens", "temperature", "text", "instructions"})
        EXPECT_FALSE(responses.as_object().contains(name)) << name;
}

TEST(CompletionRequest, IsStrictOnlyWhereTheSchemaIs) {
    CompletionRequest request = question();
    request.schema = R"({"type":"object","properties":{"mood":{"type":"string"}}})";
    const json::value written = body(request, CompletionApi::chat);
    EXPECT_EQ(written.at("response_format").at("json_schema").at("strict"), false);
    for (const char* schema : {"no JSON", "[]", "\"text\""}) {
        request.schema = schema;
        EXPECT_FALSE(completion_body(server(), request, CompletionApi::chat)) << schema;
    }
}

TEST(CompletionRequest, NamesTheDeploymentAtAzure) {
    OpenAiServer azure = server();
    azure.azure = true;
    azure.deployment = "mine";
    const auto written = completion_body(azure, question(), CompletionApi::responses).value();
    EXPECT_EQ(json::parse(written).at("model"), "mine");
}

std::string chat(const std::string& message, const std::string& ended = "stop") {
    return R"({"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"finish_reason":")" + ended +
           R"(","message":{"role":"assistant",)" + message +
           R"(}}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,)" +
           R"("prompt_tokens_details":{"cached_tokens":16}}})";
}

std::string response(const std::string& status, const std::string& content, const std::string& more = "") {
    return R"({"object":"response","model":"m","status":")" + status +
           R"(","output":[{"type":"reasoning","summary":[]},{"type":"message","content":[)" + content +
           R"(]}],"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":16},"output_tokens":5})" +
           more + "}";
}

TEST(CompletionAnswer, IsReadFromBothInterfacesWithWhatItCost) {
    const auto of_chat =
        parse_completion(chat(R"("content":"gloomy","refusal":null)"), question(), CompletionApi::chat);
    const auto of_responses =
        parse_completion(response("completed", R"({"type":"output_text","text":"gloomy","annotations":[]})"),
                         question(), CompletionApi::responses);
    for (const auto& answer : {of_chat, of_responses}) {
        ASSERT_TRUE(answer) << answer.error().detail;
        EXPECT_EQ(answer->text, "gloomy");
        EXPECT_EQ(answer->usage, (Usage{20, 5, 16}));
    }
    EXPECT_EQ(of_chat->model, "gpt-4o-mini-2024-07-18");
}

struct BadAnswer {
    std::string name;
    CompletionApi api;
    std::string body;
    FailureKind kind;
    bool billed = true;
};

TEST(CompletionAnswer, OfEveryKindOfFailureSaysWhatWasBilled) {
    using enum FailureKind;
    const auto c = CompletionApi::chat;
    const auto r = CompletionApi::responses;
    const std::string half = R"({"type":"output_text","text":"half"})";
    const BadAnswer cases[] = {
        {"refusal", c, chat(R"("content":null,"refusal":"I can't help with that.")"), refused},
        {"refusal part", r, response("completed", R"({"type":"refusal","refusal":"No."})"), refused},
        {"length", c, chat(R"("content":"half")", "length"), cut_off},
        {"length", r, response("incomplete", half, R"(,"incomplete_details":{"reason":"max_output_tokens"})"),
         cut_off},
        {"length without a reason", r, response("incomplete", half), cut_off},
        {"content filter", c, chat(R"("content":"")", "content_filter"), content_filtered},
        {"content filter", r,
         response("incomplete", half, R"(,"incomplete_details":{"reason":"content_filter"})"),
         content_filtered},
        {"nothing", c, chat(R"("content":null)"), transient},
        {"a tool call", c, chat(R"("content":null,"tool_calls":[{"id":"x"}])", "tool_calls"), transient},
        {"still at it", r, response("in_progress", ""), transient},
        {"failed", r, response("failed", "", R"(,"error":{"code":"server_error","message":"x"})"), transient},
        {"failed by the quota", r, response("failed", "", R"(,"error":{"code":"rate_limit_exceeded"})"),
         throttled},
        {"failed by the prompt", r, response("failed", "", R"(,"error":{"code":"invalid_prompt"})"),
         rejected},
        {"no choices", c, R"({"choices":[]})", transient},
        {"no output", r, R"({"status":"completed"})", transient},
        {"no JSON", c, "<html>", transient, false},
        {"a list", r, "[]", transient, false},
    };
    for (const BadAnswer& one : cases) {
        const auto answer = parse_completion(one.body, question(), one.api);
        ASSERT_FALSE(answer) << one.name;
        EXPECT_EQ(answer.error().kind, one.kind) << one.name << ": " << answer.error().detail;
        EXPECT_EQ(answer.error().usage.prompt_tokens > 0, one.billed) << one.name;
        EXPECT_FALSE(answer.error().detail.empty()) << one.name;
    }
}

TEST(CompletionAnswer, HasToBeJsonWhereASchemaWasAskedFor) {
    CompletionRequest request = question();
    request.schema = kStrict;
    const auto ask = [&](const std::string& content) {
        return parse_completion(chat("\"content\":" + json::serialize(json::value(content))), request,
                                CompletionApi::chat);
    };
    EXPECT_EQ(ask(R"({"mood":"gloomy"})")->text, R"({"mood":"gloomy"})");
    EXPECT_EQ(ask("```json\n{\"mood\":\"gloomy\"}\n```")->text, R"({"mood":"gloomy"})");
    for (const char* content : {"gloomy", "{\"mood\":", "Sure! {\"mood\":\"x\"}"}) {
        const auto answer = ask(content);
        ASSERT_FALSE(answer) << content;
        EXPECT_EQ(answer.error().kind, FailureKind::transient) << content;
        EXPECT_EQ(answer.error().usage.completion_tokens, 5) << content;
    }
}

TEST(CompletionAnswer, IsReadFromLaxServersToo) {
    const auto parts = parse_completion(
        R"({"choices":[{"message":{"content":[{"type":"text","text":"one "},{"type":"text","text":"two"}]}}]})",
        question(), CompletionApi::chat);
    ASSERT_TRUE(parts);
    EXPECT_EQ(parts->text, "one two");
    EXPECT_GT(parts->usage.prompt_tokens, 0) << "estimated where it isn't told";
    EXPECT_EQ(parts->usage.completion_tokens, 2);
    const auto bare =
        parse_completion(R"({"output":[{"content":"one"}]})", question(), CompletionApi::responses);
    ASSERT_TRUE(bare);
    EXPECT_EQ(bare->text, "one");
}

TEST(RawRequests, KeepEverythingButTheModel) {
    const auto body =
        with_model(R"({"model":"theirs","input":"x","odd":{"kept":[1,2.5,null]}})", "ours").value();
    EXPECT_EQ(json::parse(body), json::parse(R"({"model":"ours","input":"x","odd":{"kept":[1,2.5,null]}})"));
    EXPECT_EQ(json::parse(with_model("{}", "ours").value()).at("model"), "ours");
    for (const char* bad : {"", "[]", "{", R"({"stream":true})"})
        EXPECT_FALSE(with_model(bad, "ours")) << bad;
    EXPECT_TRUE(with_model(R"({"stream":false})", "ours"));
}

TEST(RawRequests, AreBilledInEitherInterfacesWords) {
    EXPECT_EQ(reported_usage(R"({"usage":{"prompt_tokens":7,"total_tokens":7}})"), (Usage{7, 0, 0}));
    EXPECT_EQ(reported_usage(R"({"usage":{"input_tokens":7,"output_tokens":3}})"), (Usage{7, 3, 0}));
    EXPECT_EQ(reported_usage(R"({"usage":{"completion_tokens":3,"total_tokens":10}})"), (Usage{7, 3, 0}));
    EXPECT_EQ(reported_usage(R"({"usage":{"prompt_tokens":-7,"completion_tokens":"3"}})"), Usage{});
    EXPECT_EQ(reported_usage("{}"), Usage{});
    EXPECT_EQ(reported_usage("[]"), std::nullopt);
}

/// An object within an object, `depth` of them.
std::string nested(int depth) {
    std::string text;
    for (int i = 1; i < depth; ++i) text += R"({"a":)";
    return text + "{}" + std::string(static_cast<std::size_t>(depth - 1), '}');
}

TEST(DeepJson, GoesOutAndComesBackAsDeepAsABatchsLineMayBe) {
    const std::string deep = nested(150);
    CompletionRequest request = question();
    request.schema = deep;
    for (const auto api : {CompletionApi::chat, CompletionApi::responses}) {
        const auto written = completion_body(server(), request, api);
        ASSERT_TRUE(written) << written.error().detail;
        EXPECT_NE(written->find(deep), std::string::npos);
    }
    const auto answer = parse_completion(chat("\"content\":" + json::serialize(json::value(deep))), request,
                                         CompletionApi::chat);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->text, deep);
    EXPECT_TRUE(parse_completion(chat(R"("content":"{}","odd":)" + deep), request, CompletionApi::chat));
    const auto body = with_model(R"({"model":"theirs","odd":)" + deep + "}", "ours");
    ASSERT_TRUE(body) << body.error().detail;
    EXPECT_NE(body->find(deep), std::string::npos);
    EXPECT_EQ(reported_usage(R"({"usage":{"prompt_tokens":7},"odd":)" + deep + "}"), (Usage{7, 0, 0}));
}

TEST(DeepJson, HasABound) {
    EXPECT_FALSE(with_model(nested(201), "ours"));
    CompletionRequest request = question();
    request.schema = nested(201);
    EXPECT_FALSE(completion_body(server(), request, CompletionApi::chat));
}

}  // namespace
}  // namespace millrace::provider
