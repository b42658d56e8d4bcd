// JSON schemas of answers: the subset that models follow strictly, and whether an answer does.
#pragma once

#include "base/error.hpp"

#include <boost/json/value.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::handlers {

/// A schema in the strict subset: the root is an object, every object has `additionalProperties: false` and
/// requires all of its properties (an optional one is a union with null). Understood are type (one or a
/// list), properties, required, additionalProperties, items, enum, const, anyOf, $ref within the document,
/// $defs, minimum, maximum, minLength, maxLength, minItems, maxItems; title, description, default and
/// examples are passed over. Immutable; copies share the schema. Any thread.
class JsonSchema {
  public:
    /// invalid_input: one line with the place, e.g. `$.properties.age: "type" is none of …`.
    static Result<JsonSchema> parse(std::string_view text);

    /// Nothing where `value` fits, else the first thing that is wrong, with its place: `$.entities[3].type:
    /// "Foo" is none of "person", "place"`. Linear in the value but for anyOf.
    std::optional<std::string> problem(const boost::json::value& value) const;
    /// As `problem` for a text that should be JSON.
    std::optional<std::string> problem_in(std::string_view text) const;

  private:
    explicit JsonSchema(boost::json::value root)
        : root_(std::make_shared<const boost::json::value>(std::move(root))) {}

    std::shared_ptr<const boost::json::value> root_;
};

}  // namespace millrace::handlers
