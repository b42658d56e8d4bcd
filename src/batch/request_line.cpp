#include "batch/request_line.hpp"

#include "base/deep_json.hpp"
#include "provider/request_tokens.hpp"

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
constexpr std::array<std::string_view, 3> kEndpoints = {"/v1/embeddings", "/v1/chat/completions",
                                                        "/v1/responses"};

/// Parses `text`; null with `bad` set if it is no JSON.
json::value parse(std::string_view text, boost::system::error_code& bad) {
    return json::parse(json::string_view(text.data(), text.size()), bad, {}, kDeepJson);
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

TokenEstimate estimate(std::string_view body, std::string_view endpoint,
                       const std::function<std::size_t(std::string_view)>& count,
                       std::int64_t output_default) {
    boost::system::error_code bad;
    const json::value value = parse(body, bad);
    if (bad || !value.is_object()) return {};
    const auto tokens = provider::tokens_of_request(value.get_object(), endpoint, count);
    if (endpoint == "/v1/embeddings") return {tokens.prompt, 0};
    return {tokens.prompt, tokens.output(output_default)};
}

}  // namespace millrace::batch
