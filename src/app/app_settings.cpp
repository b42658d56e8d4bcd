#include "app/app_settings.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <set>

namespace millrace::app {

namespace json = boost::json;

namespace {

constexpr const char* kSections[] = {"AzureServiceBus", "AzureOpenAI", "AzureSearch"};

/// Values by "Section:Key" in lower case, as .NET compares them.
struct Settings {
    std::map<std::string, std::string> values;
    std::map<std::string, std::string> names;  ///< as they were written
    std::set<std::string> used;

    static std::string lower(std::string_view text) {
        std::string out(text);
        for (char& c : out) c = beast_lower(c);
        return out;
    }
    static char beast_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

    void put(const std::string& section, std::string_view key, std::string value) {
        const std::string name = section + ":" + std::string(key);
        names[lower(name)] = name;
        values[lower(name)] = std::move(value);
    }
    /// The first of `keys` that is there and not empty.
    std::string get(const std::string& section, std::initializer_list<const char*> keys) {
        std::string found;
        for (const char* key : keys) {
            const std::string name = lower(section + ":" + key);
            used.insert(name);
            const auto value = values.find(name);
            if (found.empty() && value != values.end()) found = value->second;
        }
        return found;
    }
};

std::string text_of(const json::value& value) {
    if (const auto* text = value.if_string()) return std::string(*text);
    return value.is_null() ? std::string() : json::serialize(value);
}

Result<Settings> read(std::string_view text, const Environment& environment) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    json::parse_options options;
    options.allow_comments = true;
    options.allow_trailing_commas = true;
    json::error_code error;
    const json::value root = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
    if (error || !root.is_object())
        return Error{Errc::invalid_input,
                     "appsettings: not a JSON object" + (error ? ": " + error.message() : std::string())};
    Settings settings;
    for (const char* section : kSections) {
        for (const auto& [name, value] : root.get_object()) {
            if (!boost::beast::iequals(name, section) || !value.is_object()) continue;
            for (const auto& [key, inner] : value.get_object())
                settings.put(section, std::string_view(key.data(), key.size()), text_of(inner));
        }
        const std::string prefix = Settings::lower(std::string(section) + "__");
        for (const auto& [name, value] : environment) {
            if (Settings::lower(name).starts_with(prefix))
                settings.put(section, std::string_view(name).substr(prefix.size()), value);
        }
    }
    return settings;
}

Error missing(const char* key) {
    return Error{Errc::invalid_input, std::string("appsettings: ") + key + " is missing"};
}

Result<void> apply_queue(Settings& settings, Configuration& configuration) {
    const std::string target = settings.get("AzureServiceBus", {"ConnectionString"});
    const std::string queue = settings.get("AzureServiceBus", {"QueueName"});
    const std::string calls = settings.get("AzureServiceBus", {"MaxConcurrentCalls"});
    if (target.empty()) return missing("AzureServiceBus:ConnectionString");
    if (queue.empty()) return missing("AzureServiceBus:QueueName");
    WorkerEntry worker;
    worker.queue = queue;
    worker.handler = "embed-index";
    const auto [end, failed] = std::from_chars(calls.data(), calls.data() + calls.size(), worker.concurrency);
    const bool whole = failed == std::errc() && end == calls.data() + calls.size();
    if (!calls.empty() && (!whole || worker.concurrency < 1 || worker.concurrency > 10'000))
        return Error{Errc::invalid_input,
                     "appsettings: AzureServiceBus:MaxConcurrentCalls is not a number from 1 to 10000"};
    configuration.queue.engine = "servicebus";
    configuration.queue.connection_string = target;
    configuration.workers = {std::move(worker)};
    return {};
}

Result<void> apply_model(Settings& settings, Configuration& configuration) {
    DeploymentEntry deployment;
    deployment.name = "azure-openai";
    deployment.provider = "azure-openai";
    deployment.endpoint = settings.get("AzureOpenAI", {"Endpoint"});
    deployment.key = settings.get("AzureOpenAI", {"ApiKey", "Key"});
    deployment.model =
        settings.get("AzureOpenAI", {"EmbeddingDeployment", "EmbeddingDeploymentName", "DeploymentName"});
    deployment.api_version = settings.get("AzureOpenAI", {"ApiVersion"});
    if (deployment.endpoint.empty() && deployment.key.empty() && deployment.model.empty()) return {};
    if (deployment.endpoint.empty()) return missing("AzureOpenAI:Endpoint");
    if (deployment.key.empty()) return missing("AzureOpenAI:ApiKey");
    if (deployment.model.empty()) return missing("AzureOpenAI:EmbeddingDeployment");
    configuration.deployments = {std::move(deployment)};
    return {};
}

}  // namespace

Result<void> apply_app_settings(std::string_view text, const Environment& environment,
                                Configuration& configuration, std::vector<std::string>& notices) {
    auto settings = read(text, environment);
    if (!settings) return settings.error();
    const auto queue = apply_queue(*settings, configuration);
    if (!queue) return queue;
    const auto model = apply_model(*settings, configuration);
    if (!model) return model;
    const std::string search = settings->get("AzureSearch", {"Endpoint"});
    (void)settings->get("AzureSearch", {"ApiKey", "IndexName"});
    if (!search.empty())
        notices.push_back("appsettings: nothing is written to Azure AI Search at " + search +
                          "; this version keeps the index in " + configuration.server.data_dir);
    for (const auto& [key, name] : settings->names) {
        if (!settings->used.contains(key)) notices.push_back("appsettings: " + name + " is not used");
    }
    return {};
}

}  // namespace millrace::app
