#include "base/limits.hpp"
#include "broker/sql_evaluate.hpp"
#include "broker/sql_parser.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::broker::sql {
namespace {

using testing::HasSubstr;

Message sample() {
    Message message;
    message.message_id = "id-1";
    message.correlation_id = "high";
    message.subject = "red";
    message.to = "it's";
    message.time_to_live = std::chrono::seconds(5);
    message.properties = {
        {"Color", std::string("blue")},
        {"quantity", std::int64_t{10}},
        {"large", std::numeric_limits<std::uint64_t>::max()},
        {"price", 2.5},
        {"flag", true},
        {"nothing", Value()},
        {"when", from_millis(1'000)},
        {"narrow", Encoded{std::string("\x54\x05", 2)}},
        {"list", Encoded{std::string("\xc0\x01\x00", 3)}},
        {"a b", std::string("spaced")},
        {"a]b", std::string("bracket")},
        {"and", std::string("keyword")},
        {"text", std::string("50%_off")},
        {"euro", std::string("5 €")},
        {"ten", std::string("10")},
    };
    return message;
}

Result<bool> ask(std::string_view text, const Message& message) {
    const auto parsed = parse_condition(text);
    if (!parsed) return parsed.error();
    const Arriving arriving{message, 42, from_millis(1'800'000'000'000), 77};
    Budget budget{limits::sql_steps_max};
    return holds(*parsed, arriving, budget);
}

struct Case {
    std::string_view text;
    bool holds;
};

void expect_all(std::initializer_list<Case> cases) {
    const Message message = sample();
    for (const auto& [text, expected] : cases) {
        const auto answer = ask(text, message);
        ASSERT_TRUE(answer) << text << ": " << answer.error().detail;
        EXPECT_EQ(*answer, expected) << text;
    }
}

TEST(SqlFilter, ComparesNumbersOfAnyWidthAndTextsByTheirBytes) {
    expect_all({
        {"1=1", true},
        {"quantity = 10", true},
        {"quantity = 10.0", true},
        {"quantity <> 10", false},
        {"quantity != 11", true},
        {"quantity < 10.5", true},
        {"quantity <= 10", true},
        {"quantity > 9", true},
        {"quantity >= 11", false},
        {"price = 2.5e0", true},
        {"price > .5", true},
        {"narrow = 5", true},
        {"large > 9223372036854775807", true},
        {"color = 'blue'", true},
        {"color = 'Blue'", false},
        {"color < 'green'", true},
        {"flag = TRUE", true},
        {"flag", true},
        {"not flag", false},
        {"quantity", false},
        {"sys.To = 'it''s'", true},
        {"when = when", true},
    });
}

TEST(SqlFilter, WhatCannotBeComparedIsUnknown) {
    expect_all({
        {"ten = 10", false},
        {"NOT (ten = 10)", false},
        {"quantity = '10'", false},
        {"flag = 1", false},
        {"list = 1", false},
        {"list = list", true},
        {"missing = 1", false},
        {"NOT (missing = 1)", false},
        {"missing = missing", false},
        {"nothing = NULL", false},
        {"missing <> 1", false},
        {"missing + 1 = 1", false},
        {"color + 1 = 1", false},
        {"-color = 1", false},
    });
}

TEST(SqlFilter, LogicHasThreeValues) {
    expect_all({
        {"missing = 1 OR 1 = 1", true},
        {"1 = 1 OR missing = 1", true},
        {"missing = 1 AND 1 = 1", false},
        {"NOT (missing = 1 AND 1 = 2)", true},
        {"NOT (1 = 2 AND missing = 1)", true},
        {"NOT (missing = 1 OR 1 = 2)", false},
        {"1 = 2 OR 1 = 1 AND 1 = 1", true},
        {"(1 = 1 OR 1 = 1) AND 1 = 2", false},
        {"NOT 1 = 2 AND 1 = 1", true},
        {"NOT NOT 1 = 1", true},
    });
}

TEST(SqlFilter, AsksForNullAndForExistence) {
    expect_all({
        {"missing IS NULL", true},
        {"nothing IS NULL", true},
        {"color IS NULL", false},
        {"color is not null", true},
        {"EXISTS(color)", true},
        {"EXISTS(nothing)", true},
        {"EXISTS(missing)", false},
        {"NOT EXISTS(user.missing)", true},
        {"EXISTS(sys.MessageId)", true},
        {"EXISTS(sys.ReplyTo)", false},
        {"sys.ReplyTo IS NULL", true},
    });
}

TEST(SqlFilter, LooksIntoLists) {
    expect_all({
        {"color IN ('red', 'blue')", true},
        {"color NOT IN ('red', 'green')", true},
        {"quantity IN (1, 5 + 5)", true},
        {"quantity IN (1)", false},
        {"missing IN ('a')", false},
        {"missing NOT IN ('a')", false},
        {"quantity IN (10, NULL)", true},
        {"quantity NOT IN (1, NULL)", false},
    });
}

TEST(SqlFilter, MatchesPatterns) {
    expect_all({
        {"color LIKE 'b%'", true},
        {"color LIKE 'B%'", false},
        {"color LIKE '%'", true},
        {"color LIKE 'bl_e'", true},
        {"color LIKE 'bl_'", false},
        {"color LIKE '%u%'", true},
        {"color NOT LIKE '%x%'", true},
        {"color LIKE ''", false},
        {"text LIKE '50|%|_off' ESCAPE '|'", true},
        {"color LIKE 'blu|%' ESCAPE '|'", false},
        {"text LIKE '50€%_off' ESCAPE '€'", true},
        {"euro LIKE '5 _'", true},
        {"euro LIKE '5 __'", false},
        {"missing LIKE '%'", false},
        {"missing NOT LIKE '%'", false},
        {"quantity LIKE '1%'", false},
        {"color LIKE 'b' + '%'", true},
    });
}

TEST(SqlFilter, Calculates) {
    expect_all({
        {"1 + 2 * 3 = 7", true},
        {"(1 + 2) * 3 = 9", true},
        {"10 - 2 - 3 = 5", true},
        {"7 / 2 = 3", true},
        {"7 / 2.0 = 3.5", true},
        {"-7 % 4 = -3", true},
        {"7.5 % 2 = 1.5", true},
        {"- - 5 = +5", true},
        {"-price = -2.5", true},
        {"2 - -2 = 4", true},
        {"color + '!' = 'blue!'", true},
        {"large + 1 > 1", true},
    });
}

TEST(SqlFilter, KnowsPropertiesByManyNames) {
    expect_all({
        {"COLOR = 'blue'", true},
        {"user.Color = 'blue'", true},
        {"[Color] = 'blue'", true},
        {"[a b] = 'spaced'", true},
        {"[a]]b] = 'bracket'", true},
        {"\"a b\" = 'spaced'", true},
        {"user.[and] = 'keyword'", true},
        {"p('a b') = 'spaced'", true},
        {"property('color') = 'blue'", true},
        {"sys.messageid = 'id-1'", true},
        {"sys.Label = 'red' AND sys.Subject = 'red'", true},
        {"sys.CorrelationId = 'high'", true},
        {"sys.TimeToLive = 5000", true},
        {"sys.SequenceNumber = 42", true},
        {"sys.Size = 77", true},
        {"sys.DeliveryCount = 0", true},
        {"sys.EnqueuedTimeUtc > when", true},
        {"MessageId IS NULL", true},
        {"newid() <> newid()", true},
    });
}

TEST(SqlFilter, SaysWhatIsWrongAndWhere) {
    const struct {
        std::string text;
        std::string problem;
    } cases[] = {
        {"", "ends too early"},
        {"color =", "ends too early"},
        {"color = 'blue", "closing ' is missing"},
        {"[color = 1", "closing ] is missing"},
        {"[] = 1", "the name is empty"},
        {"color = = 1", "expected a value"},
        {"color = 1 2", "expected AND, OR or the end"},
        {"a = b = c", "expected AND, OR or the end"},
        {"(a = 1", "expected ')'"},
        {"a IN ()", "expected a value"},
        {"a IN 1", "expected '('"},
        {"a NOT 1", "expected IN or LIKE"},
        {"a IS 1", "expected null"},
        {"EXISTS a", "expected '('"},
        {"and = 1", "expected a value"},
        {"sys.Colour = 1", "at byte 5: there is no system property \"Colour\""},
        {"foo.bar = 1", "\"foo\" is no scope"},
        {"a = @p", "parameters (@name) are not supported"},
        {"a = 1x", "a number ends with a digit"},
        {"a = 99999999999999999999", "does not fit into 64 bits"},
        {"a ? 1", "\"?\" means nothing here"},
        {"p(1) = 1", "expected the name of a property in quotes"},
        {std::string(51, '(') + "1=1" + std::string(51, ')'), "nested more than 50 levels"},
        {std::string(1022, '-') + "1", "nested more than 50 levels"},
        {std::string(1025, ' '), "longer than 1,024 characters"},
        {"a = '\xff'", "not UTF-8"},
    };
    for (const auto& [text, problem] : cases) {
        const auto parsed = parse_condition(text);
        ASSERT_TRUE(parsed.has_error()) << text;
        EXPECT_EQ(parsed.error().code, Errc::invalid_input);
        EXPECT_THAT(parsed.error().detail, HasSubstr(problem)) << text;
    }
}

TEST(SqlFilter, AnEvaluationThatIsImpossibleIsAnError) {
    const Message message = sample();
    const struct {
        std::string_view text;
        std::string_view problem;
    } cases[] = {
        {"quantity / 0 = 1", "division by zero"},
        {"quantity % 0 = 1", "division by zero"},
        {"price / 0 = 1", "division by zero"},
        {"9223372036854775807 + 1 = 1", "64 bits"},
        {"9223372036854775807 * quantity = 1", "64 bits"},
        {"(-9223372036854775807 - 1) / -1 = 1", "64 bits"},
        {"color LIKE 'a' ESCAPE 'ab'", "not a single character"},
        {"color LIKE 'a|' ESCAPE '|'", "ends with the escape"},
    };
    for (const auto& [text, problem] : cases) {
        const auto answer = ask(text, message);
        ASSERT_TRUE(answer.has_error()) << text;
        EXPECT_THAT(answer.error().detail, HasSubstr(problem)) << text;
    }
    expect_all({{"quantity = 0 AND 1 / 0 = 1", false}, {"quantity = 10 OR 1 / 0 = 1", true}});
}

TEST(SqlFilter, NoMessageCanMakeAnEvaluationLong) {
    Message message;
    message.properties["t"] = std::string(60'000, 'a');
    message.properties["p"] = "%" + std::string(30'000, 'a') + "b%";
    const auto answer = ask("t LIKE p", message);
    ASSERT_TRUE(answer.has_error());
    EXPECT_THAT(answer.error().detail, HasSubstr("too many steps"));
    std::string many = "1=1";
    while (many.size() < 1015) many += " AND t=t";
    EXPECT_TRUE(ask(many, message).has_error());
    EXPECT_THAT(ask("t + t = 'a'", message).error().detail, HasSubstr("longer than 64 KiB"));
    EXPECT_FALSE(ask("t LIKE '%a%a%a%a%a%a%a%b'", message).value()) << "not exponential";
    std::string deep = "1";
    while (deep.size() < 1'015) deep += "+1";
    EXPECT_TRUE(ask(deep + "=508", message).value()) << "a long chain is a deep tree";
}

Result<Message> act(std::string_view text) {
    const auto parsed = parse_action(text);
    if (!parsed) return parsed.error();
    Message message = sample();
    const Arriving arriving{message, 42, from_millis(0), 77};
    Budget budget{limits::sql_steps_max};
    if (auto applied = apply(*parsed, arriving, message, budget); !applied) return applied.error();
    return message;
}

TEST(SqlAction, SetsAndRemovesProperties) {
    const auto changed =
        act("SET color = 'green'; SET fresh = quantity + 1, twice = fresh * 2; REMOVE price; remove missing;"
            " SET sys.Label = 'new' + sys.Label; REMOVE sys.CorrelationId; SET none = missing");
    ASSERT_TRUE(changed) << changed.error().detail;
    EXPECT_EQ(changed->properties.at("Color"), Value(std::string("green"))) << "known in any case";
    EXPECT_EQ(changed->properties.at("fresh"), Value(std::int64_t{11}));
    EXPECT_EQ(changed->properties.at("twice"), Value(std::int64_t{22}));
    EXPECT_EQ(changed->properties.at("none"), Value());
    EXPECT_FALSE(changed->properties.contains("price"));
    EXPECT_EQ(changed->subject, "newred");
    EXPECT_EQ(changed->correlation_id, "");
    const auto session = act("SET sys.SessionId = 's', sys.ReplyTo = 'r'; SET sys.To = NULL");
    ASSERT_TRUE(session);
    EXPECT_EQ(session->session_id, "s");
    EXPECT_EQ(session->reply_to, "r");
    EXPECT_EQ(session->to, "");
}

TEST(SqlAction, SaysWhatIsWrong) {
    std::string many = "SET a=1";
    for (int i = 0; i < 32; ++i) many += ";SET a=1";
    const struct {
        std::string text;
        std::string problem;
    } cases[] = {
        {"", "does nothing"},
        {" ; ", "does nothing"},
        {"color = 'x'", "expected SET or REMOVE"},
        {"SET color 'x'", "expected '='"},
        {"SET color = ", "ends too early"},
        {"SET a = 1 REMOVE b", "expected ';'"},
        {"SET sys.SequenceNumber = 1", "sys.SequenceNumber cannot be changed"},
        {"REMOVE sys.Size", "sys.Size cannot be changed"},
        {many, "at most 32 statements"},
        {"SET sys.Label = 1", "takes a text"},
        {"SET a = 1 / 0", "division by zero"},
    };
    for (const auto& [text, problem] : cases) {
        const auto changed = act(text);
        ASSERT_TRUE(changed.has_error()) << text;
        EXPECT_THAT(changed.error().detail, HasSubstr(problem)) << text;
    }
}

TEST(SqlAction, CannotGrowATextWithoutBound) {
    std::string doubling = "SET a='aaaaaaaaaaaaaaaa'";
    for (int i = 0; i < 30; ++i) doubling += ";SET a=a+a";
    EXPECT_THAT(act(doubling).error().detail, HasSubstr("longer than 64 KiB"));
}

}  // namespace
}  // namespace millrace::broker::sql
