#include "provider/request_tokens.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>

namespace millrace::provider {

namespace json = boost::json;

namespace {

constexpr std::int64_t kTokensPerMessage = 4;  // role and separators
constexpr std::int64_t kTokensOfReply = 3;
constexpr std::int64_t kTokensOfMedium = 1'100;  // an image of 1024 x 1024 in detail has 765 to 1,105
constexpr std::int64_t kTokensOfDraft = 85;      // an image with "detail": "low"

using Count = std::function<std::size_t(std::string_view)>;

bool is_medium(const json::value& type) {
    for (const char* one : {"image_url", "input_image", "input_audio", "file", "input_file"})
        if (type == one) return true;
    return false;
}

bool is_draft(const json::object& part) {
    const json::value* detail = part.if_contains("detail");
    if (const json::value* image = part.if_contains("image_url"); image != nullptr && image->is_object())
        detail = image->get_object().if_contains("detail");
    return detail != nullptr && *detail == "low";
}

/// Tokens of all texts within `value`: of messages, their parts, inputs; of a list of token ids, their
/// number.
std::int64_t tokens_within(const json::value& value, const Count& count) {
    if (value.is_string()) {
        const json::string& text = value.get_string();
        return static_cast<std::int64_t>(count({text.data(), text.size()}));
    }
    if (value.is_number()) return 1;
    std::int64_t tokens = 0;
    if (value.is_array())
        for (const json::value& item : value.get_array()) tokens += tokens_within(item, count);
    if (!value.is_object()) return tokens;
    const json::object& part = value.get_object();
    if (const json::value* type = part.if_contains("type"); type != nullptr && is_medium(*type))
        return is_draft(part) ? kTokensOfDraft : kTokensOfMedium;
    for (const auto& [name, member] : part) {
        if (name == "content" || name == "text" || name == "name") tokens += tokens_within(member, count);
        if (name == "tool_calls" || name == "function_call" || name == "arguments" || name == "output")
            tokens += static_cast<std::int64_t>(count(json::serialize(member)));
    }
    return tokens;
}

std::int64_t messages_in(const json::value* value) {
    return value != nullptr && value->is_array() ? static_cast<std::int64_t>(value->get_array().size()) : 1;
}

}  // namespace

std::int64_t RequestTokens::output(std::int64_t otherwise) const noexcept {
    const std::int64_t one = std::min(output_asked > 0 ? output_asked : otherwise, kMax);
    return std::min(one * choices, kMax);
}

RequestTokens tokens_of_request(const json::object& request, std::string_view endpoint, const Count& count) {
    RequestTokens tokens;
    for (const char* name : {"input", "messages", "instructions"})
        if (const json::value* text = request.if_contains(name)) tokens.prompt += tokens_within(*text, count);
    if (endpoint == "/v1/embeddings") return tokens;
    // The model reads them as they are written, more or less.
    for (const char* name : {"tools", "functions", "response_format", "text"}) {
        const json::value* described = request.if_contains(name);
        if (described != nullptr && described->is_structured())
            tokens.prompt += static_cast<std::int64_t>(count(json::serialize(*described)));
    }
    const bool chat = endpoint == "/v1/chat/completions";
    const json::value* messages = request.if_contains(chat ? "messages" : "input");
    tokens.prompt += messages_in(messages) * kTokensPerMessage + kTokensOfReply;
    for (const char* name : {"max_tokens", "max_output_tokens", "max_completion_tokens"}) {
        const json::value* most = request.if_contains(name);
        if (most != nullptr && most->is_int64() && most->get_int64() > 0)
            tokens.output_asked = std::min(most->get_int64(), RequestTokens::kMax);
    }
    const json::value* choices = request.if_contains("n");
    if (choices != nullptr && choices->is_int64())
        tokens.choices = std::clamp<std::int64_t>(choices->get_int64(), 1, RequestTokens::kMax);
    return tokens;
}

}  // namespace millrace::provider
