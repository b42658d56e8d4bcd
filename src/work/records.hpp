// The rows of documents and operations: what was accepted and how far it is. Functions on a connection run on
// a database thread, inside somebody's transaction.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "store/connection.hpp"

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::work {

/// Life of a document's newest version, and of an operation. The words are stored and sent: do not change
/// them.
enum class Status { accepted, running, succeeded, failed };
std::string_view to_string(Status status) noexcept;
std::optional<Status> parse_status(std::string_view word) noexcept;

/// A document as a caller sees it.
struct DocumentView {
    std::string id;
    std::string title;
    std::string category;
    std::string metadata;  ///< JSON object
    std::string uploaded_at;  ///< as the sender gave it
    Status status = Status::accepted;
    std::int64_t generation = 0;  ///< newest accepted version
    std::int64_t live = 0;  ///< version that search sees; 0: none
    std::int64_t chunks = 0;  ///< of the live version
    std::string error;  ///< "Reason: description" when failed
    std::string operation;  ///< operation of the newest version
    TimePoint created_at{};
    TimePoint updated_at{};
};

/// An operation as a caller sees it.
struct OperationView {
    std::string id;
    std::string kind;  ///< document, task, batch
    std::string subject;  ///< document id
    std::int64_t generation = 0;
    Status status = Status::accepted;
    std::string stage;  ///< extract, chunk, embed, index, metadata, ready
    std::int64_t done = 0;  ///< chunks embedded, of `total`
    std::int64_t total = 0;
    std::string wait_reason;
    std::string attempts;  ///< JSON array of {at, stage, error}, oldest first
    std::string result;  ///< JSON or empty
    std::string error;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    TimePoint created_at{};
    TimePoint updated_at{};

    bool ended() const noexcept { return status == Status::succeeded || status == Status::failed; }
};

/// One version of one document: what every step of the pipeline is about.
struct VersionRef {
    std::string document;
    std::int64_t generation = 0;
};

/// Message property of the pipeline: the version's generation; its document is the subject.
inline constexpr char kGenerationProperty[] = "millrace-generation";

/// Branches of the pipeline that must both end before a document is ready. Stored as bits.
enum class Part : int { indexed = 1, metadata = 2 };
inline constexpr int kAllParts = 3;

/// How many entries of an operation's attempt history are kept.
inline constexpr int kAttemptsMax = 50;

namespace records {

std::optional<DocumentView> find_document(store::Connection& connection, std::string_view id);
std::optional<OperationView> find_operation(store::Connection& connection, std::string_view id);

/// Makes rows for a version that came through a queue instead of the door, unless this or a newer one is
/// known.
void adopt(store::Connection& connection, const VersionRef& version, std::string_view title,
           std::string_view category, std::string_view uploaded_at, TimePoint now);

/// True if `version` is still the newest of its document: work for any other version is dropped.
bool is_newest(store::Connection& connection, const VersionRef& version);

/// Document and generation of every version that was accepted and has neither succeeded nor failed. One
/// query.
std::set<std::pair<std::string, std::int64_t>> under_way(store::Connection& connection);

/// Notes that `version` has reached `stage`; running from now on. Nothing if it is not the newest or has
/// ended.
void set_stage(store::Connection& connection, const VersionRef& version, std::string_view stage,
               TimePoint now);

/// A dead letter of a failed version was sent on its way again: it is running again.
void revive(store::Connection& connection, const VersionRef& version, TimePoint now);

/// Notes `done` of `total` chunks.
void set_progress(store::Connection& connection, const VersionRef& version, std::int64_t done,
                  std::int64_t total, TimePoint now);

/// Adds to the tokens that the version has cost.
void add_tokens(store::Connection& connection, const VersionRef& version, std::int64_t prompt,
                std::int64_t completion);

/// Appends a failed attempt to the history and says what the version waits for.
void add_attempt(store::Connection& connection, const VersionRef& version, std::string_view stage,
                 std::string_view error, TimePoint now);

/// Notes that search sees `version`, with as many passages as its operation counted.
void set_live(store::Connection& connection, const VersionRef& version);

/// Gives the document the title that was found in its content, where its sender gave none.
void set_title(store::Connection& connection, const VersionRef& version, std::string_view title);

/// Merges the members of the JSON object `found` into the document's metadata; the sender's own members win.
void merge_metadata(store::Connection& connection, const VersionRef& version, std::string_view found);

/// Notes the end of one branch; true if that made the version ready (both operation and document succeeded).
bool finish_part(store::Connection& connection, const VersionRef& version, Part part, TimePoint now);

/// Ends the version as failed. Nothing if it has succeeded.
void fail(store::Connection& connection, const VersionRef& version, std::string_view stage,
          std::string_view error, TimePoint now);

/// Ends an operation whose version was replaced by a newer one before it was done.
void supersede(store::Connection& connection, const VersionRef& version, TimePoint now);

/// Notes the blobs of a version, and forgets them again; `forget_blobs` answers their names (for
/// `Blobs::remove` after the commit) for all versions up to `version`.
void add_blob(store::Connection& connection, const VersionRef& version, std::string_view name);
std::vector<std::string> forget_blobs(store::Connection& connection, const VersionRef& version);

/// Deletes a document with its operations and blob rows; answers the blob names. An unknown one is no error.
std::vector<std::string> remove_document(store::Connection& connection, std::string_view id);

}  // namespace records
}  // namespace millrace::work
