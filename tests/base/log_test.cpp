#include "telemetry/log.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::telemetry {
namespace {

constexpr char kTime[] = "2026-11-21T08:15:30.250Z";

TEST(Log, ALineOfTextHoldsTimeLevelMessageAndFields) {
    EXPECT_EQ(
        format_line(Format::text, kTime, Level::info, "document accepted", {{"id", "a b"}, {"bytes", 12}}),
        "2026-11-21T08:15:30.250Z info document accepted id=\"a b\" bytes=12");
}

TEST(Log, ALineOfJsonIsOneObject) {
    EXPECT_EQ(
        format_line(Format::json, kTime, Level::warning, "say \"hi\"", {{"id", "a\tb"}, {"n", -1}}),
        R"({"time":"2026-11-21T08:15:30.250Z","level":"warning","message":"say \"hi\"","id":"a\u0009b","n":-1})");
}

TEST(Log, AValueFromOutsideCannotForgeASecondLine) {
    for (const Format format : {Format::text, Format::json}) {
        const auto line =
            format_line(format, kTime, Level::error, "m\nx", {{"id", "a\n2026 error forged\x1b[0m"}});
        EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos) << line;
    }
}

TEST(Log, EventsBelowTheLevelAreDropped) {
    std::vector<std::string> lines;
    configure_log({Level::warning, Format::text, [&](std::string_view line) { lines.emplace_back(line); }});
    log_info("quiet", "here", "");
    log_warning("loud {}", "queue q", "it is");
    configure_log({});
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_TRUE(lines[0].ends_with("warning loud {} at=\"queue q\" why=\"it is\"")) << lines[0];
}

TEST(Log, LevelNamesGoBothWays) {
    for (const auto level :
         {Level::trace, Level::debug, Level::info, Level::warning, Level::error, Level::off})
        EXPECT_EQ(level_named(to_string(level)), level);
    EXPECT_FALSE(level_named("loud"));
}

}  // namespace
}  // namespace millrace::telemetry
