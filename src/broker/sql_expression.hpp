// Expressions and statements of the filter language as the parser makes them.
#pragma once

#include "broker/sql_properties.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::broker::sql {

/// What a node computes; a truth value is a boolean, "unknown" is null.
enum class Operator : std::uint8_t {
    constant,
    property,
    new_id,
    exists,   ///< of `property`
    is_null,
    negate,   ///< the sign
    keep,     ///< unary plus
    logical_not,
    logical_and,
    logical_or,
    equal,
    not_equal,
    less,
    less_or_equal,
    greater,
    greater_or_equal,
    in,       ///< operands: the value, then the list
    like,     ///< operands: the text, the pattern and, if given, the escape character
    add,
    subtract,
    multiply,
    divide,
    remainder,
};

/// A property by its scope and name.
struct PropertyName {
    const SystemProperty* system = nullptr;  ///< null: one of the sender's own
    std::string name;
};

struct Node {
    Operator what = Operator::constant;
    Value constant;
    PropertyName property;
    std::vector<std::uint32_t> operands;  ///< indices of nodes before this one
};

/// A tree in a row: operands stand before what uses them.
struct Expression {
    std::vector<Node> nodes;
    std::uint32_t root = 0;
};

/// SET with an expression, REMOVE without one.
struct Statement {
    PropertyName target;
    std::optional<Expression> value;
};

}  // namespace millrace::broker::sql
