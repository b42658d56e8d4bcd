#include "broker/rule_rows.hpp"

#include "broker/codec.hpp"

#include <boost/json.hpp>

namespace millrace::broker::rows {

namespace json = boost::json;
using store::Blob;
using store::Connection;

namespace {

// Stored: never rename.
struct Field {
    const char* name;
    std::optional<std::string> CorrelationFilter::* member;
};
constexpr Field kFields[] = {
    {"correlation_id", &CorrelationFilter::correlation_id},
    {"message_id", &CorrelationFilter::message_id},
    {"to", &CorrelationFilter::to},
    {"reply_to", &CorrelationFilter::reply_to},
    {"subject", &CorrelationFilter::subject},
    {"session_id", &CorrelationFilter::session_id},
    {"reply_to_session_id", &CorrelationFilter::reply_to_session_id},
    {"content_type", &CorrelationFilter::content_type},
};
constexpr const char* kKinds[] = {"true", "false", "sql", "correlation"};  // in the order of `Filter`

std::string fields_of(const CorrelationFilter& filter) {
    json::object object;
    for (const auto& [name, member] : kFields) {
        if (filter.*member) object[name] = *(filter.*member);
    }
    return json::serialize(object);
}

Error damaged(const std::string& rule) {
    return Error{Errc::corrupt, "the stored rule \"" + rule + "\" of a subscription is damaged"};
}

Result<CorrelationFilter> correlation_of(const std::string& rule, std::string_view fields,
                                         std::string_view properties) {
    boost::system::error_code error;
    const json::value parsed = json::parse(json::string_view(fields.data(), fields.size()), error);
    if (error || !parsed.is_object()) return damaged(rule);
    CorrelationFilter filter;
    for (const auto& [name, member] : kFields) {
        const json::value* value = parsed.get_object().if_contains(name);
        if (value == nullptr) continue;
        if (!value->is_string()) return damaged(rule);
        filter.*member = std::string(value->get_string());
    }
    Message message;
    Origin origin;
    if (!decode_properties(properties, message, origin)) return damaged(rule);
    filter.properties = std::move(message.properties);
    return filter;
}

Result<Filter> filter_of(const std::string& rule, store::Statement& select) {
    const std::string_view kind = select.text(2);
    if (kind == kKinds[0]) return Filter(TrueFilter{});
    if (kind == kKinds[1]) return Filter(FalseFilter{});
    if (kind == kKinds[2]) return Filter(SqlFilter{select.string(3)});
    if (kind != kKinds[3]) return damaged(rule);
    auto filter = correlation_of(rule, select.text(4), select.text(5));
    if (!filter) return filter.error();
    return Filter(std::move(*filter));
}

}  // namespace

Result<std::vector<StoredRule>> read_rules(Connection& connection) {
    std::vector<StoredRule> all;
    auto& select = connection.prepare(
        "SELECT entity,name,kind,expression,fields,properties,action,created FROM rule ORDER BY entity,name");
    select.bind();
    while (select.step()) {
        StoredRule stored;
        stored.entity = select.integer(0);
        stored.rule.name = select.string(1);
        auto filter = filter_of(stored.rule.name, select);
        if (!filter) {
            select.reset();
            return filter.error();
        }
        stored.rule.filter = std::move(*filter);
        stored.rule.action = select.string(6);
        stored.rule.created_at = from_millis(select.integer(7));
        all.push_back(std::move(stored));
    }
    return all;
}

bool has_rule(Connection& connection, std::int64_t entity, const std::string& name) {
    auto& select = connection.prepare("SELECT 1 FROM rule WHERE entity=? AND name=?");
    select.bind(entity, name);
    const bool found = select.step();
    select.reset();
    return found;
}

void put_rule(Connection& connection, std::int64_t entity, const Rule& rule) {
    std::optional<std::string> expression;
    std::optional<std::string> fields;
    Message message;
    if (const auto* filter = std::get_if<SqlFilter>(&rule.filter)) expression = filter->expression;
    if (const auto* filter = std::get_if<CorrelationFilter>(&rule.filter)) {
        fields = fields_of(*filter);
        message.properties = filter->properties;
    }
    const std::string properties = encode_properties(message, Origin());
    connection
        .prepare(
            "INSERT OR REPLACE INTO rule(entity,name,kind,expression,fields,properties,action,created) "
            "VALUES(?,?,?,?,?,?,?,?)")
        .bind(entity, rule.name, kKinds[rule.filter.index()], expression, fields, Blob{properties},
              rule.action, to_millis(rule.created_at))
        .run();
}

void remove_rule(Connection& connection, std::int64_t entity, const std::string& name) {
    connection.prepare("DELETE FROM rule WHERE entity=? AND name=?").bind(entity, name).run();
}

void remove_rules(Connection& connection, std::int64_t entity) {
    connection.prepare("DELETE FROM rule WHERE entity=?").bind(entity).run();
}

}  // namespace millrace::broker::rows
