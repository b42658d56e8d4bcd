#include "http/admin_rule.hpp"

#include "broker/value.hpp"

#include <boost/beast/core/detail/base64.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace millrace::http {

namespace {

constexpr char kCompatibilityLevel[] = "20";
constexpr char kPair[] = "KeyValueOfstringanyType";

Error bad(std::string why) { return Error{Errc::invalid_input, std::move(why)}; }

template <class Number>
std::optional<Number> whole(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<double> real(const std::string& text) {
    if (text == "INF") return std::numeric_limits<double>::infinity();   // XML Schema, part 2, 3.2.5
    if (text == "-INF") return -std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::nullopt;
    return whole<double>(text);
}

std::optional<Uuid> guid(std::string_view text) {
    Uuid id;
    std::string digits;
    for (const char c : text)
        if (c != '-') digits += c;
    if (text.size() != 36 || digits.size() != 32) return std::nullopt;
    for (std::size_t i = 0; i < 16; ++i) {
        const char* begin = digits.data() + 2 * i;
        const auto [end, error] = std::from_chars(begin, begin + 2, id.bytes[i], 16);
        if (error != std::errc{} || end != begin + 2) return std::nullopt;
    }
    return id;
}

/// A typed value, e.g. <Value i:type="d6p1:int">5</Value>.
Result<broker::Value> read_value(const std::string& name, pugi::xml_node element) {
    const std::string type = type_of(element);
    const std::string text = text_of(element);
    const auto made = [&](auto&& value) -> Result<broker::Value> {
        if (value) return broker::Value(*value);
        return bad("the property \"" + name + "\": \"" + text.substr(0, 100) + "\" is no " + type);
    };
    if (type.empty() || type == "string" || type == "anyURI" || type == "char") return broker::Value(text);
    if (type == "boolean") {
        const bool yes = text == "true" || text == "1";
        const bool no = text == "false" || text == "0";
        return made(yes || no ? std::optional<bool>(yes) : std::nullopt);
    }
    for (const std::string_view integer :
         {"int", "long", "short", "byte", "unsignedByte", "unsignedShort", "unsignedInt", "integer"})
        if (type == integer) return made(whole<std::int64_t>(text));
    if (type == "unsignedLong") return made(whole<std::uint64_t>(text));
    if (type == "double" || type == "float" || type == "decimal") return made(real(text));
    if (type == "dateTime") return made(parse_time(text));
    if (type == "guid") return made(guid(text));
    return bad("the property \"" + name + "\" has the type \"" + type +
               "\"; known are string, boolean, int, long, double, dateTime and guid");
}

/// The pairs in <Properties> or <Parameters>.
Result<broker::Properties> read_pairs(pugi::xml_node element) {
    broker::Properties pairs;
    for (const pugi::xml_node pair : element.children()) {
        if (pair.type() != pugi::node_element || local_name(pair.name()) != kPair) continue;
        const std::string key = text_of(child_called(pair, "Key"));
        if (key.empty()) return bad("a property has no Key");
        auto value = read_value(key, child_called(pair, "Value"));
        if (!value) return value.error();
        if (!pairs.emplace(key, std::move(*value)).second)
            return bad("the property \"" + key + "\" comes twice");
    }
    return pairs;
}

struct CorrelationField {
    const char* element;
    std::optional<std::string> broker::CorrelationFilter::* member;
};
/// In the order in which the service writes them.
constexpr std::array<CorrelationField, 8> kCorrelationFields = {{
    {"CorrelationId", &broker::CorrelationFilter::correlation_id},
    {"MessageId", &broker::CorrelationFilter::message_id},
    {"To", &broker::CorrelationFilter::to},
    {"ReplyTo", &broker::CorrelationFilter::reply_to},
    {"Label", &broker::CorrelationFilter::subject},
    {"SessionId", &broker::CorrelationFilter::session_id},
    {"ReplyToSessionId", &broker::CorrelationFilter::reply_to_session_id},
    {"ContentType", &broker::CorrelationFilter::content_type},
}};

Result<broker::Filter> read_correlation(pugi::xml_node element) {
    broker::CorrelationFilter filter;
    for (const auto& [name, member] : kCorrelationFields)
        if (const pugi::xml_node field = child_called(element, name)) {
            std::string text = text_of(field);
            if (!text.empty()) filter.*member = std::move(text);
        }
    auto properties = read_pairs(child_called(element, "Properties"));
    if (!properties) return properties.error();
    filter.properties = std::move(*properties);
    return broker::Filter(std::move(filter));
}

/// The SQL text of a filter or an action.
Result<std::string> read_sql(pugi::xml_node element) {
    if (child_called(child_called(element, "Parameters"), kPair))
        return bad("SQL parameters are not supported; write the values into the expression");
    return text_of(child_called(element, "SqlExpression"));
}

Result<broker::Filter> read_filter(pugi::xml_node element) {
    const std::string type = type_of(element);
    if (!element || type == "TrueFilter") return broker::Filter(broker::TrueFilter{});
    if (type == "FalseFilter") return broker::Filter(broker::FalseFilter{});
    if (type == "CorrelationFilter") return read_correlation(element);
    if (type != "SqlFilter")
        return bad("a Filter has the type SqlFilter, TrueFilter, FalseFilter or CorrelationFilter, not \"" +
                   type.substr(0, 100) + "\"");
    auto sql = read_sql(element);
    if (!sql) return sql.error();
    return broker::Filter(broker::SqlFilter{std::move(*sql)});
}

Result<std::string> read_action(pugi::xml_node element) {
    const std::string type = type_of(element);
    if (!element || type.empty() || type == "EmptyRuleAction") return std::string();
    if (type != "SqlRuleAction")
        return bad("an Action has the type SqlRuleAction or EmptyRuleAction, not \"" + type.substr(0, 100) +
                   "\"");
    return read_sql(element);
}

struct TypedText {
    const char* type;
    std::string text;
};

struct TypedView {
    TypedText operator()(std::monostate) const { return {"string", ""}; }
    TypedText operator()(bool flag) const { return {"boolean", flag ? "true" : "false"}; }
    TypedText operator()(std::int64_t number) const {
        const bool narrow = number >= std::numeric_limits<std::int32_t>::min() &&
                            number <= std::numeric_limits<std::int32_t>::max();
        return {narrow ? "int" : "long", std::to_string(number)};
    }
    TypedText operator()(std::uint64_t number) const { return {"unsignedLong", std::to_string(number)}; }
    TypedText operator()(double number) const {
        if (!std::isfinite(number)) return {"double", number > 0 ? "INF" : number < 0 ? "-INF" : "NaN"};
        std::array<char, 32> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        return {"double", std::string(digits.data(), end)};
    }
    TypedText operator()(const std::string& text) const { return {"string", text}; }
    TypedText operator()(const Uuid& id) const { return {"guid", to_string(id)}; }
    TypedText operator()(TimePoint when) const { return {"dateTime", to_rfc3339(when)}; }
    TypedText operator()(const broker::Encoded& encoded) const {
        namespace codec = boost::beast::detail::base64;
        std::string text(codec::encoded_size(encoded.bytes.size()), '\0');
        text.resize(codec::encode(text.data(), encoded.bytes.data(), encoded.bytes.size()));
        return {"base64Binary", std::move(text)};
    }
};

void write_properties(XmlWriter& xml, const broker::Properties& properties) {
    if (properties.empty()) return;
    xml.open("Properties");
    for (const auto& [name, value] : properties) {
        const TypedText typed = std::visit(TypedView{}, broker::numeric(value));
        const bool guid = std::string_view(typed.type) == "guid";
        // The prefix has four letters because clients cut off so many and the colon.
        const std::string type = std::string("d6p1:") + typed.type;
        xml.open(kPair);
        xml.element("Key", name);
        xml.element("Value", typed.text,
                    {{"i:type", type},
                     {"xmlns:d6p1", guid ? "http://schemas.microsoft.com/2003/10/Serialization/" : kSchema}});
        xml.close();
    }
    xml.close();
}

struct FilterWriter {
    XmlWriter& xml;
    void sql(const char* type, const std::string& expression) const {
        xml.open("Filter", {{"i:type", type}});
        xml.element("SqlExpression", expression);
        xml.element("CompatibilityLevel", kCompatibilityLevel);
        xml.close();
    }
    void operator()(const broker::TrueFilter&) const { sql("TrueFilter", "1=1"); }
    void operator()(const broker::FalseFilter&) const { sql("FalseFilter", "1=0"); }
    void operator()(const broker::SqlFilter& filter) const { sql("SqlFilter", filter.expression); }
    void operator()(const broker::CorrelationFilter& filter) const {
        xml.open("Filter", {{"i:type", "CorrelationFilter"}});
        for (const auto& [name, member] : kCorrelationFields)
            if (filter.*member) xml.element(name, *(filter.*member));
        write_properties(xml, filter.properties);
        xml.close();
    }
};

}  // namespace

Result<broker::Rule> read_rule(pugi::xml_node element, std::string_view otherwise) {
    broker::Rule rule;
    rule.name = text_of(child_called(element, "Name"));
    if (rule.name.empty()) rule.name = otherwise;
    auto filter = read_filter(child_called(element, "Filter"));
    if (!filter) return filter.error();
    rule.filter = std::move(*filter);
    auto action = read_action(child_called(element, "Action"));
    if (!action) return action.error();
    rule.action = std::move(*action);
    return rule;
}

std::string rule_xml(const broker::Rule& rule) {
    XmlWriter xml;
    xml.open("RuleDescription", {{"xmlns", kServiceBusNamespace}, {"xmlns:i", kSchemaInstance}});
    std::visit(FilterWriter{xml}, rule.filter);
    if (rule.action.empty()) {
        xml.element("Action", "", {{"i:type", "EmptyRuleAction"}});
    } else {
        xml.open("Action", {{"i:type", "SqlRuleAction"}});
        xml.element("SqlExpression", rule.action);
        xml.element("CompatibilityLevel", kCompatibilityLevel);
        xml.close();
    }
    xml.element("CreatedAt", to_rfc3339(rule.created_at));
    xml.element("Name", rule.name);
    xml.close();
    return xml.take();
}

}  // namespace millrace::http
