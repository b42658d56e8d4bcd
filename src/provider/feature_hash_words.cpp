#include "provider/feature_hash_words.hpp"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>

namespace millrace::provider {

namespace {

using namespace std::string_view_literals;

constexpr std::array kStopWords = {
    "a"sv,      "about"sv,  "above"sv, "after"sv,   "again"sv, "all"sv,     "also"sv,   "am"sv,
    "an"sv,     "and"sv,    "any"sv,   "are"sv,     "as"sv,    "at"sv,      "be"sv,     "because"sv,
    "been"sv,   "before"sv, "being"sv, "between"sv, "both"sv,  "but"sv,     "by"sv,     "can"sv,
    "could"sv,  "d"sv,      "did"sv,   "do"sv,      "does"sv,  "doing"sv,   "don"sv,    "down"sv,
    "during"sv, "each"sv,   "few"sv,   "for"sv,     "from"sv,  "further"sv, "had"sv,    "has"sv,
    "have"sv,   "having"sv, "he"sv,    "her"sv,     "here"sv,  "hers"sv,    "him"sv,    "his"sv,
    "how"sv,    "i"sv,      "if"sv,    "in"sv,      "into"sv,  "is"sv,      "it"sv,     "its"sv,
    "just"sv,   "ll"sv,     "m"sv,     "may"sv,     "me"sv,    "more"sv,    "most"sv,   "must"sv,
    "my"sv,     "no"sv,     "nor"sv,   "not"sv,     "now"sv,   "of"sv,      "off"sv,    "on"sv,
    "once"sv,   "only"sv,   "or"sv,    "other"sv,   "our"sv,   "ours"sv,    "out"sv,    "over"sv,
    "own"sv,    "re"sv,     "s"sv,     "same"sv,    "shall"sv, "she"sv,     "should"sv, "so"sv,
    "some"sv,   "such"sv,   "t"sv,     "than"sv,    "that"sv,  "the"sv,     "their"sv,  "theirs"sv,
    "them"sv,   "then"sv,   "there"sv, "these"sv,   "they"sv,  "this"sv,    "those"sv,  "through"sv,
    "to"sv,     "too"sv,    "under"sv, "until"sv,   "up"sv,    "upon"sv,    "us"sv,     "ve"sv,
    "very"sv,   "was"sv,    "we"sv,    "were"sv,    "what"sv,  "when"sv,    "where"sv,  "which"sv,
    "while"sv,  "who"sv,    "whom"sv,  "why"sv,     "will"sv,  "with"sv,    "within"sv, "without"sv,
    "would"sv,  "you"sv,    "your"sv,  "yours"sv,
};
static_assert(std::is_sorted(kStopWords.begin(), kStopWords.end()));
constexpr std::size_t kStopWordBytesMax = 7;

enum class Class : std::uint8_t { separator, letter, ideographic };

Class class_of_ascii(unsigned char c) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
    return word ? Class::letter : Class::separator;
}

Class class_of(UChar32 c) {
    if (c < 0 || (!u_isalnum(c) && (U_GET_GC_MASK(c) & U_GC_M_MASK) == 0)) return Class::separator;
    UErrorCode status = U_ZERO_ERROR;
    const UScriptCode script = uscript_getScript(c, &status);
    return U_SUCCESS(status) && uscript_breaksBetweenLetters(script) ? Class::ideographic : Class::letter;
}

const icu::Normalizer2& case_folder() {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* folder = icu::Normalizer2::getNFKCCasefoldInstance(status);
    if (U_FAILURE(status)) throw std::runtime_error("ICU: the data for NFKC_Casefold is missing");
    return *folder;
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
}

}  // namespace

void fold_case(std::string_view text, std::string& folded) {
    if (is_ascii(text)) {
        folded.resize(text.size());
        auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
        std::transform(text.begin(), text.end(), folded.begin(), lower);
        return;
    }
    folded.clear();
    UErrorCode status = U_ZERO_ERROR;
    icu::StringByteSink<std::string> sink(&folded, static_cast<std::int32_t>(text.size()));
    const icu::StringPiece source(text.data(), static_cast<std::int32_t>(text.size()));
    case_folder().normalizeUTF8(0, source, sink, nullptr, status);
    if (U_FAILURE(status)) throw std::bad_alloc();
}

bool is_stop_word(std::string_view word) {
    if (word.size() > kStopWordBytesMax) return false;
    return std::binary_search(kStopWords.begin(), kStopWords.end(), word);
}

void for_each_word(std::string_view folded, const WordVisitor& visit) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(folded.data());
    const auto size = static_cast<std::int32_t>(folded.size());
    std::int32_t start = 0;
    Class current = Class::separator;
    auto end_word = [&](std::int32_t end) {
        if (current == Class::separator) return;
        const auto length = static_cast<std::size_t>(end - start);
        visit(folded.substr(static_cast<std::size_t>(start), length), current == Class::ideographic);
    };
    for (std::int32_t at = 0; at < size;) {
        const std::int32_t here = at;
        UChar32 c = bytes[at];
        if (c < 0x80) {
            ++at;
        } else {
            U8_NEXT(bytes, at, size, c);
        }
        const Class found = c >= 0 && c < 0x80 ? class_of_ascii(static_cast<unsigned char>(c)) : class_of(c);
        if (found == current) continue;
        end_word(here);
        start = here;
        current = found;
    }
    end_word(size);
}

}  // namespace millrace::provider
