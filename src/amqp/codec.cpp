#include "amqp/codec.hpp"

#include <bit>
#include <cstring>

namespace millrace::amqp {

namespace {

/// Width in bytes of a fixed-width type, by the upper half of its format code (part 1, 1.2).
constexpr std::size_t fixed_width(std::uint8_t code) {
    switch (code >> 4) {
        case 0x4: return 0;
        case 0x5: return 1;
        case 0x6: return 2;
        case 0x7: return 4;
        case 0x8: return 8;
        default: return 16;
    }
}

constexpr bool is_fixed(std::uint8_t code) { return code >= 0x40 && code < 0xa0; }
/// How many bytes the size of a variable, compound or array type has.
constexpr std::size_t size_width(std::uint8_t code) { return (code >> 4) % 2 == 0 ? 1 : 4; }

Uuid uuid_of(std::string_view bytes) {
    Uuid id;
    std::memcpy(id.bytes.data(), bytes.data(), id.bytes.size());
    return id;
}

/// The standard's symbolic descriptors that old clients write instead of the numbers.
std::uint64_t descriptor_named(std::string_view name) {
    static constexpr std::pair<std::string_view, std::uint64_t> kNames[] = {
        {"amqp:open:list", 0x10},
        {"amqp:begin:list", 0x11},
        {"amqp:attach:list", 0x12},
        {"amqp:flow:list", 0x13},
        {"amqp:transfer:list", 0x14},
        {"amqp:disposition:list", 0x15},
        {"amqp:detach:list", 0x16},
        {"amqp:end:list", 0x17},
        {"amqp:close:list", 0x18},
        {"amqp:error:list", 0x1d},
        {"amqp:received:list", 0x23},
        {"amqp:accepted:list", 0x24},
        {"amqp:rejected:list", 0x25},
        {"amqp:released:list", 0x26},
        {"amqp:modified:list", 0x27},
        {"amqp:source:list", 0x28},
        {"amqp:target:list", 0x29},
        {"amqp:coordinator:list", 0x30},
        {"amqp:declare:list", 0x31},
        {"amqp:discharge:list", 0x32},
        {"amqp:sasl-mechanisms:list", 0x40},
        {"amqp:sasl-init:list", 0x41},
        {"amqp:sasl-challenge:list", 0x42},
        {"amqp:sasl-response:list", 0x43},
        {"amqp:sasl-outcome:list", 0x44},
        {"amqp:header:list", 0x70},
        {"amqp:delivery-annotations:map", 0x71},
        {"amqp:message-annotations:map", 0x72},
        {"amqp:properties:list", 0x73},
        {"amqp:application-properties:map", 0x74},
        {"amqp:data:binary", 0x75},
        {"amqp:amqp-sequence:list", 0x76},
        {"amqp:amqp-value:*", 0x77},
        {"amqp:footer:map", 0x78},
    };
    for (const auto& [known, code] : kNames) {
        if (known == name) return code;
    }
    return 0;
}

}  // namespace

std::uint8_t wide_code(std::uint8_t code) {
    switch (code) {
        case 0x41:
        case 0x42: return 0x56;
        case 0x43:
        case 0x52: return 0x70;
        case 0x44:
        case 0x53: return 0x80;
        case 0x54: return 0x71;
        case 0x55: return 0x81;
        case 0x45: return 0xd0;
        default: return code >= 0xa0 && size_width(code) == 1 ? code + 0x10 : code;
    }
}

void Reader::fail(const char* problem) noexcept {
    if (failed_) return;
    failed_ = true;
    problem_ = problem;
    position_ = bytes_.size();
}

std::uint8_t Reader::byte() {
    if (position_ >= bytes_.size()) {
        fail("the bytes end within a value");
        return 0x40;
    }
    return static_cast<std::uint8_t>(bytes_[position_++]);
}

std::string_view Reader::take(std::size_t bytes) {
    if (failed_ || bytes > bytes_.size() - position_) {
        fail("the bytes end within a value");
        return {};
    }
    const std::string_view taken = bytes_.substr(position_, bytes);
    position_ += bytes;
    return taken;
}

std::uint64_t Reader::number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const char c : take(bytes)) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
}

std::string_view Reader::sized(std::size_t width) { return take(number(width)); }

std::string_view Reader::skip() {
    const std::size_t begin = position_;
    std::uint8_t code = byte();
    for (int depth = 0; code == 0x00; ++depth) {
        if (depth == kNestingMax) return fail("values are nested too deeply"), std::string_view();
        if (const std::uint8_t descriptor = byte(); is_fixed(descriptor))
            take(fixed_width(descriptor));
        else if (descriptor >= 0xa0)
            sized(size_width(descriptor));
        else
            fail("a descriptor is itself described");
        code = byte();
    }
    if (is_fixed(code))
        take(fixed_width(code));
    else if (code >= 0xa0)
        sized(size_width(code));
    else
        fail("a value has an unknown type");
    return failed_ ? std::string_view() : bytes_.substr(begin, position_ - begin);
}

Value Reader::value() {
    const std::uint8_t code = byte();
    return failed_ ? Value() : plain(code);
}

Value Reader::plain(std::uint8_t code) {
    if (++values_ > kValuesMax) return fail("there are too many values"), Value();
    if (depth_ == kNestingMax) return fail("values are nested too deeply"), Value();
    depth_ += 1;
    Value value;
    switch (code) {
        case 0x00: value = described_value(); break;
        case 0x45:
        case 0xc0:
        case 0xd0: value = list_of(code); break;
        case 0xc1:
        case 0xd1: value = map_of(code); break;
        case 0xe0:
        case 0xf0: value = array_of(code); break;
        default: value = is_fixed(code) ? fixed(code) : variable(code);
    }
    depth_ -= 1;
    return value;
}

Value Reader::fixed(std::uint8_t code) {
    switch (code) {
        case 0x40: return Null{};
        case 0x41: return true;
        case 0x42: return false;
        case 0x43: return std::uint32_t{0};
        case 0x44: return std::uint64_t{0};
        case 0x50: return static_cast<std::uint8_t>(number(1));
        case 0x51: return static_cast<std::int8_t>(number(1));
        case 0x52: return static_cast<std::uint32_t>(number(1));
        case 0x53: return number(1);
        case 0x54: return static_cast<std::int32_t>(static_cast<std::int8_t>(number(1)));
        case 0x55: return static_cast<std::int64_t>(static_cast<std::int8_t>(number(1)));
        case 0x56: return number(1) != 0;
        case 0x60: return static_cast<std::uint16_t>(number(2));
        case 0x61: return static_cast<std::int16_t>(number(2));
        case 0x70: return static_cast<std::uint32_t>(number(4));
        case 0x71: return static_cast<std::int32_t>(number(4));
        case 0x72: return std::bit_cast<float>(static_cast<std::uint32_t>(number(4)));
        case 0x73: return static_cast<char32_t>(number(4));
        case 0x74: return Decimal{std::string(take(4))};
        case 0x80: return number(8);
        case 0x81: return static_cast<std::int64_t>(number(8));
        case 0x82: return std::bit_cast<double>(number(8));
        case 0x83: return from_millis(static_cast<std::int64_t>(number(8)));
        case 0x84: return Decimal{std::string(take(8))};
        case 0x94: return Decimal{std::string(take(16))};
        case 0x98: {
            const std::string_view bytes = take(16);
            return failed_ ? Value() : Value(uuid_of(bytes));
        }
        default: return fail("a value has an unknown type"), Value();
    }
}

Value Reader::variable(std::uint8_t code) {
    switch (code) {
        case 0xa0:
        case 0xb0: return Binary{std::string(sized(size_width(code)))};
        case 0xa1:
        case 0xb1: return std::string(sized(size_width(code)));
        case 0xa3:
        case 0xb3: return Symbol{std::string(sized(size_width(code)))};
        default: return fail("a value has an unknown type"), Value();
    }
}

Value Reader::described_value() {
    if (position_ < bytes_.size() && bytes_[position_] == 0)
        return fail("a descriptor is itself described"), Value();
    auto descriptor = std::make_shared<const Value>(value());
    auto held = std::make_shared<const Value>(value());
    return Described{std::move(descriptor), std::move(held)};
}

/// The head of a compound: sizes of one byte for `code8`, of four otherwise.
Reader::Items Reader::counted(std::uint8_t code, std::uint8_t code8) {
    const std::size_t width = code == code8 ? 1 : 4;
    const std::uint64_t size = number(width);
    if (failed_ || size > bytes_.size() - position_ || size < width) {
        fail("a compound value is longer than its bytes");
        return {};
    }
    const std::size_t end = position_ + size;
    const auto count = static_cast<std::uint32_t>(number(width));
    return {count, end};
}

Value Reader::list_of(std::uint8_t code) {
    List list;
    if (code == 0x45) return list;
    const Items items = counted(code, 0xc0);
    for (std::uint32_t i = 0; i < items.count && !failed_; ++i) list.items.push_back(value());
    if (!failed_ && position_ != items.end) fail("a list's size does not match its items");
    return list;
}

Value Reader::map_of(std::uint8_t code) {
    Map map;
    const Items items = counted(code, 0xc1);
    if (items.count % 2 != 0) fail("a map has a key without a value");
    for (std::uint32_t i = 0; i < items.count && !failed_; i += 2) {
        Value key = value();
        Value held = value();
        map.entries.emplace_back(std::move(key), std::move(held));
    }
    if (!failed_ && position_ != items.end) fail("a map's size does not match its entries");
    return map;
}

Value Reader::array_of(std::uint8_t code) {
    Array array;
    const Items items = counted(code, 0xe0);
    const std::uint8_t element = byte();
    array.code = wide_code(element);
    if (element == 0x00) return fail("an array of described values is not supported here"), Value();
    if (is_fixed(element) && fixed_width(element) == 0 && items.count > kBytelessMax)
        return fail("an array has too many elements without bytes"), Value();
    for (std::uint32_t i = 0; i < items.count && !failed_; ++i) array.items.push_back(plain(element));
    if (!failed_ && position_ != items.end) fail("an array's size does not match its elements");
    return array;
}

std::uint64_t Reader::descriptor() {
    if (byte() != 0x00) return fail("a described value was expected"), 0;
    switch (const std::uint8_t code = byte()) {
        case 0x44: return 0;
        case 0x53: return number(1);
        case 0x80: return number(8);
        case 0xa3:
        case 0xb3: return descriptor_named(sized(size_width(code)));
        default: return fail("a descriptor is neither a number nor a symbol"), 0;
    }
}

Reader::Items Reader::compound(std::uint8_t empty, std::uint8_t code8, std::uint8_t code32) {
    const std::uint8_t code = byte();
    if (failed_) return {};
    if (code == empty && empty != code8) return {0, position_};
    if (code != code8 && code != code32) return fail("a list or map was expected"), Items{};
    return counted(code, code8);
}

Reader::Items Reader::list() { return compound(0x45, 0xc0, 0xd0); }

Reader::Items Reader::map() { return compound(0xc1, 0xc1, 0xd1); }

void Reader::leave(const Items& items) {
    if (failed_) return;
    if (position_ > items.end) return fail("a list's size does not match its items");
    position_ = items.end;
}

bool Reader::null() {
    if (failed_ || position_ >= bytes_.size() || bytes_[position_] != 0x40) return failed_;
    position_ += 1;
    return true;
}

std::optional<bool> Reader::boolean() {
    if (null()) return std::nullopt;
    switch (byte()) {
        case 0x41: return true;
        case 0x42: return false;
        case 0x56: return number(1) != 0;
        default: return fail("a boolean was expected"), std::nullopt;
    }
}

std::optional<std::uint64_t> Reader::unsigned_number() {
    if (null()) return std::nullopt;
    switch (byte()) {
        case 0x43:
        case 0x44: return 0;
        case 0x50:
        case 0x52:
        case 0x53: return number(1);
        case 0x60: return number(2);
        case 0x70: return number(4);
        case 0x80: return number(8);
        default: return fail("an unsigned number was expected"), std::nullopt;
    }
}

std::optional<std::string_view> Reader::text() {
    if (null()) return std::nullopt;
    const std::uint8_t code = byte();
    if (code == 0xa1 || code == 0xa3 || code == 0xb1 || code == 0xb3) return sized(size_width(code));
    return fail("a text was expected"), std::nullopt;
}

std::optional<std::string_view> Reader::binary() {
    if (null()) return std::nullopt;
    const std::uint8_t code = byte();
    if (code == 0xa0 || code == 0xb0) return sized(size_width(code));
    return fail("a binary value was expected"), std::nullopt;
}

Result<Value> decode(std::string_view bytes) {
    Reader reader(bytes);
    Value value = reader.value();
    if (!reader.failed() && !reader.at_end()) reader.fail("bytes follow after the value");
    if (reader.failed()) return Error{Errc::corrupt, std::string("not an AMQP value: ") + reader.problem()};
    return value;
}

Uuid swap_guid(const Uuid& id) {
    Uuid swapped = id;
    std::swap(swapped.bytes[0], swapped.bytes[3]);
    std::swap(swapped.bytes[1], swapped.bytes[2]);
    std::swap(swapped.bytes[4], swapped.bytes[5]);
    std::swap(swapped.bytes[6], swapped.bytes[7]);
    return swapped;
}

}  // namespace millrace::amqp
