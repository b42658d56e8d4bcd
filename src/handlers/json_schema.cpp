#include "handlers/json_schema.hpp"

#include "base/nearest.hpp"
#include "base/utf8.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

constexpr int kDepthMax = 64;
constexpr std::size_t kShownCharsMax = 60;

constexpr std::array<std::string_view, 21> kKeywords = {
    "type",      "properties", "required",    "additionalProperties",
    "items",     "enum",       "const",       "anyOf",
    "$ref",      "$defs",      "minimum",     "maximum",
    "minLength", "maxLength",  "minItems",    "maxItems",
    "title",     "$schema",    "description", "default",
    "examples"};
constexpr std::array<std::string_view, 7> kTypes = {"object",  "array",   "string", "number",
                                                    "integer", "boolean", "null"};

std::string shown(const json::value& value) {
    if (value.is_double()) {
        char digits[32];
        const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value.get_double());
        return std::string(digits, error == std::errc{} ? end : digits);
    }
    const std::string text = json::serialize(value);
    const std::string_view first = first_characters(text, kShownCharsMax);
    return first.size() == text.size() ? text : std::string(first) + "…";
}

std::string list_of(const json::array& values) {
    std::string text;
    for (const json::value& value : values) text += (text.empty() ? "" : ", ") + shown(value);
    return text;
}

bool is_integer(const json::value& value) {
    if (value.is_int64() || value.is_uint64()) return true;
    return value.is_double() && std::isfinite(value.get_double()) &&
           std::floor(value.get_double()) == value.get_double();
}

bool has_type(const json::value& value, std::string_view type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "number") return value.is_number();
    if (type == "integer") return is_integer(value);
    if (type == "boolean") return value.is_bool();
    return value.is_null();
}

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// "#/$defs/x" → the schema there; null if there is none.
const json::value* resolve(const json::value& root, std::string_view reference) {
    if (!reference.starts_with('#')) return nullptr;
    boost::system::error_code error;
    const json::value* found = root.find_pointer(reference.substr(1), error);
    return error || found == nullptr || !found->is_object() ? nullptr : found;
}

/// Looks for what a schema must not be. The first problem is kept.
class SchemaCheck {
  public:
    explicit SchemaCheck(const json::value& root) : root_(root) {}

    std::string run() {
        const json::object* object = root_.if_object();
        if (object == nullptr) return "$: a schema is an object";
        const json::value* type = object->if_contains("type");
        const bool is_object = type != nullptr && type->is_string() && type->get_string() == "object";
        if (!is_object && !object->contains("$ref"))
            return "$: the root needs \"type\": \"object\": models answer with an object";
        check(root_, "$", 0);
        return problem_;
    }

  private:
    void report(const std::string& path, const std::string& what) {
        if (problem_.empty()) problem_ = path + ": " + what;
    }

    void check(const json::value& schema, const std::string& path, int depth) {
        if (!problem_.empty()) return;
        if (depth > kDepthMax) return report(path, "is nested too deeply");
        const json::object* object = schema.if_object();
        if (object == nullptr) return report(path, "expected a schema, found " + shown(schema));
        for (const auto& member : *object) check_keyword(member.key(), member.value(), path, depth);
        check_object(*object, path);
    }

    void check_keyword(std::string_view key, const json::value& value, const std::string& path, int depth) {
        if (std::find(kKeywords.begin(), kKeywords.end(), key) == kKeywords.end())
            return report(path, "\"" + std::string(key) + "\" is not understood" + hint(key, kKeywords));
        if (key == "type") return check_type(value, path);
        if (key == "properties" || key == "$defs") return check_each(key, value, path, depth);
        if (key == "items") return check(value, path + ".items", depth + 1);
        if (key == "anyOf") return check_any_of(value, path, depth);
        if (key == "enum" && (!value.is_array() || value.get_array().empty()))
            return report(path, "\"enum\" is a list of values");
        if (key == "required" && !value.is_array()) return report(path, "\"required\" is a list of names");
        if (key == "$ref" && (!value.is_string() || resolve(root_, value.get_string()) == nullptr))
            return report(path, "\"$ref\" " + shown(value) + " leads nowhere, e.g. \"#/$defs/NAME\"");
        const bool bound = key.starts_with("min") || key.starts_with("max");
        if (bound && !value.is_number()) report(path, "\"" + std::string(key) + "\" is a number");
    }

    void check_type(const json::value& value, const std::string& path) {
        const json::array one{value};
        const json::array& types = value.is_array() ? value.get_array() : one;
        for (const json::value& type : types) {
            const bool known = type.is_string() &&
                               std::find(kTypes.begin(), kTypes.end(), type.get_string()) != kTypes.end();
            if (known) continue;
            return report(path, "\"type\" " + shown(type) +
                                    " is none of object, array, string, number, "
                                    "integer, boolean, null");
        }
        if (types.empty()) report(path, "\"type\" names none");
    }

    void check_each(std::string_view key, const json::value& value, const std::string& path, int depth) {
        if (!value.is_object()) return report(path, "\"" + std::string(key) + "\" is an object of schemas");
        for (const auto& member : value.get_object())
            check(member.value(), path + "." + std::string(key) + "." + std::string(member.key()), depth + 1);
    }

    void check_any_of(const json::value& value, const std::string& path, int depth) {
        if (!value.is_array() || value.get_array().empty())
            return report(path, "\"anyOf\" is a list of schemas");
        for (std::size_t i = 0; i < value.get_array().size(); ++i)
            check(value.get_array()[i], path + ".anyOf[" + std::to_string(i) + "]", depth + 1);
    }

    /// What strict answers ask of every object.
    void check_object(const json::object& schema, const std::string& path) {
        const json::value* type = schema.if_contains("type");
        const json::value* properties = schema.if_contains("properties");
        const json::array* types = type == nullptr ? nullptr : type->if_array();
        const json::value word("object");
        const bool is_object =
            properties != nullptr || (type != nullptr && *type == word) ||
            (types != nullptr && std::find(types->begin(), types->end(), word) != types->end());
        if (!is_object || !problem_.empty()) return;
        const json::value* more = schema.if_contains("additionalProperties");
        if (more == nullptr || !more->is_bool() || more->get_bool())
            return report(path, "an object needs \"additionalProperties\": false");
        const json::value* required = schema.if_contains("required");
        if (properties == nullptr) return;
        for (const auto& member : properties->get_object()) {
            const json::value name(member.key());
            const bool named = required != nullptr && required->is_array() &&
                               std::find(required->get_array().begin(), required->get_array().end(), name) !=
                                   required->get_array().end();
            if (!named)
                return report(path,
                              "\"required\" lacks \"" + std::string(member.key()) +
                                  "\": strict answers have every property; let an optional one be null");
        }
    }

    const json::value& root_;
    std::string problem_;
};

/// Holds one value against a schema. Answers the first problem, "" where there is none.
class ValueCheck {
  public:
    explicit ValueCheck(const json::value& root) : root_(root) {}

    std::string check(const json::value& value, const json::object& schema, const std::string& path,
                      int depth) const {
        if (depth > kDepthMax) return path + ": is nested too deeply";
        if (const json::value* reference = schema.if_contains("$ref")) {
            const json::value* target = resolve(root_, reference->get_string());
            std::string problem = check(value, target->get_object(), path, depth + 1);
            if (!problem.empty()) return problem;
        }
        std::string problem = check_kind(value, schema, path);
        if (problem.empty()) problem = check_any_of(value, schema, path, depth);
        if (!problem.empty()) return problem;
        if (value.is_object()) return check_members(value.get_object(), schema, path, depth);
        if (value.is_array()) return check_elements(value.get_array(), schema, path, depth);
        if (value.is_string())
            return check_bounds(static_cast<double>(characters(value.get_string())), schema, path, "Length",
                                " characters");
        if (value.is_number()) return check_bounds(value.to_number<double>(), schema, path, "imum", "");
        return {};
    }

  private:
    static std::string check_kind(const json::value& value, const json::object& schema,
                                  const std::string& path) {
        if (const json::value* type = schema.if_contains("type")) {
            const json::array one{*type};
            const json::array& types = type->is_array() ? type->get_array() : one;
            const bool fits = std::any_of(types.begin(), types.end(),
                                          [&](const auto& t) { return has_type(value, t.get_string()); });
            if (!fits) {
                std::string names;
                for (const auto& t : types)
                    names += (names.empty() ? "" : " or ") + std::string(t.get_string());
                return path + ": expected " + names + ", found " + shown(value);
            }
        }
        if (const json::value* words = schema.if_contains("enum")) {
            const json::array& list = words->get_array();
            if (std::find(list.begin(), list.end(), value) == list.end())
                return path + ": " + shown(value) + " is none of " + list_of(list);
        }
        const json::value* only = schema.if_contains("const");
        if (only != nullptr && *only != value) return path + ": " + shown(value) + " is not " + shown(*only);
        return {};
    }

    std::string check_any_of(const json::value& value, const json::object& schema, const std::string& path,
                             int depth) const {
        const json::value* choices = schema.if_contains("anyOf");
        if (choices == nullptr) return {};
        std::string first;
        for (const json::value& choice : choices->get_array()) {
            const std::string problem = check(value, choice.get_object(), path, depth + 1);
            if (problem.empty()) return {};
            if (first.empty()) first = problem;
        }
        return choices->get_array().size() == 1 ? first : path + ": fits none of \"anyOf\", e.g. " + first;
    }

    std::string check_members(const json::object& value, const json::object& schema, const std::string& path,
                              int depth) const {
        if (const json::value* required = schema.if_contains("required")) {
            for (const json::value& name : required->get_array())
                if (name.is_string() && !value.contains(name.get_string()))
                    return path + ": lacks " + shown(name);
        }
        const json::value* properties = schema.if_contains("properties");
        const json::value* more = schema.if_contains("additionalProperties");
        for (const auto& member : value) {
            const json::value* known =
                properties == nullptr ? nullptr : properties->get_object().if_contains(member.key());
            if (known == nullptr) {
                if (more != nullptr && more->is_bool() && !more->get_bool())
                    return path + ": has \"" + std::string(first_characters(member.key(), kShownCharsMax)) +
                           "\", which the schema doesn't allow";
                continue;
            }
            std::string problem =
                check(member.value(), known->get_object(), path + "." + std::string(member.key()), depth + 1);
            if (!problem.empty()) return problem;
        }
        return {};
    }

    std::string check_elements(const json::array& value, const json::object& schema, const std::string& path,
                               int depth) const {
        std::string problem =
            check_bounds(static_cast<double>(value.size()), schema, path, "Items", " elements");
        if (!problem.empty()) return problem;
        const json::value* items = schema.if_contains("items");
        if (items == nullptr) return {};
        for (std::size_t i = 0; i < value.size(); ++i) {
            problem = check(value[i], items->get_object(), path + "[" + std::to_string(i) + "]", depth + 1);
            if (!problem.empty()) return problem;
        }
        return {};
    }

    /// "min" + `what` and "max" + `what` of `schema`.
    static std::string check_bounds(double size, const json::object& schema, const std::string& path,
                                    std::string_view what, std::string_view unit) {
        for (const bool least : {true, false}) {
            const json::value* bound = schema.if_contains((least ? "min" : "max") + std::string(what));
            if (bound == nullptr) continue;
            const auto limit = bound->to_number<double>();
            if (least ? size >= limit : size <= limit) continue;
            return path + ": " + shown(json::value(size)) + std::string(unit) + ", " +
                   (least ? "at least " : "at most ") + shown(*bound) + " are allowed";
        }
        return {};
    }

    const json::value& root_;
};

std::string broken_json(const boost::system::error_code& error) { return "is not JSON: " + error.message(); }

}  // namespace

Result<JsonSchema> JsonSchema::parse(std::string_view text) {
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = kDepthMax;
    json::value root = json::parse(text, error, {}, options);
    if (error) return Error{Errc::invalid_input, "the schema " + broken_json(error)};
    const std::string problem = SchemaCheck(root).run();
    if (!problem.empty()) return Error{Errc::invalid_input, problem};
    return JsonSchema(std::move(root));
}

std::optional<std::string> JsonSchema::problem(const json::value& value) const {
    std::string problem = ValueCheck(*root_).check(value, root_->get_object(), "$", 0);
    if (problem.empty()) return std::nullopt;
    return problem;
}

std::optional<std::string> JsonSchema::problem_in(std::string_view text) const {
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = kDepthMax;
    const json::value value = json::parse(text, error, {}, options);
    if (error) return "$: " + broken_json(error);
    return problem(value);
}

}  // namespace millrace::handlers
