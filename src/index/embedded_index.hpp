// The index inside the server's own database: FTS5 for words, vectors scanned in memory.
#pragma once

#include "base/async.hpp"
#include "index/index.hpp"
#include "store/database.hpp"

#include <memory>

namespace millrace::index {

struct EmbeddedIndexOptions {
    /// Threads of the pool that one search may use at once; 0: as many as the machine has cores, less one.
    unsigned scan_threads = 0;
    /// Vectors of one model from which on a graph (HNSW) is built beside them, in the background. Below it
    /// they are scanned, which is exact and fast enough; docs/search.md has the measured times.
    std::size_t graph_rows_min = 200'000;
    /// The database of documents, and of what `publish` and `remove` write along with theirs, if it is
    /// another one than the index's. Then it can't be one transaction: such rows are written after the
    /// index's own.
    store::Database* state = nullptr;
};

/// Removes what a crash left half done and loads the live vectors: about 1 KiB of memory for a vector of
/// 1,024 numbers. `database` and `pool` must outlive the index. Throws MachineError where the database fails.
asio::awaitable<Result<std::unique_ptr<Index>>> make_embedded_index(store::Database& database, CpuPool& pool,
                                                                    EmbeddedIndexOptions options = {});

}  // namespace millrace::index
