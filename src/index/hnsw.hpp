// A navigable small-world graph over rows of a vector table: finds near rows without looking at all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <vector>

namespace millrace::index {

/// The place of a row in a table.
using Slot = std::uint32_t;

/// HNSW (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
/// Navigable Small World graphs", 2016) by hnswlib, which keeps links only: the rows stay in their table,
/// whose memory must outlive the graph, and are neither changed nor moved while it does. Any thread.
class Graph {
  public:
    /// For rows of `stride` bytes (padded); room for `capacity` of them, and more as they come.
    Graph(std::size_t stride, std::size_t capacity);
    ~Graph();
    Graph(const Graph&) = delete;

    /// Adds the row of `slot`; waits until no reader holds the graph. Costs a millisecond or two.
    void add(Slot slot, const std::int8_t* row, float scale);

    /// While it is held no row comes in. `contains` and `nearest` need it.
    [[nodiscard]] std::shared_lock<std::shared_mutex> hold() const { return std::shared_lock(mutex_); }

    bool contains(Slot slot) const noexcept { return slot < slots_.size() && slots_[slot] != 0; }

    /// About the `count` rows with the greatest products with `row`, in no order.
    std::vector<Slot> nearest(const std::int8_t* row, float scale, std::size_t count) const;

    std::size_t size() const;
    /// Memory held, in bytes, about.
    std::size_t bytes() const;

  private:
    struct Links;

    mutable std::shared_mutex mutex_;
    std::vector<std::uint8_t> slots_;
    std::unique_ptr<Links> links_;
};

}  // namespace millrace::index
