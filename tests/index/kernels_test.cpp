#include "index/kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace millrace::index {
namespace {

struct alignas(kRowAlignment) Row {
    std::array<std::int8_t, 4096> values{};
};

TEST(Kernels, AllGiveTheSumThatTheScalarOneGives) {
    std::mt19937 random(7);
    std::uniform_int_distribution<int> value(-127, 127);
    for (const std::size_t length : {64, 128, 320, 512, 1024, 1536, 3072, 4096}) {
        Row a;
        Row b;
        for (std::size_t i = 0; i < length; ++i) {
            a.values[i] = static_cast<std::int8_t>(value(random));
            b.values[i] = static_cast<std::int8_t>(value(random));
        }
        const std::int32_t expected = kernels().front().dot(a.values.data(), b.values.data(), length);
        for (const Kernel& kernel : kernels()) {
            EXPECT_EQ(kernel.dot(a.values.data(), b.values.data(), length), expected)
                << kernel.name << ' ' << length;
        }
    }
}

TEST(Kernels, NoneOverflowsAtTheGreatestValues) {
    for (const int left : {-127, 127}) {
        for (const int right : {-127, 127}) {
            Row a;
            Row b;
            a.values.fill(static_cast<std::int8_t>(left));
            b.values.fill(static_cast<std::int8_t>(right));
            for (const Kernel& kernel : kernels()) {
                EXPECT_EQ(kernel.dot(a.values.data(), b.values.data(), 4096), left * right * 4096)
                    << kernel.name;
            }
        }
    }
}

TEST(Kernels, TheFirstIsScalarAndTheBestIsTheLast) {
    EXPECT_EQ(kernels().front().name, "scalar");
    EXPECT_EQ(best_kernel().name, kernels().back().name);
}

TEST(Quantize, KeepsEveryValueWithinHalfAStep) {
    std::mt19937 random(11);
    std::normal_distribution<float> value(0, 0.05F);
    std::vector<float> vector(1000);
    for (float& x : vector) x = value(random);
    std::vector<std::int8_t> row(vector.size());
    const float scale = quantize(vector, row.data());
    for (std::size_t i = 0; i < vector.size(); ++i) {
        EXPECT_LE(std::abs(vector[i] - static_cast<float>(row[i]) * scale), scale * 0.5001F);
        EXPECT_GE(row[i], -127);
    }
}

TEST(Quantize, TakesVectorsWithoutAnyExtent) {
    for (const float tiny : {0.0F, 1e-38F, -1e-42F}) {
        std::vector<float> vector(64, tiny);
        std::vector<std::int8_t> row(64, 1);
        EXPECT_EQ(quantize(vector, row.data()), 0);
        EXPECT_EQ(row, std::vector<std::int8_t>(64, 0));
    }
}

}  // namespace
}  // namespace millrace::index
