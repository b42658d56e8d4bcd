// Every metric of the product: one row each. docs/metrics.md is held against this table by a test.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace millrace::telemetry {

enum class MetricKind : std::uint8_t { counter, gauge, histogram };

/// Which bucket bounds a histogram has.
enum class Buckets : std::uint8_t {
    none,
    request_seconds,   ///< 0.5 ms to 10 s: answers of the HTTP server
    work_seconds,      ///< 5 ms to 80 s: calls to a model
};

struct MetricRow {
    MetricKind kind;
    std::string_view name;
    std::string_view help;
    std::string_view labels;   ///< names, separated by commas
    Buckets buckets = Buckets::none;
};

namespace metric {

inline constexpr MetricRow documents_accepted{MetricKind::counter, "documents_accepted_total",
                                              "Documents that were answered with 202.", "document_category"};
inline constexpr MetricRow documents_processed{MetricKind::counter, "documents_processed_total",
                                               "Documents that became searchable.", "document_category"};
inline constexpr MetricRow documents_failed{MetricKind::counter, "documents_failed_total",
                                            "Documents that ended in a dead-letter queue.", "reason,status"};
inline constexpr MetricRow embedding_duration{MetricKind::histogram, "embedding_duration_seconds",
                                              "Time of one embedding call, waiting for its turn included.",
                                              "document_category", Buckets::work_seconds};
inline constexpr MetricRow provider_calls{MetricKind::counter, "provider_calls_total",
                                          "Calls to a model by deployment and outcome.",
                                          "deployment,outcome"};
inline constexpr MetricRow provider_tokens{MetricKind::counter, "provider_tokens_total",
                                           "Tokens as reported by the provider.", "deployment,type"};
inline constexpr MetricRow provider_call_duration{MetricKind::histogram, "provider_call_duration_seconds",
                                                  "Time of one call to a model.", "deployment",
                                                  Buckets::work_seconds};
inline constexpr MetricRow provider_held{MetricKind::gauge, "provider_held_calls",
                                         "Calls that wait because their deployment is down or throttles.",
                                         "deployment"};
inline constexpr MetricRow quota_tokens{
    MetricKind::gauge, "quota_tokens",
    "Tokens of a deployment's minute by state, of all processes that share the store.", "deployment,state"};
inline constexpr MetricRow quota_requests{
    MetricKind::gauge, "quota_requests",
    "Requests of a deployment's minute by state, of all processes that share the store.", "deployment,state"};
inline constexpr MetricRow quota_calls{MetricKind::gauge, "quota_calls",
                                       "Calls to a deployment that run or wait for its quota.",
                                       "deployment,state"};
inline constexpr MetricRow quota_throttled{MetricKind::gauge, "quota_throttled_calls",
                                           "Calls that a deployment has answered with 429 so far.",
                                           "deployment"};
inline constexpr MetricRow quota_spent{
    MetricKind::gauge, "quota_spent_today",
    "Spent on a deployment on this UTC day, in the currency of the prices.", "deployment"};
inline constexpr MetricRow tasks_ended{MetricKind::counter, "tasks_ended_total",
                                       "Tasks by type and how they ended.", "type,outcome"};
inline constexpr MetricRow batches_active{MetricKind::gauge, "batches_active", "Batches that are worked on.",
                                          ""};
inline constexpr MetricRow messages_settled{MetricKind::counter, "messages_settled_total",
                                            "Deliveries by queue and how the handler settled them.",
                                            "queue,outcome"};
inline constexpr MetricRow stage_duration{MetricKind::histogram, "stage_duration_seconds",
                                          "Time of one run of a stage of the document pipeline.", "stage",
                                          Buckets::work_seconds};
inline constexpr MetricRow queue_messages{MetricKind::gauge, "queue_messages",
                                          "Messages in a queue by state.", "queue,state"};
inline constexpr MetricRow queue_oldest_age{
    MetricKind::gauge, "queue_oldest_age_seconds",
    "Age of the oldest message that is ready or locked; 0 without one.", "queue"};
inline constexpr MetricRow queue_size{MetricKind::gauge, "queue_size_bytes",
                                      "Bodies and properties that a queue holds.", "queue"};
inline constexpr MetricRow store_commits{MetricKind::counter, "store_commits_total",
                                         "Transactions committed and flushed.", ""};
inline constexpr MetricRow store_commands{MetricKind::counter, "store_commands_total",
                                          "Write commands in committed transactions.", ""};
inline constexpr MetricRow store_waiting{MetricKind::gauge, "store_waiting_commands",
                                         "Write commands that wait for the writer.", ""};
inline constexpr MetricRow index_documents{MetricKind::gauge, "index_documents",
                                           "Documents that search sees.", ""};
inline constexpr MetricRow index_chunks{MetricKind::gauge, "index_chunks", "Chunks that search sees.", ""};
inline constexpr MetricRow index_vector_bytes{MetricKind::gauge, "index_vector_bytes",
                                              "Memory held for vectors.", ""};
inline constexpr MetricRow http_requests{
    MetricKind::histogram, "http_request_duration_seconds",
    "Time to answer a request by route and status; a long poll counts its wait.", "method,route,status",
    Buckets::request_seconds};
inline constexpr MetricRow search_duration{MetricKind::histogram, "search_duration_seconds",
                                           "Time of one search by mode, embedding of the query included.",
                                           "mode", Buckets::request_seconds};
inline constexpr MetricRow http_connections{MetricKind::gauge, "http_connections",
                                            "Open connections of the HTTP server.", ""};
inline constexpr MetricRow amqp_connections{MetricKind::gauge, "amqp_connections",
                                            "Open connections of the AMQP servers.", ""};
inline constexpr MetricRow amqp_links{MetricKind::gauge, "amqp_links", "Open links of the AMQP servers.", ""};
inline constexpr MetricRow amqp_messages{MetricKind::counter, "amqp_messages_total",
                                         "Messages that AMQP clients sent (received) or got (delivered).",
                                         "direction"};
inline constexpr MetricRow process_start{MetricKind::gauge, "process_start_time_seconds",
                                         "Start of the process, seconds since 1970.", ""};

}  // namespace metric

/// All rows, in the order in which the documentation shows them.
inline constexpr std::array kMetricRows = {
    &metric::documents_accepted,
    &metric::documents_processed,
    &metric::documents_failed,
    &metric::embedding_duration,
    &metric::provider_calls,
    &metric::provider_tokens,
    &metric::provider_call_duration,
    &metric::provider_held,
    &metric::quota_tokens,
    &metric::quota_requests,
    &metric::quota_calls,
    &metric::quota_throttled,
    &metric::quota_spent,
    &metric::tasks_ended,
    &metric::batches_active,
    &metric::messages_settled,
    &metric::stage_duration,
    &metric::queue_messages,
    &metric::queue_oldest_age,
    &metric::queue_size,
    &metric::store_commits,
    &metric::store_commands,
    &metric::store_waiting,
    &metric::index_documents,
    &metric::index_chunks,
    &metric::index_vector_bytes,
    &metric::http_requests,
    &metric::search_duration,
    &metric::http_connections,
    &metric::amqp_connections,
    &metric::amqp_links,
    &metric::amqp_messages,
    &metric::process_start,
};

}  // namespace millrace::telemetry
