#include "broker/value.hpp"

#include <gtest/gtest.h>

namespace millrace::broker {
namespace {

Value encoded(std::string bytes) { return Encoded{std::move(bytes)}; }

TEST(Value, EncodedSimpleTypesAreNumbersAndTexts) {
    const struct {
        std::string bytes;
        Value value;
    } cases[] = {
        {"\x43", std::int64_t{0}},
        {std::string("\x50\xff", 2), std::int64_t{255}},
        {std::string("\x52\x07", 2), std::int64_t{7}},
        {std::string("\x60\x01\x00", 3), std::int64_t{256}},
        {std::string("\x70\xff\xff\xff\xff", 5), std::int64_t{4'294'967'295}},
        {std::string("\x51\xff", 2), std::int64_t{-1}},
        {std::string("\x54\x80", 2), std::int64_t{-128}},
        {std::string("\x61\xff\xfe", 3), std::int64_t{-2}},
        {std::string("\x71\x80\x00\x00\x00", 5), std::int64_t{-2'147'483'648}},
        {std::string("\x72\x3f\xc0\x00\x00", 5), 1.5},
        {std::string("\x73\x00\x00\x20\xac", 5), std::string("€")},
        {std::string("\xa3\x02hi", 4), std::string("hi")},
        {std::string("\xb3\x00\x00\x00\x02hi", 7), std::string("hi")},
    };
    for (const auto& one : cases) EXPECT_EQ(numeric(encoded(one.bytes)), one.value) << one.bytes;
}

TEST(Value, WhatIsNoSimpleTypeStaysEncoded) {
    const std::string kept[] = {
        "", "\x50", "\x70\x01", "\xa3\x05hi", std::string("\xc1\x01\x00", 3), std::string("\x43\x00", 2)};
    for (const auto& bytes : kept) EXPECT_EQ(numeric(encoded(bytes)), encoded(bytes)) << bytes;
    EXPECT_EQ(numeric(std::string("text")), Value(std::string("text")));
}

TEST(Value, NumbersOfAnyWidthCompareByTheirExactValue) {
    EXPECT_TRUE(equal_values(std::int64_t{7}, encoded(std::string("\x52\x07", 2))));
    EXPECT_TRUE(equal_values(std::uint64_t{7}, 7.0));
    EXPECT_FALSE(equal_values(std::int64_t{9'007'199'254'740'993}, 9'007'199'254'740'992.0));
    EXPECT_TRUE(compare_values(std::int64_t{-1}, std::uint64_t{0}) < 0);
    EXPECT_TRUE(compare_values(std::numeric_limits<std::uint64_t>::max(), std::int64_t{-1}) > 0);
}

TEST(Value, DifferentTypesAreUnordered) {
    const auto unordered = std::partial_ordering::unordered;
    EXPECT_EQ(compare_values(std::string("1"), std::int64_t{1}), unordered);
    EXPECT_EQ(compare_values(true, std::int64_t{1}), unordered);
    EXPECT_EQ(compare_values(std::monostate(), std::monostate()), unordered);
    EXPECT_TRUE(equal_values(std::monostate(), std::monostate()));
    EXPECT_TRUE(compare_values(std::string("a"), std::string("b")) < 0);
}

}  // namespace
}  // namespace millrace::broker
