// Tasks as people read them.
#pragma once

#include "app/terminal.hpp"

#include <boost/json/value.hpp>

#include <string>
#include <string_view>

namespace millrace::app {

/// A task of GET /v1/tasks/{id} with its result, by its type; custom results as their members.
std::string task_text(const boost::json::value& task, const Terminal& terminal);
/// The result alone, of a task called `type`.
std::string result_text(std::string_view type, const boost::json::value& result, const Terminal& terminal);
/// The answer to a task that was accepted.
std::string accepted_text(const boost::json::value& receipt, const Terminal& terminal);
/// The answer to a dry run.
std::string estimate_text(const boost::json::value& estimate, const Terminal& terminal);

}  // namespace millrace::app
