#include "text/merge.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace millrace::text {
namespace {

/// Up to this length looking at every pair for each merge is faster than a heap.
constexpr std::size_t kShortPiece = 96;
constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();

std::uint8_t byte_of(std::string_view piece, std::size_t at) { return static_cast<std::uint8_t>(piece[at]); }

/// `parts[i].end` is where part i begins here, and its rank is that of parts i and i + 1 together.
void merge_short(const RankTable& table, std::string_view piece, MergeBuffers& buffers) {
    auto& parts = buffers.parts;
    const auto size = static_cast<std::uint32_t>(piece.size());
    parts.clear();
    for (std::uint32_t i = 0; i < size; ++i) {
        const bool last = i + 1 == size;
        parts.push_back(
            {last ? RankTable::kNone : table.pair_rank(byte_of(piece, i), byte_of(piece, i + 1)), i});
    }
    parts.push_back({RankTable::kNone, size});
    const auto rank_of = [&](std::size_t first, std::size_t behind) {
        if (behind >= parts.size()) return RankTable::kNone;
        return table.find(piece.substr(parts[first].end, parts[behind].end - parts[first].end));
    };
    for (;;) {
        const auto best = std::min_element(parts.begin(), parts.end(),
                                           [](const Token& a, const Token& b) { return a.rank < b.rank; });
        if (best->rank == RankTable::kNone) break;
        const auto at = static_cast<std::size_t>(best - parts.begin());
        parts[at].rank = rank_of(at, at + 3);
        if (at > 0) parts[at - 1].rank = rank_of(at - 1, at + 2);
        parts.erase(best + 1);
    }
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        const std::string_view token = piece.substr(parts[i].end, parts[i + 1].end - parts[i].end);
        buffers.tokens.push_back({table.find(token), parts[i + 1].end});
    }
}

/// A linked list of parts and a heap of the pairs that could be merged. A pair whose parts have changed since
/// is told by its end, and skipped.
class LongMerge {
  public:
    LongMerge(const RankTable& table, std::string_view piece, MergeBuffers& buffers)
        : table_(table), piece_(piece), nodes_(buffers.nodes), heap_(buffers.heap) {}

    void run(std::vector<Token>& tokens) {
        start();
        while (!heap_.empty()) {
            std::pop_heap(heap_.begin(), heap_.end(), comes_later);
            const auto candidate = heap_.back();
            heap_.pop_back();
            if (is_current(candidate)) merge(candidate.left);
        }
        for (std::uint32_t at = 0; at != kEnd; at = nodes_[at].next) {
            const std::uint32_t end = end_of(at);
            tokens.push_back({table_.find(piece_.substr(at, end - at)), end});
        }
    }

  private:
    using Candidate = MergeBuffers::Candidate;

    static bool comes_later(const Candidate& a, const Candidate& b) {
        return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
    }
    /// A part is named by where it begins.
    std::uint32_t end_of(std::uint32_t at) const {
        const std::uint32_t next = nodes_[at].next;
        return next == kEnd ? static_cast<std::uint32_t>(piece_.size()) : next;
    }
    bool is_current(const Candidate& candidate) const {
        const auto& node = nodes_[candidate.left];
        return node.begin != kEnd && node.next != kEnd && end_of(node.next) == candidate.end;
    }
    void start() {
        const auto size = static_cast<std::uint32_t>(piece_.size());
        nodes_.resize(size);
        heap_.clear();
        for (std::uint32_t i = 0; i < size; ++i) {
            nodes_[i] = {i, i + 1 < size ? i + 1 : kEnd, i > 0 ? i - 1 : kEnd};
            if (i + 1 == size) break;
            const std::uint32_t rank = table_.pair_rank(byte_of(piece_, i), byte_of(piece_, i + 1));
            if (rank != RankTable::kNone) heap_.push_back({rank, i, i + 2});
        }
        std::make_heap(heap_.begin(), heap_.end(), comes_later);
    }
    void offer(std::uint32_t left) {
        const std::uint32_t right = nodes_[left].next;
        if (right == kEnd) return;
        const std::uint32_t end = end_of(right);
        const std::uint32_t rank = table_.find(piece_.substr(left, end - left));
        if (rank == RankTable::kNone) return;
        heap_.push_back({rank, left, end});
        std::push_heap(heap_.begin(), heap_.end(), comes_later);
    }
    void merge(std::uint32_t left) {
        const std::uint32_t right = nodes_[left].next;
        const std::uint32_t next = nodes_[right].next;
        nodes_[left].next = next;
        if (next != kEnd) nodes_[next].previous = left;
        nodes_[right].begin = kEnd;  // gone
        offer(left);
        if (nodes_[left].previous != kEnd) offer(nodes_[left].previous);
    }

    const RankTable& table_;
    std::string_view piece_;
    std::vector<MergeBuffers::Node>& nodes_;
    std::vector<Candidate>& heap_;
};

}  // namespace

void merge_piece(const RankTable& table, std::string_view piece, MergeBuffers& buffers) {
    assert(!piece.empty() && piece.size() < kEnd);
    buffers.tokens.clear();
    const auto size = static_cast<std::uint32_t>(piece.size());
    if (size == 1) {
        buffers.tokens.push_back({table.byte_rank(byte_of(piece, 0)), 1});
        return;
    }
    if (const std::uint32_t rank = table.find(piece); rank != RankTable::kNone) {
        buffers.tokens.push_back({rank, size});
    } else if (size <= kShortPiece) {
        merge_short(table, piece, buffers);
    } else {
        LongMerge(table, piece, buffers).run(buffers.tokens);
    }
}

}  // namespace millrace::text
