#include "index/graph_keeper.hpp"

#include <map>
#include <set>

namespace millrace::index {

namespace {

// A row takes a millisecond or two: this long other work may have to wait.
constexpr std::size_t kRowsPerPiece = 16;

}  // namespace

struct GraphKeeper::Shared {
    CpuPool& pool;
    asio::any_io_executor executor;
    std::shared_ptr<Searches> searches;
    std::size_t rows_min;
    bool closed = false;
    std::set<const VectorTable*> running;
    std::map<const VectorTable*, std::shared_ptr<Graph>> graphs;

    // A quarter of rows that nobody wants costs as much again in memory and time.
    bool wants_graph(const VectorTable& table) const {
        if (!table.has_graph()) return table.size() >= rows_min;
        return table.stranded() * 4 > table.size() + table.stranded() && table.size() > 0;
    }
};

GraphKeeper::GraphKeeper(CpuPool& pool, asio::any_io_executor executor, std::shared_ptr<Searches> searches,
                         std::size_t rows_min)
    : shared_(std::make_shared<Shared>(Shared{pool, std::move(executor), std::move(searches), rows_min})) {}

GraphKeeper::~GraphKeeper() { shared_->closed = true; }

bool GraphKeeper::idle() const noexcept { return shared_->running.empty(); }

void GraphKeeper::look(const std::shared_ptr<VectorTable>& table) {
    if (!table || (!table->has_graph() && !shared_->wants_graph(*table))) return;
    if (!shared_->running.insert(table.get()).second) return;
    spawn(shared_->executor, keep(shared_, table));
}

// Where memory for a graph is wanting, tables are scanned on: slower, but right.
asio::awaitable<void> GraphKeeper::keep(std::shared_ptr<Shared> shared,
                                        std::shared_ptr<VectorTable> table) try {
    std::shared_ptr<Graph> graph = shared->graphs[table.get()];
    bool building = false;
    while (!shared->closed) {
        if (!building && shared->wants_graph(*table)) {
            table->begin_graph();
            graph = std::make_shared<Graph>(table->stride(), table->size() + table->size() / 4);
            building = true;
        }
        auto rows = table->graph_rows(kRowsPerPiece);
        if (rows.empty() && !building) break;
        if (rows.empty()) {
            table->use_graph(graph);
            shared->graphs[table.get()] = graph;
            building = false;
            co_await shared->searches->older_have_ended();
            table->forget_earlier_graphs();
            continue;
        }
        auto work = [graph, rows = std::move(rows)] {
            for (const GraphRow& row : rows) graph->add(row.slot, row.row(), row.scale());
        };
        co_await shared->pool.run(std::move(work));
    }
    shared->running.erase(table.get());
} catch (const std::exception&) {
    // The table stays in `running`: it is not tried again before the next start.
}

}  // namespace millrace::index
