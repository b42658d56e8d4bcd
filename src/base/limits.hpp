// Every limit of the product, with its unit; how they depend on each other is asserted below.
#pragma once

#include "base/clock.hpp"

#include <cstddef>
#include <cstdint>

namespace millrace::limits {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;

// HTTP
inline constexpr std::size_t http_body_bytes_max = 32 * kMiB;
inline constexpr std::size_t http_header_bytes_max = 64 * kKiB;
inline constexpr std::size_t http_connections_max = 4096;
inline constexpr Duration http_header_time_max = std::chrono::seconds(30);   ///< idle keep-alive included
inline constexpr Duration http_body_time_max = std::chrono::seconds(120);
inline constexpr Duration long_poll_time_max = std::chrono::seconds(60);
inline constexpr std::size_t page_items_max = 1000;

// Documents
inline constexpr std::size_t document_id_bytes_max = 256;
inline constexpr std::size_t document_title_bytes_max = 1024;
inline constexpr std::size_t category_bytes_max = 128;
inline constexpr std::size_t metadata_bytes_max = 16 * kKiB;
inline constexpr std::size_t documents_per_request_max = 1000;
inline constexpr std::size_t text_bytes_max = 16 * kMiB;   ///< extracted text of one document
inline constexpr std::size_t chunks_per_document_max = 50'000;
inline constexpr std::size_t document_pages_max = 5'000;
inline constexpr Duration extract_time_max = std::chrono::seconds(120);        ///< of one document
inline constexpr std::size_t extract_memory_bytes_max = 768 * kMiB;            ///< of one document at work
inline constexpr std::size_t unpacked_bytes_max = 256 * kMiB;  ///< what an archive may unpack to
inline constexpr std::size_t archive_entries_max = 10'000;
inline constexpr std::size_t markup_nesting_max = 1'000;  ///< elements within elements

// Messages (Azure Service Bus)
inline constexpr std::size_t message_bytes_max = 1 * kMiB;          ///< unless configured otherwise
inline constexpr std::size_t message_bytes_max_min = 64 * kKiB;
inline constexpr std::size_t message_bytes_max_max = 100 * kMiB;
inline constexpr std::size_t message_id_chars_max = 128;
inline constexpr std::size_t session_id_chars_max = 128;
inline constexpr std::size_t properties_bytes_max = 64 * kKiB;
inline constexpr std::size_t entity_name_chars_max = 260;
inline constexpr std::size_t subscription_name_chars_max = 50;
inline constexpr std::size_t dead_letter_text_chars_max = 4096;
inline constexpr std::size_t user_metadata_chars_max = 1024;
inline constexpr std::size_t rule_name_chars_max = 50;
inline constexpr std::size_t rules_max = 2000;       ///< of one subscription
inline constexpr std::size_t sql_chars_max = 1024;   ///< of one filter, of one action
inline constexpr std::size_t sql_nesting_max = 50;   ///< parentheses, signs and NOTs within each other
inline constexpr std::size_t sql_statements_max = 32;    ///< of one action
inline constexpr std::size_t sql_steps_max =
    1'000'000;  ///< of one message, by all rules: operators and bytes
inline constexpr Duration delete_on_idle_min = std::chrono::minutes(5);
inline constexpr int forward_hops_max = 4;
inline constexpr int delivery_count_max_default = 10;
inline constexpr int delivery_count_max_max = 2000;
inline constexpr Duration lock_time_min = std::chrono::seconds(5);
inline constexpr Duration lock_time_default = std::chrono::seconds(60);
inline constexpr Duration lock_time_max = std::chrono::minutes(5);
inline constexpr Duration duplicate_window_min = std::chrono::seconds(20);
inline constexpr Duration duplicate_window_max = std::chrono::hours(24 * 7);
inline constexpr std::size_t receive_batch_max = 4096;
inline constexpr std::size_t claim_check_bytes_min = 64 * kKiB;  ///< larger bodies go to the blob store

// AMQP
inline constexpr std::uint32_t amqp_frame_bytes_max = 64 * kKiB;
inline constexpr std::size_t amqp_sessions_max = 5'000;  ///< of one connection
inline constexpr std::size_t amqp_links_max = 10'000;  ///< of one connection
inline constexpr std::size_t amqp_links_unproven_max = 16;  ///< of one that has shown no valid token yet
inline constexpr std::size_t amqp_unsettled_max = 10'000;  ///< deliveries of one session
inline constexpr std::size_t amqp_batch_messages_max = 10'000;  ///< messages in one transfer
inline constexpr std::size_t amqp_partial_bytes_max =
    16 * kMiB;  ///< of deliveries not yet whole, a connection
inline constexpr std::size_t amqp_output_bytes_max =
    4 * kMiB;  ///< a connection that has more waits for its peer
inline constexpr std::size_t amqp_storing_bytes_max =
    8 * kMiB;  ///< taken, not answered; more waits in its socket
/// What each piece of work under way counts for besides its payload.
inline constexpr std::size_t amqp_work_bytes = 1 * kKiB;
inline constexpr std::size_t amqp_name_bytes_max = 4 * kKiB;  ///< of a link, and of each address it names
/// Of all connections of a server, each for: deliveries not yet whole, messages being stored, output.
inline constexpr std::size_t amqp_server_bytes_max = 256 * kMiB;
/// While a server has more than that, each connection may still hold this much.
inline constexpr std::size_t amqp_share_bytes_min = 64 * kKiB;
inline constexpr std::size_t amqp_websocket_message_bytes_max = 16 * kMiB;  ///< pieces of the stream
inline constexpr Duration amqp_idle_time = std::chrono::seconds(120);
inline constexpr Duration amqp_handshake_time_max = std::chrono::seconds(30);

// Search
inline constexpr std::size_t query_bytes_max = 8 * kKiB;
inline constexpr std::size_t search_top_max = 1000;

// Files and batches
inline constexpr std::size_t file_bytes_max = 200 * kMiB;
inline constexpr std::size_t file_name_bytes_max = 1024;
inline constexpr std::size_t batch_lines_max = 100'000;
inline constexpr std::size_t batch_line_bytes_max = 8 * kMiB;
inline constexpr std::size_t batch_errors_max = 100;  ///< of a batch whose input is wrong: those shown
inline constexpr std::size_t batch_bytes_at_once_max = 64 * kMiB;  ///< lines of one batch under way
inline constexpr Duration batch_time_max = std::chrono::hours(24);
inline constexpr Duration file_kept_time_min = std::chrono::hours(1);
inline constexpr Duration file_kept_time_max = std::chrono::hours(24 * 30);

// Provider (local)
inline constexpr std::size_t local_input_bytes_max = 1 * kMiB;  ///< of one text

// Provider (OpenAI)
inline constexpr std::size_t embed_inputs_max = 2048;  ///< inputs of one embeddings request
inline constexpr std::size_t embed_request_tokens_max = 300'000;
inline constexpr std::size_t embed_input_tokens_max = 8191;
inline constexpr std::size_t provider_answer_bytes_max = 128 * kMiB;

static_assert(lock_time_min <= lock_time_default && lock_time_default <= lock_time_max);
static_assert(claim_check_bytes_min < message_bytes_max);
static_assert(message_bytes_max_min <= message_bytes_max && message_bytes_max <= message_bytes_max_max);
static_assert(text_bytes_max <= http_body_bytes_max);
static_assert(http_body_bytes_max < unpacked_bytes_max && unpacked_bytes_max < extract_memory_bytes_max);
static_assert(batch_line_bytes_max < batch_bytes_at_once_max && http_body_bytes_max < file_bytes_max);
static_assert(message_bytes_max < amqp_partial_bytes_max);
// Or a client that is only faster than the disk would lose its session.
static_assert(amqp_storing_bytes_max / amqp_work_bytes < amqp_unsettled_max);
static_assert(amqp_partial_bytes_max < amqp_server_bytes_max);
static_assert(embed_input_tokens_max < embed_request_tokens_max);

}  // namespace millrace::limits
