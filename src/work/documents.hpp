// The door: documents are accepted here, safe on disk before anybody is told, and looked up here.
#pragma once

#include "base/async.hpp"
#include "base/trace_context.hpp"
#include "store/blobs.hpp"
#include "store/database.hpp"
#include "work/handover.hpp"
#include "work/records.hpp"
#include "work/requester.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::work {

/// The queues of the document pipeline, in the order of its stages.
namespace queue {
inline constexpr char ingestion[] = "document-ingestion";
inline constexpr char chunk[] = "chunk-queue";
inline constexpr char embed[] = "embed-queue";
inline constexpr char index[] = "index-queue";
inline constexpr char metadata[] = "metadata-queue";
}  // namespace queue

/// A document as its sender gives it. The caller has checked sizes and that the texts are UTF-8.
struct NewDocument {
    std::string id;            ///< empty: one is made
    std::string title;         ///< empty: the file name, else what extraction finds
    std::string category;
    std::string uploaded_at;   ///< RFC 3339 or empty
    std::string metadata;      ///< JSON object or empty
    std::string content;       ///< bytes of `content_type`
    std::string content_type;  ///< empty: told from the file name and the bytes
    std::string file_name;
    Requester requester;  ///< as `trace`
    std::optional<TraceContext> trace;  ///< of the request that brought it; its messages carry it
};

/// True if the message of `document` carries its content: what is not small UTF-8 becomes a blob.
bool travels_inline(const NewDocument& document);

/// What became of a NewDocument.
struct Accepted {
    std::string id;
    std::string operation;
    std::int64_t generation = 0;
};

/// A caller's Idempotency-Key: its answer is stored in the transaction that accepts the documents.
struct Idempotency {
    std::string key;          ///< caller and key, hashed
    std::string fingerprint;  ///< of the request
    unsigned status = 202;
    std::function<std::string(const std::vector<Accepted>&)> answer;  ///< what to replay
};

/// An answer given earlier to the same key.
struct StoredAnswer {
    std::string fingerprint;
    unsigned status = 0;
    std::string answer;
};

struct DocumentFilter {
    std::string category;
    std::string status;       ///< a word of Status, or empty
    std::string after;        ///< ids greater than this one
    std::size_t items_max = 100;
};

/// Nothing, or what is wrong with `id`: 1–256 bytes of UTF-8 without control characters, not "." or "..".
std::string document_id_problem(std::string_view id);

/// Accepts documents and answers what became of them. All calls on the I/O thread.
class Documents {
  public:
    /// `database` holds the state; `handover` brings messages to the queues with it. All outlive this.
    Documents(store::Database& database, store::Blobs& blobs, CpuPool& pool, Handover& handover,
              Clock& clock);

    /// Learns the newest generation and sweeps stray files. Await it before the first `accept`.
    asio::awaitable<void> start();

    /// Accepts all or none: document rows, operation rows, messages (or where the state is another database,
    /// the outbox) and the idempotent answer are one transaction, durable when this answers. A known id
    /// becomes a new generation beside the old one. conflict: the same key is being used by another request,
    /// or another process has accepted a version of the document in the same millisecond; over_limit: the
    /// queue is full.
    asio::awaitable<Result<std::vector<Accepted>>> accept(std::vector<NewDocument> documents,
                                                          std::shared_ptr<const Idempotency> idempotency);

    asio::awaitable<std::optional<StoredAnswer>> stored_answer(std::string key);
    /// Forgets answers older than 24 hours.
    asio::awaitable<Result<void>> prune();

    asio::awaitable<Result<DocumentView>> find(std::string id);
    asio::awaitable<std::vector<DocumentView>> list(DocumentFilter filter);

    /// Removes the files of blobs whose rows are gone. Never fails: a file that stays is swept at the next
    /// start.
    asio::awaitable<void> remove_blobs(std::vector<std::string> names) {
        return store::remove_blobs(blobs_, pool_, std::move(names));
    }
    /// Larger than every generation given before, in this process and earlier ones.
    std::int64_t next_generation();

  private:
    struct Prepared;
    /// Removes files that no row refers to: what a crash between a file and its row left behind.
    asio::awaitable<void> sweep_blobs();
    asio::awaitable<Prepared> prepare(NewDocument document);
    asio::awaitable<Result<std::vector<Accepted>>> prepare_and_send(
        std::vector<NewDocument> documents, std::shared_ptr<const Idempotency> idempotency,
        std::shared_ptr<std::vector<Prepared>> prepared);
    static std::vector<std::string> blobs_of(const std::vector<Prepared>& prepared);

    store::Database& database_;
    store::Blobs& blobs_;
    CpuPool& pool_;
    Handover& handover_;
    Clock& clock_;
    std::int64_t last_generation_ = 0;
};

/// Looks operations up and lets callers wait for them. All calls on the I/O thread.
class Operations {
  public:
    Operations(asio::any_io_executor io, store::Database& database, Clock& clock);
    ~Operations();

    /// not_found: no such operation, or its document was deleted.
    asio::awaitable<Result<OperationView>> find(std::string id);
    /// As `find`, once the operation has ended or `time` has passed; also where another process has ended it.
    asio::awaitable<Result<OperationView>> wait(std::string id, Duration time);
    /// Wakes those who wait for the operation of `document`; call it after the commit that changed it.
    void changed(const std::string& document);

  private:
    struct Change;
    void heard(const std::string& document);
    std::shared_ptr<Change> change_of(const std::string& document);

    asio::any_io_executor io_;
    store::Database& database_;
    Clock& clock_;
    std::map<std::string, std::weak_ptr<Change>> waiting_;  ///< by document id
};

}  // namespace millrace::work
