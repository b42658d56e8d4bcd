#include "work/trace.hpp"

#include <gtest/gtest.h>

namespace millrace::work {
namespace {

using namespace std::string_literals;

const std::string kOld = "00-11111111111111111111111111111111-2222222222222222-01";
const std::string kNew = "00-33333333333333333333333333333333-4444444444444444-00";

std::string read(broker::Properties properties) {
    broker::Message message;
    message.properties = std::move(properties);
    const auto trace = trace_of(message);
    return trace ? std::string(trace->traceparent()) : "none";
}

TEST(Trace, IsReadUnderBothNamesTheNewerFirst) {
    EXPECT_EQ(read({}), "none");
    EXPECT_EQ(read({{"Diagnostic-Id", kOld}}), kOld);
    EXPECT_EQ(read({{"traceparent", kNew}}), kNew);
    EXPECT_EQ(read({{"traceparent", kNew}, {"Diagnostic-Id", kOld}}), kNew);
    EXPECT_EQ(read({{"traceparent", "nonsense"s}, {"Diagnostic-Id", kOld}}), kOld);
    EXPECT_EQ(read({{"traceparent", std::int64_t{1}}, {"Diagnostic-Id", "|abc.1."s}}), "none");
    EXPECT_EQ(read({{"traceparent", broker::Encoded{"\xa3\x37" + kNew}}}), kNew) << "a symbol";
}

TEST(Trace, IsWrittenUnderBothNames) {
    broker::Message message;
    message.properties["Diagnostic-Id"] = kOld;
    set_trace(message, *TraceContext::parse(kNew));
    EXPECT_EQ(message.properties.at("traceparent"), broker::Value(kNew));
    EXPECT_EQ(message.properties.at("Diagnostic-Id"), broker::Value(kNew));
}

}  // namespace
}  // namespace millrace::work
