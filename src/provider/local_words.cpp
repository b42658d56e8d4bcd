#include "provider/local_words.hpp"

#include "provider/feature_hash_words.hpp"
#include "provider/local_lexicons.hpp"
#include "text/sentences.hpp"
#include "text/utf8.hpp"

#include <algorithm>

namespace millrace::provider {

namespace {

constexpr std::size_t kSentenceBytesMax = 600;
constexpr std::size_t kBorderBytes = 120;   ///< how far back a border between words is looked for
constexpr std::size_t kPluralBytesMin = 4;
constexpr std::size_t kMonthBytesMax = 16;

/// Where a sentence that has no end is cut: at white space if there is any near, else between characters.
std::size_t cut_of(std::string_view text) {
    const std::size_t space = text.find_last_of(" \t\n\r", kSentenceBytesMax);
    if (space != std::string_view::npos && space + kBorderBytes > kSentenceBytesMax) return space;
    return text::floor_utf8(text, kSentenceBytesMax);
}

void add_sentence(std::vector<Sentence>& sentences, std::string_view text, bool& opens) {
    text = text::trim(text);
    while (text.size() > kSentenceBytesMax) {
        const std::size_t cut = cut_of(text);
        sentences.push_back({text::trim(text.substr(0, cut)), opens});
        opens = false;
        text = text::trim(text.substr(cut));
    }
    if (text.empty()) return;
    sentences.push_back({text, opens});
    opens = false;
}

/// The end of the paragraph that begins at `from`: at the next empty line.
std::size_t paragraph_end(std::string_view text, std::size_t from) {
    for (std::size_t at = text.find('\n', from); at != std::string_view::npos; at = text.find('\n', at + 1)) {
        const std::size_t next = text.find_first_not_of(" \t\r", at + 1);
        if (next == std::string_view::npos || text[next] == '\n') return at;
    }
    return text.size();
}

/// Whether the border between two sentences lies within a date: "am 5. März".
bool cuts_date(std::string_view before, std::string_view after) {
    before = text::trim(before);
    if (before.size() < 2 || !before.ends_with('.')) return false;
    const char digit = before[before.size() - 2];
    after = text::trim(after.substr(0, 2 * kMonthBytesMax));
    std::string word;
    fold_case(after.substr(0, after.find_first_of(" .,\n")), word);
    return digit >= '0' && digit <= '9' && word.size() <= kMonthBytesMax && month_of(word) != 0;
}

std::string_view singular(std::string_view word) {
    const bool plural = word.size() >= kPluralBytesMin && word.ends_with('s') && !word.ends_with("ss") &&
                        !word.ends_with("us") && !word.ends_with("is");
    return plural ? word.substr(0, word.size() - 1) : word;
}

}  // namespace

std::string well_formed(std::string_view text) {
    std::string good;
    good.reserve(text.size());
    while (!text.empty()) {
        const std::size_t bad = std::min(text::find_invalid_utf8(text), text.size());
        good.append(text.substr(0, bad));
        text.remove_prefix(bad);
        if (text.empty()) break;
        good += "\xEF\xBF\xBD";
        text.remove_prefix(1);
    }
    return good;
}

std::string one_spaced(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text::trim(text)) {
        if (!text::is_ascii_space(c))
            out.push_back(c);
        else if (!out.empty() && out.back() != ' ')
            out.push_back(' ');
    }
    return out;
}

std::vector<Sentence> sentences_of(std::string_view text) {
    std::vector<Sentence> sentences;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = paragraph_end(text, begin);
        const std::string_view paragraph = text.substr(begin, end - begin);
        bool opens = true;
        for (std::size_t at = 0; at < paragraph.size();) {
            std::size_t stop = std::max(text::sentence_end(paragraph, at), at + 1);
            while (stop < paragraph.size() &&
                   cuts_date(paragraph.substr(at, stop - at), paragraph.substr(stop)))
                stop = std::max(text::sentence_end(paragraph, stop), stop + 1);
            add_sentence(sentences, paragraph.substr(at, stop - at), opens);
            at = stop;
        }
        begin = end + 1;
    }
    return sentences;
}

void for_each_term(std::string_view text, const std::function<void(std::string_view term)>& visit) {
    std::string folded;
    fold_case(text, folded);
    for_each_word(folded, [&](std::string_view word, bool ideographic) {
        if (!ideographic) {
            if (word.size() > 1 && !is_stop_word(word)) visit(singular(word));
            return;
        }
        std::size_t at = 0;
        for (std::size_t next = text::decode_utf8(word, 0).length; next < word.size();) {
            const std::size_t length = text::decode_utf8(word, next).length;
            visit(word.substr(at, next + length - at));
            at = next;
            next += length;
        }
        if (at == 0) visit(word);
    });
}

}  // namespace millrace::provider
