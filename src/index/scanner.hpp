// Looks up vectors on the threads of the CPU pool.
#pragma once

#include "base/async.hpp"
#include "index/vector_tables.hpp"

#include <memory>
#include <vector>

namespace millrace::index {

/// For the I/O thread.
class Scanner {
  public:
    /// Up to `threads` threads of `pool` scan at once for one search (0: the machine's cores, less one).
    Scanner(CpuPool& pool, asio::any_io_executor executor, unsigned threads);

    /// The best rows by 8-bit scores, best first.
    asio::awaitable<std::vector<Candidate>> find(ScanPlan plan);

  private:
    asio::awaitable<std::vector<Candidate>> scan_all(std::shared_ptr<const ScanPlan> plan);

    CpuPool& pool_;
    asio::any_io_executor executor_;
    std::size_t threads_;
};

}  // namespace millrace::index
