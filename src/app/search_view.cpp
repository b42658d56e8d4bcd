#include "app/search_view.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <cstdio>
#include <set>
#include <vector>

namespace millrace::app {

namespace json = boost::json;

namespace {

constexpr std::size_t kPassageLines = 3;

bool is_word_byte(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || byte >= 0x80;
}

struct Word {
    std::size_t begin;
    std::size_t end;
};

std::vector<Word> words_of(std::string_view text) {
    std::vector<Word> words;
    for (std::size_t at = 0; at < text.size();) {
        if (!is_word_byte(text[at])) {
            ++at;
            continue;
        }
        const std::size_t begin = at;
        while (at < text.size() && is_word_byte(text[at])) ++at;
        words.push_back({begin, at});
    }
    return words;
}

/// What two forms of a word have in common, roughly: lower case without a usual English ending.
std::string stem(std::string_view word) {
    std::string text(word);
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    for (const std::string_view ending :
         {"ations", "ation", "ings", "ing", "edly", "ies", "ied", "ed", "es", "s", "ly", "e", "y"})
        if (text.size() >= ending.size() + 3 && text.ends_with(ending)) {
            text.erase(text.size() - ending.size());
            break;
        }
    return text;
}

bool is_common(std::string_view stem) {
    static const std::set<std::string_view> words = {
        "a",     "an",  "and", "are",  "as",   "at",  "be",  "by",    "did",  "do",   "for",  "from",
        "has",   "hav", "how", "in",   "is",   "it",  "its", "not",   "of",   "on",   "or",   "our",
        "out",   "th",  "the", "that", "thi",  "to",  "wa",  "was",   "we",   "what", "when", "where",
        "which", "who", "why", "will", "with", "you", "up",  "about", "into", "if",   "no"};
    return words.contains(stem);
}

std::set<std::string> stems_of_query(std::string_view query) {
    std::set<std::string> stems;
    for (const Word& word : words_of(query)) {
        std::string one = stem(query.substr(word.begin, word.end - word.begin));
        if (!is_common(one)) stems.insert(std::move(one));
    }
    return stems;
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

/// A long source is cut before its page, which is the part that a reader can't guess.
std::string source_text(const std::string& source, const std::string& page, std::size_t width, bool utf8) {
    const std::size_t needed = display_width(source + page), room = width - std::min(width, page.size());
    return fit(needed <= width ? source + page : fit(source, room, utf8) + page, width, utf8);
}

std::string hit_text(const json::object& hit, std::size_t place, std::string_view query,
                     const Terminal& terminal) {
    char number[8];
    std::snprintf(number, sizeof number, "%3zu ", place);
    const std::string id = text_of(hit, "documentId");
    std::string title = one_line(text_of(hit, "title"));
    if (title.empty()) title = id;
    const std::string source = title == id ? "" : id;
    std::string page;
    if (const json::value* number = hit.if_contains("page"))
        page = (source.empty() ? "page " : ", page ") + std::to_string(number->to_number<int>());
    char score[16];
    std::snprintf(score, sizeof score, "%.2f", hit.at("score").to_number<double>());

    const std::size_t room = static_cast<std::size_t>(terminal.columns) - 4 - 7;
    // The same widths in every row, so that titles, sources and scores stand below one another.
    const std::size_t title_width = room * 11 / 20;
    const std::size_t source_width = room - title_width - 2;
    std::string text = number + terminal.bold(fit(title, title_width, terminal.utf8)) + "  " +
                       terminal.dim(source_text(source, page, source_width, terminal.utf8)) + "  " +
                       terminal.accent(score) + "\n";
    const std::size_t width = static_cast<std::size_t>(terminal.columns) - 4;
    const std::string passage = snippet(text_of(hit, "text"), query, width * kPassageLines, terminal.utf8);
    for (const std::string& line : wrap(passage, width, kPassageLines, terminal.utf8))
        text += "    " + highlighted(line, query, terminal) + "\n";
    return text;
}

}  // namespace

std::string snippet(std::string_view text, std::string_view query, std::size_t bytes_max, bool utf8) {
    const std::string line = one_line(text);
    if (line.size() <= bytes_max) return line;
    const std::set<std::string> wanted = stems_of_query(query);
    const std::vector<Word> words = words_of(line);
    std::size_t best = 0, best_score = 0;
    for (std::size_t first = 0; first < words.size(); ++first) {
        std::set<std::string> found;
        std::size_t hits = 0;
        for (std::size_t i = first; i < words.size() && words[i].end <= words[first].begin + bytes_max; ++i) {
            const std::string one =
                stem(std::string_view(line).substr(words[i].begin, words[i].end - words[i].begin));
            if (wanted.contains(one)) found.insert(one), ++hits;
        }
        const std::size_t score = found.size() * 100 + hits;
        // The last of the best windows is the one that begins with a word that was asked for.
        if (score > 0 && score >= best_score) best_score = score, best = first;
    }
    // A few words before the first hit make it readable.
    const std::size_t start_word = best > 4 ? best - 4 : 0;
    const std::size_t begin = words.empty() ? 0 : start_word == 0 ? 0 : words[start_word].begin;
    std::string part = line.substr(begin);
    return begin > 0 ? (utf8 ? "… " : ".. ") + part : part;
}

std::string highlighted(std::string_view text, std::string_view query, const Terminal& terminal) {
    if (!terminal.colour) return std::string(text);
    const std::set<std::string> wanted = stems_of_query(query);
    std::string marked;
    std::size_t at = 0;
    for (const Word& word : words_of(text)) {
        const std::string_view form = text.substr(word.begin, word.end - word.begin);
        marked += text.substr(at, word.begin - at);
        marked += wanted.contains(stem(form)) ? terminal.bold(form) : std::string(form);
        at = word.end;
    }
    return marked + std::string(text.substr(at));
}

std::string search_text(const json::value& answer, std::string_view query, const Terminal& terminal) {
    const json::array& results = answer.at("results").as_array();
    std::string text;
    std::size_t place = 0;
    for (const json::value& hit : results) text += hit_text(hit.as_object(), ++place, query, terminal);
    char took[64];
    std::snprintf(took, sizeof took, "%zu results in %.1f ms", results.size(),
                  answer.at("tookMs").to_number<double>());
    text += terminal.dim(std::string("    ") +
                         (results.size() == 1 ? "1 result" + std::string(took).substr(9) : took)) +
            "\n";
    const std::string warning = text_of(answer.as_object(), "warning");
    if (!warning.empty()) text += "    " + terminal.red(warning) + "\n";
    return text;
}

}  // namespace millrace::app
