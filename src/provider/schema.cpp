#include "provider/schema.hpp"

#include "text/utf8.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <cmath>

namespace millrace::provider {

namespace json = boost::json;

namespace {

constexpr int kOptionalDepthMax = 8;
constexpr int kDepthMax = 48;
constexpr std::size_t kMadeUpItemsMax = 3;
constexpr std::size_t kItemsMax = 1000;
constexpr std::size_t kCharactersMax = 4096;
constexpr int kStrictDepthMax = 100;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

const json::array* array_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value ? value->if_array() : nullptr;
}

bool is_strict_object(const json::object& schema) {
    const json::value* properties = schema.if_contains("properties");
    const json::value* more = schema.if_contains("additionalProperties");
    const json::array* required = array_of(schema, "required");
    if (!properties || !properties->is_object() || !more || !more->is_bool() || more->get_bool())
        return false;
    for (const auto& property : properties->get_object()) {
        const json::value name(property.key());
        if (!required || std::ranges::find(*required, name) == required->end()) return false;
    }
    return true;
}

bool is_strict(const json::value& part, int depth) {
    if (depth > kStrictDepthMax) return false;
    if (const json::array* parts = part.if_array())
        return std::ranges::all_of(*parts, [&](const json::value& one) { return is_strict(one, depth + 1); });
    const json::object* schema = part.if_object();
    if (!schema) return true;
    const json::value* type = schema->if_contains("type");
    const bool object =
        type && (*type == "object" ||
                 (type->is_array() &&
                  std::ranges::find(type->get_array(), json::value("object")) != type->get_array().end()));
    if (object && !is_strict_object(*schema)) return false;
    return std::ranges::all_of(*schema, [&](const auto& member) {
        const std::string_view key = member.key();
        return key == "enum" || key == "const" || key == "default" || is_strict(member.value(), depth + 1);
    });
}

std::optional<double> number_of(const json::object& schema, std::string_view name) {
    const json::value* value = schema.if_contains(name);
    return value && value->is_number() ? std::optional(value->to_number<double>()) : std::nullopt;
}

std::size_t count_of(const json::object& schema, std::string_view name, std::size_t otherwise) {
    const auto number = number_of(schema, name);
    return number && *number >= 0 && *number < 1e9 ? static_cast<std::size_t>(*number) : otherwise;
}

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// The first `count` characters of well-formed `text`.
std::string_view first(std::string_view text, std::size_t count) {
    std::size_t at = 0;
    for (; at < text.size() && count > 0; --count) at += text::decode_utf8(text, at).length;
    return text.substr(0, at);
}

/// A text of the format, where texts of one's own words would break it.
std::optional<std::string_view> sample_of(std::string_view format) {
    static constexpr std::pair<std::string_view, std::string_view> samples[] = {
        {"date", "2000-01-01"},          {"date-time", "2000-01-01T00:00:00Z"},
        {"time", "00:00:00Z"},           {"duration", "PT0S"},
        {"email", "nobody@example.com"}, {"hostname", "example.com"},
        {"uri", "https://example.com/"}, {"uuid", "00000000-0000-4000-8000-000000000000"},
        {"ipv4", "192.0.2.1"},           {"ipv6", "2001:db8::1"},
    };
    for (const auto& [name, sample] : samples) {
        if (name == format) return sample;
    }
    return std::nullopt;
}

class Maker {
  public:
    Maker(const json::value& root, const ValueSource& source) : root_(root), source_(source) {}

    /// `hint`: what is known of the value, or null.
    json::value make(const json::value& part, std::string_view name, const json::value* hint, int depth) {
        const json::object* schema = part.if_object();
        if (depth > kDepthMax || (part.is_bool() && !part.get_bool())) return nullptr;
        if (!schema) return hint ? *hint : json::value(nullptr);
        if (const json::value* reference = schema->if_contains("$ref"))
            return make(resolve(*reference), name, hint, depth + 1);
        if (const json::value* value = schema->if_contains("const")) return *value;
        if (const json::array* values = array_of(*schema, "enum"); values && !values->empty())
            return one_of(*values, hint);
        for (const std::string_view key : {"anyOf", "oneOf"}) {
            if (const json::array* choices = array_of(*schema, key); choices && !choices->empty())
                return make(choose(*choices, hint, depth), name, hint, depth + 1);
        }
        if (const json::array* parts = array_of(*schema, "allOf"); parts && !parts->empty())
            return make(merged(*schema, *parts), name, hint, depth + 1);
        return of_type(type_of(*schema, hint), *schema, name, hint, depth);
    }

  private:
    json::value of_type(std::string_view type, const json::object& schema, std::string_view name,
                        const json::value* hint, int depth) {
        if (type == "object") return object(schema, hint, depth);
        if (type == "array") return array(schema, name, hint, depth);
        if (type == "string") return text(schema, name, hint);
        if (type == "integer" || type == "number") return number(schema, type == "integer", hint);
        if (type == "boolean") return hint && hint->is_bool() ? *hint : json::value(source_.pick(2) == 1);
        if (type == "null") return nullptr;
        return hint ? *hint : json::value(source_.text(name));
    }

    json::value resolve(const json::value& reference) const {
        const json::string* pointer = reference.if_string();
        if (!pointer || !pointer->starts_with("#")) return false;
        boost::system::error_code error;
        const json::value* found = root_.find_pointer(view(*pointer).substr(1), error);
        return found ? *found : json::value(false);
    }

    json::value one_of(const json::array& values, const json::value* hint) const {
        if (hint && std::ranges::find(values, *hint) != values.end()) return *hint;
        return values[source_.pick(values.size())];
    }

    /// The choice that the hint fits; deep down the one that ends soonest.
    json::value choose(const json::array& choices, const json::value* hint, int depth) const {
        const auto is = [](const json::value& choice, std::string_view type) {
            const json::object* schema = choice.if_object();
            const json::value* found = schema ? schema->if_contains("type") : nullptr;
            return found && found->is_string() && view(found->get_string()) == type;
        };
        const std::string_view wanted = hint ? kind_of(*hint) : depth > kOptionalDepthMax ? "null" : "";
        for (const json::value& choice : choices) {
            if (!wanted.empty() && is(choice, wanted)) return choice;
        }
        for (const json::value& choice : choices) {
            if (!is(choice, "null")) return choice;
        }
        return choices.front();
    }

    static json::value merged(const json::object& schema, const json::array& parts) {
        json::object all = schema;
        all.erase("allOf");
        for (const json::value& part : parts) {
            const json::object* members = part.if_object();
            if (!members) continue;
            for (const auto& member : *members) merge(all, member.key(), member.value());
        }
        return all;
    }

    static void merge(json::object& all, std::string_view key, const json::value& value) {
        json::value* there = all.if_contains(key);
        if (!there) {
            all[key] = value;
        } else if (there->is_object() && value.is_object()) {
            for (const auto& member : value.get_object()) there->get_object()[member.key()] = member.value();
        } else if (there->is_array() && value.is_array()) {
            for (const json::value& item : value.get_array()) there->get_array().push_back(item);
        }
    }

    static std::string_view kind_of(const json::value& value) {
        switch (value.kind()) {
            case json::kind::object: return "object";
            case json::kind::array: return "array";
            case json::kind::string: return "string";
            case json::kind::bool_: return "boolean";
            case json::kind::null: return "null";
            case json::kind::double_: return "number";
            default: return "integer";
        }
    }

    static std::string_view type_of(const json::object& schema, const json::value* hint) {
        const json::value* type = schema.if_contains("type");
        if (type && type->is_string()) return view(type->get_string());
        if (type && type->is_array()) {
            std::string_view best;
            for (const json::value& one : type->get_array()) {
                const std::string_view name = one.is_string() ? view(one.get_string()) : "";
                if (hint && name == kind_of(*hint)) return name;
                if (best.empty() || best == "null") best = name;
            }
            return best;
        }
        if (schema.contains("properties")) return "object";
        if (schema.contains("items") || schema.contains("prefixItems")) return "array";
        return "";
    }

    json::value object(const json::object& schema, const json::value* hint, int depth) {
        json::object made;
        const json::value* properties = schema.if_contains("properties");
        const json::array* required = array_of(schema, "required");
        const json::object* known = hint ? hint->if_object() : nullptr;
        if (!properties || !properties->is_object()) return known && !required ? *hint : json::value(made);
        for (const auto& property : properties->get_object()) {
            const std::string_view name = property.key();
            const bool needed =
                required && std::ranges::find(*required, json::value(property.key())) != required->end();
            if (!needed && depth > kOptionalDepthMax) continue;
            const json::value* value = known ? known->if_contains(name) : nullptr;
            std::optional<json::value> found;
            if (!value && !known && source_.known) found = source_.known(name);
            if (found) value = &*found;
            made[name] = make(property.value(), name, value, depth + 1);
        }
        return made;
    }

    json::value array(const json::object& schema, std::string_view name, const json::value* hint, int depth) {
        const std::size_t least = std::min(count_of(schema, "minItems", 0), kItemsMax);
        const std::size_t most = count_of(schema, "maxItems", kItemsMax);
        const json::array* known = hint ? hint->if_array() : nullptr;
        const json::array* prefix = array_of(schema, "prefixItems");
        const json::value* item = schema.if_contains("items");
        const std::size_t made_up = depth > kOptionalDepthMax ? 0 : source_.pick(kMadeUpItemsMax + 1);
        std::size_t count = known ? known->size() : std::max(made_up, prefix ? prefix->size() : 0);
        count = std::max(least, std::min({count, most, kItemsMax}));
        json::array made;
        for (std::size_t i = 0; i < count; ++i) {
            const json::value* value = known && i < known->size() ? &(*known)[i] : nullptr;
            const bool fixed = prefix && i < prefix->size();
            const json::value& part = fixed ? (*prefix)[i] : item ? *item : kAnything;
            made.push_back(make(part, name, value, depth + 1));
        }
        return made;
    }

    json::value text(const json::object& schema, std::string_view name, const json::value* hint) {
        const json::value* format = schema.if_contains("format");
        if (format && format->is_string()) {
            if (const auto sample = sample_of(view(format->get_string())))
                return hint && hint->is_string() ? *hint : json::value(*sample);
        }
        std::string made = hint && hint->is_string() ? std::string(hint->get_string()) : source_.text(name);
        const std::size_t least = std::min(count_of(schema, "minLength", 0), kCharactersMax);
        made.resize(first(made, count_of(schema, "maxLength", made.size())).size());
        const std::size_t length = characters(made);
        if (length < least) made.append(least - length, '.');
        return json::value(made);
    }

    json::value number(const json::object& schema, bool whole, const json::value* hint) const {
        constexpr double kBorder = 1e-6;
        double least = number_of(schema, "minimum").value_or(-1e15);
        double most = number_of(schema, "maximum").value_or(1e15);
        const double step = number_of(schema, "multipleOf").value_or(whole ? 1 : 0);
        const double margin = whole ? 1 : kBorder;
        if (const auto above = number_of(schema, "exclusiveMinimum"))
            least = std::max(least, *above + margin);
        if (const auto below = number_of(schema, "exclusiveMaximum")) most = std::min(most, *below - margin);
        double value = 0;
        if (hint && hint->is_number()) {
            value = hint->to_number<double>();
        } else {
            const double low = std::max(least, std::min(0.0, most));
            const double share = static_cast<double>(source_.pick(1001)) / 1000;
            value = low + share * (std::min(most, low + 1 + 99 * (whole ? 1 : 0)) - low);
        }
        value = std::clamp(value, least, std::max(least, most));
        if (step > 0) {
            value = std::floor(value / step) * step;
            if (value < least) value += step;
        }
        if (whole) return static_cast<std::int64_t>(value);
        return value;
    }

    inline static const json::value kAnything = json::object{};

    const json::value& root_;
    const ValueSource& source_;
};

}  // namespace

bool is_strict_schema(const json::value& schema) {
    const json::object* root = schema.if_object();
    const json::value* type = root ? root->if_contains("type") : nullptr;
    return type && *type == "object" && is_strict(schema, 0);
}

json::value value_for_schema(const json::value& schema, const ValueSource& source) {
    return Maker(schema, source).make(schema, "", nullptr, 0);
}

}  // namespace millrace::provider
