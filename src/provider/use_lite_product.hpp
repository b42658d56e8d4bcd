// Matrix products in single precision whose every element is one chain of multiply-adds in the order of the
// inner dimension: a row's result does not depend on the rows beside it, nor, among processors with FMA, on
// the machine. A BLAS promises neither: it picks another order for another number of rows.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace millrace::provider {

/// Columns of a panel; what has fewer is padded with zeros.
inline constexpr std::size_t kPanelColumns = 32;

/// A right-hand matrix in the order in which the product reads it: panels of 32 columns, each row by row.
class PackedMatrix {
  public:
    /// Packs `matrix`, row-major with `stride` floats from one row to the next, over what was there before.
    void pack(const float* matrix, std::size_t stride, std::size_t inner, std::size_t columns);

    /// Packs the transpose of `matrix`, which has `columns` rows of `inner` floats.
    void pack_transposed(const float* matrix, std::size_t stride, std::size_t inner, std::size_t columns);

    std::size_t inner() const noexcept { return inner_; }
    std::size_t panels() const noexcept { return panels_; }
    const float* panel(std::size_t index) const noexcept { return lines_[index * inner_ * 2].values; }

  private:
    struct alignas(64) Line {
        float values[16];
    };

    void resize(std::size_t inner, std::size_t columns);
    float* at(std::size_t row, std::size_t column) noexcept;

    std::size_t inner_ = 0;
    std::size_t panels_ = 0;
    std::vector<Line> lines_;
};

/// What a processor can do, each better than the one before.
enum class Instructions { portable, avx2_fma, avx512 };

/// The best that this one has.
Instructions best_instructions() noexcept;

/// What happens to a sum before it is stored.
enum class Finish { store, add, relu };

/// `result` = `left` · `right` + `bias`, or with Finish::add that much more, or with Finish::relu no less
/// than 0. `left` has `rows` rows of `right.inner()` floats, `left_stride` apart; `result` has as many,
/// `result_stride` apart, of `right.panels()` * 32 floats. `bias` has a float per column, or is empty.
/// `instructions` are no more than `best_instructions()`.
void multiply(const float* left, std::size_t left_stride, std::size_t rows, const PackedMatrix& right,
              std::span<const float> bias, Finish finish, float* result, std::size_t result_stride,
              Instructions instructions = best_instructions());

}  // namespace millrace::provider
