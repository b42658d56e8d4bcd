// Vectors in memory: rows of 8-bit numbers in fixed blocks, each row part of a version of a document.
#pragma once

#include "index/kernels.hpp"
#include "index/versions.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace millrace::index {

/// The place of a row in a table.
using Slot = std::uint32_t;

/// A found row; `score` approximates the inner product.
struct Candidate {
    std::int64_t chunk = 0;
    std::int64_t version = 0;
    float score = 0;
};

/// True if `a` goes before `b` in a ranking: by score, then by chunk, so that a result never depends on timing.
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
};

/// What a scan looks for.
struct VectorQuery {
    std::span<const float> vector;  ///< as long as the table's `dimensions`
    Stamp state = 0;
    std::uint32_t category = kAnyCategory;
    std::size_t count = 0;          ///< candidates wanted at most
};

/// The vectors of one model. For the I/O thread; views are scanned on any thread meanwhile.
class VectorTable {
  public:
    explicit VectorTable(std::size_t dimensions) : dimensions_(dimensions) {}

    std::size_t dimensions() const noexcept { return dimensions_; }

    /// Adds row `at` of `rows`; a search sees it when it sees `version`.
    Slot add(const QuantizedRows& rows, std::size_t at, const VersionState* version);
    /// Gives the slot back. No search that sees it runs any more.
    void free(Slot slot);

    TableView view() const { return {blocks_, used_, dimensions_}; }

    /// Memory held, in bytes.
    std::size_t bytes() const noexcept;

  private:
    VectorBlock& block(Slot slot) noexcept { return *blocks_[slot / VectorBlock::kRows]; }

    std::size_t dimensions_;
    std::size_t used_ = 0;
    std::vector<std::shared_ptr<VectorBlock>> blocks_;
    std::vector<Slot> unused_;
};

/// The best rows of blocks `first` to `last` (exclusive) of `view`, best first.
std::vector<Candidate> scan(const TableView& view, const VectorQuery& query, std::size_t first, std::size_t last,
                            const Kernel& kernel = best_kernel());

/// The best `count` of several rankings, best first.
std::vector<Candidate> merge(std::vector<std::vector<Candidate>> parts, std::size_t count);

}  // namespace millrace::index
