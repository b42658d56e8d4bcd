#include "app/configuration_rules.hpp"

#include "base/nearest.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>

namespace millrace::app {

namespace json = boost::json;
using boost::beast::iequals;

namespace {

struct TextField {
    std::string_view key;
    std::optional<std::string> broker::CorrelationFilter::* member;
};
constexpr TextField kTextFields[] = {
    {"correlation_id", &broker::CorrelationFilter::correlation_id},
    {"message_id", &broker::CorrelationFilter::message_id},
    {"to", &broker::CorrelationFilter::to},
    {"reply_to", &broker::CorrelationFilter::reply_to},
    {"subject", &broker::CorrelationFilter::subject},
    {"session_id", &broker::CorrelationFilter::session_id},
    {"reply_to_session_id", &broker::CorrelationFilter::reply_to_session_id},
    {"content_type", &broker::CorrelationFilter::content_type},
};

constexpr std::string_view kRuleKeys[] = {"name", "sql", "correlation", "action"};

/// Reads one rule; `key` stands before each problem.
class RuleReader {
  public:
    RuleReader(const std::string& key, std::vector<std::string>& problems) : key_(key), problems_(problems) {}

    broker::Rule read(const RawSection& section) {
        broker::Rule rule;
        rule.name.clear();
        const std::size_t before = problems_.size();
        bool has_sql = false;
        bool has_correlation = false;
        for (const auto& [key, raw] : section.values) {
            if (key == "name") {
                read_text(key, raw, rule.name);
            } else if (key == "action") {
                read_text(key, raw, rule.action);
            } else if (key == "sql") {
                has_sql = true;
                broker::SqlFilter filter;
                read_text(key, raw, filter.expression);
                rule.filter = std::move(filter);
            } else if (key == "correlation") {
                has_correlation = true;
                rule.filter = read_correlation(raw);
            } else {
                report(raw.place, "unknown key \"" + key + "\"" + hint(key, kRuleKeys));
            }
        }
        if (has_sql && has_correlation)
            report(section.place, "has both sql and correlation; write two rules, or one of them");
        if (rule.name.empty() && problems_.size() == before)
            report(section.place, "each rule needs a name, e.g. name = \"urgent\"");
        if (problems_.size() > before) return rule;
        if (auto checked = broker::check_rule(rule); !checked)
            report(section.place, checked.error().detail + "; docs/topics.md shows how rules are written");
        return rule;
    }

  private:
    void report(const std::string& place, const std::string& what) {
        problems_.push_back(place + ": " + key_ + ": " + what);
    }

    void read_text(const std::string& key, const RawValue& raw, std::string& text) {
        const auto* found = std::get_if<std::string>(&raw.value);
        if (found == nullptr || !raw.unsupported.empty())
            return report(raw.place, key + ": expected text in quotes");
        text = *found;
    }

    broker::CorrelationFilter read_correlation(const RawValue& raw) {
        broker::CorrelationFilter filter;
        if (raw.unsupported != "a table") {
            report(raw.place, "correlation: expected a table, e.g. { subject = \"order\" }");
            return filter;
        }
        std::vector<std::string_view> known{"properties"};
        for (const TextField& field : kTextFields) known.push_back(field.key);
        for (const auto& [key, value] : raw.tables->front().values) {
            const auto field = std::find_if(std::begin(kTextFields), std::end(kTextFields),
                                            [&](const TextField& one) { return one.key == key; });
            if (field != std::end(kTextFields))
                read_text("correlation." + key, value, (filter.*(field->member)).emplace());
            else if (key == "properties")
                filter.properties = read_properties(value);
            else
                report(value.place, "unknown key \"correlation." + key + "\"" + hint(key, known));
        }
        return filter;
    }

    broker::Properties read_properties(const RawValue& raw) {
        broker::Properties properties;
        if (raw.unsupported != "a table") {
            report(raw.place, "correlation.properties: expected a table, e.g. { region = \"north\" }");
            return properties;
        }
        for (const auto& [name, value] : raw.tables->front().values) {
            if (!value.unsupported.empty())
                report(value.place, "correlation.properties." + name +
                                        ": expected a text, a number, true or "
                                        "false, found " +
                                        value.unsupported);
            else
                properties[name] =
                    std::visit([](const auto& plain) { return broker::Value(plain); }, value.value);
        }
        return properties;
    }

    const std::string& key_;
    std::vector<std::string>& problems_;
};

struct ShowValue {
    json::value operator()(std::int64_t number) const { return number; }
    json::value operator()(double number) const { return number; }
    json::value operator()(bool flag) const { return flag; }
    json::value operator()(const std::string& text) const { return json::value(text); }
    template <class Other>
    json::value operator()(const Other&) const {
        return nullptr;  // no configuration can hold it
    }
};

json::object correlation_to_json(const broker::CorrelationFilter& filter) {
    json::object object;
    for (const auto& [key, member] : kTextFields) {
        if (filter.*member) object[key] = *(filter.*member);
    }
    json::object properties;
    for (const auto& [name, value] : filter.properties) properties[name] = std::visit(ShowValue(), value);
    if (!properties.empty()) object["properties"] = std::move(properties);
    return object;
}

bool says_the_same(const broker::Rule& a, const broker::Rule& b) {
    return a.name == b.name && a.filter == b.filter && a.action == b.action;
}

bool names(const std::vector<broker::Rule>& rules, const std::string& name) {
    return std::any_of(rules.begin(), rules.end(),
                       [&](const broker::Rule& rule) { return iequals(rule.name, name); });
}

}  // namespace

std::vector<broker::Rule> read_rules(const std::string& key, const RawValue& raw,
                                     std::vector<std::string>& problems) {
    std::vector<broker::Rule> rules;
    if (raw.unsupported != "a list" || !raw.tables) {
        problems.push_back(
            raw.place + ": " + key +
            ": expected a list of tables, e.g. [{ name = \"urgent\", sql = \"priority > 5\" }]");
        return rules;
    }
    for (const RawSection& section : *raw.tables) {
        broker::Rule rule = RuleReader(key, problems).read(section);
        if (!rule.name.empty() && names(rules, rule.name))
            problems.push_back(section.place + ": " + key + ": \"" + rule.name +
                               "\" is defined twice; give each rule a name of its own");
        rules.push_back(std::move(rule));
    }
    return rules;
}

json::value rules_to_json(const std::vector<broker::Rule>& rules) {
    json::array list;
    for (const broker::Rule& rule : rules) {
        json::object object{{"name", rule.name}};
        if (const auto* filter = std::get_if<broker::SqlFilter>(&rule.filter))
            object["sql"] = filter->expression;
        if (const auto* filter = std::get_if<broker::CorrelationFilter>(&rule.filter))
            object["correlation"] = correlation_to_json(*filter);
        if (!rule.action.empty()) object["action"] = rule.action;
        list.push_back(std::move(object));
    }
    return list;
}

// What is new comes before what goes, so that a message that both take is never missed.
broker::asio::awaitable<Result<void>> apply_rules(broker::Broker& broker, std::string subscription,
                                                  std::vector<broker::Rule> wanted) {
    const auto existing = broker.rules(subscription);
    if (!existing) co_return existing.error();
    for (const broker::Rule& rule : wanted) {
        const auto same = [&](const broker::Rule& other) { return says_the_same(rule, other); };
        if (std::any_of(existing->begin(), existing->end(), same)) continue;
        const bool replace = names(*existing, rule.name);
        auto put = co_await broker.put_rule(subscription, rule, replace);
        if (!put) co_return put;
    }
    for (const broker::Rule& rule : *existing) {
        if (names(wanted, rule.name)) continue;
        auto removed = co_await broker.remove_rule(subscription, rule.name);
        if (!removed) co_return removed;
    }
    co_return Result<void>();
}

}  // namespace millrace::app
