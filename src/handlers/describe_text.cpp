#include "handlers/stages.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <unordered_map>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

constexpr std::size_t kKeywordsMax = 8;
constexpr std::size_t kWordBytesMax = 40;
constexpr std::size_t kDistinctWordsMax = 20'000;

struct Language {
    std::string_view code;
    std::string_view words;  ///< its commonest short words, each between blanks
};

constexpr Language kLanguages[] = {
    {"en", " the of and to in is that for it with as on are be this by from not or an was can which you if "},
    {"de",
     " der die und in den von zu das mit sich des auf ist im dem nicht ein eine als auch es an werden aus "},
    {"fr", " de la le et les des en un une du est que dans pour qui sur au par plus ne pas ce avec il sont "},
    {"es", " de la que el en y los se del las un por con una su para es al lo como más pero sus le o "},
    {"it",
     " di che e la il un a per in una sono del con le si della da non dei nel alla come più anche gli "},
    {"nl",
     " de van het een en in is dat op te zijn met voor niet aan er om ook als dan door bij uit naar ze "},
    {"pt", " de a o que e do da em um para com não uma os no se na por mais as dos como mas ao ele das "},
};

bool is_letter(unsigned char c) { return c >= 0x80 || static_cast<unsigned>((c | 0x20) - 0x61) < 26; }

/// Calls `use` with every word of `text`, ASCII letters in lower case.
template <class Use>
void for_each_word(std::string_view text, Use use) {
    std::string word;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        const auto c =
            i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(' ');
        if (is_letter(c)) {
            if (word.size() < kWordBytesMax) word += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
        } else if (!word.empty()) {
            use(word);
            word.clear();
        }
    }
}

bool is_common(std::string_view words, const std::string& word) {
    return words.find(" " + word + " ") != std::string_view::npos;
}

struct WordCounts {
    std::size_t words = 0;
    std::size_t common[std::size(kLanguages)] = {};
    std::unordered_map<std::string, std::size_t> each;
};

WordCounts count_words(std::string_view text) {
    WordCounts counts;
    for_each_word(text, [&counts](const std::string& word) {
        counts.words += 1;
        const auto known = counts.each.find(word);
        if (known != counts.each.end())
            known->second += 1;
        else if (counts.each.size() < kDistinctWordsMax)
            counts.each.emplace(word, 1);
    });
    for (const auto& [word, count] : counts.each) {
        for (std::size_t i = 0; i < std::size(kLanguages); ++i) {
            if (is_common(kLanguages[i].words, word)) counts.common[i] += count;
        }
    }
    return counts;
}

/// The language whose commonest words make up the largest share, if that is a tenth of all words or more.
std::size_t guess_language(const WordCounts& counts) {
    const auto* best = std::max_element(std::begin(counts.common), std::end(counts.common));
    if (*best * 10 < counts.words) return std::size(kLanguages);
    return static_cast<std::size_t>(best - counts.common);
}

json::array key_words(const WordCounts& counts, std::size_t language) {
    std::vector<std::pair<std::size_t, std::string>> ranked;
    const std::string_view common = language < std::size(kLanguages) ? kLanguages[language].words : " ";
    for (const auto& [word, count] : counts.each) {
        if (word.size() > 3 && count > 1 && !is_common(common, word)) ranked.emplace_back(count, word);
    }
    std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    json::array words;
    for (std::size_t i = 0; i < std::min(ranked.size(), kKeywordsMax); ++i)
        words.push_back(json::string(ranked[i].second));
    return words;
}

}  // namespace

std::string describe_text(const text::ExtractedText& text, std::string_view format) {
    const WordCounts counts = count_words(text.text);
    const std::size_t language = guess_language(counts);
    json::object found{{"format", format},
                       {"words", counts.words},
                       {"characters", std::count_if(text.text.begin(), text.text.end(),
                                                    [](char c) { return (c & 0xC0) != 0x80; })},
                       {"keywords", key_words(counts, language)}};
    if (!text.page_offsets.empty()) found["pages"] = text.page_offsets.size();
    if (!text.sections.empty()) found["sections"] = text.sections.size();
    if (language < std::size(kLanguages)) found["language"] = kLanguages[language].code;
    return json::serialize(found);
}

}  // namespace millrace::handlers
