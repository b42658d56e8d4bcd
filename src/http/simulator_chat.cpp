#include "http/simulator_chat.hpp"

#include "http/simulator_books.hpp"
#include "http/simulator_call.hpp"
#include "provider/openai_protocol.hpp"
#include "provider/schema.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/string.hpp>

#include <algorithm>

namespace millrace::http {

namespace json = boost::json;

namespace {

constexpr std::string_view kInvalid = "invalid_request_error";
constexpr std::int64_t kOutputMax = 16'384;   ///< of models that nothing is known of
constexpr std::int64_t kMessageTokens = 3;    ///< that a message costs beside its text
constexpr std::int64_t kReplyTokens = 3;
constexpr std::size_t kNameCharactersMax = 64;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

bool is_name(std::string_view name) {
    return !name.empty() && name.size() <= kNameCharactersMax && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
    });
}

/// Reads and checks a body piece by piece; `refusal` holds the first thing that is wrong.
class Reader {
  public:
    Reader(const json::object& body, const SimulatorOptions& options) : body_(body), options_(options) {}

    bool read(const std::string& deployment) {
        azure_ = options_.azure || !deployment.empty();
        return read_model(deployment) && read_plain_fields() && read_output_max() && read_prompt() &&
               read_format() && check_tokens() && check_filter();
    }

    ChatCall call;
    Response refusal;

  private:
    bool refuse(std::string_view param, std::string_view code, std::string_view message,
                unsigned status = 400) {
        refusal = openai_error(status, kInvalid, param, code, message);
        return false;
    }

    const json::value* field(const json::object& object, std::string_view name) const {
        const json::value* value = object.if_contains(name);
        return value && value->is_null() ? nullptr : value;
    }
    const json::value* field(std::string_view name) const { return field(body_, name); }
    bool is_chat() const { return call.api == ChatApi::chat; }

    bool read_model(const std::string& deployment) {
        call.model = deployment;
        if (deployment.empty()) {
            const json::value* model = field("model");
            if (!model || !model->is_string())
                return refuse("model", "", "you must provide a model parameter");
            call.model = std::string(model->get_string());
        }
        const provider::ModelInfo known = provider::known_model(call.model);
        call.model_output_max =
            known.output_tokens_max > 0 ? static_cast<std::int64_t>(known.output_tokens_max) : kOutputMax;
        context_max_ = static_cast<std::int64_t>(known.context_tokens_max);
        const bool served =
            known.output_tokens_max > 0 || !deployment.empty() || call.model == options_.model;
        if (served) return true;
        return refuse("model", "model_not_found", "The model `" + call.model + "` does not exist", 404);
    }

    bool read_plain_fields() {
        const json::value* stream = field("stream");
        if (stream && stream->is_bool() && stream->get_bool())
            return refuse("stream", "unsupported_value", "The simulator answers in one piece only.");
        const json::value* count = field("n");
        if (count && *count != 1)
            return refuse("n", "unsupported_value", "The simulator gives one choice only.");
        const json::value* temperature = field("temperature");
        if (!temperature) return true;
        const bool good = temperature->is_number() && temperature->to_number<double>() >= 0 &&
                          temperature->to_number<double>() <= 2;
        return good || refuse("temperature", "", "temperature is a number from 0 to 2");
    }

    bool read_output_max() {
        const json::value* old = is_chat() ? field("max_tokens") : nullptr;
        const std::string_view name = is_chat() ? "max_completion_tokens" : "max_output_tokens";
        const json::value* most = field(name);
        if (old && most)
            return refuse(
                "max_tokens", "invalid_parameter_combination",
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.");
        if (old) most = old;
        if (!most) return true;
        const std::int64_t* number = most->if_int64();
        if (!number || *number < 1)
            return refuse(name, "integer_below_min_value", "it is a whole number from 1 on");
        if (*number > call.model_output_max)
            return refuse(name, "invalid_value",
                          "max_tokens is too large: " + std::to_string(*number) +
                              ". This model supports at most " + std::to_string(call.model_output_max) +
                              " completion tokens.");
        call.output_max = *number;
        return true;
    }

    bool read_prompt() {
        const json::value* instructions = is_chat() ? nullptr : field("instructions");
        if (instructions && instructions->is_string()) add_message(view(instructions->get_string()));
        const std::string_view name = is_chat() ? "messages" : "input";
        const json::value* messages = field(name);
        if (!is_chat() && messages && messages->is_string()) {
            add_message(view(messages->get_string()));
            return true;
        }
        const json::array* list = messages ? messages->if_array() : nullptr;
        if (!list || list->empty())
            return refuse(name, "missing_required_parameter", "Missing required parameter.");
        for (const json::value& message : *list) {
            const json::object* fields = message.if_object();
            const json::value* role = fields ? field(*fields, "role") : nullptr;
            if (!role || !role->is_string()) return refuse(name, "", "a message has a role and a content");
            const json::value* content = field(*fields, "content");
            if (!content || !read_content(*content)) return refuse(name, "", "a message's content is text");
        }
        return true;
    }

    bool read_content(const json::value& content) {
        if (const json::string* text = content.if_string()) {
            add_message(view(*text));
            return true;
        }
        const json::array* parts = content.if_array();
        if (!parts) return false;
        std::string all;
        for (const json::value& part : *parts) {
            const json::object* fields = part.if_object();
            const json::value* text = fields ? field(*fields, "text") : nullptr;
            if (!text || !text->is_string()) return false;
            all += view(text->get_string());
        }
        add_message(all);
        return true;
    }

    void add_message(std::string_view text) {
        if (!call.prompt.empty()) call.prompt += '\n';
        call.prompt += text;
        call.prompt_tokens +=
            kMessageTokens + static_cast<std::int64_t>(count_tokens(options_, call.model, text));
    }

    bool read_format() {
        const json::value* format = field(is_chat() ? "response_format" : "text");
        if (format && !is_chat() && format->is_object()) format = field(format->get_object(), "format");
        if (!format) return true;
        const json::object* fields = format->if_object();
        const json::value* type = fields ? field(*fields, "type") : nullptr;
        if (!type || !type->is_string()) return refuse("response_format", "", "a format has a type");
        const std::string_view name = view(type->get_string());
        call.json = name == "json_object";
        if (call.json && call.prompt.find("json") == std::string::npos &&
            call.prompt.find("JSON") == std::string::npos)
            return refuse("messages", "", "'messages' must contain the word 'json' in some form");
        if (name != "json_schema")
            return call.json || name == "text" || refuse("response_format", "", "unknown type");
        const json::value* inner = is_chat() ? field(*fields, "json_schema") : format;
        if (!inner || !inner->is_object())
            return refuse("response_format.json_schema", "", "it is an object");
        return read_schema(inner->get_object());
    }

    bool read_schema(const json::object& format) {
        const std::string_view param = is_chat() ? "response_format" : "text.format";
        const json::value* name = field(format, "name");
        const json::value* schema = field(format, "schema");
        const json::value* strict = field(format, "strict");
        if (!name || !name->is_string() || !is_name(view(name->get_string())))
            return refuse(param, "", "a schema has a name of letters, digits, '_' and '-', at most 64");
        if (!schema || !schema->is_object()) return refuse(param, "", "a schema is an object");
        if (strict && strict->is_bool() && strict->get_bool() && !provider::is_strict_schema(*schema))
            return refuse(
                param, "",
                "Invalid schema for response_format '" + std::string(view(name->get_string())) +
                    "': in strict mode 'additionalProperties' is false and 'required' holds every property.");
        call.schema = *schema;
        return true;
    }

    bool check_tokens() {
        call.prompt_tokens += kReplyTokens;
        if (context_max_ == 0 || call.prompt_tokens <= context_max_) return true;
        return refuse(is_chat() ? "messages" : "input", "context_length_exceeded",
                      "This model's maximum context length is " + std::to_string(context_max_) +
                          " tokens. However, your messages resulted in " +
                          std::to_string(call.prompt_tokens) + " tokens.");
    }

    bool check_filter() {
        if (options_.filtered_word.empty() || call.prompt.find(options_.filtered_word) == std::string::npos)
            return true;
        refusal = content_filter_error(azure_);
        return false;
    }

    const json::object& body_;
    const SimulatorOptions& options_;
    bool azure_ = false;
    std::int64_t context_max_ = 0;
};

}  // namespace

std::variant<ChatCall, Response> read_chat_call(std::string_view body, ChatApi api,
                                                const std::string& deployment,
                                                const SimulatorOptions& options) {
    boost::system::error_code error;
    const json::value document = json::parse({body.data(), body.size()}, error);
    if (error || !document.is_object())
        return openai_error(400, kInvalid, "", "", "We could not parse the JSON body of your request.");
    Reader reader(document.get_object(), options);
    reader.call.api = api;
    reader.call.hash = hash_of(body);
    if (!reader.read(deployment)) return std::move(reader.refusal);
    return std::move(reader.call);
}

}  // namespace millrace::http
