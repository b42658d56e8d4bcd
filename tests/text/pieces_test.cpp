#include "text/pieces.hpp"

#include "text/utf8.hpp"

#include <gtest/gtest.h>

#include <unicode/regex.h>
#include <unicode/utext.h>

#include <random>

namespace millrace::text {
namespace {

constexpr const char* kCl100k =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
    R"(\s+(?!\S)|\s+)";
constexpr const char* kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// The published pattern itself, run by ICU, whose `\s` is narrower than the White_Space that is meant.
class Pattern {
  public:
    explicit Pattern(std::string pattern) {
        for (const auto& [from, to] : {std::pair{"\\s", "\\p{White_Space}"}, {"\\S", "\\P{White_Space}"}}) {
            for (std::size_t at = 0; (at = pattern.find(from, at)) != std::string::npos; at += 2) {
                pattern.replace(at, 2, to);
            }
        }
        matcher_ = std::make_unique<icu::RegexMatcher>(icu::UnicodeString::fromUTF8(pattern), 0, failed_);
    }
    /// Where the match at `begin` ends; `begin` if there is none.
    std::size_t end_of_match(std::string_view text, std::size_t begin) {
        UText source = UTEXT_INITIALIZER;
        utext_openUTF8(&source, text.data(), static_cast<std::int64_t>(text.size()), &failed_);
        matcher_->reset(&source);
        const bool found = matcher_->lookingAt(static_cast<std::int64_t>(begin), failed_);
        const auto end = found ? static_cast<std::size_t>(matcher_->end64(failed_)) : begin;
        EXPECT_TRUE(U_SUCCESS(failed_)) << u_errorName(failed_);
        utext_close(&source);
        return end;
    }

  private:
    UErrorCode failed_ = U_ZERO_ERROR;
    std::unique_ptr<icu::RegexMatcher> matcher_;
};

void compare(const char* pattern, PieceScanner scan) {
    const std::vector<std::string> atoms = {
        "a",  "b", "S",  "T",  "ll",     "ve",     "RE",     "'",      "'s",     "'LL",
        "ſ",  " ", "  ", "\t", "\n",     "\r\n",   "\r",     "1",      "23",     "٣",
        "Ⅻ",  "²", "/",  "//", "-",      "!",      "_",      "é",      "É",      "ǅ",
        "ʰ",  "ª", "日", "本", "\u0301", "\u0903", "\u200D", "\u00A0", "\u2028", "\u3000",
        "👍", "Ж", "ж",  "ا",  "क",      "\u00AD", "ﬁ",      "$",      "😀"};
    Pattern reference(pattern);
    std::mt19937 random(11);
    for (int round = 0; round < 30'000; ++round) {
        std::string text;
        for (std::size_t n = random() % 12 + 1; n > 0; --n) text += atoms[random() % atoms.size()];
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = scan(text, at);
            ASSERT_EQ(end, reference.end_of_match(text, at)) << "at " << at << " of \"" << text << '"';
            at = end;
        }
    }
}

TEST(Pieces, OfCl100kAreThoseOfThePublishedPattern) { compare(kCl100k, scan_cl100k); }

TEST(Pieces, OfO200kAreThoseOfThePublishedPattern) { compare(kO200k, scan_o200k); }

TEST(Pieces, AlwaysAdvanceOnAnyBytes) {
    std::mt19937 random(13);
    for (int round = 0; round < 2'000; ++round) {
        std::string bytes;
        for (std::size_t n = random() % 40; n > 0; --n) bytes += static_cast<char>(random());
        for (const PieceScanner scan : {scan_cl100k, scan_o200k}) {
            for (std::size_t at = 0; at < bytes.size();) {
                const std::size_t end = scan(bytes, at);
                ASSERT_GT(end, at);
                ASSERT_LE(end, bytes.size());
                at = end;
            }
        }
    }
}

}  // namespace
}  // namespace millrace::text
