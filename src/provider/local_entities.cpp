#include "provider/local_entities.hpp"

#include "provider/feature_hash_words.hpp"
#include "provider/local_lexicons.hpp"
#include "provider/local_patterns.hpp"
#include "provider/local_words.hpp"
#include "text/utf8.hpp"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>

namespace millrace::provider {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kEntitiesMax = 100;
constexpr std::size_t kNameWordsMax = 6;
constexpr std::size_t kKeptMax = 20'000;   ///< different entities under way
constexpr std::size_t kAcronymBytesMax = 6;
constexpr std::size_t kPlaceWordsMax = 4;

/// A word of a sentence.
struct Word {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::string folded;
    bool capital = false;   ///< begins with a capital
    bool shouted = false;   ///< all capitals, two at least
    bool initial = false;   ///< one capital and a full stop
};

struct Line {
    std::string_view text;
    std::vector<Word> words;
    bool titled = false;   ///< a heading: its capitals mean nothing
};

bool is_part_of_word(UChar32 c) { return u_isalnum(c) || (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0; }

/// Whether the mark between two letters belongs to the word: "O'Brien", "Jean-Luc", "AT&T".
bool joins(std::string_view text, std::size_t at) {
    const bool mark = text[at] == '\'' || text[at] == '-' || text[at] == '&';
    if (!mark || at == 0 || at + 1 >= text.size()) return false;
    return is_part_of_word(static_cast<UChar32>(text::decode_utf8(text, at + 1).value));
}

Word word_at(std::string_view text, std::size_t begin) {
    Word word;
    word.begin = begin;
    std::size_t letters = 0, capitals = 0;
    std::size_t at = begin;
    while (at < text.size()) {
        const text::CodePoint point = text::decode_utf8(text, at);
        const auto c = static_cast<UChar32>(point.value);
        if (!is_part_of_word(c) && !joins(text, at)) break;
        if (u_isalpha(c)) ++letters;
        if (u_isupper(c) || u_istitle(c)) {
            ++capitals;
            if (at == begin) word.capital = true;
        }
        at += point.length;
    }
    word.end = at;
    std::string_view name = text.substr(begin, at - begin);
    // "Berlin's"
    if (name.size() > 3 && (name.ends_with("'s") || name.ends_with("'S"))) word.end -= 2;
    name = text.substr(begin, word.end - begin);
    fold_case(name, word.folded);
    word.shouted = letters >= 2 && capitals == letters;
    word.initial = letters == 1 && word.capital && word.end < text.size() && text[word.end] == '.';
    return word;
}

Line read_line(std::string_view text) {
    Line line;
    line.text = text;
    std::size_t capitals = 0;
    for (std::size_t at = 0; at < text.size();) {
        const text::CodePoint point = text::decode_utf8(text, at);
        if (!is_part_of_word(static_cast<UChar32>(point.value))) {
            at += point.length;
            continue;
        }
        line.words.push_back(word_at(text, at));
        capitals += line.words.back().capital;
        at = std::max(line.words.back().end, at + point.length);
    }
    const bool stops = text.ends_with('.') || text.ends_with('!') || text.ends_with('?');
    const std::size_t count = line.words.size();
    line.titled = count >= 4 && !stops && capitals * 10 >= count * 6;
    return line;
}

/// What the whole text says about its words, before any name is looked for.
struct Habits {
    std::unordered_set<std::string> small;           ///< written without a capital somewhere
    std::unordered_set<std::string> inside;          ///< written with one inside a sentence
    bool nouns_are_capital = false;                  ///< German

    void read(const Line& line) {
        for (std::size_t i = 0; i < line.words.size(); ++i) {
            const Word& word = line.words[i];
            if (small.size() + inside.size() > 10 * kKeptMax) return;
            if (!word.capital)
                small.insert(word.folded);
            else if (i > 0 && !line.titled)
                inside.insert(word.folded);
            english_ += word.folded == "the" || word.folded == "and" || word.folded == "of";
            german_ +=
                word.folded == "der" || word.folded == "die" || word.folded == "und" || word.folded == "das";
        }
        nouns_are_capital = german_ > 2 * english_;
    }

  private:
    std::size_t english_ = 0;
    std::size_t german_ = 0;
};

bool is_link(std::string_view folded) {
    static constexpr std::array links = {"of"sv, "de"sv, "van"sv, "von"sv, "der"sv,
                                         "di"sv, "da"sv, "del"sv, "al"sv,  "bin"sv};
    return std::ranges::find(links, folded) != links.end();
}

bool is_known(std::string_view folded) {
    return is_place(folded) || is_organization(folded) || is_given_name(folded);
}

std::string joined(std::span<const Word> words) {
    std::string name;
    for (const Word& word : words) {
        if (!name.empty()) name += ' ';
        name += word.folded;
    }
    return name;
}

/// A word behind a name that only people take.
bool is_deed(std::string_view folded) {
    static constexpr std::array deeds = {"said"sv,   "says"sv,  "told"sv,  "wrote"sv, "who"sv,     "born"sv,
                                         "argued"sv, "whose"sv, "added"sv, "asked"sv, "married"sv, "died"sv};
    return std::ranges::find(deeds, folded) != deeds.end();
}

std::string_view type_of(std::span<const Word> words, bool titled_person, const Word* next) {
    const std::string name = joined(words);
    const Word& last = words.back();
    if (is_place(name)) return "location";
    if (is_organization(name)) return "organization";
    if (titled_person) return "person";
    if (words.size() >= 2) {
        if (std::ranges::any_of(words, [](const Word& word) { return is_organization_word(word.folded); }))
            return "organization";
        if (is_place_word(last.folded) || is_place_word(words.front().folded)) return "location";
    }
    if (words.size() <= 4 && (is_given_name(words.front().folded) || words.front().initial)) return "person";
    if (next && is_deed(next->folded) && !last.shouted) return "person";
    return "other";
}

class Collector {
  public:
    explicit Collector(const Habits& habits) : habits_(habits) {}

    void read(const Line& line) {
        const std::vector<PatternMatch> patterns = find_patterns(line.text);
        for (const PatternMatch& match : patterns)
            add(std::string(line.text.substr(match.begin, match.end - match.begin)), match.type);
        std::size_t pattern = 0;
        for (std::size_t i = 0; i < line.words.size();) {
            while (pattern < patterns.size() && patterns[pattern].end <= line.words[i].begin) ++pattern;
            const bool taken = pattern < patterns.size() && patterns[pattern].begin < line.words[i].end;
            i = taken || !line.words[i].capital ? i + 1 : read_name(line, i);
        }
    }

    std::vector<FoundEntity> take() {
        give_surnames();
        std::vector<const Kept*> order;
        for (const auto& [key, kept] : kept_) {
            if (kept.entity.count > 0) order.push_back(&kept);
        }
        std::ranges::sort(order, [](const Kept* a, const Kept* b) {
            return a->entity.count != b->entity.count ? a->entity.count > b->entity.count
                                                      : a->order < b->order;
        });
        std::vector<FoundEntity> entities;
        for (std::size_t i = 0; i < std::min(order.size(), kEntitiesMax); ++i)
            entities.push_back(order[i]->entity);
        return entities;
    }

  private:
    struct Kept {
        FoundEntity entity;
        std::size_t order = 0;
    };

    void add(std::string text, std::string_view type) {
        std::string key;
        fold_case(text, key);
        key += '\n';
        key += type;
        const auto found = kept_.find(key);
        if (found != kept_.end()) {
            found->second.entity.count += 1;
        } else if (kept_.size() < kKeptMax) {
            const std::size_t order = kept_.size();
            kept_.emplace(std::move(key), Kept{{one_spaced(text), type, 1}, order});
        }
    }

    /// Whether nothing but a space (or an initial's full stop) stands between two words.
    static bool touches(std::string_view text, const Word& a, const Word& b) {
        const std::string_view between = text.substr(a.end, b.begin - a.end);
        if (between == " ") return true;
        return between == ". " && (a.initial || is_title(a.folded));
    }

    /// Reads the name that begins with word `first`; the index behind it.
    std::size_t read_name(const Line& line, std::size_t first) {
        const auto& words = line.words;
        std::size_t end = first + 1;
        while (end < words.size() && end - first < kNameWordsMax &&
               touches(line.text, words[end - 1], words[end])) {
            const bool bridged = is_link(words[end].folded) && !words[end].capital &&
                                 end + 1 < words.size() && words[end + 1].capital &&
                                 touches(line.text, words[end], words[end + 1]);
            if (!words[end].capital && !bridged) break;
            ++end;
        }
        std::size_t begin = first;
        while (begin < end && !begins_place(words, begin, end) &&
               skips(words[begin], begin == 0, end - begin))
            ++begin;
        std::size_t behind = end;
        while (behind > begin && (is_no_name(words[behind - 1].folded) || !words[behind - 1].capital))
            --behind;
        bool titled = false;
        while (begin + 1 < behind && is_title(words[begin].folded)) {
            titled = true;
            ++begin;
        }
        if (begin < behind) keep(line, begin, behind, titled, end < words.size() ? &words[end] : nullptr);
        return end;
    }

    /// Whether the words from `begin` on begin with the name of a place: "New York".
    static bool begins_place(std::span<const Word> words, std::size_t begin, std::size_t end) {
        for (std::size_t count = 2; count <= std::min(kPlaceWordsMax, end - begin); ++count) {
            if (is_place(joined(words.subspan(begin, count)))) return true;
        }
        return false;
    }

    /// Whether a word at the beginning of a sequence isn't part of a name.
    bool skips(const Word& word, bool opens_sentence, std::size_t left) const {
        if (word.initial && left > 1) return false;
        if (is_no_name(word.folded) || !word.capital) return !is_place(word.folded) || word.folded == "us";
        return opens_sentence && left > 1 && habits_.small.contains(word.folded) && !is_known(word.folded) &&
               !is_title(word.folded);
    }

    void keep(const Line& line, std::size_t begin, std::size_t end, bool titled, const Word* next) {
        const std::span<const Word> words(line.words.data() + begin, end - begin);
        const std::string_view type = type_of(words, titled, next);
        if (type == "other" && !is_likely(line, words, begin)) return;
        std::string text(line.text.substr(words.front().begin, words.back().end - words.front().begin));
        if (type == "person" && words.size() > 1) {
            const auto [known, fresh] = surnames_.emplace(words.back().folded, joined(words));
            if (!fresh && known->second != joined(words)) known->second.clear();
        }
        add(std::move(text), type);
    }

    /// Whether capitals alone make a name here.
    bool is_likely(const Line& line, std::span<const Word> words, std::size_t begin) const {
        if (line.titled) return false;
        if (words.size() > 1) return true;
        const Word& word = words.front();
        if (word.end - word.begin < 2) return false;
        if (word.shouted) return word.end - word.begin <= kAcronymBytesMax;
        if (habits_.nouns_are_capital || is_title(word.folded)) return false;
        return !habits_.small.contains(word.folded) && (begin > 0 || habits_.inside.contains(word.folded));
    }

    /// "Turing" counts for "Alan Turing" where that is the only one of the name.
    void give_surnames() {
        for (const auto& [surname, name] : surnames_) {
            const auto full = kept_.find(name + "\nperson");
            if (full == kept_.end()) continue;
            for (const std::string_view type : {"other"sv, "person"sv}) {
                const auto alone = kept_.find(surname + "\n" + std::string(type));
                if (alone == kept_.end()) continue;
                full->second.entity.count += alone->second.entity.count;
                alone->second.entity.count = 0;
            }
        }
    }

    const Habits& habits_;
    std::map<std::string, Kept> kept_;
    std::map<std::string, std::string> surnames_;   ///< to the full name; "" where there are several
};

}  // namespace

std::vector<FoundEntity> find_entities(std::string_view text) {
    const std::vector<Sentence> sentences = sentences_of(text);
    Habits habits;
    for (const Sentence& sentence : sentences) habits.read(read_line(sentence.text));
    Collector collector(habits);
    for (const Sentence& sentence : sentences) collector.read(read_line(sentence.text));
    return collector.take();
}

}  // namespace millrace::provider
