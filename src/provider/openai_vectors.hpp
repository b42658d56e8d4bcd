// Vectors as the OpenAI API carries them: base64 of little-endian float32.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// `vector` as standard base64 of little-endian float32.
std::string encode_vector(std::span<const float> vector);
/// The reverse; padding may be missing. False: not base64, or not a whole number of floats.
bool decode_vector(std::string_view base64, std::vector<float>& vector);
/// Scales `vector` to length 1. False: it is zero or holds a value that isn't finite.
bool normalise(std::vector<float>& vector) noexcept;

}  // namespace millrace::provider
