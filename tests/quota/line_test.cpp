#include "quota/line.hpp"

#include <gtest/gtest.h>

namespace millrace::quota {
namespace {

Line::Item item(std::string tenant, std::int64_t tokens, Urgency urgency = Urgency::interactive,
                std::int64_t since = 0) {
    auto one = std::make_shared<Waiter>();
    one->part = {tokens, std::move(tenant), 0};
    one->urgency = urgency;
    one->since = from_millis(since);
    return one;
}

std::string order(const Line& line, std::size_t count = 100) {
    std::string text;
    for (const auto& one : line.first(count)) text += one->part.tenant;
    return text;
}

TEST(LineTest, ATenantWithTenThousandWaitingCallsDelaysAnotherByOneCall) {
    Line line;
    for (int i = 0; i < 10'000; ++i) line.add(item("a", 100, Urgency::interactive, i));
    for (int i = 0; i < 5; ++i) line.take(line.first(1).front());
    line.add(item("b", 100, Urgency::interactive, 20'000));
    EXPECT_NE(order(line, 2).find('b'), std::string::npos) << order(line, 10);
}

TEST(LineTest, TenantsShareByWeightHoweverLargeTheirCallsAre) {
    Line line({{"a", 3}, {"b", 1}});
    for (int i = 0; i < 400; ++i) line.add(item("a", 50));
    for (int i = 0; i < 400; ++i) line.add(item("b", 100));
    std::map<std::string, std::int64_t> tokens;
    for (int i = 0; i < 200; ++i) {
        const auto one = line.first(1).front();
        tokens[one->part.tenant] += one->part.tokens;
        line.take(one);
    }
    EXPECT_NEAR(static_cast<double>(tokens["a"]) / static_cast<double>(tokens["b"]), 3.0, 0.1);
}

TEST(LineTest, InteractiveWorkGoesBeforeBatchWork) {
    Line line;
    line.add(item("x", 10, Urgency::batch));
    line.add(item("y", 10, Urgency::batch));
    line.add(item("i", 10));
    EXPECT_EQ(order(line), "ixy");
}

TEST(LineTest, ATenantThatWasAwayHasNoCreditForIt) {
    Line line;
    for (int i = 0; i < 100; ++i) line.add(item("a", 100));
    for (int i = 0; i < 50; ++i) line.take(line.first(1).front());
    for (int i = 0; i < 50; ++i) line.add(item("b", 100));
    EXPECT_LE(std::ranges::count(order(line, 10), 'b'), 6);
}

TEST(LineTest, WhoLeavesIsForgotten) {
    Line line;
    const auto one = item("a", 7);
    line.add(one);
    EXPECT_EQ(line.tokens(), 7);
    EXPECT_TRUE(line.remove(one));
    EXPECT_FALSE(line.remove(one));
    EXPECT_TRUE(line.empty());
    EXPECT_EQ(line.tokens(), 0);
}

}  // namespace
}  // namespace millrace::quota
