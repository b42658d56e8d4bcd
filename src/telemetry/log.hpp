// Logging: one line per event on standard error. Thread-safe.
#pragma once

#include <string_view>

namespace millrace::telemetry {

/// `what` happened at `where` (a queue, a route, a file); `why` in one line without secrets.
void log_info(std::string_view what, std::string_view where, std::string_view why);
void log_warning(std::string_view what, std::string_view where, std::string_view why);
void log_error(std::string_view what, std::string_view where, std::string_view why);

}  // namespace millrace::telemetry
