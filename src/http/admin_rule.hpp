// Rules of subscriptions as the administration API writes them. No sockets.
#pragma once

#include "broker/rules.hpp"
#include "http/admin_xml.hpp"

namespace millrace::http {

/// The rule in a RuleDescription or DefaultRuleDescription element; its name is what the element says, or
/// `otherwise`. invalid_input: an unknown kind of filter, action or value, or SQL parameters.
Result<broker::Rule> read_rule(pugi::xml_node element, std::string_view otherwise);

/// A RuleDescription element.
std::string rule_xml(const broker::Rule& rule);

}  // namespace millrace::http
