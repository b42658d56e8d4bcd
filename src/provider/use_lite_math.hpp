// The steps of the transformer between its matrix products. All sums run in a fixed order, so that equal
// input gives equal bits.
#pragma once

#include <cstddef>
#include <span>

namespace millrace::provider {

/// Normalises each of `rows` rows of `input`, `scale.size()` floats long and apart, to mean 0 and variance 1,
/// times `scale`, plus `bias`. J. L. Ba et al., "Layer Normalization", 2016; epsilon 1e-6.
void layer_norm(const float* input, std::size_t rows, std::span<const float> scale,
                std::span<const float> bias, float* output);

/// In place: row = exp(factor * row) / sum, for each of `rows` rows of `columns` floats, `stride` apart.
void softmax(float* values, std::size_t rows, std::size_t columns, std::size_t stride, float factor);

/// The unit vector in the direction of `vector`; one too short to tell its direction stays as it is.
void normalise(std::span<float> vector);

}  // namespace millrace::provider
