// The table of settings: one row per key. The reader, the printer and docs/configuration.md are made from it.
#pragma once

#include "app/configuration.hpp"
#include "base/limits.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::app {

/// What a value must fulfil beyond its type.
struct Rule {
    std::string_view choices = {};  ///< words separated by '|'; empty: any text
    std::string_view later = {};  ///< words of the contract that this version does not have yet
    std::int64_t min = 0;
    std::int64_t max = std::numeric_limits<std::int64_t>::max();
    bool zero_too = false;  ///< 0 is allowed below `min`: "off"
    bool required = false;
    bool secret = false;  ///< refused in the file
};

template <class S>
struct Setting {
    std::string_view key;
    std::variant<std::string S::*, std::int64_t S::*, double S::*, bool S::*,
                 std::optional<std::vector<broker::Rule>> S::*, std::vector<std::string> S::*>
        member;
    std::string_view unit;
    std::string_view help;
    Rule rule = {};
};

/// A key of the contract that this version does not have yet: naming it is an error that says so.
struct LaterKey {
    std::string_view section;
    std::string_view key;  ///< empty: the whole section
};
inline constexpr std::array kLaterKeys = {
    LaterKey{"index", "endpoint"},
    LaterKey{"index", "key"},
    LaterKey{"index", "name"},
    LaterKey{"telemetry", "otlp_endpoint"},
    LaterKey{"telemetry", "service_name"},
    LaterKey{"schedules", ""},
};

constexpr std::int64_t seconds_of(Duration time) { return time.count() / 1000; }

inline constexpr Rule kRequired{.required = true};
inline constexpr Rule kLockSeconds{.min = seconds_of(limits::lock_time_min),
                                   .max = seconds_of(limits::lock_time_max)};
inline constexpr Rule kDeliveryCount{.min = 1, .max = limits::delivery_count_max_max};
inline constexpr Rule kDuplicateSeconds{.min = seconds_of(limits::duplicate_window_min),
                                        .max = seconds_of(limits::duplicate_window_max),
                                        .zero_too = true};

template <class S>
inline constexpr std::array<Setting<S>, 0> kSettings{};

template <>
inline constexpr std::array kSettings<ServerSettings> = {
    Setting<ServerSettings>{"listen", &ServerSettings::listen, "host:port",
                            "where HTTP is served; a non-loopback host needs `api_keys_file`"},
    Setting<ServerSettings>{"data_dir",
                            &ServerSettings::data_dir,
                            "path",
                            "database and blobs; one server at a time",
                            {.required = true}},
    Setting<ServerSettings>{"api_keys_file", &ServerSettings::api_keys_file, "path",
                            "keys of callers, one a line; none: no key is asked for"},
    Setting<ServerSettings>{
        "host_names", &ServerSettings::host_names, "list of texts",
        "without `api_keys_file`: names, beside localhost and addresses, under which HTTP "
        "is asked, e.g. by a proxy"},
    Setting<ServerSettings>{"https_listen", &ServerSettings::https_listen, "host:port",
                            "where HTTPS is served beside HTTP if there is a certificate; empty: nowhere"},
    Setting<ServerSettings>{"amqp_listen", &ServerSettings::amqp_listen, "host:port",
                            "where AMQP is served; a non-loopback host needs `access_keys_file`; empty: "
                            "nowhere"},
    Setting<ServerSettings>{"amqps_listen", &ServerSettings::amqps_listen, "host:port",
                            "where AMQP over TLS is served if there is a certificate; empty: nowhere"},
    Setting<ServerSettings>{"tls_certificate", &ServerSettings::tls_certificate, "path",
                            "PEM file: the server's certificate, then those between it and its authority"},
    Setting<ServerSettings>{"tls_key", &ServerSettings::tls_key, "path",
                            "PEM file: private key of `tls_certificate`, without a passphrase"},
    Setting<ServerSettings>{"access_keys_file", &ServerSettings::access_keys_file, "path",
                            "shared access keys for AMQP and administration, one a line: NAME KEY RIGHTS "
                            "[ENTITY]; none: every token is good"},
    Setting<ServerSettings>{"workers", &ServerSettings::workers, "",
                            "documents are worked on here; else the queues are for others alone"},
    Setting<ServerSettings>{"drain_seconds",
                            &ServerSettings::drain_seconds,
                            "seconds",
                            "how long work under way may take to end after SIGTERM",
                            {.min = 0, .max = 3600}},
    Setting<ServerSettings>{"cpu_threads",
                            &ServerSettings::cpu_threads,
                            "threads",
                            "threads that extract, chunk and embed; 0: cores − 1, at least 1",
                            {.min = 0, .max = 256}},
};

template <>
inline constexpr std::array kSettings<QueueEngineSettings> = {
    Setting<QueueEngineSettings>{"engine",
                                 &QueueEngineSettings::engine,
                                 "",
                                 "who keeps the messages; others than `embedded` are for `millrace work`",
                                 {.choices = "embedded|servicebus|rabbitmq"}},
    Setting<QueueEngineSettings>{"connection_string",
                                 &QueueEngineSettings::connection_string,
                                 "",
                                 "where the remote queue is and the key to it; by environment only, for the "
                                 "file there is `connection_string_file`",
                                 {.secret = true}},
    Setting<QueueEngineSettings>{"connection_string_file", &QueueEngineSettings::connection_string_file,
                                 "path", "file whose first line is the connection string"},
    Setting<QueueEngineSettings>{"ca_file", &QueueEngineSettings::ca_file, "path",
                                 "authorities to trust beside the system's when the remote queue is reached "
                                 "over TLS; PEM"},
    Setting<QueueEngineSettings>{
        "strict_delivery_counts", &QueueEngineSettings::strict_delivery_counts, "",
        "flush each delivery count before the message is handed out: it survives a power "
        "cut, not only a crash"},
    Setting<QueueEngineSettings>{
        "max_message_bytes",
        &QueueEngineSettings::max_message_bytes,
        "bytes",
        "size of the largest message, its properties included",
        {.min = limits::message_bytes_max_min, .max = limits::message_bytes_max_max}},
    Setting<QueueEngineSettings>{
        "emulator_config", &QueueEngineSettings::emulator_config, "path",
        "Config.json of Microsoft's Service Bus emulator: its entities are created as if configured here"},
};

template <>
inline constexpr std::array kSettings<QueueEntry> = {
    Setting<QueueEntry>{"name", &QueueEntry::name, "", "name of the queue", kRequired},
    Setting<QueueEntry>{"lock_seconds", &QueueEntry::lock_seconds, "seconds", "peek-lock duration",
                        kLockSeconds},
    Setting<QueueEntry>{"max_delivery_count", &QueueEntry::max_delivery_count, "deliveries",
                        "a message that was handed out this often and not completed is dead-lettered",
                        kDeliveryCount},
    Setting<QueueEntry>{"requires_session", &QueueEntry::requires_session, "",
                        "messages carry session ids; each session goes in order to one receiver at a time"},
    Setting<QueueEntry>{"duplicate_detection_seconds", &QueueEntry::duplicate_detection_seconds, "seconds",
                        "window in which a message id is taken once; 0: off", kDuplicateSeconds},
    Setting<QueueEntry>{"ttl_seconds", &QueueEntry::ttl_seconds, "seconds",
                        "default and upper bound of a message's life; 0: for ever"},
    Setting<QueueEntry>{"dead_letter_on_expiration", &QueueEntry::dead_letter_on_expiration, "",
                        "expired messages go to the dead-letter queue instead of being dropped"},
    Setting<QueueEntry>{"max_bytes", &QueueEntry::max_bytes, "bytes", "size quota over all states; 0: none"},
    Setting<QueueEntry>{"fair", &QueueEntry::fair, "",
                        "tenants (a message's session id, else its property `tenant`) take turns"},
    Setting<QueueEntry>{"forward_to", &QueueEntry::forward_to, "", "queue or topic that gets the messages"},
    Setting<QueueEntry>{"forward_dead_letters_to", &QueueEntry::forward_dead_letters_to, "",
                        "queue or topic that gets the dead letters"},
};

template <>
inline constexpr std::array kSettings<TopicEntry> = {
    Setting<TopicEntry>{"name", &TopicEntry::name, "", "name of the topic", kRequired},
    Setting<TopicEntry>{"duplicate_detection_seconds", &TopicEntry::duplicate_detection_seconds, "seconds",
                        "window in which a message id is taken once; 0: off", kDuplicateSeconds},
    Setting<TopicEntry>{"ttl_seconds", &TopicEntry::ttl_seconds, "seconds",
                        "default and upper bound of a message's life; 0: for ever"},
    Setting<TopicEntry>{"max_bytes", &TopicEntry::max_bytes, "bytes", "size quota; 0: none"},
};

template <>
inline constexpr std::array kSettings<SubscriptionEntry> = {
    Setting<SubscriptionEntry>{"topic", &SubscriptionEntry::topic, "", "topic it gets copies from",
                               kRequired},
    Setting<SubscriptionEntry>{"name", &SubscriptionEntry::name, "", "name of the subscription", kRequired},
    Setting<SubscriptionEntry>{"lock_seconds", &SubscriptionEntry::lock_seconds, "seconds",
                               "peek-lock duration", kLockSeconds},
    Setting<SubscriptionEntry>{"max_delivery_count", &SubscriptionEntry::max_delivery_count, "deliveries",
                               "as of a queue", kDeliveryCount},
    Setting<SubscriptionEntry>{"requires_session", &SubscriptionEntry::requires_session, "", "as of a queue"},
    Setting<SubscriptionEntry>{"ttl_seconds", &SubscriptionEntry::ttl_seconds, "seconds", "as of a queue"},
    Setting<SubscriptionEntry>{"dead_letter_on_expiration", &SubscriptionEntry::dead_letter_on_expiration, "",
                               "as of a queue"},
    Setting<SubscriptionEntry>{"forward_to", &SubscriptionEntry::forward_to, "", "as of a queue"},
    Setting<SubscriptionEntry>{"forward_dead_letters_to", &SubscriptionEntry::forward_dead_letters_to, "",
                               "as of a queue"},
    Setting<SubscriptionEntry>{"rules", &SubscriptionEntry::rules, "list of tables",
                               "which messages it gets ([topics.md](topics.md)); not set: its rules are left "
                               "alone, and a new subscription gets every message"},
};

template <>
inline constexpr std::array kSettings<StoreSettings> = {
    Setting<StoreSettings>{
        "engine",
        &StoreSettings::engine,
        "",
        "where documents, operations and results are kept: in the data directory, or shared by "
        "several processes",
        {.choices = "sqlite|postgres"}},
    Setting<StoreSettings>{
        "connection_string",
        &StoreSettings::connection_string,
        "",
        "postgres: where it is and how to log in; by environment only, for the file there is "
        "`connection_string_file`",
        {.secret = true}},
    Setting<StoreSettings>{"connection_string_file", &StoreSettings::connection_string_file, "path",
                           "file whose first line is the connection string"},
    Setting<StoreSettings>{"connections",
                           &StoreSettings::connections,
                           "connections",
                           "postgres: of this process; one writes, the others read, one more listens",
                           {.min = 2, .max = 64}},
    Setting<StoreSettings>{"readers",
                           &StoreSettings::readers,
                           "threads",
                           "threads that read the database of the data directory",
                           {.min = 1, .max = 64}},
    Setting<StoreSettings>{
        "keep_days",
        &StoreSettings::keep_days,
        "days",
        "how long results of tasks, steps and vectors that processes share are kept; 0: for ever",
        {.min = 0, .max = 3650}},
};

template <>
inline constexpr std::array kSettings<IndexSettings> = {
    Setting<IndexSettings>{"engine",
                           &IndexSettings::engine,
                           "",
                           "what search reads",
                           {.choices = "embedded", .later = "azure-search"}},
    Setting<IndexSettings>{
        "fusion",
        &IndexSettings::fusion,
        "",
        "how hybrid search joins both rankings; auto: `score` for local models, `rank` for others",
        {.choices = "auto|score|rank"}},
    Setting<IndexSettings>{"keyword_weight",
                           &IndexSettings::keyword_weight,
                           "",
                           "share of the keyword ranking in hybrid search; 0: what suits the model",
                           {.min = 0, .max = 1}},
};

template <>
inline constexpr std::array kSettings<DeploymentEntry> = {
    Setting<DeploymentEntry>{"name", &DeploymentEntry::name, "", "what workers call it", kRequired},
    Setting<DeploymentEntry>{"provider",
                             &DeploymentEntry::provider,
                             "",
                             "who computes",
                             {.choices = "local|local-hash|openai|azure-openai"}},
    Setting<DeploymentEntry>{"endpoint", &DeploymentEntry::endpoint, "URL",
                             "base URL of an OpenAI-compatible server; openai: https://api.openai.com/v1"},
    Setting<DeploymentEntry>{"key",
                             &DeploymentEntry::key,
                             "",
                             "API key; by environment only, for the file there is `key_file`",
                             {.secret = true}},
    Setting<DeploymentEntry>{"key_file", &DeploymentEntry::key_file, "path",
                             "file whose first line is the API key"},
    Setting<DeploymentEntry>{"model", &DeploymentEntry::model, "",
                             "model, or the deployment's name at Azure OpenAI"},
    Setting<DeploymentEntry>{"api_version", &DeploymentEntry::api_version, "",
                             "azure-openai only; empty: the v1 URL form"},
    Setting<DeploymentEntry>{"api",
                             &DeploymentEntry::api,
                             "",
                             "interface that completes: chat completions, or responses",
                             {.choices = "chat|responses"}},
    Setting<DeploymentEntry>{"dimensions",
                             &DeploymentEntry::dimensions,
                             "",
                             "length of the vectors to ask for; 0: the model's own",
                             {.min = 0, .max = 4096}},
    Setting<DeploymentEntry>{"context_tokens",
                             &DeploymentEntry::context_tokens,
                             "tokens",
                             "prompt and answer of one completion; 0: what is known of the model",
                             {.min = 0, .max = 100'000'000}},
    Setting<DeploymentEntry>{
        "output_tokens",
        &DeploymentEntry::output_tokens,
        "tokens",
        "longest answer of a completion; 0: what is known of the model, and 1024 where a "
        "task names none",
        {.min = 0, .max = 100'000'000}},
    Setting<DeploymentEntry>{"timeout_seconds",
                             &DeploymentEntry::timeout_seconds,
                             "seconds",
                             "bound on one call; a completion has ten times as long",
                             {.min = 1, .max = 3600}},
    Setting<DeploymentEntry>{"concurrency",
                             &DeploymentEntry::concurrency,
                             "calls",
                             "calls at once; 0: 64, or 8 for local models",
                             {.min = 0, .max = 1024}},
    Setting<DeploymentEntry>{
        "tokens_per_minute", &DeploymentEntry::tokens_per_minute, "tokens",
        "quota of all processes that share the store; 0: as the provider tells, or none"},
    Setting<DeploymentEntry>{"requests_per_minute", &DeploymentEntry::requests_per_minute, "requests",
                             "likewise"},
    Setting<DeploymentEntry>{
        "request_window_seconds",
        &DeploymentEntry::request_window_seconds,
        "seconds",
        "shortest window over which the provider checks its requests per minute; 0: 1 for "
        "azure-openai, else 60",
        {.min = 0, .max = 60}},
    Setting<DeploymentEntry>{"counts",
                             &DeploymentEntry::counts,
                             "",
                             "what a call counts against the tokens per minute: its `estimate` (prompt and "
                             "maximum answer) for good, or its `usage`; auto: estimate at OpenAI and Azure",
                             {.choices = "auto|estimate|usage"}},
    Setting<DeploymentEntry>{"price_prompt", &DeploymentEntry::price_prompt, "",
                             "price of a million prompt tokens, in the currency of all prices and caps"},
    Setting<DeploymentEntry>{"price_cached", &DeploymentEntry::price_cached, "",
                             "of those that the provider had in its cache; 0: as `price_prompt`"},
    Setting<DeploymentEntry>{"price_completion", &DeploymentEntry::price_completion, "",
                             "price of a million tokens of answers"},
};

template <>
inline constexpr std::array kSettings<CapEntry> = {
    Setting<CapEntry>{"amount", &CapEntry::amount, "", "what may be spent, in the currency of the prices",
                      kRequired},
    Setting<CapEntry>{"per", &CapEntry::per, "", "UTC day or calendar month", {.choices = "day|month"}},
    Setting<CapEntry>{"deployment", &CapEntry::deployment, "", "on this deployment; empty: on all together"},
    Setting<CapEntry>{"tenant", &CapEntry::tenant, "",
                      "by this tenant; `*`: by each of them; empty: by all together"},
};

template <>
inline constexpr std::array kSettings<TenantEntry> = {
    Setting<TenantEntry>{"name", &TenantEntry::name, "", "as the property `tenant` of messages has it",
                         kRequired},
    Setting<TenantEntry>{"weight", &TenantEntry::weight, "",
                         "share of a deployment beside other tenants whose work waits"},
};

template <>
inline constexpr std::array kSettings<WorkerEntry> = {
    Setting<WorkerEntry>{"queue", &WorkerEntry::queue, "", "queue it receives from", kRequired},
    Setting<WorkerEntry>{"handler", &WorkerEntry::handler, "",
                         "what it does: empty for a queue of the document pipeline, `embed-index`, `task`"},
    Setting<WorkerEntry>{"concurrency",
                         &WorkerEntry::concurrency,
                         "deliveries",
                         "handled at once, of a fair queue of this server so many interactive and so many "
                         "batch ones; 0: what suits the handler",
                         {.min = 0, .max = 4096}},
    Setting<WorkerEntry>{"deployment", &WorkerEntry::deployment, "",
                         "deployment it uses; empty: the first one"},
};

template <>
inline constexpr std::array kSettings<TaskEntry> = {
    Setting<TaskEntry>{"type", &TaskEntry::type, "",
                       "what producers call it: a name of one's own, or a built-in type to change",
                       kRequired},
    Setting<TaskEntry>{"deployment", &TaskEntry::deployment, "",
                       "deployment that answers; empty: the first that completes, or embeds"},
    Setting<TaskEntry>{"prompt", &TaskEntry::prompt, "",
                       "what the model is told to do; it never names the model"},
    Setting<TaskEntry>{"schema", &TaskEntry::schema, "JSON schema",
                       "what the answer looks like ([tasks.md](tasks.md#schemas)); empty: free text"},
    Setting<TaskEntry>{"schema_file", &TaskEntry::schema_file, "path", "file that holds the schema"},
    Setting<TaskEntry>{"labels", &TaskEntry::labels, "list of texts",
                       "classify: what there is to choose from, where a task brings no labels"},
    Setting<TaskEntry>{"steps", &TaskEntry::steps, "list of types",
                       "tasks that run at once and are joined, in place of a prompt"},
    Setting<TaskEntry>{"output_tokens_max",
                       &TaskEntry::output_tokens_max,
                       "tokens",
                       "of one answer; 0: what suits the type, 1024 for one's own",
                       {.min = 0, .max = 1'000'000}},
    Setting<TaskEntry>{"input_tokens_max",
                       &TaskEntry::input_tokens_max,
                       "tokens",
                       "of text in one call; a longer one goes in pieces; 0: what the model takes",
                       {.min = 256, .max = 10'000'000, .zero_too = true}},
};

template <>
inline constexpr std::array kSettings<WatchEntry> = {
    Setting<WatchEntry>{"path", &WatchEntry::path, "path", "folder whose files are ingested", kRequired},
    Setting<WatchEntry>{"category", &WatchEntry::category, "",
                        "category of its documents; empty: the file's folder below `path`"},
    Setting<WatchEntry>{"id_prefix", &WatchEntry::id_prefix, "",
                        "document id = this and the path below `path`"},
    Setting<WatchEntry>{"poll_seconds",
                        &WatchEntry::poll_seconds,
                        "seconds",
                        "time between two looks; a file is taken when two looks find it unchanged",
                        {.min = 1, .max = 86400}},
    Setting<WatchEntry>{"recursive", &WatchEntry::recursive, "", "folders below it too"},
};

template <>
inline constexpr std::array kSettings<TelemetrySettings> = {
    Setting<TelemetrySettings>{"log_level",
                               &TelemetrySettings::log_level,
                               "",
                               "least level that is logged",
                               {.choices = "trace|debug|info|warning|error|off"}},
    Setting<TelemetrySettings>{
        "log_format", &TelemetrySettings::log_format, "", "one line per event", {.choices = "text|json"}},
};

/// Calls `visit(name, part, help)` for every section; a list section's `part` is a vector.
template <class C, class F>
void for_each_section(C& configuration, F&& visit) {
    visit("server", configuration.server, "where it listens and where data lives");
    visit("queue", configuration.queue, "the queue engine");
    visit("queues", configuration.queues,
          "queues beside those of the document pipeline, or other options for these");
    visit("topics", configuration.topics, "topics");
    visit("subscriptions", configuration.subscriptions, "subscriptions of topics");
    visit("store", configuration.store, "the database");
    visit("index", configuration.index, "search");
    visit("deployments", configuration.deployments,
          "models; without one a deployment `default` with provider `local` serves");
    visit("caps", configuration.caps,
          "how much may be spent: work beyond that waits for the next day or month");
    visit("tenants", configuration.tenants, "shares of tenants; one that is not named here has weight 1");
    visit("workers", configuration.workers, "who works on which queue, beside the document pipeline");
    visit("tasks", configuration.tasks, "kinds of tasks beside the built-in ones, or changes to these");
    visit("watch", configuration.watch, "folders whose files are ingested as they appear or change");
    visit("telemetry", configuration.telemetry, "logs");
}

template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<std::vector<T>> = true;

}  // namespace millrace::app
