// The inner loop of vector search: dot products of 8-bit rows, for each kind of processor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace millrace::index {

/// Rows are padded with zeros to a multiple of this many bytes, and start at a multiple of it.
inline constexpr std::size_t kRowAlignment = 64;

/// `length` rounded up to whole units of kRowAlignment.
constexpr std::size_t padded(std::size_t length) {
    return (length + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
}

/// The sum of `a[i]·b[i]` over `length` values from −127 to 127; `length` is a multiple of kRowAlignment and
/// at most 65,536. All kernels give the same number.
using DotFunction = std::int32_t (*)(const std::int8_t* a, const std::int8_t* b, std::size_t length);

struct Kernel {
    std::string_view name;
    DotFunction dot;
};

/// The kernels that this processor can run, slowest first; the first is "scalar".
std::span<const Kernel> kernels();

/// The fastest of `kernels()`.
const Kernel& best_kernel();

/// Quantises `vector` to −127…127 into `row` (at least as long) and returns the scale: value ≈ row · scale.
float quantize(std::span<const float> vector, std::int8_t* row);

}  // namespace millrace::index
