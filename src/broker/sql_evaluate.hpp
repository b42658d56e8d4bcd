// What a condition says of a message, and what an action does to it. Bounded in time by a budget, which many
// evaluations may share, and in memory, whatever the message holds.
#pragma once

#include "broker/sql_expression.hpp"
#include "broker/sql_like.hpp"

#include <string_view>
#include <vector>

namespace millrace::broker::sql {

/// True if `condition` is true; false if it is false or unknown. invalid_input: it cannot be evaluated (an
/// overflow, a division by zero, …, or `budget` is used up).
Result<bool> holds(const Expression& condition, const Arriving& arriving, Budget& budget);

/// Carries out `statements` in order on `changed`, which `arriving.message` may be; half done on an error.
Result<void> apply(const std::vector<Statement>& statements, const Arriving& arriving, Message& changed,
                   Budget& budget);

}  // namespace millrace::broker::sql
