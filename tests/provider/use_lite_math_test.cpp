#include "provider/use_lite_math.hpp"

#include "provider/use_lite_product.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace millrace::provider {
namespace {

std::vector<float> random_numbers(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<float> numbers(count);
    for (float& x : numbers) x = static_cast<float>(random() % 2001) / 1000 - 1;
    return numbers;
}

double naive(const std::vector<float>& a, const std::vector<float>& b, std::size_t inner, std::size_t columns,
             std::size_t row, std::size_t column) {
    double sum = 0;
    for (std::size_t k = 0; k < inner; ++k) {
        sum += static_cast<double>(a[row * inner + k]) * b[k * columns + column];
    }
    return sum;
}

/// What this processor can run.
std::vector<Instructions> all_instructions() {
    std::vector<Instructions> all = {Instructions::portable};
    if (best_instructions() >= Instructions::avx2_fma) all.push_back(Instructions::avx2_fma);
    if (best_instructions() >= Instructions::avx512) all.push_back(Instructions::avx512);
    return all;
}

void expect_product(Instructions instructions, std::size_t rows, std::size_t inner, std::size_t columns) {
    const auto a = random_numbers(rows * inner, 1);
    const auto b = random_numbers(inner * columns, 2);
    PackedMatrix packed;
    packed.pack(b.data(), columns, inner, columns);
    const std::size_t stride = packed.panels() * kPanelColumns;
    std::vector<float> result(rows * stride, -1);
    multiply(a.data(), inner, rows, packed, {}, Finish::store, result.data(), stride, instructions);
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t column = 0; column < stride; ++column) {
            const double expected = column < columns ? naive(a, b, inner, columns, row, column) : 0;
            ASSERT_NEAR(result[row * stride + column], expected, 1e-4)
                << rows << "x" << inner << "x" << columns << " at " << row << ", " << column;
        }
    }
}

TEST(Product, MultipliesMatricesOfAnyShapeOnAnyProcessor) {
    for (const Instructions instructions : all_instructions()) {
        for (const std::size_t rows : {1u, 5u, 6u, 7u, 12u, 13u, 31u}) {
            for (const std::size_t inner : {1u, 16u, 129u}) {
                for (const std::size_t columns : {1u, 32u, 33u, 64u}) {
                    expect_product(instructions, rows, inner, columns);
                }
            }
        }
    }
}

TEST(Product, ProcessorsWithFmaAgreeOnEveryBit) {
    if (best_instructions() < Instructions::avx512) GTEST_SKIP() << "this processor has one kind only";
    const auto a = random_numbers(17 * 300, 8);
    const auto b = random_numbers(300 * 96, 9);
    const auto bias = random_numbers(96, 10);
    PackedMatrix packed;
    packed.pack(b.data(), 96, 300, 96);
    for (const Finish finish : {Finish::store, Finish::add, Finish::relu}) {
        auto one = random_numbers(17 * 96, 11);
        auto other = one;
        multiply(a.data(), 300, 17, packed, bias, finish, one.data(), 96, Instructions::avx2_fma);
        multiply(a.data(), 300, 17, packed, bias, finish, other.data(), 96, Instructions::avx512);
        EXPECT_EQ(one, other);
    }
}

TEST(Product, ATransposedMatrixIsPackedAsItsTranspose) {
    const auto matrix = random_numbers(40 * 24, 3);
    std::vector<float> transpose(24 * 40);
    for (std::size_t i = 0; i < 40; ++i) {
        for (std::size_t j = 0; j < 24; ++j) transpose[j * 40 + i] = matrix[i * 24 + j];
    }
    PackedMatrix one, other;
    one.pack_transposed(matrix.data(), 24, 24, 40);
    other.pack(transpose.data(), 40, 24, 40);
    ASSERT_EQ(one.panels(), other.panels());
    for (std::size_t p = 0; p < one.panels(); ++p) {
        EXPECT_TRUE(std::equal(one.panel(p), one.panel(p) + 24 * kPanelColumns, other.panel(p)));
    }
}

TEST(Product, ARowHasTheSameBitsWhateverRowsAreBesideIt) {
    const std::size_t inner = 200;
    const auto a = random_numbers(64 * inner, 4);
    const auto b = random_numbers(inner * 64, 5);
    PackedMatrix packed;
    packed.pack(b.data(), 64, inner, 64);
    for (const Instructions instructions : all_instructions()) {
        std::vector<float> all(64 * 64);
        multiply(a.data(), inner, 64, packed, {}, Finish::store, all.data(), 64, instructions);
        for (std::size_t rows = 1; rows < 64; ++rows) {
            std::vector<float> some(rows * 64);
            multiply(a.data(), inner, rows, packed, {}, Finish::store, some.data(), 64, instructions);
            ASSERT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << rows;
        }
    }
}

TEST(Product, FinishesAsTold) {
    const std::vector<float> a = {1, 2};
    std::vector<float> b(2 * 32, 1);
    b[0] = -5;
    const std::vector<float> bias(32, 0.5f);
    PackedMatrix packed;
    packed.pack(b.data(), 32, 2, 32);
    for (const Instructions instructions : all_instructions()) {
        std::vector<float> result(32, 10);
        auto finish = [&](Finish how) {
            multiply(a.data(), 2, 1, packed, bias, how, result.data(), 32, instructions);
            return std::pair(result[0], result[31]);
        };
        EXPECT_EQ(finish(Finish::add), std::pair(10 - 5 + 2 + 0.5f, 10 + 3 + 0.5f));
        EXPECT_EQ(finish(Finish::relu), std::pair(0.0f, 3.5f));
        EXPECT_EQ(finish(Finish::store), std::pair(-2.5f, 3.5f));
    }
}

TEST(LayerNorm, GivesMeanZeroAndVarianceOneTimesScalePlusBias) {
    const auto input = random_numbers(2 * 64, 6);
    const std::vector<float> scale(64, 2), bias(64, 3);
    std::vector<float> output(2 * 64);
    layer_norm(input.data(), 2, scale, bias, output.data());
    for (std::size_t row = 0; row < 2; ++row) {
        double sum = 0, square = 0;
        for (std::size_t i = 0; i < 64; ++i) sum += output[row * 64 + i];
        for (std::size_t i = 0; i < 64; ++i) square += std::pow(output[row * 64 + i] - 3, 2);
        EXPECT_NEAR(sum / 64, 3, 1e-5);
        EXPECT_NEAR(square / 64, 4, 1e-3);
    }
}

TEST(Softmax, EqualsItsDefinition) {
    for (const std::size_t columns : {1u, 2u, 15u, 16u, 17u, 128u}) {
        auto values = random_numbers(3 * 128, 7);
        for (float& x : values) x *= 40;
        const auto input = values;
        softmax(values.data(), 3, columns, 128, 0.5f);
        for (std::size_t row = 0; row < 3; ++row) {
            double sum = 0;
            for (std::size_t i = 0; i < columns; ++i) sum += std::exp(0.5 * input[row * 128 + i]);
            for (std::size_t i = 0; i < columns; ++i) {
                const double expected = std::exp(0.5 * input[row * 128 + i]) / sum;
                EXPECT_NEAR(values[row * 128 + i], expected, 1e-6 * expected + 1e-12);
            }
            EXPECT_EQ(values[row * 128 + 127],
                      columns == 128 ? values[row * 128 + 127] : input[row * 128 + 127]);
        }
    }
}

TEST(Softmax, StandsScoresFarApart) {
    std::vector<float> values = {1000, 0, -1000, 1e30f};
    softmax(values.data(), 1, 3, 4, 1);
    EXPECT_FLOAT_EQ(values[0], 1);
    EXPECT_NEAR(values[1], 0, 1e-30);
    EXPECT_EQ(values[3], 1e30f);
}

TEST(Normalise, LeavesWhatHasNoDirection) {
    std::vector<float> vector = {3, 4}, zero = {0, 0};
    normalise(vector);
    EXPECT_THAT(vector, testing::ElementsAre(0.6f, 0.8f));
    normalise(zero);
    EXPECT_THAT(zero, testing::ElementsAre(0, 0));
}

}  // namespace
}  // namespace millrace::provider
