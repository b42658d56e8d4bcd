// Builds graphs beside large tables, in the background and a little at a time.
#pragma once

#include "base/async.hpp"
#include "index/searches.hpp"
#include "index/vector_table.hpp"

#include <memory>

namespace millrace::index {

/// For the I/O thread. The work is done on the CPU pool, in pieces short enough for others to come between;
/// it ends some time after the keeper is destroyed.
class GraphKeeper {
  public:
    /// Tables of at least `rows_min` rows get a graph. `pool` must outlive what runs on it.
    GraphKeeper(CpuPool& pool, asio::any_io_executor executor, std::shared_ptr<Searches> searches,
                std::size_t rows_min);
    ~GraphKeeper();
    GraphKeeper(const GraphKeeper&) = delete;

    /// Rows of `table` came or went: begins what there is to do. Cheap if there is nothing.
    void look(const std::shared_ptr<VectorTable>& table);

    /// True if nothing is being built.
    bool idle() const noexcept;

  private:
    struct Shared;
    static asio::awaitable<void> keep(std::shared_ptr<Shared> shared, std::shared_ptr<VectorTable> table);

    std::shared_ptr<Shared> shared_;
};

}  // namespace millrace::index
