// The trace that a message belongs to, in the application properties of the Azure SDKs.
#pragma once

#include "base/trace_context.hpp"
#include "broker/message.hpp"

#include <optional>

namespace millrace::work {

/// Newer SDKs write "traceparent", older ones "Diagnostic-Id"; the value is the same.
inline constexpr char kTraceparent[] = "traceparent";
inline constexpr char kDiagnosticId[] = "Diagnostic-Id";

/// What the message says, the newer name first; none where neither holds a valid one.
std::optional<TraceContext> trace_of(const broker::Message& message);

/// Writes both names.
void set_trace(broker::Message& message, const TraceContext& trace);

}  // namespace millrace::work
