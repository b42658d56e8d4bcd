#include "amqp/performatives.hpp"

#include <gtest/gtest.h>

namespace millrace::amqp {
namespace {

Performative read_all(std::string_view bytes, std::string* problem = nullptr) {
    Reader reader(bytes);
    Performative read = read_performative(reader);
    if (problem != nullptr) *problem = reader.problem();
    return read;
}

Condition some_error() {
    Condition error{"com.microsoft:dead-letter", "why", {}};
    error.info.set_symbol("DeadLetterReason", std::string("reason"));
    return error;
}

Attach full_attach() {
    Attach attach;
    attach.name = "name";
    attach.handle = 300;
    attach.receiver = true;
    attach.settle_mode = SettleMode::settled;
    attach.confirm_mode = ConfirmMode::second;
    Source source{.address = "queue", .durable = 2, .expiry_policy = "never", .timeout = 5, .dynamic = true};
    source.filter.set_symbol("com.microsoft:session-filter", Null{});
    source.capabilities = {"queue", "topic"};
    attach.source = source;
    attach.target = Target{.address = "there", .durable = 1, .expiry_policy = "session-end", .timeout = 6};
    attach.initial_delivery_count = 0;
    attach.max_message_size = 1'048'576;
    attach.properties.set_symbol("com.microsoft:receiver-name", std::string("r"));
    return attach;
}

std::vector<Performative> samples() {
    Open open{"container", "host", 65'536, 4999, 120'000, {}};
    open.properties.set_symbol("product", std::string("millrace"));
    Attach coordinator;
    coordinator.target = Target{.coordinator = true, .capabilities = {"amqp:local-transactions"}};
    Modified modified{true, true, {}};
    modified.annotations.set_symbol("x", std::int64_t{1});
    return {
        Open{},
        open,
        Begin{},
        Begin{std::uint16_t{7}, 1, 2048, 4096, 255, {}},
        Attach{},
        full_attach(),
        coordinator,
        Flow{},
        Flow{1, 2, 3, 4, 5, 6, 7, 8, true, true},
        Transfer{},
        Transfer{1, 2, std::string("tag"), 0x80013700, true, true, Accepted{}, true},
        Disposition{},
        Disposition{true, 5, 9, true, Received{1, 2}},
        Disposition{true, 5, 9, true, Accepted{}},
        Disposition{true, 5, 9, true, Rejected{some_error()}},
        Disposition{true, 5, 9, true, Rejected{}},
        Disposition{true, 5, 9, true, Released{}},
        Disposition{true, 5, 9, true, modified},
        Detach{},
        Detach{4, true, some_error()},
        End{},
        End{some_error()},
        Close{},
        Close{some_error()},
        SaslMechanisms{{"MSSBCBS", "ANONYMOUS"}},
        SaslInit{"PLAIN", std::string("\0user\0key", 9), "host"},
        SaslChallenge{"c"},
        SaslResponse{"r"},
        SaslOutcome{1},
    };
}

TEST(Performatives, WhatIsWrittenIsReadBack) {
    for (const Performative& one : samples()) {
        std::string bytes;
        append(bytes, one);
        std::string problem;
        const Performative read = read_all(bytes + "payload", &problem);
        EXPECT_EQ(problem, "") << one.index();
        EXPECT_TRUE(read == one) << one.index();
        Reader reader(bytes);
        read_performative(reader);
        EXPECT_EQ(reader.position(), bytes.size());
    }
}

TEST(Performatives, EveryFieldIsOnTheWireAndNoListIsList0) {
    const std::size_t counts[] = {10, 8, 14, 11, 11, 6, 3, 1, 1, 1, 3, 1, 1, 2};
    for (const Performative& one : samples()) {
        std::string bytes;
        append(bytes, one);
        EXPECT_NE(static_cast<std::uint8_t>(bytes[3]), 0x45) << one.index();
        const auto value = decode(bytes);
        ASSERT_TRUE(value.has_value()) << one.index();
        const auto& held = *value->as<Described>()->value;
        EXPECT_EQ(held.as<List>()->items.size(), counts[one.index()]) << one.index();
    }
}

TEST(Performatives, HandleMaxAndFrameSizeAreNumbersEvenByDefault) {
    std::string bytes;
    append(bytes, Performative(Begin{}));
    append(bytes, Performative(Open{}));
    Reader reader(bytes);
    const Value begin = reader.value(), open = reader.value();
    EXPECT_EQ(integer_of(begin.as<Described>()->value->as<List>()->items[4]), UINT32_MAX);
    EXPECT_EQ(integer_of(open.as<Described>()->value->as<List>()->items[2]), UINT32_MAX);
}

TEST(Performatives, StatesAreListsOfLengthNotList0) {
    for (const DeliveryState& state : {DeliveryState(Accepted{}), DeliveryState(Released{})}) {
        std::string bytes;
        Writer writer(bytes);
        append_state(writer, state);
        EXPECT_EQ(bytes.substr(3), std::string("\xc0\x01\x00", 3));
    }
}

TEST(Performatives, ShortListsReadAsDefaults) {
    const std::string_view none("\x00\x53\x12\x45", 4), list8("\x00\x53\x12\xc0\x01\x00", 6);
    EXPECT_TRUE(read_all(none) == Performative(Attach{}));
    EXPECT_TRUE(read_all(list8) == Performative(Attach{}));
    const std::string_view range("\x00\x53\x15\xc0\x04\x02\x41\x52\x09", 9);
    EXPECT_TRUE(read_all(range) == Performative(Disposition{true, 9, 9, false, {}}));
}

TEST(Performatives, FieldsBeyondTheStandardArePassedOver) {
    std::string bytes;
    Writer writer(bytes);
    writer.descriptor(kCodeDetach);
    const auto mark = writer.begin_list(5);
    writer.uint(3);
    writer.boolean(true);
    writer.null();
    writer.text("more");
    writer.map({});
    writer.end(mark);
    EXPECT_TRUE(read_all(bytes) == Performative(Detach{3, true, {}}));
}

TEST(Performatives, DescriptorsMayBeSymbols) {
    std::string bytes(
        "\x00\xa3\x0e"
        "amqp:open:list\xc0\x05\x01\xa1\x02me",
        24);
    Open open;
    open.container_id = "me";
    EXPECT_TRUE(read_all(bytes) == Performative(open));
}

TEST(Performatives, UnknownStatesArePassedOver) {
    for (const Value& held : {Value(List{{Binary{"txn"}}}), Value(Map{}), Value(std::string("x"))}) {
        std::string bytes;
        Writer writer(bytes);
        writer.descriptor(kCodeDisposition);
        const auto mark = writer.begin_list(6);
        writer.boolean(true);
        writer.uint(1);
        writer.uint(2);
        writer.boolean(false);
        writer.descriptor(0x34);
        writer.value(held);
        writer.boolean(true);
        writer.end(mark);
        EXPECT_TRUE(read_all(bytes) == Performative(Disposition{true, 1, 2, false, OtherState{0x34}}));
    }
}

TEST(Performatives, EveryBeginningIsRefused) {
    for (const Performative& one : samples()) {
        std::string bytes;
        append(bytes, one);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            std::string problem;
            read_all(bytes.substr(0, size), &problem);
            EXPECT_NE(problem, "") << one.index() << " cut at " << size;
        }
    }
}

TEST(Performatives, WhatMakesNoSenseIsRefused) {
    const std::pair<const char*, std::string> cases[] = {
        {"an unknown performative", {"\x00\x53\x19\x45", 4}},
        {"a state as a performative", {"\x00\x53\x24\x45", 4}},
        {"no described value", {"\x45", 1}},
        {"a map for a list", {"\x00\x53\x10\xc1\x01\x00", 6}},
        {"a text for a number", {"\x00\x53\x16\xc0\x04\x01\xa1\x01x", 9}},
        {"a handle of 64 bits", {"\x00\x53\x16\xc0\x0a\x01\x80\x00\x00\x00\x01\x00\x00\x00\x00", 15}},
        {"an error that is none", {"\x00\x53\x17\xc0\x05\x01\x00\x53\x24\x45", 10}},
        {"a SASL outcome without a code", {"\x00\x53\x44\xc0\x01\x00", 6}},
        {"more fields than bytes", {"\x00\x53\x16\xc0\x02\x03\x43", 7}},
    };
    for (const auto& [what, bytes] : cases) {
        std::string problem;
        read_all(bytes, &problem);
        EXPECT_NE(problem, "") << what;
    }
}

TEST(Performatives, MoreIsSetWhereATransferWasWritten) {
    Transfer transfer{1, 2, std::string("tag"), 0, true, false, Accepted{}, false};
    std::string bytes = "before";
    const std::size_t where = append(bytes, transfer);
    set_more(bytes, where);
    transfer.more = true;
    EXPECT_TRUE(read_all(bytes.substr(6)) == Performative(transfer));
}

}  // namespace
}  // namespace millrace::amqp
