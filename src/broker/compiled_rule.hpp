// A rule that is ready to be asked about messages.
#pragma once

#include "broker/rules.hpp"
#include "broker/sql_expression.hpp"
#include "broker/sql_like.hpp"

namespace millrace::broker {

/// Immutable once made; only on the I/O thread.
class CompiledRule {
  public:
    /// invalid_input as `check_rule` says.
    static Result<CompiledRule> make(Rule rule);

    const Rule& rule() const noexcept { return rule_; }
    bool has_action() const noexcept { return !action_.empty(); }

    /// True if the rule takes the message. invalid_input: its filter cannot be evaluated for it, or costs
    /// more than is left in `budget`, from which its cost is taken.
    Result<bool> takes(const sql::Arriving& arriving, sql::Budget& budget) const;
    /// Does the action to `copy`, a copy of the arriving message without its body, and names the rule in it.
    /// invalid_input: the action cannot be evaluated, or makes what no message may be.
    Result<void> change(const sql::Arriving& arriving, Message& copy, sql::Budget& budget) const;

  private:
    Rule rule_;
    sql::Expression condition_;
    std::vector<sql::Statement> action_;
};

/// Name of the property that the copies of rules with actions get.
inline constexpr char kRuleName[] = "RuleName";

}  // namespace millrace::broker
