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

using Count = std::function<std::size_t(std::string_view)>;

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
    for (const auto& [name, member] : value.get_object()) {
        if (name == "content" || name == "text" || name == "name") tokens += tokens_within(member, count);
    }
    return tokens;
}

std::int64_t messages_in(const json::value* value) {
    return value != nullptr && value->is_array() ? static_cast<std::int64_t>(value->get_array().size()) : 1;
}

}  // namespace

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
            tokens.output_asked = most->get_int64();
    }
    const json::value* choices = request.if_contains("n");
    if (choices != nullptr && choices->is_int64())
        tokens.choices = std::max<std::int64_t>(1, choices->get_int64());
    return tokens;
}

}  // namespace millrace::provider
