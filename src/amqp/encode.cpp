#include "amqp/codec.hpp"

#include <bit>
#include <cassert>

namespace millrace::amqp {

namespace {

constexpr std::size_t kSmallMax = 255;

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};

}  // namespace

void Writer::number(std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = bytes; i > 0; --i) byte(static_cast<std::uint8_t>(value >> (8 * (i - 1))));
}

void Writer::ubyte(std::uint8_t value) {
    byte(0x50);
    byte(value);
}

void Writer::uint(std::uint32_t value) {
    if (value == 0) return byte(0x43);
    byte(value <= kSmallMax ? 0x52 : 0x70);
    number(value, value <= kSmallMax ? 1 : 4);
}

void Writer::ulong(std::uint64_t value) {
    if (value == 0) return byte(0x44);
    byte(value <= kSmallMax ? 0x53 : 0x80);
    number(value, value <= kSmallMax ? 1 : 8);
}

void Writer::sized(std::uint8_t code8, std::uint8_t code32, std::string_view bytes) {
    const bool small = bytes.size() <= kSmallMax;
    byte(small ? code8 : code32);
    number(bytes.size(), small ? 1 : 4);
    raw(bytes);
}

void Writer::text(std::string_view value) { sized(0xa1, 0xb1, value); }
void Writer::symbol(std::string_view value) { sized(0xa3, 0xb3, value); }
void Writer::binary(std::string_view value) { sized(0xa0, 0xb0, value); }

void Writer::timestamp(TimePoint value) {
    byte(0x83);
    number(static_cast<std::uint64_t>(to_millis(value)), 8);
}

void Writer::uuid(const Uuid& value) {
    byte(0x98);
    out_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

void Writer::descriptor(std::uint64_t code) {
    byte(0x00);
    byte(code <= kSmallMax ? 0x53 : 0x80);
    number(code, code <= kSmallMax ? 1 : 8);
}

std::size_t Writer::begin(std::uint8_t code, std::uint32_t count) {
    byte(code);
    const std::size_t mark = out_.size();
    number(0, 4);
    number(count, 4);
    return mark;
}

void Writer::end(std::size_t mark) {
    const std::size_t size = out_.size() - mark - 4;
    for (std::size_t i = 0; i < 4; ++i) out_[mark + i] = static_cast<char>(size >> (8 * (3 - i)));
}

void Writer::map(const Map& map) {
    const std::size_t mark = begin_map(static_cast<std::uint32_t>(map.entries.size() * 2));
    for (const auto& [key, held] : map.entries) {
        value(key);
        value(held);
    }
    end(mark);
}

void Writer::value(const Value& any) {
    const Overloaded write{
        [&](const Null&) { null(); },
        [&](bool held) { boolean(held); },
        [&](std::uint8_t held) { ubyte(held); },
        [&](std::uint16_t held) { byte(0x60), number(held, 2); },
        [&](std::uint32_t held) { uint(held); },
        [&](std::uint64_t held) { ulong(held); },
        [&](std::int8_t held) { byte(0x51), number(static_cast<std::uint8_t>(held), 1); },
        [&](std::int16_t held) { byte(0x61), number(static_cast<std::uint16_t>(held), 2); },
        [&](std::int32_t held) {
            const bool small = held >= -128 && held <= 127;
            byte(small ? 0x54 : 0x71);
            number(static_cast<std::uint32_t>(held), small ? 1 : 4);
        },
        [&](std::int64_t held) {
            const bool small = held >= -128 && held <= 127;
            byte(small ? 0x55 : 0x81);
            number(static_cast<std::uint64_t>(held), small ? 1 : 8);
        },
        [&](float held) { byte(0x72), number(std::bit_cast<std::uint32_t>(held), 4); },
        [&](double held) { byte(0x82), number(std::bit_cast<std::uint64_t>(held), 8); },
        [&](char32_t held) { byte(0x73), number(held, 4); },
        [&](const Decimal& held) {
            byte(held.bytes.size() == 4 ? 0x74 : held.bytes.size() == 8 ? 0x84 : 0x94);
            raw(held.bytes);
        },
        [&](TimePoint held) { timestamp(held); },
        [&](const Uuid& held) { uuid(held); },
        [&](const Binary& held) { binary(held.bytes); },
        [&](const std::string& held) { text(held); },
        [&](const Symbol& held) { symbol(held.text); },
        [&](const List& held) {
            const std::size_t mark = begin_list(static_cast<std::uint32_t>(held.items.size()));
            for (const Value& item : held.items) value(item);
            end(mark);
        },
        [&](const Map& held) { map(held); },
        [&](const Array& held) { array(held); },
        [&](const Described& held) {
            byte(0x00);
            value(*held.descriptor);
            value(*held.value);
        },
    };
    std::visit(write, static_cast<const Value::variant&>(any));
}

// Elements share one constructor, so each is written without its own, in the widest form of the type.
void Writer::array(const Array& array) {
    const std::size_t mark = begin(0xf0, static_cast<std::uint32_t>(array.items.size()));
    byte(wide_code(array.code));
    for (const Value& item : array.items) {
        [[maybe_unused]] const std::size_t before = out_.size();
        element(item);
        assert(array.code == 0x40 || out_.size() > before);
    }
    end(mark);
}

void Writer::element(const Value& item) {
    const Overloaded write{
        [&](bool held) { byte(held ? 1 : 0); },
        [&](std::uint32_t held) { number(held, 4); },
        [&](std::uint64_t held) { number(held, 8); },
        [&](std::int32_t held) { number(static_cast<std::uint32_t>(held), 4); },
        [&](std::int64_t held) { number(static_cast<std::uint64_t>(held), 8); },
        [&](const Binary& held) { number(held.bytes.size(), 4), raw(held.bytes); },
        [&](const std::string& held) { number(held.size(), 4), raw(held); },
        [&](const Symbol& held) { number(held.text.size(), 4), raw(held.text); },
        [&](const auto&) {  // of all others there is one form
            const std::size_t constructor = out_.size();
            value(item);
            out_.erase(constructor, 1);
        },
    };
    std::visit(write, static_cast<const Value::variant&>(item));
}

std::string encode(const Value& value) {
    std::string bytes;
    Writer(bytes).value(value);
    return bytes;
}

}  // namespace millrace::amqp
