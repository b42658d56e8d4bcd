#include "text/units.hpp"

#include "text/sentences.hpp"
#include "text/utf8.hpp"

#include <unicode/uchar.h>

#include <algorithm>

namespace millrace::text {
namespace {

std::size_t skip_spaces(std::string_view text, std::size_t at) {
    while (at < text.size() && is_ascii_space(text[at])) ++at;
    return at;
}

constexpr std::size_t kTokenBytesMax = 64;

/// True if the character belongs to the one before it: marks, joiners, variation selectors, skin tones.
bool extends(std::uint32_t c) {
    return c == 0x200D || (c >= 0x1F3FB && c <= 0x1F3FF) ||
           (c >= 0x300 && u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_GRAPHEME_EXTEND));
}

/// The last border between characters, as a reader sees them, that is ≤ `at` and > 0; within reason.
std::size_t character_border(std::string_view text, std::size_t at) {
    constexpr std::size_t kBackMax = 64;
    const std::size_t floor = floor_utf8(text, at);
    std::size_t border = floor;
    while (border > 0 && border < text.size() && floor - border < kBackMax) {
        const std::size_t previous = floor_utf8(text, border - 1);
        const bool joined = decode_utf8(text, previous).value == 0x200D;
        if (!joined && !extends(decode_utf8(text, border).value)) return border;
        border = previous;
    }
    return border > 0 && border < text.size() ? floor : border;
}

/// The best place for a cut in `text` that is ≤ `at`, and in its second half if it is not just between
/// characters.
std::size_t good_cut(std::string_view text, std::size_t at) {
    if (at >= text.size()) return text.size();
    const std::string_view head = text.substr(0, at + 1);
    for (const char* const separators : {"\n", " \t"}) {
        const std::size_t found = head.find_last_of(separators);
        if (found != std::string_view::npos && found > at / 2) return found;
    }
    return character_border(text, at);
}

class UnitFinder {
  public:
    UnitFinder(const ExtractedText& document, const ChunkOptions& options)
        : text_(document.text), sections_(document.sections), options_(options) {}

    std::vector<Unit> run() {
        while (skip_spaces(text_, at_) < text_.size()) add_paragraph();
        return std::move(units_);
    }

  private:
    void add_paragraph() {
        const std::size_t start = skip_spaces(text_, at_);
        bool is_heading = false;
        Border border = Border::paragraph;
        while (section_ < sections_.size() && sections_[section_].offset <= start) {
            is_heading = sections_[section_].offset == start;
            border = Border::section;
            ++section_;
        }
        std::size_t end = std::min(text_.find("\n\n", start), text_.size());
        if (section_ < sections_.size()) end = std::min(end, sections_[section_].offset);
        const std::string_view paragraph = std::string_view(text_).substr(0, end);
        while (skip_spaces(paragraph, at_) < end) {
            const std::size_t sentence = skip_spaces(paragraph, at_);
            add_sentence(sentence, sentence_end(paragraph, sentence), border, is_heading);
            border = Border::sentence;
        }
        at_ = std::max(at_, end);
    }

    void add_sentence(std::size_t start, std::size_t end, Border border, bool is_heading) {
        while (end > start + 1 && is_ascii_space(text_[end - 1])) --end;
        std::size_t tokens = count(at_, end);
        // Without the space before it a word can cost a token more.
        if (tokens + 8 > options_.tokens_max) tokens = std::max(tokens, count(start, end));
        while (tokens > options_.tokens_max) {
            const std::string_view rest = std::string_view(text_).substr(start, end - start);
            std::size_t cut = start + fitting_prefix(rest, tokens, options_.tokens_max, options_);
            while (cut > start + 1 && is_ascii_space(text_[cut - 1])) --cut;
            add(start, cut, count(at_, cut), border, is_heading);
            start = skip_spaces(text_, at_);
            if (start >= end) return;
            // How a line end looks from here: the cut was at the best place there is.
            border = text_.find('\n', at_) < start ? Border::line : Border::word;
            tokens -= std::min(tokens, units_.back().tokens);
            if (tokens <= options_.tokens_max) tokens = count(at_, end);
        }
        add(start, end, tokens, border, is_heading);
    }

    void add(std::size_t start, std::size_t end, std::size_t tokens, Border border, bool is_heading) {
        units_.push_back({at_, start, end, tokens, border, is_heading});
        at_ = end;
    }
    std::size_t count(std::size_t begin, std::size_t end) const {
        return options_.count_tokens(std::string_view(text_).substr(begin, end - begin));
    }

    const std::string& text_;
    const std::vector<Section>& sections_;
    const ChunkOptions& options_;
    std::size_t at_ = 0;
    std::size_t section_ = 0;
    std::vector<Unit> units_;
};

}  // namespace

std::size_t fitting_prefix(std::string_view text, std::size_t tokens, std::size_t tokens_max,
                           const ChunkOptions& options) {
    std::size_t length =
        std::max<std::size_t>(text.size() / std::max<std::size_t>(tokens, 1), 1) * tokens_max;
    // The guess comes from sums that can drift; no prefix that fits is longer than this in practice.
    length = std::min({length, text.size(), tokens_max * kTokenBytesMax});
    const std::size_t one =
        character_border(text, std::min<std::size_t>(decode_utf8(text, 0).length, text.size()));
    for (;;) {
        const std::size_t cut = std::max(good_cut(text, length), one);
        const std::size_t found = options.count_tokens(text.substr(0, cut));
        if (found <= tokens_max || cut <= one) return cut;
        length = std::min(cut - 1, cut * tokens_max / found);
    }
}

std::size_t fitting_suffix(std::string_view text, std::size_t tokens, std::size_t tokens_max,
                           const ChunkOptions& options) {
    std::size_t length = std::min(text.size() * tokens_max / std::max<std::size_t>(tokens, 1), text.size());
    while (length > 0) {
        const std::size_t space = text.find_first_of(" \n\t", text.size() - length);
        if (space == std::string_view::npos) break;
        const std::size_t begin = skip_spaces(text, space);
        if (begin >= text.size()) break;
        const std::size_t found = options.count_tokens(text.substr(begin));
        if (found <= tokens_max) return begin;
        length = std::min(text.size() - begin - 1, (text.size() - begin) * tokens_max / found);
    }
    return text.size();
}

std::vector<Unit> find_units(const ExtractedText& document, const ChunkOptions& options) {
    return UnitFinder(document, options).run();
}

}  // namespace millrace::text
