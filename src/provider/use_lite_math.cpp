#include "provider/use_lite_math.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

// Built for several instruction sets, picked at start. None may fuse a multiplication and an addition by
// itself, so that all give the same bits.
#pragma GCC optimize("fp-contract=off")
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)  // whose runtime starts after the pick
#define MILLRACE_CLONES [[gnu::target_clones("avx512f", "avx2", "default"), gnu::optimize("O3")]]
#else
#define MILLRACE_CLONES
#endif

namespace millrace::provider {

namespace {

constexpr std::size_t kLanes =
    16;  ///< sums that run side by side, so that a processor can do as many at once
constexpr float kEpsilon = 1e-6f;

using Lanes = std::array<float, kLanes>;

inline float sum_of(const Lanes& lanes) {
    float sum = 0;
    for (const float lane : lanes) sum += lane;
    return sum;
}

/// e^x for x <= 0, to about 2 units in the last place: 2^n · e^r with |r| <= ln(2)/2, e^r by its series.
/// Below -87 it stays at e^-87.
inline float exp_of(float x) {
    constexpr float log2_e = 1.44269504f;
    constexpr float ln2_high = 0.693359375f;  // exact in few bits, so that n * ln2_high is exact as well
    constexpr float ln2_low = -2.12194440e-4f;
    constexpr float to_integer = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    x = std::max(x, -87.0f);
    const float n = (x * log2_e + to_integer) - to_integer;
    const float r = (x - n * ln2_high) - n * ln2_low;
    float series = 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    series = series * r + 1.0f;
    return series * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

MILLRACE_CLONES
void norm_row(const float* input, std::size_t size, const float* scale, const float* bias, float* output) {
    Lanes lanes = {};
    for (std::size_t i = 0; i < size; i += kLanes) {
        for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += input[i + j];
    }
    const float mean = sum_of(lanes) / static_cast<float>(size);
    lanes = {};
    for (std::size_t i = 0; i < size; i += kLanes) {
        for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += (input[i + j] - mean) * (input[i + j] - mean);
    }
    const float factor = 1 / std::sqrt(sum_of(lanes) / static_cast<float>(size) + kEpsilon);
    for (std::size_t i = 0; i < size; ++i) output[i] = (input[i] - mean) * (scale[i] * factor) + bias[i];
}

MILLRACE_CLONES
void softmax_row(float* values, std::size_t columns, float factor) {
    float highest = values[0];
    for (std::size_t i = 1; i < columns; ++i) highest = std::max(highest, values[i]);
    for (std::size_t i = 0; i < columns; ++i) values[i] = exp_of((values[i] - highest) * factor);
    Lanes lanes = {};
    std::size_t i = 0;
    for (; i + kLanes <= columns; i += kLanes) {
        for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += values[i + j];
    }
    for (; i < columns; ++i) lanes[0] += values[i];
    const float scale = 1 / sum_of(lanes);
    for (std::size_t j = 0; j < columns; ++j) values[j] *= scale;
}

}  // namespace

void layer_norm(const float* input, std::size_t rows, std::span<const float> scale,
                std::span<const float> bias, float* output) {
    const std::size_t size = scale.size();
    for (std::size_t row = 0; row < rows; ++row) {
        norm_row(input + row * size, size, scale.data(), bias.data(), output + row * size);
    }
}

void softmax(float* values, std::size_t rows, std::size_t columns, std::size_t stride, float factor) {
    for (std::size_t row = 0; row < rows; ++row) softmax_row(values + row * stride, columns, factor);
}

void normalise(std::span<float> vector) {
    double square = 0;
    for (const float x : vector) square += static_cast<double>(x) * x;
    if (square < 1e-12) return;
    const auto scale = static_cast<float>(1 / std::sqrt(square));
    for (float& x : vector) x *= scale;
}

}  // namespace millrace::provider
