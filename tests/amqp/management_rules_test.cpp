// Rules of subscriptions through "$management", in the encodings that the SDKs write and read.
#include "tests/amqp/management_fixture.hpp"

namespace millrace::amqp::test {
namespace {

class ManagementRules : public ManagementTest {
  protected:
    const std::string path = "t/Subscriptions/s";

    void SetUp() override { put_subscription("t", "s"); }

    ManagementAnswer add(const std::string& name, Map description) {
        return ask(path, "add-rule",
                   with({{"rule-name", name}, {"rule-description", std::move(description)}}));
    }
    static Map sql(const std::string& expression) {
        return with({{"sql-filter", with({{"expression", expression}})}});
    }
    /// The descriptor and the items of a described list.
    static std::pair<std::uint64_t, std::vector<Value>> parts(const Value& value) {
        const auto* held = value.as<Described>();
        if (held == nullptr || held->value->as<List>() == nullptr) return {};
        const auto* code = held->descriptor->as<std::uint64_t>();
        return {code == nullptr ? 0 : *code, held->value->as<List>()->items};
    }
    /// The rules on one page as their items.
    std::vector<std::vector<Value>> page(int skip, int top) {
        const auto answer = ask(path, "enumerate-rules", with({{"skip", skip}, {"top", top}}));
        std::vector<std::vector<Value>> rules;
        for (const Value& item : items(answer, "rules")) {
            auto [code, fields] = parts(*item.as<Map>()->find("rule-description"));
            EXPECT_EQ(code, 0x13700000004u);
            EXPECT_THAT(fields, SizeIs(4));
            rules.push_back(std::move(fields));
        }
        return rules;
    }
};

using Codes = std::pair<std::uint64_t, std::vector<Value>>;

TEST_F(ManagementRules, TheDefaultRuleIsDescribedAsTheSdksReadIt) {
    const auto rules = page(0, 100);
    ASSERT_THAT(rules, SizeIs(1));
    EXPECT_EQ(parts(rules[0][0]), Codes(0x1370000007, {}));
    EXPECT_EQ(parts(rules[0][1]), Codes(0x13700000005, {}));
    EXPECT_EQ(rules[0][2], Value("$Default"));
    EXPECT_NE(rules[0][3].as<TimePoint>(), nullptr);
}

TEST_F(ManagementRules, SqlRulesComeBackWithTheirAction) {
    Map description = sql("color = 'red'");
    description.set("sql-rule-action", with({{"expression", "SET seen = 1"}}));
    auto answer = add("red", description);
    ASSERT_EQ(answer.status, 200) << answer.description;
    const auto rules = page(1, 1);
    ASSERT_THAT(rules, SizeIs(1));
    EXPECT_EQ(parts(rules[0][0]), Codes(0x1370000006, {Value("color = 'red'"), Value(std::int32_t{20})}));
    EXPECT_EQ(parts(rules[0][1]), Codes(0x13700000006, {Value("SET seen = 1")}));
    EXPECT_EQ(rules[0][2], Value("red"));
    EXPECT_EQ(rules[0][3], Value(now()));
}

TEST_F(ManagementRules, CorrelationRulesComeBackFieldByField) {
    const Map properties = with({{"n", std::int64_t{7}}, {"s", "text"}});
    const Map filter = with({{"correlation-id", "c"},
                             {"message-id", "m"},
                             {"to", "t"},
                             {"reply-to", "r"},
                             {"label", "l"},
                             {"session-id", Null()},
                             {"reply-to-session-id", "rs"},
                             {"content-type", "ct"},
                             {"properties", properties}});
    const auto answer = add("z", with({{"correlation-filter", filter}, {"sql-rule-action", Null()}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    const auto rules = page(1, 10);
    ASSERT_THAT(rules, SizeIs(1));
    EXPECT_EQ(parts(rules[0][0]),
              Codes(0x1370000009, {Value("c"), Value("m"), Value("t"), Value("r"), Value("l"), Value(Null()),
                                   Value("rs"), Value("ct"), Value(properties)}));
}

TEST_F(ManagementRules, WhatIsAddedRoutesAndWhatIsRemovedDoesNot) {
    ASSERT_EQ(ask(path, "remove-rule", with({{"rule-name", "$Default"}})).status, 200);
    send("t", {text_message("before")});
    ASSERT_EQ(add("all", sql("1 = 1")).status, 200);
    send("t", {text_message("between")});
    ASSERT_EQ(ask(path, "remove-rule", with({{"rule-name", "all"}})).status, 200);
    send("t", {text_message("after")});
    EXPECT_THAT(bodies(peek(path)), ElementsAre("between"));
    EXPECT_EQ(ask(path, "enumerate-rules", with({{"top", 1}})).status, 204);
}

TEST_F(ManagementRules, NamesTakenAndNamesUnknownAreTold) {
    ASSERT_EQ(add("r", sql("a = 1")).status, 200);
    auto answer = add("R", sql("a = 2"));
    EXPECT_EQ(answer.status, 409);
    EXPECT_EQ(answer.condition, condition::kEntityExists);
    EXPECT_THAT(answer.description, HasSubstr("Rules/R"));
    answer = ask(path, "remove-rule", with({{"rule-name", "other"}}));
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(answer.condition, condition::kNotFound);
}

TEST_F(ManagementRules, ADescriptionMayCarryTheName) {
    Map description = sql("a = 1");
    description.set("rule-name", "inner");
    const auto answer = ask(path, "add-rule", with({{"rule-description", description}}));
    ASSERT_EQ(answer.status, 200) << answer.description;
    EXPECT_EQ(ask(path, "remove-rule", with({{"rule-name", "inner"}})).status, 200);
}

TEST_F(ManagementRules, WrongRulesAreRefused) {
    const Map both = with(
        {{"sql-filter", with({{"expression", "a = 1"}})}, {"correlation-filter", with({{"label", "l"}})}});
    struct Case {
        const char* what;
        Map description;
    };
    const Case cases[] = {
        {"no filter", {}},
        {"two filters", both},
        {"syntax", sql("a = = 1")},
        {"no expression", with({{"sql-filter", Map()}})},
        {"a number for an expression", with({{"sql-filter", with({{"expression", 1}})}})},
        {"an empty correlation filter", with({{"correlation-filter", Map()}})},
        {"a number for a label", with({{"correlation-filter", with({{"label", 1}})}})},
        {"a list for properties", with({{"correlation-filter", with({{"properties", List()}})}})},
        {"a text for a filter", with({{"sql-filter", "a = 1"}})},
        {"a long expression", sql("a = '" + std::string(1100, 'x') + "'")},
    };
    for (const Case& one : cases) {
        const auto answer = add("r", one.description);
        EXPECT_EQ(answer.status, 400) << one.what;
        EXPECT_EQ(answer.condition, condition::kArgumentError) << one.what;
    }
    EXPECT_EQ(add("", sql("a = 1")).status, 400);
    EXPECT_EQ(add(std::string(51, 'n'), sql("a = 1")).status, 400);
    EXPECT_EQ(ask(path, "add-rule", with({{"rule-name", "r"}})).status, 400);
    EXPECT_EQ(ask("t", "add-rule", with({{"rule-name", "r"}, {"rule-description", sql("a = 1")}})).status,
              400);
    EXPECT_EQ(ask(path, "enumerate-rules", with({{"top", 0}})).status, 400);
    EXPECT_EQ(ask(path, "enumerate-rules", with({{"top", 1}, {"skip", -1}})).status, 400);
    EXPECT_THAT(page(0, 10), SizeIs(1));
}

}  // namespace
}  // namespace millrace::amqp::test
