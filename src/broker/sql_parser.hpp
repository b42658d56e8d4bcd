// The parser of the filter language: text in, trees out. Its depth is bounded, whatever the text.
#pragma once

#include "broker/sql_expression.hpp"

#include <string_view>
#include <vector>

namespace millrace::broker::sql {

/// invalid_input: not a condition of the grammar, too long or nested too deep; says where.
Result<Expression> parse_condition(std::string_view text);

/// SET and REMOVE statements. invalid_input: as above, more than 32 of them, or a property that cannot be
/// changed.
Result<std::vector<Statement>> parse_action(std::string_view text);

}  // namespace millrace::broker::sql
