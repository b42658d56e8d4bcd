// Filters and actions of rules that anybody with the right to manage may put, on messages that anybody may
// send.
#include "base/limits.hpp"
#include "broker/compiled_rule.hpp"
#include "broker/sql_evaluate.hpp"
#include "broker/sql_parser.hpp"
#include "fuzz/fuzz.hpp"

namespace millrace::fuzz {

namespace {

broker::Message message_with(std::string_view input) {
    broker::Message message;
    message.message_id = "id";
    message.subject = "label";
    message.session_id = "session";
    message.properties = {
        {"a", std::int64_t{10}},
        {"b", std::string("blue")},
        {"c", 2.5},
        {"d", true},
        {"e", broker::Value()},
        {"f", broker::Encoded{std::string(input.substr(0, 40))}},
        {"g", std::string(input)},
        {"h", std::numeric_limits<std::uint64_t>::max()},
    };
    return message;
}

}  // namespace

std::vector<std::string> seeds() {
    return {
        "a = 10 AND b LIKE 'bl_e%' ESCAPE '|' OR NOT (c / 2.0 >= 1.25)",
        "sys.Label IN ('label', 'x' + b) AND EXISTS(user.[d]) AND e IS NOT NULL",
        "p('b') = \"b\" OR property('f') % 3 <> -a * +2 OR newid() IS NULL OR g LIKE g",
        "SET b = b + 'x'; SET sys.Label = NULL, n = a - 1; REMOVE c; REMOVE sys.SessionId",
        "((((((((1=1))))))))",
    };
}

void check(std::string_view input) {
    const broker::Message message = message_with(input);
    const broker::sql::Arriving arriving{message, 1, from_millis(1'000), 10};
    if (const auto condition = broker::sql::parse_condition(input)) {
        bool random = false;
        for (const auto& node : condition->nodes) {
            random = random || node.what == broker::sql::Operator::new_id;
            for (const auto operand : node.operands)
                require(operand < condition->nodes.size(), "operands are nodes");
        }
        broker::sql::Budget budget{limits::sql_steps_max};
        const auto holds = broker::sql::holds(*condition, arriving, budget);
        require(holds || !holds.error().detail.empty(), "an impossible evaluation says why");
        const auto inverse = broker::sql::parse_condition("NOT (" + std::string(input) + ")");
        const auto opposite = inverse && !random ? broker::sql::holds(*inverse, arriving, budget) : false;
        require(!holds || !opposite || !*holds || !*opposite,
                "a condition and its opposite are not both true");
    }
    broker::Rule rule;
    rule.name = "r";
    rule.action = input;
    if (const auto compiled = broker::CompiledRule::make(rule); compiled && compiled->has_action()) {
        broker::Message copy = message;
        broker::sql::Budget budget{limits::sql_steps_max};
        if (compiled->change(arriving, copy, budget))
            require(copy.properties.contains(broker::kRuleName), "a changed copy names its rule");
    }
}

}  // namespace millrace::fuzz
