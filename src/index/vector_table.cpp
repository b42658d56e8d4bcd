#include "index/vector_table.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace millrace::index {

VectorBlock::VectorBlock(std::size_t stride)
    : stride_(stride), memory_(new std::int8_t[kRows * stride + kRowAlignment]) {
    void* start = memory_.get();
    std::size_t space = kRows * stride + kRowAlignment;
    rows_ = static_cast<std::int8_t*>(std::align(kRowAlignment, kRows * stride, start, space));
    for (auto& version : versions) version = nullptr;
}

void QuantizedRows::add(std::int64_t chunk, std::span<const float> vector) {
    if (chunks.empty()) dimensions = vector.size();
    if (vector.size() != dimensions) return;
    const std::size_t start = bytes.size();
    bytes.resize(start + padded(vector.size()));
    chunks.push_back(chunk);
    scales.push_back(quantize(vector, bytes.data() + start));
}

Slot VectorTable::add(const QuantizedRows& rows, std::size_t at, const VersionState* version) {
    Slot slot = 0;
    if (!unused_.empty()) {
        slot = unused_.back();
        unused_.pop_back();
    } else {
        slot = static_cast<Slot>(slots_.size());
        slots_.push_back(0);
        if (slot % VectorBlock::kRows == 0) blocks_.push_back(std::make_shared<VectorBlock>(stride()));
    }
    VectorBlock& target = block(slot);
    const std::size_t place = slot % VectorBlock::kRows;
    assert(target.versions[place] == nullptr);
    std::memcpy(target.row(place), rows.bytes.data() + at * stride(), stride());
    target.chunks[place] = rows.chunks[at];
    target.scales[place] = rows.scales[at];
    target.versions[place] = version;
    slots_[slot] = 0;
    if (graph_number_ != 0) waiting_.push_back(slot);
    return slot;
}

void VectorTable::free(Slot slot) {
    block(slot).versions[slot % VectorBlock::kRows] = nullptr;
    (slots_[slot] == 0 ? unused_ : stranded_).push_back(slot);
}

std::size_t VectorTable::bytes() const noexcept {
    const std::size_t links = graph_ ? graph_->bytes() : 0;
    return blocks_.size() * (sizeof(VectorBlock) + VectorBlock::kRows * stride()) + links;
}

void VectorTable::begin_graph() {
    ++graph_number_;
    waiting_.clear();
    for (Slot slot = static_cast<Slot>(slots_.size()); slot-- > 0;) {
        if (in_use(slot)) waiting_.push_back(slot);
    }
}

std::vector<GraphRow> VectorTable::graph_rows(std::size_t count) {
    std::vector<GraphRow> rows;
    while (rows.size() < count && !waiting_.empty()) {
        const Slot slot = waiting_.back();
        waiting_.pop_back();
        if (!in_use(slot) || slots_[slot] == graph_number_) continue;
        slots_[slot] = graph_number_;
        rows.push_back({slot, blocks_[slot / VectorBlock::kRows]});
    }
    return rows;
}

void VectorTable::forget_earlier_graphs() {
    std::erase_if(stranded_, [this](Slot slot) {
        if (slots_[slot] == graph_number_) return false;
        slots_[slot] = 0;
        unused_.push_back(slot);
        return true;
    });
}

namespace {

/// Keeps the best `limit` candidates seen: a heap with the worst of them at its front.
class Best {
  public:
    explicit Best(std::size_t limit) : limit_(limit) { heap_.reserve(limit); }

    void offer(const Candidate& candidate) {
        if (heap_.size() == limit_) {
            if (limit_ == 0 || !ranks_before(candidate, heap_.front())) return;
            std::pop_heap(heap_.begin(), heap_.end(), ranks_before);
            heap_.pop_back();
        }
        heap_.push_back(candidate);
        std::push_heap(heap_.begin(), heap_.end(), ranks_before);
    }

    std::vector<Candidate> take() {
        std::sort_heap(heap_.begin(), heap_.end(), ranks_before);
        return std::move(heap_);
    }

  private:
    std::size_t limit_;
    std::vector<Candidate> heap_;
};

/// The query's vector as an aligned row of 8-bit numbers.
class Needle {
  public:
    explicit Needle(std::span<const float> vector) : memory_(padded(vector.size()) + kRowAlignment) {
        void* start = memory_.data();
        std::size_t space = memory_.size();
        row_ = static_cast<std::int8_t*>(std::align(kRowAlignment, padded(vector.size()), start, space));
        scale_ = quantize(vector, row_);
    }
    Needle(const Needle&) = delete;

    const std::int8_t* row() const { return row_; }
    float scale() const { return scale_; }

  private:
    std::vector<std::int8_t> memory_;
    std::int8_t* row_;
    float scale_;
};

bool wanted(const VersionState* version, const VectorQuery& query) {
    return version != nullptr && version->visible(query.state) &&
           (query.category == kAnyCategory || version->category == query.category);
}

}  // namespace

std::vector<Candidate> scan(const TableView& view, const VectorQuery& query, std::size_t first,
                            std::size_t last, const Graph* except, const Kernel& kernel) {
    const Needle needle(query.vector);
    const std::size_t stride = padded(view.dimensions);
    Best best(std::min(query.count, view.rows));
    const VersionState* known = nullptr;
    bool seen = false;
    for (std::size_t at = first; at < std::min(last, view.blocks.size()); ++at) {
        const VectorBlock& block = *view.blocks[at];
        const std::size_t start = at * VectorBlock::kRows;
        const std::size_t rows = std::min(VectorBlock::kRows, view.rows - start);
        for (std::size_t row = 0; row < rows; ++row) {
            if (except != nullptr && except->contains(static_cast<Slot>(start + row))) continue;
            const VersionState* version = block.versions[row].load(std::memory_order_acquire);
            if (version != known) seen = wanted(version, query);
            known = version;
            if (!seen) continue;
            const auto dot = static_cast<float>(kernel.dot(needle.row(), block.row(row), stride));
            best.offer({block.chunks[row], version->id, dot * needle.scale() * block.scales[row]});
        }
    }
    return best.take();
}

std::optional<std::vector<Candidate>> scan_graph(const TableView& view, const VectorQuery& query,
                                                 std::size_t effort) {
    const Needle needle(query.vector);
    const std::size_t stride = padded(view.dimensions);
    const auto held = view.graph->hold();
    std::vector<std::vector<Candidate>> parts;
    parts.push_back(scan(view, query, 0, view.blocks.size(), view.graph.get()));
    const std::vector<Slot> near =
        view.graph->nearest(needle.row(), needle.scale(), std::max(effort, query.count));
    std::vector<Candidate>& found = parts.emplace_back();
    for (const Slot slot : near) {
        // A row that came into the graph after the view was made was published after the query's state.
        if (slot >= view.rows) continue;
        const VectorBlock& block = *view.blocks[slot / VectorBlock::kRows];
        const std::size_t row = slot % VectorBlock::kRows;
        const VersionState* version = block.versions[row].load(std::memory_order_acquire);
        if (!wanted(version, query)) continue;
        const auto dot = static_cast<float>(best_kernel().dot(needle.row(), block.row(row), stride));
        found.push_back({block.chunks[row], version->id, dot * needle.scale() * block.scales[row]});
    }
    if (found.size() < query.count && near.size() >= std::max(effort, query.count)) return std::nullopt;
    return merge(std::move(parts), query.count);
}

std::vector<Candidate> merge(std::vector<std::vector<Candidate>> parts, std::size_t count) {
    Best best(count);
    for (const auto& part : parts) {
        for (const Candidate& candidate : part) best.offer(candidate);
    }
    return best.take();
}

}  // namespace millrace::index
