// The stages of the document pipeline, one file each:
//
//     document-ingestion ─▶ chunk-queue ─▶ embed-queue ─▶ index-queue ─▶ searchable
//                        └▶ metadata-queue ─▶ metadata
//
// Each stage may run any number of times for the same message and has the effect of one run.
#pragma once

#include "handlers/services.hpp"
#include "text/extract.hpp"
#include "work/tasks.hpp"

#include <string_view>
#include <vector>

namespace millrace::handlers {

/// "document-ingestion": bytes to text; sends the text on to be chunked and described.
asio::awaitable<work::Outcome> extract_document(Services& services, Job job);
/// "chunk-queue": text to passages, staged in the index; sends those without a vector on, in batches.
asio::awaitable<work::Outcome> chunk_document(Services& services, Job job);
/// "embed-queue": vectors for one batch of passages; whoever brings the last one sends the version on.
asio::awaitable<work::Outcome> embed_chunks(Services& services, Job job);
/// "index-queue": lets search see the version.
asio::awaitable<work::Outcome> publish_document(Services& services, Job job);
/// "metadata-queue": counts, language and key words of the text.
asio::awaitable<work::Outcome> describe_document(Services& services, Job job);
/// All of it in one handler, for a single queue of inline documents.
asio::awaitable<work::Outcome> embed_index(Services& services, Job job);

/// A handler that configuration can name in [[workers]].
struct HandlerRow {
    std::string_view name;
    std::string_view queue;   ///< the queue it serves by default; "" for none
    std::string_view stage;   ///< what operations show while it runs
    asio::awaitable<work::Outcome> (*run)(Services&, Job);  ///< null: no stage of documents
    std::size_t concurrency;  ///< by default
};

/// Every handler of this program.
inline constexpr HandlerRow kHandlers[] = {
    {"extract", work::queue::ingestion, "extract", extract_document, 4},
    {"chunk", work::queue::chunk, "chunk", chunk_document, 4},
    {"embed", work::queue::embed, "embed", embed_chunks, 8},
    {"index", work::queue::index, "index", publish_document, 8},
    {"metadata", work::queue::metadata, "metadata", describe_document, 4},
    {"embed-index", "", "embed", embed_index, 4},
    {"task", work::queue::tasks, "task", nullptr, 32},
};

/// The handler of a row; one for tasks needs `services.task_parts`. As `make_stage_handler`.
work::Handler make_handler(Services& services, const HandlerRow& row,
                           Adoption adoption = Adoption::by_resending);

/// The row called `name`, or nullptr.
const HandlerRow* find_handler(std::string_view name) noexcept;

// Shared by the staged pipeline and embed_index.

struct IngestPayload;
struct TextPayload;

/// A property of messages of "embed-queue": the category of the document, for telemetry.
inline constexpr char kCategoryProperty[] = "category";

/// The bytes of a document and what is said of them.
struct Content {
    std::string bytes;
    std::string type;       ///< empty: told from the file name and the bytes
    std::string file_name;
};
/// What content within a message is where nothing is said of it.
inline constexpr char kInlineType[] = "text/plain; charset=utf-8";

/// The text of `content`, extracted on the CPU pool; errors as the other.
asio::awaitable<Result<text::ExtractedText>> extract_text(Services& services, Content content);
/// The text of an ingest payload, extracted on the CPU pool; over_limit, corrupt or invalid_input: a dead
/// letter.
asio::awaitable<Result<text::ExtractedText>> extract_text(Services& services, const IngestPayload& payload);
/// The extracted text that a payload holds or refers to; parsed on the CPU pool, for it may be large.
/// not_found: its blob is gone; corrupt.
asio::awaitable<Result<text::ExtractedText>> load_text(Services& services, TextPayload payload);
/// Passages for the model in use, split on the CPU pool. over_limit: too many.
asio::awaitable<Result<std::vector<index::ChunkText>>> split_text(
    Services& services, std::shared_ptr<const text::ExtractedText> text);
/// What `embed_missing` did.
struct Embedded {
    std::size_t remaining = 0;             ///< chunks of the version that still have no vector
    provider::Usage usage;                 ///< charged so far, also when a later request failed
    bool gone = false;                     ///< the version was superseded or deleted meanwhile
    std::optional<work::Outcome> failure;  ///< why not all of `ordinals` have a vector
};
/// Embeds what of `ordinals` has no vector yet, in requests of the provider's size; each request's vectors
/// are stored before the next one is sent, so that nothing is paid for twice. `category` is the document's,
/// for telemetry.
asio::awaitable<Embedded> embed_missing(Services& services, const Job& job, std::string category,
                                        std::vector<std::uint32_t> ordinals);
/// Lets search see the version and notes that, with `metadata` (a JSON object) where no other stage brings
/// it. None when done, else the outcome of the handler.
asio::awaitable<std::optional<work::Outcome>> publish_version(Services& services, const Job& job,
                                                              std::optional<std::string> metadata);
/// What the text says about itself, as a JSON object: words, characters, pages, language, keywords.
std::string describe_text(const text::ExtractedText& text, std::string_view format);

}  // namespace millrace::handlers
