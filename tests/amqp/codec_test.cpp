#include "amqp/codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::amqp {
namespace {

std::string bytes_of(std::string_view hex) {
    std::string bytes;
    int high = -1;
    for (const char c : hex) {
        if (c == ' ') continue;
        const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
        if (high >= 0) bytes.push_back(static_cast<char>(high << 4 | digit));
        high = high >= 0 ? -1 : digit;
    }
    return bytes;
}

List list_of(std::vector<Value> items) { return List{std::move(items)}; }

struct Vector {
    const char* hex;
    Value value;
    bool shortest = true;  ///< what the writer writes, too
};

Uuid counting_uuid() {
    Uuid id;
    for (std::size_t i = 0; i < 16; ++i) id.bytes[i] = static_cast<std::uint8_t>(i);
    return id;
}

std::vector<Vector> scalars() {
    return {
        {"40", Null{}},
        {"41", true},
        {"42", false},
        {"56 01", true, false},
        {"56 00", false, false},
        {"50 7f", std::uint8_t{127}},
        {"60 01 00", std::uint16_t{256}},
        {"43", std::uint32_t{0}},
        {"52 ff", std::uint32_t{255}},
        {"52 00", std::uint32_t{0}, false},
        {"70 00 00 01 00", std::uint32_t{256}},
        {"70 ff ff ff ff", std::uint32_t{4294967295U}},
        {"44", std::uint64_t{0}},
        {"53 01", std::uint64_t{1}},
        {"80 00 00 01 37 00 00 00 04", std::uint64_t{0x13700000004}},
        {"80 ff ff ff ff ff ff ff ff", UINT64_MAX},
        {"51 80", std::int8_t{-128}},
        {"61 ff fe", std::int16_t{-2}},
        {"54 ff", std::int32_t{-1}},
        {"71 00 00 00 80", std::int32_t{128}},
        {"71 80 00 00 00", INT32_MIN},
        {"55 80", std::int64_t{-128}},
        {"81 ff ff ff ff ff ff ff 7f", std::int64_t{-129}},
        {"81 7f ff ff ff ff ff ff ff", INT64_MAX},
        {"72 3f 80 00 00", 1.0F},
        {"82 c0 04 00 00 00 00 00 00", -2.5},
        {"73 00 01 f6 00", char32_t{0x1F600}},
        {"74 22 50 00 01", Decimal{std::string("\x22\x50\x00\x01", 4)}},
        {"84 22 38 00 00 00 00 00 01", Decimal{bytes_of("2238000000000001")}},
        {"94 22 08 00 00 00 00 00 00 00 00 00 00 00 00 00 01",
         Decimal{bytes_of("22080000000000000000000000000001")}},
        {"83 00 00 01 31 21 f7 cc 12", from_millis(0x13121f7cc12)},
        {"83 ff ff ff ff ff ff ff ff", from_millis(-1)},
        {"98 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f", counting_uuid()},
        {"a0 02 00 ff", Binary{std::string("\0\xff", 2)}},
        {"b0 00 00 00 01 07", Binary{"\x07"}, false},
        {"a0 00", Binary{}},
        {"a1 03 61 c3 a4", std::string("aä")},
        {"b1 00 00 00 01 61", std::string("a"), false},
        {"a3 04 61 6d 71 70", Symbol{"amqp"}},
        {"b3 00 00 00 01 61", Symbol{"a"}, false},
    };
}

std::vector<Vector> compounds() {
    Map map;
    map.set_symbol("k", std::int32_t{1});
    const List two = list_of({std::uint32_t{0}, std::string("x")});
    return {
        {"45", List{}, false},
        {"c0 01 00", List{}, false},
        {"d0 00 00 00 04 00 00 00 00", List{}},
        {"c0 05 02 43 a1 01 78", two, false},
        {"d0 00 00 00 08 00 00 00 02 43 a1 01 78", two},
        {"c1 06 02 a3 01 6b 54 01", map, false},
        {"d1 00 00 00 09 00 00 00 02 a3 01 6b 54 01", map},
        {"c1 01 00", Map{}, false},
        {"e0 04 02 50 01 02", Array{0x50, {std::uint8_t{1}, std::uint8_t{2}}}, false},
        {"f0 00 00 00 07 00 00 00 02 50 01 02", Array{0x50, {std::uint8_t{1}, std::uint8_t{2}}}},
        {"e0 06 02 a3 01 61 01 62", Array{0xb3, {Symbol{"a"}, Symbol{"b"}}}, false},
        {"f0 00 00 00 0f 00 00 00 02 b3 00 00 00 01 61 00 00 00 01 62",
         Array{0xb3, {Symbol{"a"}, Symbol{"b"}}}},
        {"f0 00 00 00 0a 00 00 00 01 b1 00 00 00 01 61", Array{0xb1, {std::string("a")}}},
        {"f0 00 00 00 0a 00 00 00 01 b0 00 00 00 01 61", Array{0xb0, {Binary{"a"}}}},
        {"e0 04 02 53 00 09", Array{0x80, {std::uint64_t{0}, std::uint64_t{9}}}, false},
        {"f0 00 00 00 0d 00 00 00 01 81 ff ff ff ff ff ff ff ff", Array{0x81, {std::int64_t{-1}}}},
        {"f0 00 00 00 09 00 00 00 01 71 ff ff ff ff", Array{0x71, {std::int32_t{-1}}}},
        {"f0 00 00 00 09 00 00 00 01 70 00 00 00 00", Array{0x70, {std::uint32_t{0}}}},
        {"e0 02 02 43", Array{0x70, {std::uint32_t{0}, std::uint32_t{0}}}, false},
        {"f0 00 00 00 07 00 00 00 02 56 01 00", Array{0x56, {true, false}}},
        {"f0 00 00 00 05 00 00 00 00 98", Array{0x98, {}}},
        {"f0 00 00 00 0d 00 00 00 01 d0 00 00 00 04 00 00 00 00", Array{0xd0, {List{}}}},
        {"e0 06 02 c0 01 00 01 00", Array{0xd0, {List{}, List{}}}, false},
        {"00 53 24 d0 00 00 00 04 00 00 00 00", described(0x24, List{})},
        {"00 80 00 00 01 37 00 00 00 06 a1 01 31", described(0x13700000006, std::string("1"))},
        {"00 a3 01 64 00 53 01 40", Described{std::make_shared<const Value>(Symbol{"d"}),
                                              std::make_shared<const Value>(described(1, Null{}))}},
    };
}

std::vector<Vector> vectors() {
    auto all = scalars();
    for (Vector& one : compounds()) all.push_back(std::move(one));
    return all;
}

TEST(Codec, EveryEncodingOfEveryTypeIsRead) {
    for (const Vector& one : vectors()) {
        const auto read = decode(bytes_of(one.hex));
        ASSERT_TRUE(read.has_value()) << one.hex << ": " << read.error().detail;
        EXPECT_TRUE(*read == one.value) << one.hex;
        EXPECT_EQ(read->index(), one.value.index()) << one.hex;
    }
}

TEST(Codec, EveryTypeIsWrittenInOneForm) {
    for (const Vector& one : vectors()) {
        if (one.shortest) {
            EXPECT_EQ(encode(one.value), bytes_of(one.hex)) << one.hex;
        }
        const auto again = decode(encode(one.value));
        ASSERT_TRUE(again.has_value()) << one.hex << ": " << again.error().detail;
        EXPECT_TRUE(*again == one.value) << one.hex;
    }
}

TEST(Codec, TextsOf256BytesAndMoreHaveFourBytesOfSize) {
    for (const std::size_t size : {255U, 256U, 70'000U}) {
        const Value values[] = {std::string(size, 'x'), Symbol{std::string(size, 'x')},
                                Binary{std::string(size, 'x')}};
        for (const Value& value : values) {
            const std::string bytes = encode(value);
            EXPECT_EQ(bytes.size(), size + (size <= 255 ? 2 : 5));
            EXPECT_TRUE(decode(bytes).value() == value);
        }
        const Value array = Array{0xa1, {std::string(size, 'x')}};
        EXPECT_TRUE(decode(encode(array)).value() == Value(Array{0xb1, {std::string(size, 'x')}}));
    }
}

TEST(Codec, EveryBeginningOfAValueIsRefused) {
    for (const Vector& one : vectors()) {
        const std::string bytes = bytes_of(one.hex);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            EXPECT_FALSE(decode(bytes.substr(0, size)).has_value()) << one.hex << " cut at " << size;
            Reader skipping(std::string_view(bytes).substr(0, size));
            skipping.skip();
            EXPECT_TRUE(skipping.failed()) << one.hex << " cut at " << size;
        }
        EXPECT_FALSE(decode(bytes + '\x40').has_value()) << one.hex;
    }
}

TEST(Codec, SkippingPassesOverExactlyOneValue) {
    for (const Vector& one : vectors()) {
        const std::string bytes = bytes_of(one.hex);
        const std::string two = bytes + "rest";
        Reader reader(two);
        EXPECT_EQ(reader.skip(), bytes) << one.hex;
        EXPECT_EQ(reader.rest(), "rest") << one.hex;
        EXPECT_FALSE(reader.failed()) << one.hex;
    }
}

TEST(Codec, BytesThatLieAreRefused) {
    const char* const lies[] = {
        "",
        "01",
        "3f",
        "46",
        "57 00",
        "a2 01 61",
        "a1 05 61",
        "b1 ff ff ff ff 61",
        "c0 00",
        "c0 00 00",
        "c0 02 02 40 40",
        "c0 03 01 40 40",
        "c0 02 02 40",
        "d0 00 00 00 03 00 00 00 00",
        "d0 ff ff ff ff 00 00 00 00",
        "d0 00 00 00 05 ff ff ff ff 40",
        "c1 02 01 40",
        "d1 00 00 00 04 ff ff ff fe",
        "e0 02 ff 40",
        "f0 00 00 00 05 ff ff ff ff 40",
        "f0 00 00 00 05 ff ff ff ff 43",
        "f0 00 00 00 05 00 00 00 11 45",
        "f0 00 00 00 06 ff ff ff ff 50 01",
        "e0 01 00",
        "e0 05 01 00 53 01 40",
        "00",
        "00 53",
        "00 53 01",
        "00 00 53 01 40 40",
    };
    for (const char* const hex : lies) {
        EXPECT_FALSE(decode(bytes_of(hex)).has_value()) << hex;
    }
}

TEST(Codec, NestingHasABoundForListsArraysAndDescriptors) {
    for (const bool fits : {true, false}) {
        const int depth = fits ? kNestingMax - 1 : kNestingMax;
        std::string lists = "\x40", descriptors = "\x40";
        for (int i = 0; i < depth; ++i) {
            std::string outer;
            Writer writer(outer);
            const auto mark = writer.begin_list(1);
            writer.raw(lists);
            writer.end(mark);
            lists = outer;
            descriptors = std::string("\0\x53\1", 3) + descriptors;
        }
        EXPECT_EQ(decode(lists).has_value(), fits);
        EXPECT_EQ(decode(descriptors).has_value(), fits);
    }
    EXPECT_FALSE(decode(std::string(100'000, '\0')).has_value());
}

TEST(Codec, ManyValuesAreTooMany) {
    for (const std::size_t count : {kValuesMax - 1, kValuesMax}) {
        std::string bytes;
        Writer writer(bytes);
        const auto mark = writer.begin_list(static_cast<std::uint32_t>(count));
        writer.raw(std::string(count, '\x40'));
        writer.end(mark);
        EXPECT_EQ(decode(bytes).has_value(), count < kValuesMax);
    }
}

TEST(Codec, AReaderThatFailedStaysWhereNothingIsRead) {
    Reader reader("\x40\x40\x40");
    reader.fail("first");
    reader.fail("second");
    EXPECT_STREQ(reader.problem(), "first");
    EXPECT_TRUE(reader.at_end());
    EXPECT_TRUE(reader.value().is_null());
    EXPECT_FALSE(reader.unsigned_number() || reader.text() || reader.binary() || reader.boolean());
    EXPECT_EQ(reader.list().count, 0U);
}

TEST(Codec, ALockTokenAsAGuidHasItsFirstGroupsTurned) {
    const Uuid guid = swap_guid(counting_uuid());
    EXPECT_THAT(guid.bytes, testing::ElementsAre(3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15));
    EXPECT_EQ(swap_guid(guid), counting_uuid());
}

TEST(Value, NumbersOfEveryWidthAreIntegers) {
    const std::pair<Value, std::optional<std::int64_t>> cases[] = {
        {std::uint8_t{7}, 7},
        {std::int8_t{-7}, -7},
        {std::uint16_t{7}, 7},
        {std::int16_t{-7}, -7},
        {7U, 7},
        {std::int32_t{-7}, -7},
        {std::uint64_t{7}, 7},
        {std::int64_t{-7}, -7},
        {UINT64_MAX, {}},
        {true, {}},
        {char32_t{'7'}, {}},
        {std::string("7"), {}},
        {7.0, {}},
        {Null{}, {}},
    };
    for (const auto& [value, expected] : cases) EXPECT_EQ(integer_of(value), expected);
    EXPECT_EQ(integer_of(nullptr), std::nullopt);
}

TEST(Value, AMapFindsStringAndSymbolKeysAlike) {
    Map map;
    map.set("a", std::int32_t{1});
    map.set_symbol("b", std::int32_t{2});
    map.set("a", std::int32_t{3});
    EXPECT_EQ(integer_of(map.find("a")), 1);
    EXPECT_EQ(integer_of(map.find("b")), 2);
    EXPECT_EQ(map.find("c"), nullptr);
}

}  // namespace
}  // namespace millrace::amqp
