#include "amqp/value.hpp"

#include <limits>

namespace millrace::amqp {

bool List::operator==(const List&) const = default;
bool Map::operator==(const Map&) const = default;
bool Array::operator==(const Array&) const = default;
bool Described::operator==(const Described& other) const {
    return *descriptor == *other.descriptor && *value == *other.value;
}

const Value* Map::find(std::string_view key) const {
    for (const auto& [name, value] : entries) {
        if (text_of(&name) == key) return &value;
    }
    return nullptr;
}

void Map::set(std::string_view key, Value value) { entries.emplace_back(std::string(key), std::move(value)); }

void Map::set_symbol(std::string_view key, Value value) {
    entries.emplace_back(Symbol{std::string(key)}, std::move(value));
}

Described described(std::uint64_t descriptor, Value value) {
    return Described{std::make_shared<const Value>(descriptor),
                     std::make_shared<const Value>(std::move(value))};
}

std::size_t memory_of(const Map& map) {
    std::size_t bytes = 0;
    for (const auto& [key, value] : map.entries) bytes += memory_of(key) + memory_of(value);
    return bytes;
}

std::size_t memory_of(const Value& value) {
    std::size_t bytes = sizeof(Value);
    const auto add = [&bytes](const auto& items) {
        for (const Value& item : items) bytes += memory_of(item);
    };
    if (const auto text = text_of(&value)) bytes += text->size();
    if (const auto* binary = value.as<Binary>()) bytes += binary->bytes.size();
    if (const auto* list = value.as<List>()) add(list->items);
    if (const auto* array = value.as<Array>()) add(array->items);
    if (const auto* map = value.as<Map>()) bytes += memory_of(*map);
    if (const auto* described = value.as<Described>())
        bytes += memory_of(*described->descriptor) + memory_of(*described->value);
    return bytes;
}

std::optional<std::int64_t> integer_of(const Value& value) {
    return std::visit(
        [](const auto& held) -> std::optional<std::int64_t> {
            using T = std::decay_t<decltype(held)>;
            if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char32_t>) {
                if (!std::in_range<std::int64_t>(held)) return std::nullopt;
                return static_cast<std::int64_t>(held);
            } else {
                return std::nullopt;
            }
        },
        static_cast<const Value::variant&>(value));
}

std::optional<std::int64_t> integer_of(const Value* value) {
    return value == nullptr ? std::nullopt : integer_of(*value);
}

std::optional<std::string_view> text_of(const Value* value) {
    if (value == nullptr) return std::nullopt;
    if (const auto* text = value->as<std::string>()) return *text;
    if (const auto* symbol = value->as<Symbol>()) return symbol->text;
    return std::nullopt;
}

}  // namespace millrace::amqp
