// Reading JSON from outside: where it is broken, which member has the wrong type, which name was meant.
#pragma once

#include "http/rejection.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace millrace::http {

namespace json = boost::json;

/// Parses `text`. 400: not JSON (with line and column) or not UTF-8; 413: more values than its size allows
/// for.
Checked<json::value> parse_json(std::string_view text);

/// Calls `use` with the value of each line of `text` that is not blank and with what begins a message about
/// it, e.g. "line 3: ". The first problem, of a line or of `use`, ends it.
using UseLine = std::function<std::optional<Rejection>(json::value& value, const std::string& where)>;
std::optional<Rejection> for_each_json_line(std::string_view text, const UseLine& use);

/// True if the request's Content-Type is application/json, whatever its case and parameters.
bool is_json(const Request& request);

/// "text", "a number", "true or false", "a list", "an object" or "null".
std::string_view kind_of(const json::value& value) noexcept;

/// Reads the members of one object by name. Names are taken as camelCase, PascalCase or snake_case; null
/// counts as absent. The first problem is kept, and later reads answer nothing.
class JsonFields {
  public:
    /// `where` begins every message, e.g. "documents[3]: "; `known` are the names that may occur, others are
    /// a problem.
    JsonFields(const json::object& object, std::span<const std::string_view> known, std::string where);

    /// Text of at most `bytes_max` bytes; "" if absent. Longer text is a problem with status `too_long`.
    std::string text(std::string_view name, std::size_t bytes_max, unsigned too_long = 400);
    std::optional<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max);
    std::optional<double> number(std::string_view name, double min, double max);
    std::optional<bool> flag(std::string_view name);
    /// The object member, or null if absent. Not owned.
    const json::object* object(std::string_view name);

    bool has(std::string_view name) const noexcept { return find(name) != nullptr; }
    /// Notes a problem of the caller's own, unless there is one.
    void reject(std::string detail, unsigned status = 400);
    const std::optional<Rejection>& rejection() const noexcept { return rejection_; }

  private:
    const json::value* find(std::string_view name) const noexcept;
    void reject_unknown(std::string_view name, std::span<const std::string_view> known);
    void reject_type(std::string_view name, std::string_view expected, const json::value& found);

    const json::object& object_;
    std::string where_;
    std::optional<Rejection> rejection_;
};

}  // namespace millrace::http
