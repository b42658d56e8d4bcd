// The AMQP 1.0 encoding (part 1, 1.2): bytes to values and back. No sockets, no state beyond the bytes.
#pragma once

#include "amqp/value.hpp"
#include "base/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::amqp {

/// Bounds of one decoding, whatever the bytes say.
inline constexpr int kNestingMax = 16;
inline constexpr std::size_t kValuesMax = 65'536;
/// Elements of an array whose type takes no bytes (null, true, 0): else a few bytes would become megabytes.
inline constexpr std::size_t kBytelessMax = 16;

/// The format code of the same type that can hold every value of it, e.g. 0x70 for 0x43 and 0x52 (uint).
std::uint8_t wide_code(std::uint8_t code);

/// Reads values from bytes that outlive it. After the first failure every read fails: check `failed` once at
/// the end. A read of the wrong type fails.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    bool failed() const noexcept { return failed_; }
    /// What is wrong, as one line; "" as long as nothing is.
    const char* problem() const noexcept { return problem_; }
    void fail(const char* problem) noexcept;
    std::size_t position() const noexcept { return position_; }
    bool at_end() const noexcept { return failed_ || position_ == bytes_.size(); }
    /// The bytes that have not been read.
    std::string_view rest() const noexcept { return bytes_.substr(position_); }

    /// Any value.
    Value value();
    /// Passes over one value; answers its bytes, constructor included.
    std::string_view skip();

    /// The descriptor of a described value whose descriptor is a ulong, or a symbol, of which those of the
    /// standard become their numbers and others 0; the value itself comes next.
    std::uint64_t descriptor();
    /// The head of a list: how many items follow, and where it ends.
    struct Items {
        std::uint32_t count = 0;
        std::size_t end = 0;
    };
    Items list();
    /// As `list`, of a map: `count` is that of keys and values together.
    Items map();
    /// Goes to where a list ends, whatever of it was read.
    void leave(const Items& items);

    /// True, and passed over, if the next value is null.
    bool null();
    // Each none for null.
    std::optional<bool> boolean();
    std::optional<std::uint64_t> unsigned_number();  ///< of any unsigned width
    std::optional<std::string_view> text();  ///< string or symbol
    std::optional<std::string_view> binary();

  private:
    friend class ValueReader;
    std::uint8_t byte();
    std::uint64_t number(std::size_t bytes);
    std::string_view take(std::size_t bytes);
    std::string_view sized(std::size_t width);
    Items compound(std::uint8_t empty, std::uint8_t code8, std::uint8_t code32);
    Value plain(std::uint8_t code);
    Value fixed(std::uint8_t code);
    Value variable(std::uint8_t code);
    Value list_of(std::uint8_t code);
    Value map_of(std::uint8_t code);
    Value array_of(std::uint8_t code);
    Value described_value();
    Items counted(std::uint8_t code, std::uint8_t code8);

    std::string_view bytes_;
    std::size_t position_ = 0;
    std::size_t values_ = 0;
    int depth_ = 0;
    bool failed_ = false;
    const char* problem_ = "";
};

/// Appends encodings to a string that outlives it. Numbers take their shortest form.
class Writer {
  public:
    explicit Writer(std::string& out) : out_(out) {}

    void value(const Value& value);
    void null() { byte(0x40); }
    void boolean(bool value) { byte(value ? 0x41 : 0x42); }
    void ubyte(std::uint8_t value);
    void uint(std::uint32_t value);
    void ulong(std::uint64_t value);
    void text(std::string_view value);
    void symbol(std::string_view value);
    void binary(std::string_view value);
    void timestamp(TimePoint value);
    void uuid(const Uuid& value);
    void map(const Map& map);
    /// A descriptor below 256 (all of the standard) or above; the value comes next.
    void descriptor(std::uint64_t code);

    /// Begins a list of `count` items (list32, so that its size can be filled in); `end` with what it
    /// answered.
    std::size_t begin_list(std::uint32_t count) { return begin(0xd0, count); }
    /// A list of nothing as list8, which is read even where list0 is not.
    void empty_list() { raw(std::string_view("\xc0\x01\x00", 3)); }
    std::size_t begin_map(std::uint32_t count) { return begin(0xd1, count); }
    void end(std::size_t mark);

    /// Where in the string the next byte goes.
    std::size_t position() const noexcept { return out_.size(); }
    /// A number of `bytes` bytes, highest first.
    void number(std::uint64_t value, std::size_t bytes);
    void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
    void raw(std::string_view bytes) { out_.append(bytes); }

  private:
    std::size_t begin(std::uint8_t code, std::uint32_t count);
    void sized(std::uint8_t code8, std::uint8_t code32, std::string_view bytes);
    void array(const Array& array);
    void element(const Value& value);

    std::string& out_;
};

/// `value` as bytes with its constructor.
std::string encode(const Value& value);
/// The one value that `bytes` hold. corrupt: they hold something else, or more.
Result<Value> decode(std::string_view bytes);

/// Lock tokens travel as delivery tags in the layout of a .NET Guid: the first three groups lowest byte
/// first. The same function does both ways.
Uuid swap_guid(const Uuid& id);

}  // namespace millrace::amqp
