#include "base/trace_context.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

const std::string kValid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, AValidOneIsPassedOnAsItIs) {
    const auto trace = TraceContext::parse(kValid);
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->traceparent(), kValid);
    EXPECT_EQ(trace->trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_TRUE(TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
    EXPECT_TRUE(TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"));
}

TEST(TraceContext, OfALaterVersionOnlyWhatIsKnownIsTaken) {
    const std::string ids = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-";
    const std::pair<std::string, std::string> cases[] = {
        {"cc" + ids + "0b", "00" + ids + "01"},
        {"01" + ids + "fe-what-the-future-brings", "00" + ids + "00"},
    };
    for (const auto& [text, taken] : cases) {
        const auto trace = TraceContext::parse(text);
        ASSERT_TRUE(trace) << text;
        EXPECT_EQ(trace->traceparent(), taken);
    }
}

TEST(TraceContext, AnythingElseIsNone) {
    const std::string wrong[] = {
        "",
        "00",
        kValid.substr(1),
        kValid.substr(0, 54),
        kValid + "-01",
        kValid + "1",
        "01" + kValid.substr(2) + "x",
        "ff" + kValid.substr(2),
        "0x" + kValid.substr(2),
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "|4bf92f3577b34da6.1.",
        " " + kValid.substr(0, 54),
    };
    for (const std::string& text : wrong) EXPECT_FALSE(TraceContext::parse(text)) << text;
}

}  // namespace
}  // namespace millrace
