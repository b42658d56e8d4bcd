// Identifiers: random UUIDs, and text that is safe to show or to use as a file name.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

/// 128 bits, in RFC 9562 order; also the lock token of a delivery.
struct Uuid {
    std::array<std::uint8_t, 16> bytes{};
    auto operator<=>(const Uuid&) const = default;
    bool is_nil() const noexcept { return *this == Uuid{}; }
};

/// A random (version 4) UUID. Any thread.
Uuid random_uuid();
/// "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", lower case.
std::string to_string(const Uuid& id);
/// 32 lower-case hexadecimal digits without dashes.
std::string to_hex(const Uuid& id);

/// Lower-case hexadecimal SHA-256 of `bytes`: 64 characters.
std::string sha256_hex(std::string_view bytes);
/// SHA-256 of `bytes`: 32 raw bytes.
std::string sha256(std::string_view bytes);

/// True if both are equal; the time taken does not depend on where they differ.
bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace millrace

template <>
struct std::hash<millrace::Uuid> {
    std::size_t operator()(const millrace::Uuid& id) const noexcept {
        std::size_t value;
        __builtin_memcpy(&value, id.bytes.data(), sizeof value);
        return value;
    }
};
