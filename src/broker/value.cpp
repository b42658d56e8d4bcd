#include "broker/value.hpp"

#include <bit>
#include <cmath>
#include <string_view>

namespace millrace::broker {

namespace {

std::uint64_t unsigned_of(std::string_view bytes) {
    std::uint64_t number = 0;
    for (const char byte : bytes) number = number << 8 | static_cast<std::uint8_t>(byte);
    return number;
}

std::int64_t signed_of(std::string_view bytes) {
    const int unused = 64 - 8 * static_cast<int>(bytes.size());
    return static_cast<std::int64_t>(unsigned_of(bytes) << unused) >> unused;
}

std::string utf8_of(std::uint64_t code) {
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = 0xfffd;
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3f)); };
    if (code < 0x80) return {static_cast<char>(code)};
    if (code < 0x800) return {static_cast<char>(0xc0 | code >> 6), tail(0)};
    if (code < 0x10000) return {static_cast<char>(0xe0 | code >> 12), tail(6), tail(0)};
    return {static_cast<char>(0xf0 | code >> 18), tail(12), tail(6), tail(0)};
}

enum class Meaning { unsigned_number, signed_number, real, character, text };

/// AMQP 1.0, part 1, 1.6; `size` bytes follow the constructor, of a text a size of that many bytes.
struct Constructor {
    std::uint8_t code;
    std::size_t size;
    Meaning meaning;
};
constexpr Constructor kConstructors[] = {
    {0x43, 0, Meaning::unsigned_number},
    {0x50, 1, Meaning::unsigned_number},
    {0x52, 1, Meaning::unsigned_number},
    {0x60, 2, Meaning::unsigned_number},
    {0x70, 4, Meaning::unsigned_number},
    {0x51, 1, Meaning::signed_number},
    {0x54, 1, Meaning::signed_number},
    {0x61, 2, Meaning::signed_number},
    {0x71, 4, Meaning::signed_number},
    {0x72, 4, Meaning::real},
    {0x73, 4, Meaning::character},
    {0xa3, 1, Meaning::text},
    {0xb3, 4, Meaning::text},
};

std::optional<Value> decoded(const Constructor& constructor, std::string_view rest) {
    if (rest.size() < constructor.size) return std::nullopt;
    if (constructor.meaning == Meaning::text) {
        const std::string_view text = rest.substr(constructor.size);
        if (text.size() != unsigned_of(rest.substr(0, constructor.size))) return std::nullopt;
        return Value(std::string(text));
    }
    if (rest.size() != constructor.size) return std::nullopt;
    switch (constructor.meaning) {
        case Meaning::unsigned_number: return Value(static_cast<std::int64_t>(unsigned_of(rest)));
        case Meaning::signed_number: return Value(signed_of(rest));
        case Meaning::real: {
            const auto bits = static_cast<std::uint32_t>(unsigned_of(rest));
            return Value(static_cast<double>(std::bit_cast<float>(bits)));
        }
        default: return Value(utf8_of(unsigned_of(rest)));
    }
}

// Exact for every 64-bit integer where long double has a mantissa of 64 bits or more.
std::optional<long double> number_of(const Value& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return static_cast<long double>(*number);
    if (const auto* number = std::get_if<std::uint64_t>(&value)) return static_cast<long double>(*number);
    if (const auto* number = std::get_if<double>(&value)) return static_cast<long double>(*number);
    return std::nullopt;
}

}  // namespace

Value numeric(const Value& value) {
    const auto* encoded = std::get_if<Encoded>(&value);
    if (encoded == nullptr || encoded->bytes.empty()) return value;
    const std::string_view bytes = encoded->bytes;
    for (const Constructor& constructor : kConstructors) {
        if (constructor.code != static_cast<std::uint8_t>(bytes[0])) continue;
        if (auto known = decoded(constructor, bytes.substr(1))) return std::move(*known);
    }
    return value;
}

std::partial_ordering compare_values(const Value& a, const Value& b) {
    const Value left = numeric(a);
    const Value right = numeric(b);
    const auto left_number = number_of(left);
    const auto right_number = number_of(right);
    if (left_number && right_number) return *left_number <=> *right_number;
    if (left.index() != right.index()) return std::partial_ordering::unordered;
    if (std::holds_alternative<std::monostate>(left)) return std::partial_ordering::unordered;
    return left <=> right;
}

std::string text_property(const Message& message, const std::string& name) {
    const auto found = message.properties.find(name);
    if (found == message.properties.end()) return {};
    const Value value = numeric(found->second);
    const auto* text = std::get_if<std::string>(&value);
    return text == nullptr ? std::string() : *text;
}

bool equal_values(const Value& a, const Value& b) {
    const Value left = numeric(a);
    const Value right = numeric(b);
    return left == right || compare_values(left, right) == std::partial_ordering::equivalent;
}

}  // namespace millrace::broker
