#include "batch/request_line.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace millrace::batch {

namespace json = boost::json;

namespace {

constexpr std::size_t kCustomIdBytesMax = 512;
constexpr std::int64_t kTokensPerMessage = 4;  // role and separators
constexpr std::int64_t kTokensOfReply = 3;
constexpr std::array<std::string_view, 3> kEndpoints = {"/v1/embeddings", "/v1/chat/completions",
                                                        "/v1/responses"};

/// Parses `text`; null with `bad` set if it is no JSON. Schemas nest deeper than the library's default.
json::value parse(std::string_view text, boost::system::error_code& bad) {
    json::parse_options options;
    options.max_depth = 200;
    return json::parse(json::string_view(text.data(), text.size()), bad, {}, options);
}

std::string_view text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_string()) return {};
    return {value->get_string().data(), value->get_string().size()};
}

/// The first thing that is wrong with `object` as a request; an empty code for nothing.
LineProblem problem_of(const json::object& object, std::string_view endpoint) {
    const std::string_view id = text_of(object, "custom_id");
    if (id.empty() || id.size() > kCustomIdBytesMax)
        return {"invalid_request", "custom_id is a text of 1 to 512 bytes", "custom_id"};
    if (text_of(object, "method") != "POST") return {"invalid_request", "method is \"POST\"", "method"};
    const std::string_view url = text_of(object, "url");
    if (url.empty() || normal_endpoint(url) != endpoint)
        return {"url_mismatch", "url is not the batch's endpoint " + std::string(endpoint), "url"};
    const json::value* body = object.if_contains("body");
    if (body == nullptr || !body->is_object()) return {"invalid_request", "body is an object", "body"};
    const json::object& request = body->get_object();
    const json::value* model = request.if_contains("model");
    if (model != nullptr && !model->is_string()) return {"invalid_request", "model is a text", "body.model"};
    const json::value* stream = request.if_contains("stream");
    if (stream != nullptr && stream->is_bool() && stream->get_bool())
        return {"invalid_request", "an answer of a batch can't be streamed", "body.stream"};
    return {};
}

RequestLine request_of(const json::object& object, std::int64_t number) {
    RequestLine line;
    line.number = number;
    line.custom_id = text_of(object, "custom_id");
    const json::value& body = object.at("body");
    line.model = text_of(body.get_object(), "model");
    line.body = json::serialize(body);
    return line;
}

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

void throw_exception_from_error(const LineProblem& problem, const boost::source_location&) {
    throw std::logic_error("unchecked line: " + problem.message);
}

std::string normal_endpoint(std::string_view endpoint) {
    if (endpoint.starts_with("/openai/")) endpoint.remove_prefix(7);
    std::string normal(endpoint);
    if (!normal.starts_with("/v1/")) normal = "/v1" + normal;
    const bool known = std::find(kEndpoints.begin(), kEndpoints.end(), normal) != kEndpoints.end();
    return known ? normal : std::string();
}

CheckedLine parse_request_line(const Line& line, std::string_view endpoint) {
    if (line.too_long)
        return LineProblem{
            "invalid_request",
            "the line is longer than " + std::to_string(limits::batch_line_bytes_max) + " bytes", "",
            line.number};
    boost::system::error_code bad;
    const json::value value = parse(line.text, bad);
    if (bad || !value.is_object())
        return LineProblem{"invalid_json_line", "the line is not a JSON object", "", line.number};
    LineProblem problem = problem_of(value.get_object(), endpoint);
    problem.line = line.number;
    if (!problem.code.empty()) return problem;
    return request_of(value.get_object(), line.number);
}

RequestLine read_request_line(const Line& line, std::string_view endpoint) {
    auto parsed = parse_request_line(line, endpoint);
    if (parsed) return std::move(*parsed);
    throw MachineError("the input of a batch has changed: line " + std::to_string(line.number) + ": " +
                       parsed.error().message);
}

TokenEstimate estimate(std::string_view body, std::string_view endpoint, const Count& count,
                       std::int64_t output_default) {
    boost::system::error_code bad;
    const json::value value = parse(body, bad);
    if (bad || !value.is_object()) return {};
    const json::object& request = value.get_object();
    TokenEstimate tokens;
    for (const char* name : {"input", "messages", "instructions"})
        if (const json::value* text = request.if_contains(name)) tokens.prompt += tokens_within(*text, count);
    if (endpoint == "/v1/embeddings") return tokens;
    const bool chat = endpoint == "/v1/chat/completions";
    const json::value* messages = request.if_contains(chat ? "messages" : "input");
    tokens.prompt += messages_in(messages) * kTokensPerMessage + kTokensOfReply;
    tokens.output = output_default;
    for (const char* name : {"max_tokens", "max_output_tokens", "max_completion_tokens"}) {
        const json::value* most = request.if_contains(name);
        if (most != nullptr && most->is_int64() && most->get_int64() > 0) tokens.output = most->get_int64();
    }
    const json::value* choices = request.if_contains("n");
    if (choices != nullptr && choices->is_int64() && choices->get_int64() > 1)
        tokens.output *= choices->get_int64();
    return tokens;
}

}  // namespace millrace::batch
