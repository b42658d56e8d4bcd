// JSON schemas as far as models are asked to follow them: which are strict, and values that fit one.
#pragma once

#include "base/error.hpp"

#include <boost/json/value.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::provider {

/// True if `schema` keeps the rules of OpenAI's strict mode: the root is an object, and every object in it
/// requires all its properties and allows no others. A strict request with another schema is refused.
bool is_strict_schema(const boost::json::value& schema);

/// Where a value takes what its schema leaves open.
struct ValueSource {
    /// What is known of the property `name`, used as far as it fits; nothing: it is made up.
    std::function<std::optional<boost::json::value>(std::string_view name)> known;
    /// A text for the property `name`.
    std::function<std::string(std::string_view name)> text;
    /// One of `count` (at least 1) choices: below `count`.
    std::function<std::size_t(std::size_t count)> pick;
};

/// A value that fits `schema`, its properties in the schema's order. Understands type, enum, const,
/// properties, required, items, prefixItems, minItems, maxItems, minLength, maxLength, minimum, maximum (also
/// exclusive), multipleOf, the usual formats, anyOf, oneOf, allOf and $ref within the document; not pattern
/// nor `not`. An endless recursion ends in null. Optional properties are left out below a depth of 8.
/// Linear in what it makes.
boost::json::value value_for_schema(const boost::json::value& schema, const ValueSource& source);

}  // namespace millrace::provider
