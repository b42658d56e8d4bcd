#include "provider/local_raw.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

namespace millrace::provider {

namespace json = boost::json;

namespace {

LocalRequest read(const std::string& endpoint, const std::string& body) {
    auto request = read_local_request({endpoint, body});
    if (auto* refusal = std::get_if<RawAnswer>(&request)) {
        ADD_FAILURE() << refusal->body;
        return {};
    }
    return std::get<LocalRequest>(std::move(request));
}

}  // namespace

TEST(LocalRaw, EmbeddingsAreAnsweredAsNumbersOrBase64) {
    Embeddings embeddings;
    embeddings.vectors = {{0.5f, -0.25f}};
    embeddings.usage.prompt_tokens = 4;
    const auto plain = read("/v1/embeddings", R"({"input":["a"]})");
    EXPECT_EQ(plain.inputs, (std::vector<std::string>{"a"}));
    const auto answer = local_answer(plain, "m", embeddings);
    EXPECT_EQ(answer.status, 200);
    const auto body = json::parse(answer.body);
    EXPECT_EQ(body.at("data").at(0).at("embedding").at(1).as_double(), -0.25);
    EXPECT_EQ(body.at("usage").at("total_tokens").as_int64(), 4);
    const auto packed = read("/v1/embeddings", R"({"input":"a","encoding_format":"base64"})");
    const auto text = json::parse(local_answer(packed, "m", embeddings).body);
    EXPECT_EQ(text.at("data").at(0).at("embedding").as_string(), "AAAAPwAAgL4=");
}

TEST(LocalRaw, ChatAndResponsesAreTheSameTask) {
    const auto chat = read("/v1/chat/completions",
                           R"({"messages":[{"role":"system","content":"Be short."},{"role":"user","content":)"
                           R"([{"type":"text","text":"Hello."}]}],"response_format":{"type":"json_schema",)"
                           R"("json_schema":{"name":"n","schema":{"type":"object"}}}})");
    const auto responses =
        read("/v1/responses", R"({"instructions":"Be short.","input":"Hello.","text":{"format":{"type":)"
                              R"("json_schema","name":"n","schema":{"type":"object"}}}})");
    for (const LocalRequest* request : {&chat, &responses}) {
        EXPECT_EQ(request->completion.instructions, "Be short.");
        EXPECT_EQ(request->completion.input, "Hello.");
        EXPECT_EQ(request->completion.schema, R"({"type":"object"})");
        EXPECT_EQ(request->completion.schema_name, "n");
    }
    const Completion completion{"short", {3, 1}, "local-extractive"};
    const auto said = json::parse(local_answer(chat, completion).body);
    EXPECT_EQ(said.at("choices").at(0).at("message").at("content").as_string(), "short");
    EXPECT_EQ(said.at("usage").at("completion_tokens").as_int64(), 1);
    const auto responded = json::parse(local_answer(responses, completion).body);
    EXPECT_EQ(responded.at("output").at(0).at("content").at(0).at("text").as_string(), "short");
    EXPECT_EQ(responded.at("usage").at("output_tokens").as_int64(), 1);
}

TEST(LocalRaw, WhatALocalModelCannotDoIsA400) {
    const char* bodies[] = {
        "x", "[]", R"({"input":[[1,2]]})", R"({"input":[]})", R"({})", R"({"input":"a","dimensions":8})"};
    for (const char* body : bodies) {
        const auto request = read_local_request({"/v1/embeddings", body});
        const auto* refusal = std::get_if<RawAnswer>(&request);
        ASSERT_NE(refusal, nullptr) << body;
        EXPECT_EQ(refusal->status, 400);
        EXPECT_EQ(json::parse(refusal->body).at("error").at("type").as_string(), "invalid_request_error");
    }
}

}  // namespace millrace::provider
