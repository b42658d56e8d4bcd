#include "index/keyword.hpp"

#include <gmock/gmock.h>

namespace millrace::index {
namespace {

using Words = std::vector<std::string>;

TEST(QueryWords, KeepsWhatCarriesMeaning) {
    const std::vector<std::pair<std::string, Words>> cases = {
        {"", {}},
        {"?!", {}},
        {"How do I open the file?", {"open", "file"}},
        {"to be or not to be", {"to", "be", "or", "not"}},
        {"UTF-8 utf_8", {"utf", "8"}},
        {"Stra\xC3\x9F"
         "e caf\xC3\xA9",
         {"stra\xC3\x9F"
          "e",
          "caf\xC3\xA9"}},
        {std::string("a\0bc", 4), {"bc"}},
        {"x\"y'z", {"x", "y", "z"}},
        {"file file FILE", {"file"}},
    };
    for (const auto& [query, expected] : cases) EXPECT_EQ(query_words(query), expected) << query;
}

TEST(QueryWords, OfTooManyKeepsTheLongestInTheirOrder) {
    std::string query = "tiny ";
    for (int i = 0; i < 100; ++i) query += "word" + std::to_string(100 + i) + ' ';
    query += "stretched-expression";
    const Words words = query_words(query);
    ASSERT_EQ(words.size(), kQueryWordsMax);
    EXPECT_EQ(words.front(), "word100");
    EXPECT_EQ(words[kQueryWordsMax - 3], "word129");
    EXPECT_EQ(words[kQueryWordsMax - 2], "stretched");
    EXPECT_EQ(words.back(), "expression");
}

TEST(MatchExpression, QuotesEveryWord) {
    EXPECT_EQ(match_expression({}, true), "");
    EXPECT_EQ(match_expression({"near", "x"}, true), "\"near\" \"x\"");
    EXPECT_EQ(match_expression({"near", "x"}, false), "\"near\" OR \"x\"");
}

}  // namespace
}  // namespace millrace::index
