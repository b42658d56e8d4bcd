#include "broker/compiled_rule.hpp"

#include "base/utf8.hpp"
#include "broker/engine.hpp"
#include "broker/sql_evaluate.hpp"
#include "broker/sql_lexer.hpp"
#include "broker/sql_parser.hpp"
#include "broker/value.hpp"

namespace millrace::broker {

namespace {

Error bad(const Rule& rule, std::string_view why) {
    return Error{Errc::invalid_input, "rule \"" + rule.name.substr(0, 100) + "\": " + std::string(why)};
}

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == '$';
}

Result<void> check_name(const Rule& rule) {
    if (rule.name.empty()) return bad(rule, "the name is empty");
    if (rule.name.size() > limits::rule_name_chars_max)
        return bad(rule, "the name is longer than 50 characters");
    if (!std::all_of(rule.name.begin(), rule.name.end(), is_name_character))
        return bad(rule, "a name has only letters, digits, '.', '-', '_' and '$'");
    return {};
}

struct TextField {
    std::optional<std::string> CorrelationFilter::* wanted;
    std::string Message::* found;
};
constexpr TextField kTextFields[] = {
    {&CorrelationFilter::correlation_id, &Message::correlation_id},
    {&CorrelationFilter::message_id, &Message::message_id},
    {&CorrelationFilter::to, &Message::to},
    {&CorrelationFilter::reply_to, &Message::reply_to},
    {&CorrelationFilter::subject, &Message::subject},
    {&CorrelationFilter::reply_to_session_id, &Message::reply_to_session_id},
    {&CorrelationFilter::content_type, &Message::content_type},
};

bool is_empty(const CorrelationFilter& filter) { return filter == CorrelationFilter(); }

bool matches(const CorrelationFilter& filter, const Message& message) {
    for (const auto& [wanted, found] : kTextFields) {
        if (filter.*wanted && *(filter.*wanted) != message.*found) return false;
    }
    if (filter.session_id && filter.session_id != message.session_id) return false;
    for (const auto& [name, value] : filter.properties) {
        const auto found = message.properties.find(name);
        if (found == message.properties.end() || !equal_values(value, found->second)) return false;
    }
    return true;
}

}  // namespace

Result<CompiledRule> CompiledRule::make(Rule rule) {
    if (auto named = check_name(rule); !named) return named.error();
    CompiledRule compiled;
    if (const auto* filter = std::get_if<SqlFilter>(&rule.filter)) {
        auto parsed = sql::parse_condition(filter->expression);
        if (!parsed) return bad(rule, "its filter: " + parsed.error().detail);
        compiled.condition_ = std::move(*parsed);
    }
    if (const auto* filter = std::get_if<CorrelationFilter>(&rule.filter)) {
        if (is_empty(*filter)) return bad(rule, "its correlation filter names nothing; set a field of it");
        if (encoded_size(filter->properties) > limits::properties_bytes_max)
            return bad(rule, "the properties of its correlation filter are larger than 64 KiB");
    }
    if (!rule.action.empty()) {
        auto parsed = sql::parse_action(rule.action);
        if (!parsed) return bad(rule, "its action: " + parsed.error().detail);
        compiled.action_ = std::move(*parsed);
    }
    compiled.rule_ = std::move(rule);
    return compiled;
}

Result<bool> CompiledRule::takes(const sql::Arriving& arriving, sql::Budget& budget) const {
    if (std::holds_alternative<TrueFilter>(rule_.filter)) return true;
    if (std::holds_alternative<FalseFilter>(rule_.filter)) return false;
    if (const auto* filter = std::get_if<CorrelationFilter>(&rule_.filter))
        return matches(*filter, arriving.message);
    auto held = sql::holds(condition_, arriving, budget);
    if (!held) return bad(rule_, "its filter: " + held.error().detail);
    return held;
}

Result<void> CompiledRule::change(const sql::Arriving& arriving, Message& copy, sql::Budget& budget) const {
    if (auto applied = sql::apply(action_, arriving, copy, budget); !applied)
        return bad(rule_, "its action: " + applied.error().detail);
    copy.properties.insert_or_assign(kRuleName, rule_.name);
    if (auto checked = check_message(copy, limits::message_bytes_max_max); !checked)
        return bad(rule_, checked.error().detail);
    return {};
}

Result<void> check_rule(const Rule& rule) {
    const auto compiled = CompiledRule::make(rule);
    if (!compiled) return compiled.error();
    return {};
}

}  // namespace millrace::broker
