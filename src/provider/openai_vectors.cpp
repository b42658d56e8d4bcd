#include "provider/openai_vectors.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace millrace::provider {

static_assert(std::endian::native == std::endian::little, "vectors are copied as they lie in memory");

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> kValues = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
        values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
    }
    return values;
}();

}  // namespace

std::string encode_vector(std::span<const float> vector) {
    std::string bytes(vector.size_bytes(), '\0');
    if (!vector.empty()) std::memcpy(bytes.data(), vector.data(), bytes.size());
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            text.push_back(i + k <= bytes.size() ? kAlphabet[group >> (18 - 6 * k) & 63] : '=');
        }
    }
    return text;
}

bool decode_vector(std::string_view base64, std::vector<float>& vector) {
    for (int padding = 0; padding < 2 && base64.ends_with('='); ++padding) base64.remove_suffix(1);
    const std::size_t size = base64.size() * 3 / 4;
    if (base64.size() % 4 == 1 || size % sizeof(float) != 0) return false;
    vector.resize(size / sizeof(float));
    auto* out = reinterpret_cast<unsigned char*>(vector.data());
    const auto* const end = out + size;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : base64) {
        const int value = kValues[static_cast<unsigned char>(c)];
        if (value < 0) return false;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        if (out < end) *out++ = static_cast<unsigned char>(bits >> count);
    }
    return true;
}

bool normalise(std::vector<float>& vector) noexcept {
    double sum = 0;
    for (const float value : vector) sum += static_cast<double>(value) * value;
    if (!std::isfinite(sum) || sum <= 0) return false;
    const auto scale = static_cast<float>(1.0 / std::sqrt(sum));
    if (!std::isfinite(scale)) return false;
    for (float& value : vector) value *= scale;
    return true;
}

}  // namespace millrace::provider
