#include "store/dialect.hpp"

#include <gtest/gtest.h>

namespace millrace::store {
namespace {

TEST(Dialect, ParametersAreNumberedAsSqliteNumbersThem) {
    const struct {
        const char* sql;
        const char* expected;
    } cases[] = {
        {"SELECT 1", "SELECT 1"},
        {"SELECT ?, ?", "SELECT $1, $2"},
        {"SELECT ?2, ?1, ?", "SELECT $2, $1, $3"},
        {"SELECT ?12", "SELECT $12"},
        {"SELECT '?', ?, \"a?\"", "SELECT '?', $1, \"a?\""},
        {"SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"},
        {"SELECT '\"?', ?", "SELECT '\"?', $1"},
        {"?", "$1"},
    };
    for (const auto& one : cases) EXPECT_EQ(to_postgres(one.sql), one.expected);
}

TEST(Dialect, OnlyTextThatPostgresqlCannotHoldIsChanged) {
    const struct {
        std::string text;
        std::string expected;
    } cases[] = {
        {"", ""},
        {"m\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "m\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"},
        {std::string("a\0b", 3),
         "a\xef\xbf\xbd"
         "b"},
        {"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
        {"\xff\xc3\xbc", "\xef\xbf\xbd\xc3\xbc"},
    };
    for (const auto& one : cases) {
        std::string buffer;
        EXPECT_EQ(to_postgres_text(one.text, buffer), one.expected);
    }
}

}  // namespace
}  // namespace millrace::store
