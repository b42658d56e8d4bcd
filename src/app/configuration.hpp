// What an operator sets: millrace.toml, overridden by MILLRACE_SECTION__KEY. Every key is a row of
// app/settings.hpp.
#pragma once

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/sas.hpp"
#include "base/tls.hpp"
#include "broker/rules.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::app {

struct ServerSettings {
    std::string listen = "127.0.0.1:8080";
    std::string data_dir = "./millrace-data";
    std::string api_keys_file;
    std::vector<std::string> host_names;
    std::string https_listen = "127.0.0.1:8443";
    std::string amqp_listen = "127.0.0.1:5672";    ///< "": off
    std::string amqps_listen = "127.0.0.1:5671";   ///< "": off
    std::string tls_certificate;   ///< without one nothing is served over TLS
    std::string tls_key;
    std::string access_keys_file;
    bool workers = true;
    std::int64_t drain_seconds = 25;
    std::int64_t cpu_threads = 0;
};

struct QueueEngineSettings {
    std::string engine = "embedded";
    std::string connection_string;
    std::string connection_string_file;
    std::string ca_file;
    bool strict_delivery_counts = false;
    std::int64_t max_message_bytes = limits::message_bytes_max;
    std::string emulator_config;
};

struct QueueEntry {
    std::string name;
    std::int64_t lock_seconds = 60;
    std::int64_t max_delivery_count = 10;
    bool requires_session = false;
    std::int64_t duplicate_detection_seconds = 0;
    std::int64_t ttl_seconds = 0;
    bool dead_letter_on_expiration = false;
    std::int64_t max_bytes = 0;
    bool fair = false;
    std::string forward_to;
    std::string forward_dead_letters_to;
};

struct TopicEntry {
    std::string name;
    std::int64_t duplicate_detection_seconds = 0;
    std::int64_t ttl_seconds = 0;
    std::int64_t max_bytes = 0;
};

struct SubscriptionEntry {
    std::string topic;
    std::string name;
    std::int64_t lock_seconds = 60;
    std::int64_t max_delivery_count = 10;
    bool requires_session = false;
    std::int64_t ttl_seconds = 0;
    bool dead_letter_on_expiration = false;
    std::string forward_to;
    std::string forward_dead_letters_to;
    std::optional<std::vector<broker::Rule>> rules;  ///< none: those that it has are left alone
};

struct StoreSettings {
    std::string engine = "sqlite";
    std::string connection_string;
    std::string connection_string_file;
    std::int64_t connections = 4;
    std::int64_t readers = 2;
    std::int64_t keep_days = 30;  ///< 0: for ever
};

struct IndexSettings {
    std::string engine = "embedded";
    std::string fusion = "auto";
    double keyword_weight = 0;   ///< 0: what suits the model
};

struct DeploymentEntry {
    std::string name;
    std::string provider = "local";
    std::string endpoint;
    std::string key;
    std::string key_file;
    std::string model;
    std::string api_version;
    std::string api = "chat";
    std::int64_t dimensions = 0;
    std::int64_t context_tokens = 0;
    std::int64_t output_tokens = 0;
    std::int64_t timeout_seconds = 60;
    std::int64_t concurrency = 0;
    std::int64_t tokens_per_minute = 0;
    std::int64_t requests_per_minute = 0;
    std::int64_t request_window_seconds = 0;
    std::string counts = "auto";
    double price_prompt = 0;
    double price_cached = 0;
    double price_completion = 0;
};

/// How much may be spent.
struct CapEntry {
    double amount = 0;
    std::string per = "day";
    std::string deployment;
    std::string tenant;
};

/// A kind of task, or what is different about a built-in one.
struct TaskEntry {
    std::string type;
    std::string deployment;
    std::string prompt;
    std::string schema;
    std::string schema_file;
    std::vector<std::string> labels;
    std::vector<std::string> steps;
    std::int64_t output_tokens_max = 0;
    std::int64_t input_tokens_max = 0;
};

/// A tenant's share where work waits.
struct TenantEntry {
    std::string name;
    double weight = 1;
};

struct WorkerEntry {
    std::string queue;
    std::string handler;
    std::int64_t concurrency = 0;
    std::string deployment;
};

struct WatchEntry {
    std::string path;
    std::string category;
    std::string id_prefix;
    std::int64_t poll_seconds = 2;
    bool recursive = true;
};

struct TelemetrySettings {
    std::string log_level = "info";
    std::string log_format = "text";
};

/// The whole configuration; a default-constructed one is the embedded default.
struct Configuration {
    ServerSettings server;
    QueueEngineSettings queue;
    std::vector<QueueEntry> queues;
    std::vector<TopicEntry> topics;
    std::vector<SubscriptionEntry> subscriptions;
    StoreSettings store;
    IndexSettings index;
    std::vector<DeploymentEntry> deployments;
    std::vector<CapEntry> caps;
    std::vector<TenantEntry> tenants;
    std::vector<WorkerEntry> workers;
    std::vector<TaskEntry> tasks;
    std::vector<WatchEntry> watch;
    TelemetrySettings telemetry;
};

/// Names and values of the process's environment, or a test's.
using Environment = std::map<std::string, std::string>;
Environment process_environment();

/// A configuration and all that is wrong with it, each problem one line with the place, what was found and
/// what to do. With problems the configuration is not to be used. Warnings don't stop anything.
struct LoadedConfiguration {
    Configuration configuration;
    std::vector<std::string> problems;
    std::vector<std::string> warnings;
    std::string source;   ///< the file read, or "" for none
};

/// Reads `text` (TOML 1.0, called `name` in messages) and the environment's overrides, and checks everything
/// that can be checked without touching the disk.
LoadedConfiguration parse_configuration(std::string_view text, const std::string& name,
                                        const Environment& environment);

/// Reads `file`, or without one millrace.toml of the working directory if there is one. Also reads
/// `key_file`s.
LoadedConfiguration load_configuration(const std::optional<std::filesystem::path>& file,
                                       const Environment& environment);

/// The problems as one line for the command line: the first, and how many more.
Error first_problem(const LoadedConfiguration& loaded);

/// Keys of callers, one a line; blank lines and lines that start with '#' don't count. Adds a warning to
/// `warnings` if others than the owner may read the file.
Result<std::vector<std::string>> read_api_keys(const std::filesystem::path& file,
                                               std::vector<std::string>& warnings);

/// Shared access keys as AccessKeys::parse reads them. invalid_input: unreadable, a wrong line, none; warns
/// as above.
Result<AccessKeys> read_access_keys(const std::filesystem::path& file, std::vector<std::string>& warnings);

/// The certificate and key of `server` as make_server_tls reads them; null without one. The error names the
/// setting.
Result<std::shared_ptr<boost::asio::ssl::context>> read_server_tls(const ServerSettings& server);

/// "host:port" or "[v6]:port" as its parts. invalid_input: not of this form.
struct Address {
    std::string host;
    std::uint16_t port = 0;
};
Result<Address> parse_address(std::string_view text);
/// True for 127.0.0.0/8, ::1 and localhost.
bool is_loopback(std::string_view host);

/// `configuration` as TOML, each key with its meaning; secrets are shown as "(set)".
std::string print_toml(const Configuration& configuration);
/// `configuration` as one JSON object, secrets likewise.
std::string print_json(const Configuration& configuration);
/// Every section and key as Markdown tables: the body of docs/configuration.md.
std::string print_reference();

}  // namespace millrace::app
