// Addresses and models: the part of openai_protocol.hpp that knows where things are.
#include "base/limits.hpp"
#include "provider/openai_protocol.hpp"
#include "text/tokens.hpp"

#include <algorithm>
#include <array>

namespace millrace::provider {

namespace {

constexpr std::string_view kAzureVersion = "2024-10-21";   // the last of the classic form's dated releases
constexpr std::string_view kDeployments = "/openai/deployments/";

bool is_unreserved(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (is_unreserved(c))
            out.push_back(c);
        else
            out.append({'%', digits[byte >> 4], digits[byte & 15]});
    }
    return out;
}

bool cut_suffix(std::string& text, std::string_view suffix) {
    if (!text.ends_with(suffix)) return false;
    text.resize(text.size() - suffix.size());
    return true;
}

std::string_view name_of(Operation operation) noexcept {
    switch (operation) {
        case Operation::embed: return "/embeddings";
        case Operation::chat: return "/chat/completions";
        case Operation::respond: break;
    }
    return "/responses";
}

/// The path of `operation`, from the endpoint's own path without trailing slashes.
std::string path_of(const OpenAiServer& server, std::string path, Operation operation) {
    const std::string name(name_of(operation));
    if (path.ends_with(name)) return path;
    for (const Operation other : {Operation::embed, Operation::chat, Operation::respond}) {
        if (cut_suffix(path, name_of(other))) break;
    }
    if (!server.azure) return (path.empty() ? "/v1" : path) + name;
    if (path.ends_with("/openai/v1")) return path + name;
    const std::size_t deployments = path.find(kDeployments);
    // Of the classic form only responses have no deployment in their path.
    if (deployments != std::string::npos && operation == Operation::respond)
        path.resize(deployments);
    else if (deployments != std::string::npos)
        return path + name;
    cut_suffix(path, "/openai");
    if (server.api_version.empty() && deployments == std::string::npos) return path + "/openai/v1" + name;
    if (operation == Operation::respond) return path + "/openai" + name;
    const std::string& deployment = server.deployment.empty() ? server.model : server.deployment;
    return path + std::string(kDeployments) + percent_encode(deployment) + name;
}

struct KnownModel {
    std::string_view name;  ///< its beginning; the longest one counts
    std::size_t dimensions;
    std::size_t context_tokens;
    std::size_t output_tokens;
};
constexpr KnownModel kKnownModels[] = {
    {"text-embedding-3-small", 1536, 0, 0},
    {"text-embedding-3-large", 3072, 0, 0},
    {"text-embedding-ada-002", 1536, 0, 0},
    {"gpt-3.5-turbo", 0, 16'385, 4'096},
    {"gpt-4", 0, 8'192, 8'192},
    {"gpt-4-turbo", 0, 128'000, 4'096},
    {"gpt-4o", 0, 128'000, 16'384},
    {"gpt-4.1", 0, 1'047'576, 32'768},
    {"gpt-5", 0, 400'000, 128'000},
    {"o1", 0, 200'000, 100'000},
    {"o3", 0, 200'000, 100'000},
    {"o4-mini", 0, 200'000, 100'000},
};

/// Whether the name of a model that isn't known says that it embeds, which few completing ones do.
bool sounds_like_embedding(std::string_view model) {
    static constexpr std::array<std::string_view, 6> parts = {"embed", "bge-",   "e5-",
                                                              "gte-",  "minilm", "jina-"};
    std::string lower(model);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return std::ranges::any_of(parts, [&](std::string_view part) { return lower.find(part) != lower.npos; });
}

}  // namespace

Result<HttpUrl> operation_url(const OpenAiServer& server, Operation operation) {
    auto url = parse_url(server.endpoint);
    if (!url) return url.error();
    std::string path = url->target.substr(0, url->target.find('?'));
    std::string query = url->target.substr(path.size());
    while (path.ends_with('/')) path.pop_back();
    path = path_of(server, std::move(path), operation);
    const bool classic = server.azure && path.find("/openai/v1/") == std::string::npos &&
                         path.find("/openai/") != std::string::npos;
    const bool versioned = query.find("api-version=") != std::string::npos;
    const std::string_view version =
        server.api_version.empty() && classic ? kAzureVersion : server.api_version;
    if (server.azure && !versioned && !version.empty()) {
        query += (query.empty() ? "?api-version=" : "&api-version=") + percent_encode(version);
    }
    url->target = path + query;
    return url;
}

std::optional<Operation> operation_of(std::string_view path) noexcept {
    if (path.starts_with("/v1/")) path.remove_prefix(3);
    for (const Operation operation : {Operation::embed, Operation::chat, Operation::respond}) {
        if (path == name_of(operation)) return operation;
    }
    return std::nullopt;
}

ModelInfo known_model(std::string_view model) {
    ModelInfo info;
    info.name = std::string(model);
    info.inputs_per_request_max = limits::embed_inputs_max;
    info.tokens_per_request_max = limits::embed_request_tokens_max;
    info.tokens_per_input_max = limits::embed_input_tokens_max;
    info.encoding = std::string(text::encoding_for_model(model));
    const KnownModel* best = nullptr;
    for (const KnownModel& known : kKnownModels) {
        const bool longer = !best || known.name.size() > best->name.size();
        const bool exact = known.dimensions > 0;
        if (exact ? model == known.name : model.starts_with(known.name) && longer) best = &known;
    }
    const bool embeds_only = sounds_like_embedding(model);
    info.completes = !embeds_only;
    info.embeds = embeds_only || !best;
    if (!best) return info;
    info.dimensions = best->dimensions;
    info.context_tokens_max = best->context_tokens;
    info.output_tokens_max = best->output_tokens;
    return info;
}

}  // namespace millrace::provider
