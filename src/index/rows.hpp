// The index's rows in the database: what is written, one bounded command at a time.
#pragma once

#include "base/error.hpp"
#include "index/index.hpp"
#include "store/connection.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace millrace::index {

/// Rows that one command writes or removes at most: no command may hold the one writer for long.
inline constexpr std::size_t kRowsPerCommand = 64;

/// A row of table `version`.
struct VersionRow {
    std::int64_t id = 0;
    std::string title;
    std::string category;
    std::string model;
    std::optional<std::size_t> chunks;  ///< none: not completely staged
    bool live = false;
};

std::optional<VersionRow> find_version(store::Connection& database, const std::string& document,
                                       std::int64_t generation);

/// A version with its texts and their hashes, as `stage` got them.
struct StageInput {
    DocumentVersion version;
    std::string model;
    std::vector<ChunkText> chunks;
    std::vector<std::string> hashes;
};

struct StageStart {
    std::int64_t version = 0;          ///< row to fill; 0: `done` is the answer already
    Staged done;
    std::vector<std::int64_t> parked;  ///< earlier stagings to be purged
};

/// Makes the row for a staging. A staging of the same generation and content is kept as it is; another is
/// parked, its vectors still there for reuse. conflict: a newer generation is live.
Result<StageStart> begin_stage(store::Connection& database, const StageInput& input);

/// Inserts passages `first` to `last` (exclusive) with their words, and vectors where known; adds those
/// without one to `missing`. With the last passage the version is complete. conflict: parked or removed
/// meanwhile.
Result<std::vector<std::uint32_t>> stage_rows(store::Connection& database, const StageInput& input,
                                              std::int64_t version, std::size_t first, std::size_t last);

Result<std::vector<Index::StagedText>> staged_rows(store::Connection& database, const std::string& document,
                                                   std::int64_t generation,
                                                   std::span<const std::uint32_t> ordinals);

/// For each of `hashes` whether a passage of that text was embedded by `model`.
std::vector<bool> remembered_rows(store::Connection& database, const std::string& model,
                                  std::span<const std::string> hashes);
std::vector<Index::Unembedded> unembedded_rows(store::Connection& database);

using OrdinalVectors = std::vector<std::pair<std::uint32_t, std::vector<float>>>;

/// Stores `vectors` where a passage has none; answers how many are still missing. not_found: generation or
/// ordinal.
Result<std::size_t> put_vector_rows(store::Connection& database, const std::string& document,
                                    std::int64_t generation,
                                    std::span<const OrdinalVectors::value_type> vectors);

/// What a change of the live version did.
struct Published {
    std::size_t chunks = 0;                ///< of the version that is live now
    bool unchanged = false;                ///< nothing was to be done
    std::vector<std::int64_t> superseded;  ///< versions to be purged
    bool was_live = false;                 ///< one of them was live, with
    std::size_t live_chunks_removed = 0;   ///< so many passages
};

/// Makes `version.id`/`generation` live in place of what is, in state `stamp`. Refuses (conflict) where a
/// newer one is live, the staging is incomplete, vectors are missing or its row isn't `expected` any more;
/// not_found: it is gone.
Result<Published> publish_rows(store::Connection& database, const DocumentVersion& version,
                               std::int64_t expected, std::uint64_t stamp);

/// Makes every version of `document` unseen in state `stamp` and parks it.
Published unpublish_rows(store::Connection& database, const std::string& document, std::uint64_t stamp);

/// Parks the version if it is not live; answers its row or 0.
std::int64_t park(store::Connection& database, const std::string& document, std::int64_t generation);

/// Removes up to kRowsPerCommand passages of a version that is not live, and in the end its row. True when
/// none is left.
bool purge_rows(store::Connection& database, std::int64_t version);

/// A version that search doesn't see.
struct Unpublished {
    std::int64_t id = 0;
    std::string document;
    std::int64_t generation = 0;  ///< negative: parked
    std::int64_t live = 0;        ///< generation of the document that search sees; 0: none
};
std::vector<Unpublished> unpublished(store::Connection& database);
/// True if nobody will ever publish `version`: parked, older than the live one, superseded, or of a document
/// that is gone. `state` is where documents are.
bool is_orphan(store::Connection& state, const Unpublished& version);

}  // namespace millrace::index
