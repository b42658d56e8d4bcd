// Rules of subscriptions: which messages of a topic one gets, and what is done to its copies.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "broker/message.hpp"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace millrace::broker {

/// Takes every message.
struct TrueFilter {
    bool operator==(const TrueFilter&) const = default;
};
/// Takes none.
struct FalseFilter {
    bool operator==(const FalseFilter&) const = default;
};
/// Takes messages for which `expression` (docs/topics.md gives the grammar) is true; not those for which it
/// is false or unknown.
struct SqlFilter {
    std::string expression;
    bool operator==(const SqlFilter&) const = default;
};
/// Takes messages that equal every field that is set. Texts are compared case-sensitively.
struct CorrelationFilter {
    std::optional<std::string> correlation_id;
    std::optional<std::string> message_id;
    std::optional<std::string> to;
    std::optional<std::string> reply_to;
    std::optional<std::string> subject;
    std::optional<std::string> session_id;
    std::optional<std::string> reply_to_session_id;
    std::optional<std::string> content_type;
    Properties properties;
    bool operator==(const CorrelationFilter&) const = default;
};
using Filter = std::variant<TrueFilter, FalseFilter, SqlFilter, CorrelationFilter>;

/// Name of the rule that a new subscription has: a TrueFilter without an action.
inline constexpr char kDefaultRule[] = "$Default";

/// Rules of one subscription are OR-ed. All rules without an action give one copy together; each rule with an
/// action gives a copy of its own, changed by the action and with the property "RuleName".
struct Rule {
    std::string name = kDefaultRule;  ///< at most 50 characters; compared without regard to case
    Filter filter = TrueFilter{};
    std::string action;  ///< SQL: SET x = expression; REMOVE x; …; empty: none
    TimePoint created_at{};
    bool operator==(const Rule&) const = default;
};

/// A problem of `rule` as one line, or nothing: name, length (1,024 characters), syntax, number of
/// expressions in the action (32), an empty correlation filter.
Result<void> check_rule(const Rule& rule);

}  // namespace millrace::broker
