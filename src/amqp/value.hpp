// Values of the AMQP 1.0 type system (part 1), as they stand in frames and messages.
#pragma once

#include "base/clock.hpp"
#include "base/ids.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::amqp {

struct Value;

struct Null {
    bool operator==(const Null&) const = default;
};
/// Text of a closed set, in ASCII.
struct Symbol {
    std::string text;
    bool operator==(const Symbol&) const = default;
};
struct Binary {
    std::string bytes;
    bool operator==(const Binary&) const = default;
};
/// decimal32, decimal64 or decimal128: 4, 8 or 16 bytes as they stand on the wire.
struct Decimal {
    std::string bytes;
    bool operator==(const Decimal&) const = default;
};
struct List {
    std::vector<Value> items;
    bool operator==(const List&) const;
};
/// In the order of the wire. A key that comes twice is found by its first place.
struct Map {
    std::vector<std::pair<Value, Value>> entries;

    /// The value under a string or symbol key; null if there is none.
    const Value* find(std::string_view key) const;
    /// Adds an entry with a string key; `set_symbol` with a symbol key.
    void set(std::string_view key, Value value);
    void set_symbol(std::string_view key, Value value);
    bool empty() const noexcept { return entries.empty(); }
    bool operator==(const Map&) const;
};
/// Elements of one type. `code` is the widest format code of that type (of an empty array, too): 0x70 for
/// uint, 0x81 for long, 0xb3 for symbol, 0xd0 for list.
struct Array {
    std::uint8_t code = 0x40;
    std::vector<Value> items;
    bool operator==(const Array&) const;
};
/// A value with a descriptor that says what it means.
struct Described {
    std::shared_ptr<const Value> descriptor;
    std::shared_ptr<const Value> value;
    bool operator==(const Described&) const;
};

/// Any AMQP value. A copy of a described value shares its parts.
struct Value
    : std::variant<Null, bool, std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t, std::int8_t,
                   std::int16_t, std::int32_t, std::int64_t, float, double, char32_t, Decimal, TimePoint,
                   Uuid, Binary, std::string, Symbol, List, Map, Array, Described> {
    using variant::variant;
    bool is_null() const noexcept { return std::holds_alternative<Null>(*this); }
    template <class T>
    const T* as() const noexcept {
        return std::get_if<T>(this);
    }
};

Described described(std::uint64_t descriptor, Value value);

/// Bytes of memory that it takes, roughly; what is shared counts in full.
std::size_t memory_of(const Value& value);
std::size_t memory_of(const Map& map);

/// The number in `value` whatever its width and sign; none if it is no whole number or does not fit.
std::optional<std::int64_t> integer_of(const Value& value);
std::optional<std::int64_t> integer_of(const Value* value);
/// The text of a string or symbol; none for other types and for a null pointer.
std::optional<std::string_view> text_of(const Value* value);

}  // namespace millrace::amqp
