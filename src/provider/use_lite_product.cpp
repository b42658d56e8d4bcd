#include "provider/use_lite_product.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace millrace::provider {

namespace {

/// One tile of the result: some rows, and the 32 columns of a panel.
struct Tile {
    const float* left;
    std::size_t left_stride;
    const float* panel;
    std::size_t inner;
    const float* bias;  ///< of the panel's columns, or null
    Finish finish;
    float* result;
    std::size_t result_stride;

    void next_rows(std::size_t rows) {
        left += rows * left_stride;
        result += rows * result_stride;
    }
};

using RunTile = void (*)(const Tile&);

/// Computes tiles of up to N rows: `run[n - 1]` one of n.
template <std::size_t N>
void run_tiles(const std::array<RunTile, N>& run, Tile tile, std::size_t rows) {
    for (; rows >= N; rows -= N) {
        run[N - 1](tile);
        tile.next_rows(N);
    }
    if (rows > 0) run[rows - 1](tile);
}

void run_row(const Tile& tile) {
    std::array<float, kPanelColumns> sums = {};
    if (tile.bias != nullptr) std::copy_n(tile.bias, kPanelColumns, sums.begin());
    for (std::size_t k = 0; k < tile.inner; ++k) {
        const float factor = tile.left[k];
        const float* line = tile.panel + k * kPanelColumns;
        for (std::size_t j = 0; j < kPanelColumns; ++j) sums[j] += factor * line[j];
    }
    for (std::size_t j = 0; j < kPanelColumns; ++j) {
        const float before = tile.finish == Finish::add ? tile.result[j] : 0;
        tile.result[j] = tile.finish == Finish::relu ? std::max(sums[j], 0.0f) : before + sums[j];
    }
}

#ifdef __x86_64__
#pragma GCC push_options
#pragma GCC optimize("O3")

template <std::size_t R>
[[gnu::target("avx512f")]] void run_avx512(const Tile& tile) {
    __m512 sums[R][2];
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t h = 0; h < 2; ++h) {
            sums[r][h] = tile.bias != nullptr ? _mm512_loadu_ps(tile.bias + 16 * h) : _mm512_setzero_ps();
        }
    }
    for (std::size_t k = 0; k < tile.inner; ++k) {
        const __m512 low = _mm512_load_ps(tile.panel + k * kPanelColumns);
        const __m512 high = _mm512_load_ps(tile.panel + k * kPanelColumns + 16);
        for (std::size_t r = 0; r < R; ++r) {
            const __m512 factor = _mm512_set1_ps(tile.left[r * tile.left_stride + k]);
            sums[r][0] = _mm512_fmadd_ps(factor, low, sums[r][0]);
            sums[r][1] = _mm512_fmadd_ps(factor, high, sums[r][1]);
        }
    }
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t h = 0; h < 2; ++h) {
            float* place = tile.result + r * tile.result_stride + 16 * h;
            __m512 sum = sums[r][h];
            if (tile.finish == Finish::add) sum = _mm512_add_ps(_mm512_loadu_ps(place), sum);
            if (tile.finish == Finish::relu) sum = _mm512_max_ps(sum, _mm512_setzero_ps());
            _mm512_storeu_ps(place, sum);
        }
    }
}

/// The left or right half of a tile: all of a panel's sums don't fit the registers.
template <std::size_t R>
[[gnu::target("avx2,fma")]] void run_avx2_half(const Tile& tile, std::size_t half) {
    const std::size_t column = half * kPanelColumns / 2;
    __m256 sums[R][2];
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t h = 0; h < 2; ++h) {
            sums[r][h] =
                tile.bias != nullptr ? _mm256_loadu_ps(tile.bias + column + 8 * h) : _mm256_setzero_ps();
        }
    }
    for (std::size_t k = 0; k < tile.inner; ++k) {
        const __m256 low = _mm256_load_ps(tile.panel + k * kPanelColumns + column);
        const __m256 high = _mm256_load_ps(tile.panel + k * kPanelColumns + column + 8);
        for (std::size_t r = 0; r < R; ++r) {
            const __m256 factor = _mm256_set1_ps(tile.left[r * tile.left_stride + k]);
            sums[r][0] = _mm256_fmadd_ps(factor, low, sums[r][0]);
            sums[r][1] = _mm256_fmadd_ps(factor, high, sums[r][1]);
        }
    }
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t h = 0; h < 2; ++h) {
            float* place = tile.result + r * tile.result_stride + column + 8 * h;
            __m256 sum = sums[r][h];
            if (tile.finish == Finish::add) sum = _mm256_add_ps(_mm256_loadu_ps(place), sum);
            if (tile.finish == Finish::relu) sum = _mm256_max_ps(sum, _mm256_setzero_ps());
            _mm256_storeu_ps(place, sum);
        }
    }
}

template <std::size_t R>
[[gnu::target("avx2,fma")]] void run_avx2(const Tile& tile) {
    run_avx2_half<R>(tile, 0);
    run_avx2_half<R>(tile, 1);
}

#pragma GCC pop_options

template <std::size_t... R>
void run_all_avx512(const Tile& tile, std::size_t rows, std::index_sequence<R...>) {
    static constexpr std::array<RunTile, sizeof...(R)> run = {run_avx512<R + 1>...};
    run_tiles(run, tile, rows);
}

template <std::size_t... R>
void run_all_avx2(const Tile& tile, std::size_t rows, std::index_sequence<R...>) {
    static constexpr std::array<RunTile, sizeof...(R)> run = {run_avx2<R + 1>...};
    run_tiles(run, tile, rows);
}
#endif

void run_rows(Instructions instructions, const Tile& tile, std::size_t rows) {
#ifdef __x86_64__
    if (instructions == Instructions::avx512)
        return run_all_avx512(tile, rows, std::make_index_sequence<12>());
    if (instructions == Instructions::avx2_fma)
        return run_all_avx2(tile, rows, std::make_index_sequence<6>());
#endif
    run_tiles(std::array<RunTile, 1>{run_row}, tile, rows);
}

Instructions detect() {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) return Instructions::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Instructions::avx2_fma;
#endif
    return Instructions::portable;
}

}  // namespace

Instructions best_instructions() noexcept {
    static const Instructions best = detect();
    return best;
}

void PackedMatrix::resize(std::size_t inner, std::size_t columns) {
    inner_ = inner;
    panels_ = (columns + kPanelColumns - 1) / kPanelColumns;
    lines_.resize(inner_ * panels_ * 2);
}

float* PackedMatrix::at(std::size_t row, std::size_t column) noexcept {
    const std::size_t panel = column / kPanelColumns;
    const std::size_t in_panel = column % kPanelColumns;
    return lines_[(panel * inner_ + row) * 2 + in_panel / 16].values + in_panel % 16;
}

void PackedMatrix::pack(const float* matrix, std::size_t stride, std::size_t inner, std::size_t columns) {
    resize(inner, columns);
    for (std::size_t row = 0; row < inner; ++row) {
        for (std::size_t column = 0; column < panels_ * kPanelColumns; ++column) {
            *at(row, column) = column < columns ? matrix[row * stride + column] : 0;
        }
    }
}

void PackedMatrix::pack_transposed(const float* matrix, std::size_t stride, std::size_t inner,
                                   std::size_t columns) {
    resize(inner, columns);
    for (std::size_t column = 0; column < panels_ * kPanelColumns; ++column) {
        for (std::size_t row = 0; row < inner; ++row) {
            *at(row, column) = column < columns ? matrix[column * stride + row] : 0;
        }
    }
}

void multiply(const float* left, std::size_t left_stride, std::size_t rows, const PackedMatrix& right,
              std::span<const float> bias, Finish finish, float* result, std::size_t result_stride,
              Instructions instructions) {
    assert(instructions <= best_instructions());
    assert(bias.empty() || bias.size() == right.panels() * kPanelColumns);
    for (std::size_t p = 0; p < right.panels(); ++p) {
        const std::size_t column = p * kPanelColumns;
        const Tile tile{.left = left,
                        .left_stride = left_stride,
                        .panel = right.panel(p),
                        .inner = right.inner(),
                        .bias = bias.empty() ? nullptr : bias.data() + column,
                        .finish = finish,
                        .result = result + column,
                        .result_stride = result_stride};
        run_rows(instructions, tile, rows);
    }
}

}  // namespace millrace::provider
