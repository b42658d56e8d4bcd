// What search reads: passages of documents with their vectors and words.
#pragma once

#include "base/error.hpp"
#include "store/connection.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace::index {

namespace asio = boost::asio;

/// One accepted version of a document. Versions have growing generations; search sees at most one of them.
struct DocumentVersion {
    std::string id;
    std::int64_t generation = 0;
    std::string title;
    std::string category;
};

/// A passage of a document, in document order.
struct ChunkText {
    std::string text;            ///< UTF-8
    std::string heading;         ///< heading path, e.g. "Storage > WAL"
    int page = 0;                ///< from 1; 0: unknown
    std::uint64_t begin = 0;     ///< byte range in the extracted text
    std::uint64_t end = 0;
    std::uint32_t tokens = 0;
};

/// What became of a staged version: which chunks still need a vector.
struct Staged {
    std::size_t total = 0;
    std::vector<std::uint32_t> missing;  ///< ordinals (from 0), ascending
};

enum class Mode { hybrid, vector, keyword };

/// How the two rankings of a hybrid search become one.
enum class Fusion {
    score,  ///< min-max of each ranking's best 100, weighted sum: right for the local model
    rank,   ///< weighted reciprocal rank fusion: right for remote models
};

struct SearchRequest {
    std::string query;            ///< words; used by keyword and hybrid
    std::vector<float> vector;    ///< unit length; used by vector and hybrid
    std::string model;            ///< whose vectors to compare with: `ModelInfo::name` + "/" + dimensions
    std::size_t top = 10;
    Mode mode = Mode::hybrid;
    Fusion fusion = Fusion::score;
    double keyword_weight = 0.7;  ///< the vector ranking has 1 − this
    std::string category;         ///< only documents of it; empty: all
    std::size_t chunks_per_document_max = 0;  ///< 0: no bound
};

struct SearchHit {
    std::string document_id;
    std::uint32_t chunk = 0;
    std::string title;
    std::string category;
    std::string heading;
    int page = 0;
    std::string text;
    double score = 0;
};

struct IndexStats {
    std::uint64_t documents = 0;   ///< live
    std::uint64_t chunks = 0;      ///< live
    std::uint64_t vectors = 0;     ///< live, of the model in use
    std::uint64_t bytes = 0;       ///< memory held for vectors
};

/// More rows for the same transaction, or where these rows are in another database, for one right after it:
/// an error then leaves the index changed, and running it again changes only what is missing. Runs on a
/// writer thread. May be empty.
using AlsoWrite = std::function<Result<void>(store::Connection&)>;

/// Puts versions of documents in and searches them. All calls on the I/O thread; every change is durable when
/// it answers, and running it again changes nothing more.
class Index {
  public:
    virtual ~Index() = default;

    /// Stores the passages of `version`, unseen by search, in place of an earlier staging of the same
    /// generation. A passage whose text was embedded before by `model` takes that vector. conflict: a newer
    /// generation is live.
    virtual asio::awaitable<Result<Staged>> stage(DocumentVersion version, std::string model,
                                                  std::vector<ChunkText> chunks) = 0;

    /// For each of `chunks`, whether `stage` would find a vector of `model` for it. Changes nothing.
    virtual asio::awaitable<std::vector<bool>> remembered(
        std::string model, std::shared_ptr<const std::vector<ChunkText>> chunks) = 0;

    /// A staged version that lacks vectors, and how much text waits for them.
    struct Unembedded {
        std::string document;
        std::int64_t generation = 0;
        std::int64_t chunks = 0;
        std::int64_t tokens = 0;
    };
    /// All of them, failed ones as well. Linear in the chunks that wait.
    virtual asio::awaitable<std::vector<Unembedded>> unembedded() = 0;

    /// The texts of staged chunks, in the order of `ordinals`, and whether each has a vector by now.
    /// not_found: the generation is gone (superseded or removed).
    struct StagedText {
        std::string text;
        bool embedded = false;
    };
    virtual asio::awaitable<Result<std::vector<StagedText>>> staged_texts(
        std::string document, std::int64_t generation, std::vector<std::uint32_t> ordinals) = 0;

    /// Stores vectors of staged chunks; answers how many chunks of the generation still have none. not_found
    /// as above.
    virtual asio::awaitable<Result<std::size_t>> put_vectors(
        std::string document, std::int64_t generation,
        std::vector<std::pair<std::uint32_t, std::vector<float>>> vectors) = 0;

    /// Makes a completely embedded version the one that search sees, whole and at once, and removes older
    /// ones. Answers its number of chunks. conflict: a newer one is live or vectors are missing.
    virtual asio::awaitable<Result<std::size_t>> publish(DocumentVersion version, AlsoWrite with) = 0;

    /// Removes what is staged of a version that is not live: the version failed.
    virtual asio::awaitable<Result<void>> discard(std::string document, std::int64_t generation) = 0;

    /// Removes every trace of the document. An unknown one is no error.
    virtual asio::awaitable<Result<void>> remove(std::string document, AlsoWrite with) = 0;

    /// The best passages, best first, all from one state of the index.
    virtual asio::awaitable<Result<std::vector<SearchHit>>> search(SearchRequest request) = 0;

    virtual IndexStats stats() const = 0;
};

}  // namespace millrace::index
