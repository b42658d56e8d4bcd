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
    const std::size_t stride = padded(dimensions_);
    Slot slot = 0;
    if (!unused_.empty()) {
        slot = unused_.back();
        unused_.pop_back();
    } else {
        slot = static_cast<Slot>(used_++);
        if (slot % VectorBlock::kRows == 0) blocks_.push_back(std::make_shared<VectorBlock>(stride));
    }
    VectorBlock& target = block(slot);
    const std::size_t place = slot % VectorBlock::kRows;
    assert(target.versions[place] == nullptr);
    std::memcpy(target.row(place), rows.bytes.data() + at * stride, stride);
    target.chunks[place] = rows.chunks[at];
    target.scales[place] = rows.scales[at];
    target.versions[place] = version;
    return slot;
}

void VectorTable::free(Slot slot) {
    block(slot).versions[slot % VectorBlock::kRows] = nullptr;
    unused_.push_back(slot);
}

std::size_t VectorTable::bytes() const noexcept {
    return blocks_.size() * (sizeof(VectorBlock) + VectorBlock::kRows * padded(dimensions_));
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

}  // namespace

std::vector<Candidate> scan(const TableView& view, const VectorQuery& query, std::size_t first, std::size_t last,
                            const Kernel& kernel) {
    const std::size_t stride = padded(view.dimensions);
    std::vector<std::int8_t> memory(stride + kRowAlignment);
    void* start = memory.data();
    std::size_t space = memory.size();
    auto* needle = static_cast<std::int8_t*>(std::align(kRowAlignment, stride, start, space));
    const float scale = quantize(query.vector, needle);

    Best best(std::min(query.count, view.rows));
    const VersionState* known = nullptr;
    bool seen = false;
    for (std::size_t at = first; at < std::min(last, view.blocks.size()); ++at) {
        const VectorBlock& block = *view.blocks[at];
        const std::size_t rows = std::min(VectorBlock::kRows, view.rows - at * VectorBlock::kRows);
        for (std::size_t row = 0; row < rows; ++row) {
            const VersionState* version = block.versions[row].load(std::memory_order_acquire);
            if (version != known) {
                known = version;
                seen = version != nullptr && version->visible(query.state) &&
                       (query.category == kAnyCategory || version->category == query.category);
            }
            if (!seen) continue;
            const auto dot = static_cast<float>(kernel.dot(needle, block.row(row), stride));
            best.offer({block.chunks[row], version->id, dot * scale * block.scales[row]});
        }
    }
    return best.take();
}

std::vector<Candidate> merge(std::vector<std::vector<Candidate>> parts, std::size_t count) {
    Best best(count);
    for (const auto& part : parts) {
        for (const Candidate& candidate : part) best.offer(candidate);
    }
    return best.take();
}

}  // namespace millrace::index
