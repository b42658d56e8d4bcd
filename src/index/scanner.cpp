#include "index/scanner.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>
#include <thread>

namespace millrace::index {

namespace {

// Below this a second thread costs more than it saves: 16 blocks of 1,024 numbers take about 2 ms.
constexpr std::size_t kBlocksPerThreadMin = 16;

/// What the parts of one scan share; the last one to end keeps it alive.
struct Parts {
    explicit Parts(const asio::any_io_executor& executor) : ended(executor) {}

    Signal ended;
    std::size_t running = 0;
    std::vector<std::vector<Candidate>> found;
    std::exception_ptr failure;
};

}  // namespace

Scanner::Scanner(CpuPool& pool, asio::any_io_executor executor, unsigned threads)
    : pool_(pool),
      executor_(std::move(executor)),
      threads_(threads != 0 ? threads : std::max(2U, std::thread::hardware_concurrency()) - 1) {}

asio::awaitable<std::vector<Candidate>> Scanner::find(ScanPlan plan) {
    const auto shared = std::make_shared<const ScanPlan>(std::move(plan));
    if (shared->view.rows == 0) co_return std::vector<Candidate>();
    if (shared->effort > 0) {
        auto work = [shared] { return scan_graph(shared->view, shared->query, shared->effort); };
        auto found = co_await pool_.run(std::move(work));
        if (found) co_return std::move(*found);
    }
    co_return co_await scan_all(shared);
}

asio::awaitable<std::vector<Candidate>> Scanner::scan_all(std::shared_ptr<const ScanPlan> plan) {
    const std::size_t blocks = plan->view.blocks.size();
    const std::size_t count = std::clamp<std::size_t>(blocks / kBlocksPerThreadMin, 1, threads_);
    auto parts = std::make_shared<Parts>(executor_);
    for (std::size_t part = 0; part < count; ++part) {
        auto work = [plan, first = blocks * part / count, last = blocks * (part + 1) / count] {
            return scan(plan->view, plan->query, first, last);
        };
        auto on_end = [parts](std::exception_ptr failure, std::vector<Candidate> found) {
            if (failure) parts->failure = failure;
            parts->found.push_back(std::move(found));
            --parts->running;
            parts->ended.notify();
        };
        ++parts->running;
        asio::co_spawn(executor_, pool_.run(std::move(work)), std::move(on_end));
    }
    // A caller that is cancelled waits too: what the threads look at must not change under them.
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    while (parts->running > 0) co_await parts->ended.wait();
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (parts->failure) std::rethrow_exception(parts->failure);
    co_return merge(std::move(parts->found), plan->query.count);
}

}  // namespace millrace::index
