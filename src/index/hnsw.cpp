#include "index/hnsw.hpp"

#include "index/kernels.hpp"

// Its prefetches read one link past the end of a list, and would fetch references, not rows.
#define NO_MANUAL_VECTORIZATION
#include <hnswlib/hnswlib.h>

#include <cstring>

namespace millrace::index {

namespace {

// Links of a row, and rows looked at while it is linked: hnswlib's usual choice, with recall near that of a
// scan.
constexpr std::size_t kLinks = 16;
constexpr std::size_t kEffort = 200;
constexpr std::size_t kSearchEffortMin = 128;
constexpr std::size_t kLevelSeed = 100;

/// What hnswlib stores in place of a row. It does not align it.
struct RowReference {
    const std::int8_t* row;
    float scale;
};

struct Measure {
    DotFunction dot;
    std::size_t stride;
};

float distance(const void* left, const void* right, const void* measure) {
    RowReference a;
    RowReference b;
    std::memcpy(&a, left, sizeof a);
    std::memcpy(&b, right, sizeof b);
    const auto* with = static_cast<const Measure*>(measure);
    return -static_cast<float>(with->dot(a.row, b.row, with->stride)) * a.scale * b.scale;
}

class Space final : public hnswlib::SpaceInterface<float> {
  public:
    explicit Space(std::size_t stride) : measure_{best_kernel().dot, stride} {}
    std::size_t get_data_size() override { return sizeof(RowReference); }
    hnswlib::DISTFUNC<float> get_dist_func() override { return distance; }
    void* get_dist_func_param() override { return &measure_; }

  private:
    Measure measure_;
};

}  // namespace

struct Graph::Links {
    Links(std::size_t stride, std::size_t capacity)
        : space(stride), graph(&space, capacity, kLinks, kEffort, kLevelSeed) {
        graph.setEf(kSearchEffortMin);
    }

    Space space;
    hnswlib::HierarchicalNSW<float> graph;
};

Graph::Graph(std::size_t stride, std::size_t capacity)
    : links_(std::make_unique<Links>(stride, std::max<std::size_t>(capacity, 1))) {}

Graph::~Graph() = default;

void Graph::add(Slot slot, const std::int8_t* row, float scale) {
    const std::scoped_lock guard(mutex_);
    auto& graph = links_->graph;
    if (graph.cur_element_count == graph.max_elements_) graph.resizeIndex(graph.max_elements_ * 3 / 2 + 1);
    const RowReference reference{row, scale};
    graph.addPoint(&reference, slot);
    if (slots_.size() <= slot) slots_.resize(slot + 1);
    slots_[slot] = 1;
}

std::vector<Slot> Graph::nearest(const std::int8_t* row, float scale, std::size_t count) const {
    const RowReference reference{row, scale};
    auto found = links_->graph.searchKnn(&reference, count);
    std::vector<Slot> slots;
    slots.reserve(found.size());
    for (; !found.empty(); found.pop()) slots.push_back(static_cast<Slot>(found.top().second));
    return slots;
}

std::size_t Graph::size() const {
    const auto held = hold();
    return links_->graph.cur_element_count;
}

std::size_t Graph::bytes() const {
    const auto held = hold();
    const auto& graph = links_->graph;
    // A row in sixteen has links on a higher level; each row has a mutex, a level and a place in the label
    // table.
    const std::size_t each = graph.size_data_per_element_ + graph.size_links_per_element_ / kLinks +
                             sizeof(std::mutex) + sizeof(int) + sizeof(void*) + 40;
    return graph.max_elements_ * each + slots_.size();
}

}  // namespace millrace::index
