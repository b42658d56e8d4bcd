// Which messages of a topic a subscription gets, and what its rules do to them.
#include "tests/broker/engine_fixture.hpp"

#include <fstream>

namespace millrace::broker::test {
namespace {

using testing::HasSubstr;

const std::string kPath = subscription_path("t", "s");

Rule sql_rule(std::string name, std::string filter, std::string action = {}) {
    Rule rule;
    rule.name = std::move(name);
    rule.filter = SqlFilter{std::move(filter)};
    rule.action = std::move(action);
    return rule;
}

Message colored(std::string color, std::string body) {
    Message message = text_message(std::move(body));
    message.properties["color"] = std::move(color);
    return message;
}

class Rules : public EmbeddedTest {
  protected:
    Rules() {
        EntityOptions topic;
        topic.kind = EntityKind::topic;
        under_test.put("t", topic);
    }

    static EntityOptions subscription() {
        EntityOptions options;
        options.kind = EntityKind::subscription;
        return options;
    }
    void create(Rule rule, EntityOptions options = subscription()) {
        auto created = loop.await(broker().create_subscription(kPath, options, std::move(rule)));
        ASSERT_TRUE(created) << created.error().detail;
    }
    Result<void> put(Rule rule, bool replace = false) {
        return loop.await(broker().put_rule(kPath, std::move(rule), replace));
    }
    Result<void> remove(const std::string& rule) { return loop.await(broker().remove_rule(kPath, rule)); }
    std::vector<std::string> names() {
        std::vector<std::string> all;
        for (const Rule& rule : broker().rules(kPath).value()) all.push_back(rule.name);
        return all;
    }
    std::vector<std::string> received() { return bodies(receive(kPath)); }
};

TEST_F(Rules, ANewSubscriptionTakesEverythingByItsDefaultRule) {
    under_test.put(kPath, subscription());
    const auto rules = broker().rules(kPath).value();
    ASSERT_EQ(rules.size(), 1u);
    EXPECT_EQ(rules[0].name, kDefaultRule);
    EXPECT_EQ(rules[0].filter, Filter(TrueFilter{}));
    EXPECT_EQ(rules[0].created_at, now());
    send_texts("t", {"a"});
    EXPECT_THAT(received(), ElementsAre("a"));
}

TEST_F(Rules, ASubscriptionThatIsCreatedWithARuleHasOnlyThat) {
    create(sql_rule("blue", "color = 'blue'"));
    EXPECT_THAT(names(), ElementsAre("blue"));
    const auto numbers = send("t", {colored("red", "1"), colored("blue", "2"), text_message("3")});
    EXPECT_EQ(numbers.size(), 3u) << "what nobody takes is accepted";
    EXPECT_THAT(received(), ElementsAre("2"));
    auto again = loop.await(broker().create_subscription(kPath, subscription(), Rule()));
    EXPECT_EQ(error_of(again), Errc::conflict);
}

TEST_F(Rules, AnyRuleIsEnoughAndAllWithoutActionGiveOneCopy) {
    create(sql_rule("blue", "color = 'blue'"));
    EXPECT_TRUE(put(sql_rule("red", "color = 'red'")));
    EXPECT_TRUE(put(sql_rule("any", "EXISTS(color)")));
    send("t", {colored("red", "1"), colored("blue", "2"), colored("green", "3"), text_message("4")});
    EXPECT_THAT(received(), ElementsAre("1", "2", "3"));
}

TEST_F(Rules, EachRuleWithAnActionGivesACopyOfItsOwn) {
    create(sql_rule("plain", "1=1"));
    EXPECT_TRUE(put(sql_rule("first", "color = 'red'", "SET color = 'first'; SET sys.Label = 'l'")));
    EXPECT_TRUE(put(sql_rule("second", "color = 'red'", "REMOVE color; SET sys.MessageId = 'new id'")));
    EXPECT_TRUE(put(sql_rule("never", "1=2", "SET color = 'never'")));
    Message sent = colored("red", std::string(100'000, 'x'));
    sent.message_id = "id";
    send("t", std::vector<Message>{sent});
    const auto copies = receive(kPath);
    ASSERT_EQ(copies.size(), 3u);
    const Message& first = copies[0].message;
    EXPECT_EQ(first.properties.at("RuleName"), Value(std::string("first")));
    EXPECT_EQ(first.properties.at("color"), Value(std::string("first")));
    EXPECT_EQ(first.subject, "l");
    EXPECT_EQ(first.message_id, "id");
    EXPECT_FALSE(copies[1].message.properties.contains("RuleName")) << "the plain one comes in name order";
    EXPECT_EQ(copies[1].message.properties, sent.properties);
    EXPECT_EQ(copies[2].message.message_id, "new id");
    EXPECT_FALSE(copies[2].message.properties.contains("color"));
    for (const auto& copy : copies) EXPECT_EQ(copy.message.body, sent.body);
}

TEST_F(Rules, CopiesTakeTheirOwnRoomAndGiveItBack) {
    create(sql_rule("grow", "1=1", "SET note = 'a long text that the sender has not written'"));
    send("t", {text_message("a"), text_message("b")});
    const auto before = broker().counts(kPath)->bytes;
    EXPECT_EQ(static_cast<std::int64_t>(before), stored("SELECT sum(bytes) FROM message"));
    under_test.restart();
    EXPECT_EQ(broker().counts(kPath)->bytes, before);
    for (const auto& one : receive(kPath)) EXPECT_TRUE(complete(one));
    EXPECT_EQ(broker().counts(kPath)->bytes, 0u);
}

TEST_F(Rules, AnActionMayGiveAMessageItsSession) {
    EntityOptions options = subscription();
    options.requires_session = true;
    create(sql_rule("s", "1=1", "SET sys.SessionId = color"), options);
    send("t", {colored("red", "1"), colored("blue", "2"), colored("red", "3"), text_message("none")});
    const auto lock = loop.await(broker().accept_session(kPath, std::string("red"), Duration::zero()));
    ASSERT_TRUE(lock);
    EXPECT_THAT(bodies(receive(kPath, 9, lock->token)), ElementsAre("1", "3"));
    EXPECT_EQ(reason(receive_one(dead_letter_queue_of(kPath))), "Session ID is null");
}

TEST_F(Rules, ACorrelationFilterComparesEveryFieldThatIsSet) {
    CorrelationFilter filter;
    filter.subject = "order";
    filter.session_id = "s";
    filter.properties = {{"size", std::int64_t{5}}, {"kind", std::string("k")}};
    Rule rule;
    rule.name = "c";
    rule.filter = filter;
    create(rule);
    Message match = text_message("match");
    match.subject = "order";
    match.session_id = "s";
    match.properties = {{"size", Encoded{"\x54\x05"}}, {"kind", std::string("k")}, {"more", true}};
    Message other_case = match;
    other_case.subject = "Order";
    Message no_session = match;
    no_session.session_id.reset();
    Message no_property = match;
    no_property.properties.erase("kind");
    Message other_size = match;
    other_size.properties["size"] = 5.5;
    send("t", {match, other_case, no_session, no_property, other_size});
    EXPECT_THAT(received(), ElementsAre("match"));
}

TEST_F(Rules, AreAddedReplacedAndRemovedForWhatIsSentFromThenOn) {
    create(sql_rule("Red", "color = 'red'"));
    EXPECT_EQ(error_of(put(sql_rule("rED", "1=1"))), Errc::conflict) << "names have no case";
    EXPECT_EQ(error_of(put(sql_rule("blue", "1=1"), true)), Errc::not_found);
    EXPECT_EQ(error_of(remove("blue")), Errc::not_found);
    send("t", {colored("red", "1")});
    under_test.pass(seconds(1));
    EXPECT_TRUE(put(sql_rule("red", "color = 'blue'"), true));
    EXPECT_THAT(names(), ElementsAre("red"));
    EXPECT_EQ(broker().counts(kPath)->updated_at, now());
    send("t", {colored("red", "2"), colored("blue", "3")});
    EXPECT_TRUE(remove("RED"));
    EXPECT_THAT(names(), IsEmpty());
    send("t", {colored("blue", "4")});
    EXPECT_THAT(received(), ElementsAre("1", "3")) << "without a rule nothing comes";
}

TEST_F(Rules, OnlySubscriptionsHaveThem) {
    EXPECT_EQ(error_of(broker().rules("t")), Errc::invalid_input);
    EXPECT_EQ(error_of(broker().rules(kPath)), Errc::not_found);
    EXPECT_EQ(error_of(put(Rule())), Errc::not_found);
    EXPECT_EQ(error_of(loop.await(broker().put_rule("t", Rule(), false))), Errc::invalid_input);
    auto orphan = loop.await(broker().create_subscription("x/Subscriptions/y", subscription(), Rule()));
    EXPECT_EQ(error_of(orphan), Errc::not_found);
    auto queue = loop.await(broker().create_subscription("q", EntityOptions(), Rule()));
    EXPECT_EQ(error_of(queue), Errc::invalid_input);
}

TEST_F(Rules, SayWhatIsWrongWithThem) {
    Rule empty_filter;
    empty_filter.filter = CorrelationFilter{};
    const struct {
        Rule rule;
        std::string problem;
    } cases[] = {
        {sql_rule("", "1=1"), "the name is empty"},
        {sql_rule(std::string(51, 'n'), "1=1"), "longer than 50 characters"},
        {sql_rule("a/b", "1=1"), "a name has only"},
        {sql_rule("r", "color ="), "its filter: at byte 8: the expression ends too early"},
        {sql_rule("r", "1=1", "SET color"), "its action: at byte 10: expected '='"},
        {empty_filter, "names nothing"},
    };
    under_test.put(kPath, subscription());
    for (const auto& [rule, problem] : cases) {
        const auto checked = check_rule(rule);
        ASSERT_TRUE(checked.has_error()) << problem;
        EXPECT_THAT(checked.error().detail, HasSubstr(problem));
        EXPECT_EQ(error_of(put(rule)), Errc::invalid_input);
    }
    EXPECT_THAT(names(), ElementsAre(kDefaultRule));
}

TEST_F(Rules, WhatCannotBeEvaluatedIsADeadLetter) {
    create(sql_rule("divide", "10 / size = 5"));
    EXPECT_TRUE(put(sql_rule("act", "EXISTS(bad)", "SET sys.Label = 1")));
    Message two = text_message("two");
    two.properties["size"] = std::int64_t{2};
    Message zero = text_message("zero");
    zero.properties["size"] = std::int64_t{0};
    Message bad = text_message("bad");
    bad.properties["bad"] = true;
    send("t", {two, zero, bad});
    EXPECT_THAT(received(), ElementsAre("two"));
    const auto dead = receive(dead_letter_queue_of(kPath));
    EXPECT_THAT(bodies(dead), ElementsAre("zero", "bad"));
    EXPECT_EQ(reason(dead[0]), "FilterEvaluationException");
    const auto& why = dead[0].message.properties.at(kDeadLetterDescription);
    EXPECT_EQ(std::get<std::string>(why), "rule \"divide\": its filter: division by zero");
    EXPECT_EQ(dead[0].dead_letter_source, kPath);
}

TEST_F(Rules, AllThatAMessageMeetsTogetherMayNotTakeTooManySteps) {
    Message large = text_message("large");
    large.properties["t"] = std::string(60'000, 'a');
    const std::string costly = "t<>t OR t<>t OR t<>t OR t<>t";  // nearly half of what there is
    create(sql_rule("a", costly));
    const std::string other = subscription_path("t", "other");
    ASSERT_TRUE(loop.await(broker().create_subscription(other, subscription(), sql_rule("b", costly))));
    send("t", {large, large});
    EXPECT_THAT(peek(dead_letter_queue_of(kPath)), IsEmpty());
    EXPECT_THAT(peek(dead_letter_queue_of(other)), IsEmpty()) << "each message has its own budget";
    EXPECT_TRUE(put(sql_rule("c", costly)));
    send("t", std::vector<Message>{large});
    EXPECT_THAT(peek(dead_letter_queue_of(kPath)), IsEmpty());
    const auto dead = peek(dead_letter_queue_of(other));
    ASSERT_EQ(dead.size(), 1u) << "what comes behind the costly rules of others is not evaluated";
    EXPECT_EQ(reason(dead[0]), "FilterEvaluationException");
}

TEST_F(Rules, WhatCannotBeEvaluatedIsPassedOverIfTheSubscriptionSaysSo) {
    EntityOptions options = subscription();
    options.dead_letter_on_filter_error = false;
    create(sql_rule("divide", "10 / size = 5"), options);
    Message zero = text_message("zero");
    zero.properties["size"] = std::int64_t{0};
    send("t", std::vector<Message>{zero});
    EXPECT_THAT(received(), IsEmpty());
    EXPECT_THAT(peek(dead_letter_queue_of(kPath)), IsEmpty());
}

TEST_F(Rules, SurviveARestart) {
    CorrelationFilter correlation;
    correlation.to = "";
    correlation.properties = {{"n", std::int64_t{-1}}, {"x", Encoded{"\x54\x05"}}, {"when", now()}};
    std::vector<Rule> wanted = {sql_rule("a", "color = 'blue'", "SET x = 1"), Rule(), Rule(), Rule()};
    wanted[1].name = "b";
    wanted[1].filter = correlation;
    wanted[2].name = "C";
    wanted[2].filter = FalseFilter{};
    wanted[3].name = "d";
    for (Rule& rule : wanted) rule.created_at = now();
    create(wanted[0]);
    for (std::size_t i = 1; i < wanted.size(); ++i) EXPECT_TRUE(put(wanted[i]));
    under_test.restart();
    EXPECT_EQ(broker().rules(kPath).value(), wanted);
    under_test.crash();
    EXPECT_EQ(broker().rules(kPath).value(), wanted);
    under_test.put(kPath, subscription());
    EXPECT_EQ(broker().rules(kPath).value(), wanted) << "putting the entity again leaves them alone";
    EXPECT_TRUE(loop.await(broker().remove_entity("t")));
    EXPECT_EQ(stored("SELECT count(*) FROM rule"), 0);
}

/// Tables that migrations after the third have made, as the database lists them.
std::vector<std::string> later_tables(store::Connection& connection) {
    std::string early;
    for (const char* name : {"0001_messages", "0002_documents", "0003_index"}) {
        std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/src/store/schema/" + name + ".sql");
        early += std::string(std::istreambuf_iterator<char>(file), {});
    }
    std::vector<std::string> later;
    auto& tables = connection.prepare(
        "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%' "
        "AND name NOT LIKE '%_words%'");
    while (tables.step())
        if (early.find("TABLE " + tables.string(0) + " ") == std::string::npos)
            later.push_back(tables.string(0));
    return later;
}

TEST_F(Rules, ASubscriptionOfADatabaseWithoutRulesHasTheDefaultOne) {
    under_test.put(kPath, subscription());
    under_test.put("q");
    auto undo = [](store::Connection& connection) {
        for (const std::string& table : later_tables(connection)) connection.execute("DROP TABLE " + table);
        connection.execute(
            "ALTER TABLE session_state DROP COLUMN changed;"
            "ALTER TABLE message DROP COLUMN value_file; ALTER TABLE message DROP COLUMN value_offset;"
            "ALTER TABLE message DROP COLUMN value_bytes;"
            "ALTER TABLE entity DROP COLUMN created; ALTER TABLE entity DROP COLUMN updated;"
            "ALTER TABLE entity DROP COLUMN accessed; PRAGMA user_version=3");
        return true;
    };
    loop.await(under_test.database->write(std::move(undo)));
    under_test.crash();
    EXPECT_THAT(names(), ElementsAre(kDefaultRule));
    EXPECT_EQ(stored("SELECT count(*) FROM rule"), 1);
    EXPECT_GT(broker().counts("q")->created_at, from_millis(0));
    send_texts("t", {"a"});
    EXPECT_THAT(received(), ElementsAre("a"));
}

TEST_F(Rules, OfTwoCallsThatAddOneAtTheSameTimeOneWins) {
    under_test.put(kPath, subscription());
    auto first = loop.begin(broker().put_rule(kPath, sql_rule("r", "1=1"), false));
    auto second = loop.begin(broker().put_rule(kPath, sql_rule("R", "1=2"), false));
    EXPECT_TRUE(loop.finish(first));
    EXPECT_EQ(error_of(loop.finish(second)), Errc::conflict);
    EXPECT_EQ(broker().rules(kPath).value()[1].filter, Filter(SqlFilter{"1=1"}));
}

TEST_F(Rules, DecideWhenAScheduledMessageIsDue) {
    create(sql_rule("r", "1=2"));
    Message later = text_message("later");
    later.scheduled_at = now() + minutes(1);
    send("t", std::vector<Message>{later});
    EXPECT_TRUE(put(sql_rule("r", "1=1"), true));
    under_test.pass(minutes(1));
    EXPECT_THAT(received(), ElementsAre("later"));
}

}  // namespace
}  // namespace millrace::broker::test
