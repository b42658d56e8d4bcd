// The SQL of rules: plain functions for database threads.
#pragma once

#include "broker/rules.hpp"
#include "store/connection.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::broker::rows {

/// A rule and the entity that it belongs to.
struct StoredRule {
    std::int64_t entity = 0;
    Rule rule;
};

/// All rules of all subscriptions. corrupt: one of them is not what `put_rule` writes.
Result<std::vector<StoredRule>> read_rules(store::Connection& connection);
bool has_rule(store::Connection& connection, std::int64_t entity, const std::string& name);
/// Takes the place of a rule of the same name.
void put_rule(store::Connection& connection, std::int64_t entity, const Rule& rule);
void remove_rule(store::Connection& connection, std::int64_t entity, const std::string& name);
void remove_rules(store::Connection& connection, std::int64_t entity);

}  // namespace millrace::broker::rows
