#include "index/kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace millrace::index {

namespace {

std::int32_t dot_scalar(const std::int8_t* a, const std::int8_t* b, std::size_t length) {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < length; ++i) sum += a[i] * b[i];
    return sum;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) std::int32_t sum_of(__m256i lanes) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

// |a|·(b with a's sign): the pairs of 16 bits cannot overflow, as no value is −128.
__attribute__((target("avx2"))) std::int32_t dot_avx2(const std::int8_t* a, const std::int8_t* b,
                                                      std::size_t length) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t i = 0; i < length; i += 32) {
        const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(a + i));
        const __m256i y = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + i));
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    return sum_of(sum);
}

__attribute__((target("avx2,avxvnni"))) std::int32_t dot_avx_vnni(const std::int8_t* a, const std::int8_t* b,
                                                                  std::size_t length) {
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t i = 0; i < length; i += 32) {
        const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(a + i));
        const __m256i y = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + i));
        sum = _mm256_dpbusd_avx_epi32(sum, _mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
    }
    return sum_of(sum);
}

// The instruction multiplies unsigned by signed: (a + 128)·b, and 128·b is taken off again.
__attribute__((target("avx512f,avx512bw,avx512vnni"))) std::int32_t dot_avx512_vnni(const std::int8_t* a,
                                                                                    const std::int8_t* b,
                                                                                    std::size_t length) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    __m512i sum = _mm512_setzero_si512();
    __m512i excess = _mm512_setzero_si512();
    for (std::size_t i = 0; i < length; i += 64) {
        const __m512i x = _mm512_load_si512(a + i);
        const __m512i y = _mm512_load_si512(b + i);
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(x, flip), y);
        excess = _mm512_dpbusd_epi32(excess, flip, y);
    }
    alignas(64) std::array<std::int32_t, 16> lanes;
    _mm512_store_si512(lanes.data(), _mm512_sub_epi32(sum, excess));
    return std::accumulate(lanes.begin(), lanes.end(), std::int32_t{0});
}

#endif

std::vector<Kernel> find_kernels() {
    std::vector<Kernel> found = {{"scalar", dot_scalar}};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) found.push_back({"avx2", dot_avx2});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("avxvnni"))
        found.push_back({"avx-vnni", dot_avx_vnni});
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vnni")) {
        found.push_back({"avx512-vnni", dot_avx512_vnni});
    }
#endif
    return found;
}

}  // namespace

std::span<const Kernel> kernels() {
    static const std::vector<Kernel> found = find_kernels();
    return found;
}

const Kernel& best_kernel() { return kernels().back(); }

float quantize(std::span<const float> vector, std::int8_t* row) {
    float largest = 0;
    for (const float value : vector) largest = std::max(largest, std::abs(value));
    if (largest < 1e-30F) {
        std::fill_n(row, vector.size(), std::int8_t{0});
        return 0;
    }
    const float factor = 127 / largest;
    for (std::size_t i = 0; i < vector.size(); ++i) {
        row[i] = static_cast<std::int8_t>(std::clamp(std::nearbyint(vector[i] * factor), -127.0F, 127.0F));
    }
    return largest / 127;
}

}  // namespace millrace::index
