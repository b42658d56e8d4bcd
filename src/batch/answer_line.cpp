#include "batch/answer_line.hpp"

#include "base/deep_json.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <charconv>

namespace millrace::batch {

namespace json = boost::json;

namespace {

constexpr std::string_view kIdStart = "{\"id\":\"batch_req_";

std::string json_text(std::string_view text) {
    return json::serialize(json::value(json::string_view(text.data(), text.size())));
}

/// `{"id":"batch_req_RUN_NUMBER","custom_id":"…",`
std::string start_of(const LineRef& line) {
    std::string text(kIdStart);
    text +=
        line.run + "_" + std::to_string(line.number) + "\",\"custom_id\":" + json_text(line.custom_id) + ",";
    return text;
}

json::value parse(std::string_view text, boost::system::error_code& bad) {
    return json::parse(json::string_view(text.data(), text.size()), bad, {}, kDeepJson);
}

/// `body` as a JSON value on one line: in JSON a line's end stands only between tokens.
std::string on_one_line(const std::string& body) {
    boost::system::error_code bad;
    parse(body, bad);
    if (bad) {
        std::string text = body;
        for (char& c : text)
            if (static_cast<unsigned char>(c) >= 0x80) c = '?';
        return json_text(text);
    }
    std::string text = body;
    std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return text;
}

std::string response_of(int status, std::string_view request_id, std::string_view body) {
    return "\"response\":{\"status_code\":" + std::to_string(status) +
           ",\"request_id\":" + json_text(request_id) + ",\"body\":" + std::string(body) +
           "},\"error\":null}";
}

std::string error_object(std::string_view code, std::string_view message) {
    return "\"response\":null,\"error\":{\"code\":" + json_text(code) + ",\"message\":" + json_text(message) +
           "}}";
}

std::string_view type_of(const provider::Failure& failure) {
    return failure.status >= 500 || failure.status == 0 ? "server_error" : "invalid_request_error";
}

std::int64_t number_in(const json::object& object, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        const json::value* value = object.if_contains(name);
        if (value != nullptr && value->is_int64()) return value->get_int64();
    }
    return 0;
}

std::optional<provider::Usage> usage_of(const json::value& body) {
    const json::object* object = body.if_object();
    const json::value* found = object == nullptr ? nullptr : object->if_contains("usage");
    const json::object* usage = found == nullptr ? nullptr : found->if_object();
    if (usage == nullptr) return std::nullopt;
    provider::Usage tokens;
    tokens.prompt_tokens = number_in(*usage, {"prompt_tokens", "input_tokens"});
    tokens.completion_tokens = number_in(*usage, {"completion_tokens", "output_tokens"});
    for (const char* name : {"prompt_tokens_details", "input_tokens_details"}) {
        const json::value* details = usage->if_contains(name);
        if (details != nullptr && details->is_object())
            tokens.cached_tokens = number_in(details->get_object(), {"cached_tokens"});
    }
    return tokens;
}

}  // namespace

std::string answer_line(const LineRef& line, const provider::RawAnswer& answer) {
    return start_of(line) + response_of(answer.status, answer.request_id, on_one_line(answer.body));
}

std::string failure_line(const LineRef& line, const provider::Failure& failure) {
    if (failure.status < 400) return start_of(line) + error_object("server_error", failure.detail);
    const bool filtered = failure.kind == provider::FailureKind::content_filtered;
    const json::object body{{"error",
                             {{"message", failure.detail},
                              {"type", type_of(failure)},
                              {"param", nullptr},
                              {"code", filtered ? json::value("content_filter") : json::value(nullptr)}}}};
    return start_of(line) + response_of(failure.status, "", json::serialize(body));
}

std::string unmade_line(const LineRef& line, std::string_view code, std::string_view message) {
    return start_of(line) + error_object(code, message);
}

Result<StoredAnswer> read_answer_line(std::string_view line, const RunId& run) {
    const Error other{Errc::corrupt, "a line that this run did not write"};
    const std::string start = std::string(kIdStart) + run + "_";
    if (!line.starts_with(start)) return other;
    StoredAnswer answer;
    const char* const end = line.data() + line.size();
    const auto read = std::from_chars(line.data() + start.size(), end, answer.number);
    if (read.ec != std::errc() || answer.number < 1) return other;
    boost::system::error_code bad;
    const json::value value = parse(line, bad);
    if (bad || !value.is_object()) return Error{Errc::corrupt, "a line of results is broken"};
    const json::value* error = value.get_object().if_contains("error");
    const json::object* why = error == nullptr ? nullptr : error->if_object();
    const json::value* code = why == nullptr ? nullptr : why->if_contains("code");
    answer.made = code == nullptr || !code->is_string() || !code->get_string().starts_with("batch_");
    const json::value* response = value.get_object().if_contains("response");
    if (response == nullptr || !response->is_object()) return answer;
    const json::value* body = response->get_object().if_contains("body");
    if (body != nullptr) answer.usage = usage_of(*body).value_or(provider::Usage{});
    return answer;
}

}  // namespace millrace::batch
