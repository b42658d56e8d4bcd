#include "provider/openai_protocol.hpp"

#include "base/deep_json.hpp"
#include "provider/openai_json.hpp"
#include "provider/openai_vectors.hpp"

#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include <cmath>

namespace millrace::provider {

namespace json = boost::json;

namespace {

bool read_numbers(const json::array& numbers, std::vector<float>& vector) {
    vector.reserve(numbers.size());
    for (const json::value& number : numbers) {
        if (const double* value = number.if_double())
            vector.push_back(static_cast<float>(*value));
        else if (const std::int64_t* whole = number.if_int64())
            vector.push_back(static_cast<float>(*whole));
        else if (const std::uint64_t* large = number.if_uint64())
            vector.push_back(static_cast<float>(*large));
        else
            return false;
    }
    return true;
}

/// Reads a vector in either encoding: some servers send numbers though base64 was asked for.
bool read_vector(const json::object& item, std::vector<float>& vector) {
    const json::value* embedding = item.if_contains("embedding");
    if (!embedding) return false;
    if (const json::string* text = embedding->if_string())
        return decode_vector({text->data(), text->size()}, vector);
    const json::array* numbers = embedding->if_array();
    return numbers && read_numbers(*numbers, vector);
}

/// Where the item belongs: its index, or its place if it has none. SIZE_MAX: an index that is none.
std::size_t place_of(const json::object& item, std::size_t order) {
    const json::value* index = item.if_contains("index");
    if (!index || index->is_null()) return order;
    const std::int64_t* number = index->if_int64();
    return number && *number >= 0 ? static_cast<std::size_t>(*number) : SIZE_MAX;
}

Usage usage_of(const json::object& root, std::span<const std::string> inputs) {
    Usage usage;
    usage.prompt_tokens = read_usage(root).prompt_tokens;
    if (usage.prompt_tokens > 0) return usage;
    for (const std::string& input : inputs) usage.prompt_tokens += estimate_tokens(input);
    return usage;
}

/// The failure if the vectors' lengths differ from each other or from what is wanted.
std::optional<Failure> check_lengths(const std::vector<std::vector<float>>& vectors, std::size_t dimensions) {
    for (const auto& vector : vectors) {
        if (vector.size() != vectors.front().size()) return garbage("vectors of different lengths");
    }
    const std::size_t length = vectors.front().size();
    if (dimensions == 0 || length == dimensions) return std::nullopt;
    return Failure{FailureKind::rejected, 200,
                   "the model gives vectors of length " + std::to_string(length) + ", not " +
                       std::to_string(dimensions) + " as configured",
                   std::nullopt};
}

Outcome<Embeddings> read_data(const json::object& root, std::span<const std::string> inputs,
                              std::size_t dimensions) {
    const json::value* data = root.if_contains("data");
    const json::array* items = data ? data->if_array() : nullptr;
    if (!items) return garbage("no data");
    if (items->size() != inputs.size()) {
        return garbage(std::to_string(items->size()) + " vectors for " + std::to_string(inputs.size()) +
                       " inputs");
    }
    std::vector<bool> taken(inputs.size());
    Embeddings result;
    result.vectors.resize(inputs.size());
    for (std::size_t order = 0; order < items->size(); ++order) {
        const json::object* item = (*items)[order].if_object();
        const std::size_t place = item ? place_of(*item, order) : SIZE_MAX;
        if (place >= inputs.size() || taken[place]) return garbage("a bad or repeated index");
        taken[place] = true;
        std::vector<float>& vector = result.vectors[place];
        if (!read_vector(*item, vector)) return garbage("an embedding that is neither numbers nor base64");
        if (!normalise(vector)) return garbage("a vector without a direction");
    }
    if (auto failure = check_lengths(result.vectors, dimensions)) return *failure;
    result.usage = usage_of(root, inputs);
    return result;
}

}  // namespace

HttpFields request_headers(const OpenAiServer& server) {
    HttpFields headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
    if (server.key.empty()) return headers;
    if (server.azure)
        headers.emplace_back("api-key", server.key);
    else
        headers.emplace_back("Authorization", "Bearer " + server.key);
    return headers;
}

std::string embeddings_body(const OpenAiServer& server, std::span<const std::string> inputs,
                            std::size_t dimensions) {
    const std::string& model = server.azure && !server.deployment.empty() ? server.deployment : server.model;
    json::monotonic_resource memory;
    json::object body(&memory);
    body["model"] = model;
    body["encoding_format"] = "base64";
    // Models of a fixed length refuse the parameter even if it names just that.
    if (dimensions != 0 && dimensions != known_model(server.model).dimensions)
        body["dimensions"] = dimensions;
    json::array texts(&memory);
    texts.reserve(inputs.size());
    for (const std::string& input : inputs) texts.emplace_back(input);
    body["input"] = std::move(texts);
    return json::serialize(body);
}

Outcome<Embeddings> parse_embeddings(std::string_view body, std::span<const std::string> inputs,
                                     std::size_t dimensions) {
    json::monotonic_resource memory;
    boost::system::error_code error;
    const json::value document = json::parse({body.data(), body.size()}, error, &memory, kDeepJson);
    if (error) return garbage("it isn't JSON");
    const json::object* root = document.if_object();
    if (!root) return garbage("it isn't an object");
    return read_data(*root, inputs, dimensions);
}

std::int64_t estimate_tokens(std::string_view text) noexcept {
    std::int64_t quarters = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80)
            quarters += 1;
        else if (byte >= 0xC2 && byte < 0xE0)
            quarters += 2;
        else if (byte >= 0xE0)
            quarters += 4;
    }
    return (quarters + 3) / 4;
}

}  // namespace millrace::provider
