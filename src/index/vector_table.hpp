// Vectors in memory: rows of 8-bit numbers in fixed blocks, each row part of a version of a document.
#pragma once

#include "index/hnsw.hpp"
#include "index/kernels.hpp"
#include "index/versions.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace millrace::index {

/// A found row; `score` approximates the inner product.
struct Candidate {
    std::int64_t chunk = 0;
    std::int64_t version = 0;
    float score = 0;
};

/// True if `a` goes before `b` in a ranking: by score, then by chunk, so that a result never depends on
/// timing.
constexpr bool ranks_before(const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.chunk < b.chunk;
}

/// Memory for a fixed number of rows.
class VectorBlock {
  public:
    static constexpr std::size_t kRows = 2048;

    explicit VectorBlock(std::size_t stride);

    std::int8_t* row(std::size_t at) noexcept { return rows_ + at * stride_; }
    const std::int8_t* row(std::size_t at) const noexcept { return rows_ + at * stride_; }

    std::array<std::atomic<const VersionState*>, kRows> versions;  ///< null: the row is unused
    std::array<std::int64_t, kRows> chunks;
    std::array<float, kRows> scales;

  private:
    std::size_t stride_;
    std::unique_ptr<std::int8_t[]> memory_;
    std::int8_t* rows_;
};

/// Rows of equal length quantised apart from a table, so that the work can be done on another thread.
struct QuantizedRows {
    std::size_t dimensions = 0;
    std::vector<std::int64_t> chunks;
    std::vector<float> scales;
    std::vector<std::int8_t> bytes;  ///< rows of `padded(dimensions)` bytes

    /// The first vector sets the length; one of another length is left out.
    void add(std::int64_t chunk, std::span<const float> vector);
    std::size_t size() const noexcept { return chunks.size(); }
};

/// The rows of a table at one moment, for a scan on other threads. Keeps the memory alive.
struct TableView {
    std::vector<std::shared_ptr<VectorBlock>> blocks;
    std::size_t rows = 0;
    std::size_t dimensions = 0;
    std::shared_ptr<const Graph> graph;  ///< over most of the rows; null: there is none
};

/// What a scan looks for.
struct VectorQuery {
    std::vector<float> vector;  ///< as long as the table's `dimensions`
    Stamp state = 0;
    std::uint32_t category = kAnyCategory;
    std::size_t count = 0;          ///< candidates wanted at most
};

/// A row on its way into a graph; the block keeps its memory alive.
struct GraphRow {
    Slot slot = 0;
    std::shared_ptr<const VectorBlock> block;

    const std::int8_t* row() const { return block->row(slot % VectorBlock::kRows); }
    float scale() const { return block->scales[slot % VectorBlock::kRows]; }
};

/// The vectors of one model. For the I/O thread; views are scanned on any thread meanwhile.
///
/// A large table has a graph, built beside it from `graph_rows`. Rows that are not in it yet are scanned;
/// rows that are gone stay in it, and so in memory, until it is built anew.
class VectorTable {
  public:
    explicit VectorTable(std::size_t dimensions) : dimensions_(dimensions) {}

    std::size_t dimensions() const noexcept { return dimensions_; }
    std::size_t stride() const noexcept { return padded(dimensions_); }

    /// Adds row `at` of `rows`; a search sees it when it sees `version`.
    Slot add(const QuantizedRows& rows, std::size_t at, const VersionState* version);
    /// Gives the slot back. No search that sees it runs any more.
    void free(Slot slot);

    TableView view() const { return {blocks_, slots_.size(), dimensions_, graph_}; }

    /// Rows in use.
    std::size_t size() const noexcept { return slots_.size() - unused_.size() - stranded_.size(); }
    /// Rows that are gone but still in a graph.
    std::size_t stranded() const noexcept { return stranded_.size(); }
    bool has_graph() const noexcept { return graph_ != nullptr; }
    /// Memory held, in bytes.
    std::size_t bytes() const noexcept;

    /// From now on `graph_rows` hands out every row in use.
    void begin_graph();
    /// Up to `count` rows for the graph that is built, or for the one in use. Empty: all are in it.
    std::vector<GraphRow> graph_rows(std::size_t count);
    /// Searches that start from now on use `graph`, which holds all rows handed out since `begin_graph`.
    void use_graph(std::shared_ptr<const Graph> graph) { graph_ = std::move(graph); }
    /// Rows that only an earlier graph held can be used again. No search that uses that graph runs any more.
    void forget_earlier_graphs();

  private:
    VectorBlock& block(Slot slot) noexcept { return *blocks_[slot / VectorBlock::kRows]; }
    bool in_use(Slot slot) noexcept { return block(slot).versions[slot % VectorBlock::kRows] != nullptr; }

    std::size_t dimensions_;
    std::vector<std::shared_ptr<VectorBlock>> blocks_;
    std::vector<std::uint32_t>
        slots_;  ///< of each row ever used: the last graph that it was handed to, 0 for none
    std::vector<Slot> unused_;
    std::vector<Slot> stranded_;
    std::shared_ptr<const Graph> graph_;
    std::uint32_t graph_number_ = 0;  ///< of the newest graph; 0: none was begun
    std::vector<Slot> waiting_;  ///< rows for that graph
};

/// The best rows of blocks `first` to `last` (exclusive) of `view`, best first. Those in `except` are left
/// out: it must be held.
std::vector<Candidate> scan(const TableView& view, const VectorQuery& query, std::size_t first,
                            std::size_t last, const Graph* except = nullptr,
                            const Kernel& kernel = best_kernel());

/// About the best rows of `view`, which has a graph, best first: looks up `effort` rows of it (at least
/// query.count). Nothing if so many of them are not to be seen that the answer would be shorter than it
/// should: scan then.
std::optional<std::vector<Candidate>> scan_graph(const TableView& view, const VectorQuery& query,
                                                 std::size_t effort);

/// The best `count` of several rankings, best first.
std::vector<Candidate> merge(std::vector<std::vector<Candidate>> parts, std::size_t count);

}  // namespace millrace::index
