#include "http/simulator_call.hpp"

#include "base/limits.hpp"
#include "http/simulator_books.hpp"
#include "provider/feature_hash.hpp"
#include "provider/openai_protocol.hpp"
#include "provider/openai_vectors.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include <bit>
#include <charconv>

namespace millrace::http {

namespace json = boost::json;

namespace {

constexpr std::size_t kInputTokensMax = 8192;   // of an input, as the API reference states it
constexpr std::size_t kHashedMin = 64;
constexpr std::string_view kInvalid = "invalid_request_error";

/// Reads and checks a body piece by piece; `refusal` holds the first thing that is wrong.
class Reader {
  public:
    Reader(const json::object& body, const SimulatorOptions& options) : body_(body), options_(options) {}

    bool read(const std::string& deployment) {
        azure_ = options_.azure || !deployment.empty();
        return read_model(deployment) && read_format() && read_dimensions() && read_input() &&
               check_tokens() && check_filter();
    }

    EmbeddingCall call;
    Response refusal;

  private:
    bool refuse(std::string_view param, std::string_view code, std::string_view message,
                unsigned status = 400) {
        refusal = openai_error(status, kInvalid, param, code, message);
        return false;
    }

    const json::value* field(std::string_view name) const {
        const json::value* value = body_.if_contains(name);
        return value && value->is_null() ? nullptr : value;
    }

    bool read_model(const std::string& deployment) {
        call.model = deployment;
        if (deployment.empty()) {
            const json::value* model = field("model");
            if (!model || !model->is_string())
                return refuse("model", "", "you must provide a model parameter");
            call.model = std::string(model->get_string());
        }
        const std::size_t known = provider::known_model(call.model).dimensions;
        call.dimensions = known != 0 ? known : options_.dimensions;
        if (known != 0 || !deployment.empty() || call.model == options_.model) return true;
        return refuse("model", "model_not_found", "The model `" + call.model + "` does not exist", 404);
    }

    bool read_format() {
        const json::value* format = field("encoding_format");
        if (!format) return true;
        const json::string* text = format->if_string();
        if (!text || (*text != "float" && *text != "base64")) {
            return refuse("encoding_format", "", "encoding_format is 'float' or 'base64'");
        }
        call.base64 = *text == "base64";
        return true;
    }

    bool read_dimensions() {
        const json::value* value = field("dimensions");
        if (!value) return true;
        if (call.model == "text-embedding-ada-002") {
            return refuse("dimensions", "", "This model does not support specifying dimensions.");
        }
        const std::int64_t* number = value->if_int64();
        if (!number || *number < 1 || static_cast<std::size_t>(*number) > call.dimensions) {
            return refuse("dimensions", "", "dimensions is 1 to " + std::to_string(call.dimensions));
        }
        call.dimensions = static_cast<std::size_t>(*number);
        return true;
    }

    bool read_input() {
        const json::value* input = field("input");
        if (!input) return refuse("input", "", "you must provide an input parameter");
        if (input->is_string()) return read_text(*input);
        const json::array* items = input->if_array();
        if (!items || items->empty()) return refuse("input", "", "'$.input' is invalid: it has no texts");
        if (items->front().is_int64()) return read_tokens(*items);
        if (items->size() > limits::embed_inputs_max) {
            return refuse("input", "",
                          "'input' array is larger than " + std::to_string(limits::embed_inputs_max));
        }
        for (const json::value& item : *items) {
            const bool good = item.is_array() ? read_tokens(item.get_array()) : read_text(item);
            if (!good) return false;
        }
        return true;
    }

    bool read_text(const json::value& value) {
        const json::string* text = value.if_string();
        if (!text)
            return refuse("input", "", "'$.input' is invalid: a text or a list of token ids is expected");
        if (text->empty())
            return refuse("input", "", "'$.input' is invalid: input cannot be an empty string.");
        EmbeddingInput input{std::string(*text)};
        input.tokens = count_tokens(options_, call.model, input.text);
        call.inputs.push_back(std::move(input));
        return true;
    }

    bool read_tokens(const json::array& ids) {
        EmbeddingInput input;
        for (const json::value& id : ids) {
            if (!id.is_int64() || id.get_int64() < 0)
                return refuse("input", "", "'$.input' is invalid: bad token id");
            input.text += std::to_string(id.get_int64()) + " ";
        }
        if (ids.empty()) return refuse("input", "", "'$.input' is invalid: input cannot be an empty list.");
        input.tokens = ids.size();
        call.inputs.push_back(std::move(input));
        return true;
    }

    bool check_tokens() {
        for (const EmbeddingInput& input : call.inputs) {
            if (input.tokens > kInputTokensMax) {
                return refuse("input", "context_length_exceeded",
                              "This model's maximum context length is " + std::to_string(kInputTokensMax) +
                                  " tokens, however you requested " + std::to_string(input.tokens) +
                                  " tokens.");
            }
            call.tokens += input.tokens;
        }
        if (call.tokens <= limits::embed_request_tokens_max) return true;
        return refuse("input", "max_tokens_per_request",
                      "Requested " + std::to_string(call.tokens) + " tokens, max " +
                          std::to_string(limits::embed_request_tokens_max) + " tokens per request");
    }

    bool check_filter() {
        if (options_.filtered_word.empty()) return true;
        for (const EmbeddingInput& input : call.inputs) {
            if (input.text.find(options_.filtered_word) == std::string::npos) continue;
            refusal = content_filter_error(azure_);
            return false;
        }
        return true;
    }

    const json::object& body_;
    const SimulatorOptions& options_;
    bool azure_ = false;
};

json::value text_or_null(std::string_view text) { return text.empty() ? json::value() : json::value(text); }

void append_float(std::string& out, float number) {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_vector(std::string& out, const std::vector<float>& vector, bool base64) {
    if (base64) {
        out.append("\"").append(provider::encode_vector(vector)).append("\"");
        return;
    }
    char separator = '[';
    for (const float number : vector) {
        out.push_back(separator);
        append_float(out, number);
        separator = ',';
    }
    out.push_back(']');
}

}  // namespace

std::vector<float> simulated_vector(provider::FeatureHash& hash, std::string_view text,
                                    std::size_t dimensions) {
    std::vector<float> vector(hash.dimensions());
    hash.embed(text, vector);
    const bool cut = dimensions < vector.size();
    vector.resize(dimensions);
    // Cut to a few places, nothing may be left of a short text.
    if (cut && !provider::normalise(vector)) vector.front() = 1;
    return vector;
}

std::size_t hashed_dimensions(std::size_t dimensions) {
    return std::bit_floor(std::max(dimensions, kHashedMin));
}

std::variant<EmbeddingCall, Response> read_embedding_call(std::string_view body,
                                                          const std::string& deployment,
                                                          const SimulatorOptions& options) {
    boost::system::error_code error;
    const json::value document = json::parse({body.data(), body.size()}, error);
    if (error || !document.is_object()) {
        return openai_error(400, kInvalid, "", "", "We could not parse the JSON body of your request.");
    }
    Reader reader(document.get_object(), options);
    if (!reader.read(deployment)) return std::move(reader.refusal);
    reader.call.hash = hash_of(reader.call.model + '\n' + std::to_string(reader.call.dimensions) + '\n');
    return std::move(reader.call);
}

std::string embedding_answer(const EmbeddingCall& call) {
    std::string out = R"({"object":"list","data":[)";
    out.reserve(call.inputs.size() * (call.dimensions * (call.base64 ? 6 : 14) + 64) + 256);
    provider::FeatureHash hash(hashed_dimensions(call.dimensions));
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
        if (i > 0) out.push_back(',');
        out.append(R"({"object":"embedding","index":)").append(std::to_string(i)).append(R"(,"embedding":)");
        append_vector(out, simulated_vector(hash, call.inputs[i].text, call.dimensions), call.base64);
        out.push_back('}');
    }
    const std::string tokens = std::to_string(call.tokens);
    out.append(R"(],"model":)").append(json::serialize(json::value(call.model)));
    out.append(R"(,"usage":{"prompt_tokens":)").append(tokens).append(R"(,"total_tokens":)").append(tokens);
    out.append("}}");
    return out;
}

Response openai_error(unsigned status, std::string_view type, std::string_view param, std::string_view code,
                      std::string_view message) {
    const json::value body = {{"error",
                               {{"message", message},
                                {"type", text_or_null(type)},
                                {"param", text_or_null(param)},
                                {"code", text_or_null(code)}}}};
    return json_answer(status, json::serialize(body));
}

Response content_filter_error(bool azure) {
    constexpr char message[] =
        "The response was filtered due to the prompt triggering the content management policy.";
    if (!azure) return openai_error(400, kInvalid, "prompt", "content_filter", message);
    const json::value hit = {{"filtered", true}, {"severity", "medium"}};
    const json::value safe = {{"filtered", false}, {"severity", "safe"}};
    const json::value body = {
        {"error",
         {{"message", message},
          {"type", nullptr},
          {"param", "prompt"},
          {"code", "content_filter"},
          {"status", 400},
          {"innererror",
           {{"code", "ResponsibleAIPolicyViolation"},
            {"content_filter_result",
             {{"hate", safe}, {"self_harm", safe}, {"sexual", safe}, {"violence", hit}}}}}}}};
    return json_answer(400, json::serialize(body));
}

std::size_t count_tokens(const SimulatorOptions& options, std::string_view model, std::string_view text) {
    if (options.count_tokens) return options.count_tokens(model, text);
    return static_cast<std::size_t>(provider::estimate_tokens(text));
}

std::vector<std::string> simulated_models(const SimulatorOptions& options) {
    std::vector<std::string> models = {"text-embedding-3-small",
                                       "text-embedding-3-large",
                                       "text-embedding-ada-002",
                                       "gpt-4o-mini",
                                       "gpt-4o",
                                       "gpt-4.1",
                                       "gpt-5-mini"};
    if (!options.model.empty()) models.push_back(options.model);
    return models;
}

}  // namespace millrace::http
