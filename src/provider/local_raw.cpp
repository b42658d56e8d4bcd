#include "provider/local_raw.hpp"

#include "base/deep_json.hpp"
#include "base/ids.hpp"
#include "provider/openai_vectors.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace millrace::provider {

namespace json = boost::json;

namespace {

const json::value* member(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = member(object, name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// A text, or the texts of the parts of a message.
std::string content_of(const json::value* content) {
    if (content == nullptr) return {};
    if (content->is_string()) return std::string(content->get_string());
    std::string text;
    if (!content->is_array()) return text;
    for (const json::value& part : content->get_array()) {
        if (!part.is_object()) continue;
        if (!text.empty()) text += '\n';
        text += text_of(part.get_object(), "text");
    }
    return text;
}

void append(std::string& text, const std::string& more) {
    if (!text.empty() && !more.empty()) text += "\n\n";
    text += more;
}

/// What the user wrote is the text, what the system says are the instructions.
void read_messages(const json::value* messages, CompletionRequest& request) {
    if (messages == nullptr || !messages->is_array()) return append(request.input, content_of(messages));
    for (const json::value& message : messages->get_array()) {
        if (!message.is_object()) continue;
        const std::string role = text_of(message.get_object(), "role");
        const std::string content = content_of(member(message.get_object(), "content"));
        append(role == "system" || role == "developer" ? request.instructions : request.input, content);
    }
}

/// `{"type": "json_schema", …}`: chat completions nest it once more than responses do.
void read_format(const json::value* format, CompletionRequest& request) {
    if (format == nullptr || !format->is_object()) return;
    const json::object* object = &format->get_object();
    const json::value* nested = member(*object, "json_schema");
    if (nested != nullptr && nested->is_object()) object = &nested->get_object();
    const json::value* schema = member(*object, "schema");
    if (schema == nullptr) return;
    request.schema = json::serialize(*schema);
    request.schema_name = text_of(*object, "name");
}

/// False: `input` is no text and no list of texts.
bool read_inputs(const json::value* input, std::vector<std::string>& inputs) {
    if (input == nullptr) return false;
    if (input->is_string()) {
        inputs.emplace_back(input->get_string());
        return true;
    }
    if (!input->is_array() || input->get_array().empty()) return false;
    for (const json::value& text : input->get_array()) {
        if (!text.is_string()) return false;
        inputs.emplace_back(text.get_string());
    }
    return true;
}

json::object usage_json(const Usage& usage, const char* prompt, const char* completion) {
    json::object object{{prompt, usage.prompt_tokens},
                        {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
    if (completion != nullptr) object[completion] = usage.completion_tokens;
    return object;
}

RawAnswer answer_of(const json::object& body, const Usage& usage) {
    RawAnswer answer;
    answer.status = 200;
    answer.body = json::serialize(body);
    answer.request_id = "req_" + to_hex(random_uuid());
    answer.usage = usage;
    return answer;
}

json::value numbers(const std::vector<float>& vector) {
    json::array list;
    for (const float number : vector) list.push_back(static_cast<double>(number));
    return list;
}

}  // namespace

RawAnswer local_refusal(const std::string& why) {
    RawAnswer answer;
    answer.status = 400;
    answer.body = json::serialize(json::object{
        {"error",
         {{"message", why}, {"type", "invalid_request_error"}, {"param", nullptr}, {"code", nullptr}}}});
    return answer;
}

std::variant<LocalRequest, RawAnswer> read_local_request(const RawRequest& request) {
    boost::system::error_code bad;
    const json::value value = json::parse(request.body, bad, {}, kDeepJson);
    if (bad || !value.is_object()) return local_refusal("the request isn't a JSON object");
    const json::object& body = value.get_object();
    LocalRequest read;
    read.endpoint = request.endpoint;
    if (request.endpoint == "/v1/embeddings") {
        if (!read_inputs(member(body, "input"), read.inputs))
            return local_refusal("input is a text or a list of texts; token ids need a remote model");
        read.base64 = text_of(body, "encoding_format") == "base64";
        if (member(body, "dimensions") != nullptr)
            return local_refusal("the local model has vectors of one length: leave dimensions out");
        return read;
    }
    if (request.endpoint == "/v1/chat/completions") {
        read_messages(member(body, "messages"), read.completion);
        read_format(member(body, "response_format"), read.completion);
        return read;
    }
    if (request.endpoint != "/v1/responses") return local_refusal("there is no " + request.endpoint);
    append(read.completion.instructions, text_of(body, "instructions"));
    read_messages(member(body, "input"), read.completion);
    const json::value* text = member(body, "text");
    if (text != nullptr && text->is_object())
        read_format(member(text->get_object(), "format"), read.completion);
    return read;
}

RawAnswer local_answer(const LocalRequest& request, const std::string& model, const Embeddings& embeddings) {
    json::array data;
    for (std::size_t i = 0; i < embeddings.vectors.size(); ++i) {
        const auto& vector = embeddings.vectors[i];
        data.push_back(json::object{
            {"object", "embedding"},
            {"index", i},
            {"embedding", request.base64 ? json::value(encode_vector(vector)) : numbers(vector)}});
    }
    const json::object body{{"object", "list"},
                            {"data", std::move(data)},
                            {"model", model},
                            {"usage", usage_json(embeddings.usage, "prompt_tokens", nullptr)}};
    return answer_of(body, embeddings.usage);
}

RawAnswer local_answer(const LocalRequest& request, const Completion& completion) {
    const std::string id = to_hex(random_uuid());
    if (request.endpoint == "/v1/chat/completions") {
        const json::object message{{"role", "assistant"}, {"content", completion.text}, {"refusal", nullptr}};
        const json::object choice{
            {"index", 0}, {"finish_reason", "stop"}, {"logprobs", nullptr}, {"message", message}};
        const json::object body{
            {"id", "chatcmpl-" + id},
            {"object", "chat.completion"},
            {"model", completion.model},
            {"choices", json::array{choice}},
            {"usage", usage_json(completion.usage, "prompt_tokens", "completion_tokens")}};
        return answer_of(body, completion.usage);
    }
    const json::object part{
        {"type", "output_text"}, {"text", completion.text}, {"annotations", json::array()}};
    const json::object message{{"id", "msg_" + id},
                               {"type", "message"},
                               {"role", "assistant"},
                               {"status", "completed"},
                               {"content", json::array{part}}};
    const json::object body{{"id", "resp_" + id},
                            {"object", "response"},
                            {"status", "completed"},
                            {"error", nullptr},
                            {"model", completion.model},
                            {"output", json::array{message}},
                            {"usage", usage_json(completion.usage, "input_tokens", "output_tokens")}};
    return answer_of(body, completion.usage);
}

}  // namespace millrace::provider
