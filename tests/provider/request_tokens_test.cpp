#include "provider/request_tokens.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <string>

namespace millrace::provider {
namespace {

RequestTokens tokens_of(const std::string& body, std::string_view endpoint) {
    const auto words = [](std::string_view text) {
        return static_cast<std::size_t>(1 + std::count(text.begin(), text.end(), ' '));
    };
    return tokens_of_request(boost::json::parse(body).get_object(), endpoint, words);
}

TEST(RequestTokens, OfEmbeddingsAreThoseOfTheirInputs) {
    EXPECT_EQ(tokens_of(R"({"model": "m", "input": "one two"})", "/v1/embeddings").prompt, 2);
    EXPECT_EQ(tokens_of(R"({"input": ["one two", "three"]})", "/v1/embeddings").prompt, 3);
    EXPECT_EQ(tokens_of(R"({"input": [[1, 2, 3], [4]]})", "/v1/embeddings").prompt, 4);
    EXPECT_EQ(tokens_of(R"({"input": "a", "max_tokens": 9})", "/v1/embeddings").output_asked, 0);
}

TEST(RequestTokens, OfAChatCountMessagesAndTheirParts) {
    const auto tokens = tokens_of(R"({"messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "one two three"},
                                     {"type": "image_url", "image_url": {"url": "x y z"}}]}],
        "max_completion_tokens": 50, "n": 3})",
                                  "/v1/chat/completions");
    EXPECT_EQ(tokens.prompt, 2 + 3 + 1'100 + 2 * 4 + 3);
    EXPECT_EQ(tokens.output_asked, 50);
    EXPECT_EQ(tokens.choices, 3);
}

TEST(RequestTokens, CountToolsAndSchemas) {
    const std::string plain = R"("messages": [{"role": "user", "content": "hi"}])";
    const std::int64_t without = tokens_of("{" + plain + "}", "/v1/chat/completions").prompt;
    for (const char* member : {R"("tools": [{"type": "function", "function": {"name": "f"}}])",
                               R"("response_format": {"type": "json_schema", "json_schema": {"name": "s"}})"})
        EXPECT_GT(tokens_of("{" + plain + ", " + member + "}", "/v1/chat/completions").prompt, without);
}

TEST(RequestTokens, CountImagesInDetailOrNotAndCallsOfTools) {
    const auto prompt = [](const std::string& message) {
        return tokens_of(R"({"messages": [)" + message + "]}", "/v1/chat/completions").prompt - 4 - 3;
    };
    const std::string image = R"({"role": "user", "content": [{"type": "image_url", "image_url": )";
    EXPECT_EQ(prompt(image + R"({"url": "u", "detail": "low"}}]})"), 85);
    EXPECT_EQ(prompt(image + R"({"url": "u"}}]})"), 1'100);
    EXPECT_GT(prompt(R"({"role": "assistant", "tool_calls": [{"function": {"arguments": "{\"a\": 1}"}}]})"),
              0);
}

TEST(RequestTokens, OfAbsurdRequestsStayInRange) {
    const auto tokens = tokens_of(R"({"messages": [], "max_tokens": 9223372036854775807,
                                      "n": 4611686018427387904})",
                                  "/v1/chat/completions");
    EXPECT_EQ(tokens.output(0), RequestTokens::kMax);
    EXPECT_EQ(tokens_of(R"({"messages": [], "n": -5})", "/v1/chat/completions").output(7), 7);
    EXPECT_EQ(tokens_of(R"({"messages": [], "n": 3})", "/v1/chat/completions").output(7), 21);
}

TEST(RequestTokens, OfResponsesCountInstructionsAndInput) {
    const auto tokens = tokens_of(
        R"({"input": "one two", "instructions": "be brief", "max_output_tokens": 7})", "/v1/responses");
    EXPECT_EQ(tokens.prompt, 4 + 4 + 3);
    EXPECT_EQ(tokens.output_asked, 7);
    EXPECT_EQ(tokens.choices, 1);
}

}  // namespace
}  // namespace millrace::provider
