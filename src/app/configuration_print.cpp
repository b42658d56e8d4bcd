#include "app/configuration_rules.hpp"
#include "app/settings.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <sstream>
#include <type_traits>

namespace millrace::app {

namespace json = boost::json;

namespace {

json::value value_of(const std::string& text, const Rule& rule) {
    return json::value(rule.secret && !text.empty() ? "(set)" : text);
}
json::value value_of(std::int64_t number, const Rule&) { return number; }
json::value value_of(double number, const Rule&) { return number; }
json::value value_of(bool flag, const Rule&) { return flag; }
json::value value_of(const std::optional<std::vector<broker::Rule>>& rules, const Rule&) {
    return rules ? rules_to_json(*rules) : json::value(nullptr);
}

json::value value_of(const std::vector<std::string>& texts, const Rule&) {
    return json::array(texts.begin(), texts.end());
}

template <class S>
json::value value_in(const S& part, const Setting<S>& setting) {
    return std::visit([&](auto member) { return value_of(part.*member, setting.rule); }, setting.member);
}

// JSON text, numbers and flags are written as TOML writes them, but for doubles, which JSON writes as 0E0.
std::string toml_value(const json::value& value) {
    std::ostringstream out;
    std::string_view before = "";
    if (value.is_array()) {
        out << '[';
        for (const json::value& element : value.get_array())
            out << std::exchange(before, ", ") << toml_value(element);
        out << ']';
    } else if (value.is_object()) {
        out << "{ ";
        for (const auto& [key, element] : value.get_object())
            out << std::exchange(before, ", ") << json::serialize(json::string(key)) << " = "
                << toml_value(element);
        out << " }";
    } else if (value.is_double()) {
        out << value.get_double();
    } else {
        out << json::serialize(value);
    }
    return out.str();
}

template <class S>
json::object json_of(const S& part) {
    json::object object;
    for (const auto& setting : kSettings<S>) object[setting.key] = value_in(part, setting);
    return object;
}

template <class S>
void print_part(std::string& out, const S& part) {
    for (const auto& setting : kSettings<S>) {
        const json::value value = value_in(part, setting);
        std::string line =
            std::string(setting.key) + " = " + (value.is_null() ? std::string("[]") : toml_value(value));
        if (setting.rule.secret || value.is_null()) line = "# " + line;
        line.resize(std::max<std::size_t>(line.size(), 40), ' ');
        out += line + "  # " + std::string(setting.help);
        if (!setting.unit.empty()) out += " [" + std::string(setting.unit) + "]";
        out += '\n';
    }
    out += '\n';
}

std::string bounds_of(const Rule& rule, bool number) {
    if (!rule.choices.empty()) {
        std::string text;
        for (const char c : rule.choices) text += c == '|' ? std::string("`, `") : std::string(1, c);
        return "`" + text + "`";
    }
    if (!number || rule.max == std::numeric_limits<std::int64_t>::max()) return "";
    const std::string range = std::to_string(rule.min) + " – " + std::to_string(rule.max);
    return rule.zero_too ? "0 or " + range : range;
}

template <class S>
void print_table(std::string& out) {
    const S defaults;
    out += "| key | default | unit | values | meaning |\n|---|---|---|---|---|\n";
    for (const auto& setting : kSettings<S>) {
        const bool text = std::holds_alternative<std::string S::*>(setting.member);
        const bool list = std::holds_alternative<std::vector<std::string> S::*>(setting.member);
        const bool flag = std::holds_alternative<bool S::*>(setting.member);
        const std::string value = toml_value(value_in(defaults, setting));
        out += "| `" + std::string(setting.key) + "` | ";
        out += setting.rule.required && value == "\"\""     ? "(required)"
               : value == "\"\"" || value == "null" || list ? ""
                                                            : "`" + value + "`";
        out += " | " + std::string(setting.unit) + " | ";
        out += flag ? "`true`, `false`" : bounds_of(setting.rule, !text && !list);
        out += " | " + std::string(setting.help) + " |\n";
    }
    out += '\n';
}

template <class T>
struct ElementOf {
    using type = T;
};
template <class T>
struct ElementOf<std::vector<T>> {
    using type = T;
};

}  // namespace

std::string print_toml(const Configuration& configuration) {
    std::string out;
    for_each_section(configuration, [&](std::string_view name, const auto& part, std::string_view help) {
        using S = std::remove_cvref_t<decltype(part)>;
        out += "# " + std::string(help) + "\n";
        if constexpr (kIsList<S>) {
            if (part.empty()) out += "# [[" + std::string(name) + "]]\n\n";
            for (const auto& one : part) {
                out += "[[" + std::string(name) + "]]\n";
                print_part(out, one);
            }
        } else {
            out += "[" + std::string(name) + "]\n";
            print_part(out, part);
        }
    });
    out.pop_back();
    return out;
}

std::string print_json(const Configuration& configuration) {
    json::object root;
    for_each_section(configuration, [&](std::string_view name, const auto& part, std::string_view) {
        using S = std::remove_cvref_t<decltype(part)>;
        if constexpr (kIsList<S>) {
            json::array list;
            for (const auto& one : part) list.push_back(json_of(one));
            root[name] = std::move(list);
        } else {
            root[name] = json_of(part);
        }
    });
    return json::serialize(root);
}

std::string print_reference() {
    std::string out;
    const Configuration defaults;
    for_each_section(defaults, [&](std::string_view name, const auto& part, std::string_view help) {
        using S = std::remove_cvref_t<decltype(part)>;
        const std::string title =
            kIsList<S> ? "[[" + std::string(name) + "]]" : "[" + std::string(name) + "]";
        out += "### `" + title + "`: " + std::string(help) + "\n\n";
        print_table<typename ElementOf<S>::type>(out);
    });
    out.pop_back();
    return out;
}

}  // namespace millrace::app
