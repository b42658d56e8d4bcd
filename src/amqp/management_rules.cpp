// Rules of a subscription as maps (what clients write) and as described lists (what they read).
#include "amqp/management_call.hpp"
#include "base/limits.hpp"

namespace millrace::amqp {

namespace {

using broker::CorrelationFilter;
using broker::Filter;
using broker::Rule;

// Descriptors of Service Bus. Those of the filters are one digit shorter: that is how the SDKs know them.
constexpr std::uint64_t kSqlFilter = 0x1370000006, kTrueFilter = 0x1370000007, kFalseFilter = 0x1370000008,
                        kCorrelationFilter = 0x1370000009;
constexpr std::uint64_t kRule = 0x13700000004, kEmptyAction = 0x13700000005, kSqlAction = 0x13700000006;
constexpr std::int32_t kCompatibilityLevel = 20;

constexpr auto kPageMax = static_cast<std::int64_t>(limits::page_items_max);

struct CorrelationField {
    std::string_view name;
    std::optional<std::string> CorrelationFilter::* field;
};
// In the order of the described list.
constexpr CorrelationField kCorrelationFields[] = {
    {"correlation-id", &CorrelationFilter::correlation_id},
    {"message-id", &CorrelationFilter::message_id},
    {"to", &CorrelationFilter::to},
    {"reply-to", &CorrelationFilter::reply_to},
    {"label", &CorrelationFilter::subject},
    {"session-id", &CorrelationFilter::session_id},
    {"reply-to-session-id", &CorrelationFilter::reply_to_session_id},
    {"content-type", &CorrelationFilter::content_type},
};

CorrelationFilter read_correlation(const Map& map, std::string& problem) {
    Arguments arguments(map);
    CorrelationFilter filter;
    for (const auto& [name, field] : kCorrelationFields) filter.*field = arguments.text(name);
    if (const Map* properties = arguments.map("properties")) filter.properties = to_properties(*properties);
    problem = arguments.problem();
    return filter;
}

std::string read_expression(const Map& map, std::string& problem) {
    Arguments arguments(map);
    std::string expression = arguments.name("expression");
    if (problem.empty()) problem = arguments.problem();
    return expression;
}

Result<Rule> read_rule(const Map& map) {
    Arguments arguments(map);
    const Map* description = arguments.map("rule-description");
    const auto name = arguments.text("rule-name");
    if (!arguments.problem().empty()) return Error{Errc::invalid_input, arguments.problem()};
    if (description == nullptr) {
        return Error{Errc::invalid_input, "The argument 'rule-description' is missing."};
    }
    Arguments described(*description);
    const auto own_name = described.text("rule-name");
    const Map* sql = described.map("sql-filter");
    const Map* correlation = described.map("correlation-filter");
    const Map* action = described.map("sql-rule-action");
    std::string problem = described.problem();
    if (problem.empty() && (sql == nullptr) == (correlation == nullptr)) {
        problem = "A rule has one of 'sql-filter' and 'correlation-filter'.";
    }
    Rule rule;
    rule.name = name ? *name : own_name.value_or("");
    if (problem.empty() && sql != nullptr) rule.filter = broker::SqlFilter{read_expression(*sql, problem)};
    if (problem.empty() && correlation != nullptr) rule.filter = read_correlation(*correlation, problem);
    if (problem.empty() && action != nullptr) rule.action = read_expression(*action, problem);
    if (problem.empty() && rule.name.empty()) problem = "The argument 'rule-name' is missing or empty.";
    if (!problem.empty()) return Error{Errc::invalid_input, std::move(problem)};
    return rule;
}

List write_correlation(const CorrelationFilter& filter) {
    List list;
    for (const auto& [name, field] : kCorrelationFields) {
        const std::optional<std::string>& text = filter.*field;
        list.items.push_back(text ? Value(*text) : Value(Null()));
    }
    list.items.emplace_back(from_properties(filter.properties));
    return list;
}

Value write_filter(const Filter& filter) {
    if (const auto* sql = std::get_if<broker::SqlFilter>(&filter)) {
        return described(kSqlFilter, List{{sql->expression, kCompatibilityLevel}});
    }
    if (const auto* correlation = std::get_if<CorrelationFilter>(&filter)) {
        return described(kCorrelationFilter, write_correlation(*correlation));
    }
    const bool all = std::holds_alternative<broker::TrueFilter>(filter);
    return described(all ? kTrueFilter : kFalseFilter, List());
}

Value write_action(const std::string& action) {
    if (action.empty()) return described(kEmptyAction, List());
    return described(kSqlAction, List{{Value(action)}});
}

Value write_rule(const Rule& rule) {
    List list{{write_filter(rule.filter), write_action(rule.action), rule.name, rule.created_at}};
    return described(kRule, std::move(list));
}

/// The rule, not the subscription, is what is or is not there.
ManagementAnswer rule_failure(const Call& call, const std::string& rule, const Error& error) {
    if (error.code == Errc::conflict) {
        return refuse(
            call, 409, condition::kEntityExists,
            "The messaging entity '" + call.request.entity + "/Rules/" + rule + "' already exists.");
    }
    return failure(call, error, condition::kEntityExists, condition::kNotFound);
}

}  // namespace

Answering add_rule(const Call& call) {
    auto rule = read_rule(call.request.arguments);
    if (!rule) co_return refuse_arguments(call, rule.error().detail);
    rule->created_at = call.context.clock.now();
    const std::string name = rule->name;
    auto adding = call.context.broker.put_rule(call.request.entity, std::move(*rule), false);
    const auto added = co_await std::move(adding);
    if (!added) co_return rule_failure(call, name, added.error());
    co_return ManagementAnswer();
}

Answering remove_rule(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::string name = arguments.name("rule-name");
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());
    const auto removed = co_await call.context.broker.remove_rule(call.request.entity, name);
    if (!removed) co_return rule_failure(call, name, removed.error());
    co_return ManagementAnswer();
}

Answering enumerate_rules(const Call& call) {
    Arguments arguments(call.request.arguments);
    const std::int64_t skip = arguments.integer("skip").value_or(0);
    if (skip < 0) arguments.fail("The argument 'skip' is less than 0.");
    const std::int64_t top = arguments.count("top", 1, kPageMax);
    if (!arguments.problem().empty()) co_return refuse_arguments(call, arguments.problem());

    const auto rules = call.context.broker.rules(call.request.entity);
    if (!rules) co_return failure(call, rules.error());
    List page;
    const auto all = static_cast<std::int64_t>(rules->size());
    for (std::int64_t i = skip; i < all && i - skip < top; ++i) {
        Map entry;
        entry.set("rule-description", write_rule((*rules)[static_cast<std::size_t>(i)]));
        page.items.emplace_back(std::move(entry));
    }
    if (page.items.empty()) co_return nothing();
    ManagementAnswer answer;
    answer.body.set("rules", std::move(page));
    co_return answer;
}

}  // namespace millrace::amqp
