#include "work/trace.hpp"

#include "broker/value.hpp"

#include <string>

namespace millrace::work {

std::optional<TraceContext> trace_of(const broker::Message& message) {
    for (const char* name : {kTraceparent, kDiagnosticId}) {
        const auto found = message.properties.find(name);
        if (found == message.properties.end()) continue;
        const broker::Value value = broker::numeric(found->second);
        const auto* text = std::get_if<std::string>(&value);
        if (text == nullptr) continue;
        if (auto trace = TraceContext::parse(*text)) return trace;
    }
    return std::nullopt;
}

void set_trace(broker::Message& message, const TraceContext& trace) {
    for (const char* name : {kTraceparent, kDiagnosticId}) {
        message.properties[name] = std::string(trace.traceparent());
    }
}

}  // namespace millrace::work
