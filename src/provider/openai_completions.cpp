#include "provider/openai_completions.hpp"

#include "base/deep_json.hpp"
#include "provider/openai_json.hpp"
#include "provider/schema.hpp"
#include "text/utf8.hpp"

#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

namespace millrace::provider {

namespace json = boost::json;

namespace {

/// What an answer holds, whichever interface it comes from.
struct Answer {
    std::string text;
    std::string refusal;
    std::string ended;  ///< why it ended: "stop", "length", "content_filter" or anything else
    std::optional<Failure> failure;  ///< it is none at all
};

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

json::object chat_format(const json::value& schema, const std::string& name) {
    json::object format = {{"name", name}, {"strict", is_strict_schema(schema)}, {"schema", schema}};
    return {{"type", "json_schema"}, {"json_schema", std::move(format)}};
}

json::object responses_format(const json::value& schema, const std::string& name) {
    return {
        {"type", "json_schema"}, {"name", name}, {"strict", is_strict_schema(schema)}, {"schema", schema}};
}

json::object chat_request(const CompletionRequest& request) {
    json::array messages;
    if (!request.instructions.empty())
        messages.push_back({{"role", "system"}, {"content", request.instructions}});
    messages.push_back({{"role", "user"}, {"content", request.input}});
    json::object body = {{"messages", std::move(messages)}};
    if (request.output_tokens_max > 0) body["max_completion_tokens"] = request.output_tokens_max;
    return body;
}

json::object responses_request(const CompletionRequest& request) {
    // Nothing is asked for twice, so nothing has to stay with the provider.
    json::object body = {{"input", request.input}, {"store", false}};
    if (!request.instructions.empty()) body["instructions"] = request.instructions;
    if (request.output_tokens_max > 0) body["max_output_tokens"] = request.output_tokens_max;
    return body;
}

/// Appends the texts of `content`, one string or a list of parts.
void read_content(const json::value& content, Answer& answer) {
    if (const json::string* text = content.if_string()) answer.text += view(*text);
    const json::array* parts = content.if_array();
    if (!parts) return;
    for (const json::value& part : *parts) {
        const json::object* fields = part.if_object();
        if (!fields) continue;
        answer.text += text_of(*fields, "text");
        answer.refusal += text_of(*fields, "refusal");
    }
}

Answer read_chat(const json::object& root) {
    Answer answer;
    const json::value* choices = root.if_contains("choices");
    const json::array* list = choices ? choices->if_array() : nullptr;
    const json::object* choice = list && !list->empty() ? list->front().if_object() : nullptr;
    if (!choice) {
        answer.failure = garbage("no choices");
        return answer;
    }
    answer.ended = text_of(*choice, "finish_reason");
    if (const json::object* message = object_of(*choice, "message")) {
        answer.refusal = text_of(*message, "refusal");
        if (const json::value* content = message->if_contains("content")) read_content(*content, answer);
    }
    return answer;
}

/// A response whose status is "failed": its headers were sent before that was known.
Failure failed_response(const json::object& root) {
    const json::object* error = object_of(root, "error");
    const std::string code = error ? text_of(*error, "code") : "";
    const std::string message = error ? text_of(*error, "message") : "";
    FailureKind kind = FailureKind::transient;
    if (code == "rate_limit_exceeded") kind = FailureKind::throttled;
    if (code.starts_with("invalid_") || code == "insufficient_quota") kind = FailureKind::rejected;
    if (code == "content_filter" || code == "content_policy_violation") kind = FailureKind::content_filtered;
    return {kind, 200, "the response failed: " + one_line(code + (message.empty() ? "" : ": " + message))};
}

Answer read_response(const json::object& root) {
    Answer answer;
    const std::string status = text_of(root, "status");
    if (status == "failed") answer.failure = failed_response(root);
    if (status == "queued" || status == "in_progress" || status == "cancelled")
        answer.failure = garbage("the response is " + status);
    if (const json::object* details = object_of(root, "incomplete_details"))
        answer.ended = text_of(*details, "reason");
    if (status == "incomplete" && answer.ended.empty()) answer.ended = "length";
    if (answer.ended == "max_output_tokens") answer.ended = "length";
    const json::value* output = root.if_contains("output");
    const json::array* items = output ? output->if_array() : nullptr;
    if (!items && !answer.failure) answer.failure = garbage("no output");
    if (!items) return answer;
    for (const json::value& item : *items) {
        const json::object* fields = item.if_object();
        const bool message = fields && (text_of(*fields, "type") == "message" || !fields->contains("type"));
        const json::value* content = message ? fields->if_contains("content") : nullptr;
        if (content) read_content(*content, answer);
    }
    return answer;
}

/// `text` without the ```json fence that some servers put around what they write.
std::string_view without_fence(std::string_view text) {
    text = text::trim(text);
    if (!text.starts_with("```") || !text.ends_with("```") || text.size() < 6) return text;
    text = text.substr(3, text.size() - 6);
    const std::size_t line_end = text.find('\n');
    return line_end == std::string_view::npos ? text : text::trim(text.substr(line_end + 1));
}

bool is_json(std::string_view text) {
    boost::system::error_code error;
    json::monotonic_resource memory;
    (void)json::parse({text.data(), text.size()}, error, &memory, kDeepJson);
    return !error;
}

/// Why `answer` is no completion; nothing if it is one.
std::optional<Failure> failure_of(const Answer& answer) {
    if (answer.failure) return answer.failure;
    if (answer.ended == "content_filter")
        return Failure{FailureKind::content_filtered, 200, "the answer was stopped by the content filter"};
    if (!answer.refusal.empty())
        return Failure{FailureKind::refused, 200, "the model declined: " + one_line(answer.refusal)};
    if (answer.ended == "length")
        return Failure{FailureKind::cut_off, 200, "the answer is longer than it may be, and was cut off"};
    if (answer.text.empty()) return garbage("an answer without a text");
    return std::nullopt;
}

}  // namespace

Result<std::string> completion_body(const OpenAiServer& server, const CompletionRequest& request,
                                    CompletionApi api) {
    const bool chat = api == CompletionApi::chat;
    json::object body = chat ? chat_request(request) : responses_request(request);
    body["model"] = server.azure && !server.deployment.empty() ? server.deployment : server.model;
    if (request.temperature) body["temperature"] = *request.temperature;
    if (!request.schema.empty()) {
        boost::system::error_code error;
        const json::value schema = json::parse(request.schema, error, {}, kDeepJson);
        if (error || !schema.is_object()) return Error{Errc::invalid_input, "the schema isn't a JSON object"};
        const std::string name = request.schema_name.empty() ? "answer" : request.schema_name;
        if (chat)
            body["response_format"] = chat_format(schema, name);
        else
            body["text"] = json::object{{"format", responses_format(schema, name)}};
    }
    return json::serialize(body);
}

Outcome<Completion> parse_completion(std::string_view body, const CompletionRequest& request,
                                     CompletionApi api) {
    json::monotonic_resource memory;
    boost::system::error_code error;
    const json::value document = json::parse({body.data(), body.size()}, error, &memory, kDeepJson);
    if (error) return garbage("it isn't JSON");
    const json::object* root = document.if_object();
    if (!root) return garbage("it isn't an object");
    Answer answer = api == CompletionApi::chat ? read_chat(*root) : read_response(*root);
    Completion completion;
    completion.usage = read_usage(*root);
    completion.model = text_of(*root, "model");
    if (completion.usage.prompt_tokens == 0)
        completion.usage.prompt_tokens =
            estimate_tokens(request.instructions) + estimate_tokens(request.input);
    if (completion.usage.completion_tokens == 0)
        completion.usage.completion_tokens = estimate_tokens(answer.text);
    auto failure = failure_of(answer);
    if (!failure && !request.schema.empty()) {
        const std::string_view text = without_fence(answer.text);
        if (!is_json(text))
            failure = garbage("its text isn't JSON");
        else if (text.size() != answer.text.size())
            answer.text = std::string(text);
    }
    if (failure) {
        failure->usage = completion.usage;
        return *failure;
    }
    completion.text = std::move(answer.text);
    return completion;
}

Result<std::string> with_model(std::string_view body, std::string_view model) {
    json::monotonic_resource memory;
    boost::system::error_code error;
    json::value document = json::parse({body.data(), body.size()}, error, &memory, kDeepJson);
    if (error || !document.is_object())
        return Error{Errc::invalid_input, "the request's body isn't a JSON object"};
    json::object& root = document.get_object();
    const json::value* stream = root.if_contains("stream");
    if (stream && stream->is_bool() && stream->get_bool())
        return Error{Errc::invalid_input, "a request that is passed on can't be answered as a stream"};
    root["model"] = model;
    return json::serialize(document);
}

std::optional<Usage> reported_usage(std::string_view body) {
    json::monotonic_resource memory;
    boost::system::error_code error;
    const json::value document = json::parse({body.data(), body.size()}, error, &memory, kDeepJson);
    if (error || !document.is_object()) return std::nullopt;
    return read_usage(document.get_object());
}

}  // namespace millrace::provider
