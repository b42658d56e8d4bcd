#include "text/chunk.hpp"

#include "text/units.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <utility>

namespace millrace::text {
namespace {

/// Units `first` to `behind`, and what is repeated from before the first of them.
struct Range {
    std::size_t first;
    std::size_t behind;
    std::size_t begin;   ///< byte; before the first unit's if there is overlap
    std::size_t tokens;  ///< about
};

/// The part that two heading paths have in common, in whole headings.
std::string common_heading(const std::string& a, const std::string& b) {
    constexpr std::string_view kSeparator = " > ";
    std::size_t same = 0;
    for (std::size_t at = 0; at <= a.size();) {
        const std::size_t end = std::min(a.find(kSeparator, at), a.size());
        const bool whole = b.size() == end || b.substr(std::min(end, b.size())).starts_with(kSeparator);
        if (a.compare(0, end, b, 0, end) != 0 || !whole) break;
        same = end;
        at = end + kSeparator.size();
    }
    return a.substr(0, same);
}

class Splitter {
  public:
    Splitter(const ExtractedText& document, ChunkOptions options)
        : document_(document), options_(std::move(options)), units_(find_units(document, options_)) {}

    std::vector<Chunk> run() {
        for (std::size_t at = 0; at < units_.size();) {
            Range range = with_overlap(at);
            grow(range);
            if (range.behind < units_.size()) move_cut(range);
            emit(range);
            at = range.behind;
        }
        return std::move(chunks_);
    }

  private:
    std::string_view text() const { return document_.text; }
    std::size_t tokens_max() const { return options_.tokens_max; }

    /// A range that begins with unit `at` and, before it, the sentences to repeat.
    Range with_overlap(std::size_t at) {
        const Range plain{at, at, units_[at].start, 0};
        if (at == 0 || options_.overlap_tokens == 0 || units_[at].before == Border::section) return plain;
        Range range = plain;
        const std::size_t room = tokens_max() - std::min(tokens_max(), units_[at].tokens);
        const std::size_t wanted = std::min(options_.overlap_tokens, room);
        const std::size_t floor = previous_begin_;  // the chunk before must not be repeated whole
        for (std::size_t i = at; i > 0 && units_[i].before != Border::section; --i) {
            const Unit& unit = units_[i - 1];
            if (unit.start <= floor || range.tokens + unit.tokens > wanted) break;
            range.begin = unit.start;
            range.tokens += unit.tokens;
        }
        if (range.tokens == 0) repeat_words(range, wanted);
        return range;
    }

    /// The end of a sentence that is too long to be repeated whole.
    void repeat_words(Range& range, std::size_t wanted) const {
        const Unit& unit = units_[range.first - 1];
        const std::string_view sentence = text().substr(unit.start, unit.end - unit.start);
        const std::size_t begin = fitting_suffix(sentence, unit.tokens, wanted, options_);
        if (begin == sentence.size() || unit.start + begin <= previous_begin_) return;
        range.begin = unit.start + begin;
        range.tokens = wanted;
    }

    void grow(Range& range) const {
        for (; range.behind < units_.size(); ++range.behind) {
            const Unit& unit = units_[range.behind];
            const bool is_new = range.behind > range.first;
            if (is_new && unit.before == Border::section && range.tokens >= tokens_max() / 4) break;
            if (is_new && range.tokens + unit.tokens > tokens_max()) break;
            range.tokens += unit.tokens;
        }
    }

    /// The chunk is full at a place that chance has found; a better one in its second half is taken instead.
    /// Headings at its end always go to what follows them.
    void move_cut(Range& range) const {
        std::size_t best = range.behind, kept = range.tokens, best_tokens = range.tokens;
        for (std::size_t i = range.behind; i > range.first + 1; --i) {
            kept -= std::min(kept, units_[i - 1].tokens);
            const bool only_headings_left = units_[i - 1].is_heading && best == i;
            if (kept < tokens_max() / 2 && !only_headings_left) break;
            if (units_[i - 1].before > units_[best].before || only_headings_left) {
                best = i - 1;
                best_tokens = kept;
            }
        }
        range.behind = best;
        range.tokens = best_tokens;
    }

    /// Counts what has only been added up so far, and takes units away in the rare case that it is too much.
    void emit(Range& range) {
        for (;;) {
            const std::size_t end = units_[range.behind - 1].end;
            const std::string_view passage = text().substr(range.begin, end - range.begin);
            const std::size_t tokens = options_.count_tokens(passage);
            if (tokens > tokens_max() && range.begin != units_[range.first].start) {
                range.begin = units_[range.first].start;
            } else if (tokens > tokens_max() && range.behind > range.first + 1) {
                --range.behind;
            } else {
                chunks_.push_back({std::string(passage), range.begin, end, tokens,
                                   heading_of(range.begin, end), page_of(range.begin)});
                previous_begin_ = range.begin;
                return;
            }
        }
    }

    std::string heading_of(std::size_t begin, std::size_t end) {
        const auto& sections = document_.sections;
        const auto is_before = [](std::size_t at, const Section& section) { return at < section.offset; };
        auto section = std::upper_bound(sections.begin(), sections.end(), begin, is_before);
        if (section != sections.begin()) --section;
        if (section == sections.end() || section->offset >= end) return {};
        const std::string& first = section->heading;
        std::string common = first;
        for (++section; section != sections.end() && section->offset < end; ++section) {
            common = common_heading(common, section->heading);
        }
        return common.empty() ? first : common;
    }

    int page_of(std::size_t begin) const {
        const auto& pages = document_.page_offsets;
        return static_cast<int>(std::upper_bound(pages.begin(), pages.end(), begin) - pages.begin());
    }

    const ExtractedText& document_;
    ChunkOptions options_;
    std::vector<Unit> units_;
    std::vector<Chunk> chunks_;
    std::size_t previous_begin_ = 0;
};

}  // namespace

ChunkOptions chunk_options(std::shared_ptr<const TokenCounter> counter, std::size_t tokens_max,
                           std::size_t overlap_tokens) {
    return {tokens_max, overlap_tokens,
            [counter = std::move(counter)](std::string_view text) { return counter->count(text); }};
}

std::vector<Chunk> split(const ExtractedText& document, const ChunkOptions& options) {
    ChunkOptions sound = options;
    sound.tokens_max = std::max(options.tokens_max, kChunkTokensMin);
    sound.overlap_tokens = std::min(options.overlap_tokens, sound.tokens_max / 2);
    return Splitter(document, std::move(sound)).run();
}

}  // namespace millrace::text
