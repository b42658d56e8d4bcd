#include "broker/codec.hpp"
#include "broker/options.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace millrace::broker {
namespace {

Message decoded(const std::string& bytes, Origin& origin) {
    Message message;
    const auto result = decode_properties(bytes, message, origin);
    EXPECT_TRUE(result);
    return message;
}

TEST(Codec, AnEmptyMessageTakesNoBytes) { EXPECT_EQ(encode_properties(Message(), Origin()), ""); }

TEST(Codec, WritesTheBytesThatTheDocumentationShows) {
    Message message;
    message.subject = "hi";
    message.time_to_live = Duration(300);
    message.properties["n"] = std::int64_t{-1};
    const std::string expected("\x02\x02hi\x08\x02\xac\x02\x10\x04\x01n\x03\x01", 14);
    EXPECT_EQ(encode_properties(message, Origin()), expected);
}

TEST(Codec, EveryValueComesBackAsItWas) {
    const Value values[] = {std::monostate(),
                            true,
                            false,
                            std::int64_t{0},
                            std::numeric_limits<std::int64_t>::min(),
                            std::numeric_limits<std::int64_t>::max(),
                            std::numeric_limits<std::uint64_t>::max(),
                            0.0,
                            -1.5e300,
                            std::numeric_limits<double>::infinity(),
                            std::string(),
                            std::string(1000, 'x'),
                            Uuid{{255, 0, 1}},
                            from_millis(0),
                            from_millis(-62'135'596'800'000),
                            Encoded{std::string("\x70\x00\x00\x00\x07", 5)},
                            Encoded{}};
    Message message;
    int n = 0;
    for (const Value& value : values) message.properties["p" + std::to_string(n++)] = value;
    Origin origin{42, "source"};
    const std::string bytes = encode_properties(message, origin);
    Origin back;
    EXPECT_EQ(decoded(bytes, back).properties, message.properties);
    EXPECT_EQ(back.enqueued_sequence, 42);
    EXPECT_EQ(back.dead_letter_source, "source");
}

TEST(Codec, SkipsTagsOfANewerVersion) {
    Origin origin;
    const std::string bytes("\x63\x03xyz\x02\x01s", 8);
    EXPECT_EQ(decoded(bytes, origin).subject, "s");
}

TEST(Codec, RefusesBytesThatBreakTheGrammar) {
    Message message;
    message.subject = "subject";
    message.properties = {{"text", std::string("value")}, {"number", 1.5}, {"id", Uuid{{1}}}};
    const std::string good = encode_properties(message, Origin());
    int refused = 0;
    for (std::size_t size = 1; size < good.size(); ++size) {
        Message into;
        Origin origin;
        if (!decode_properties(good.substr(0, size), into, origin)) ++refused;
    }
    EXPECT_GE(refused, static_cast<int>(good.size()) - 5) << "only whole fields may be cut off unseen";
    std::mt19937 random(3);
    for (int i = 0; i < 20'000; ++i) {
        std::string bytes = good;
        for (int change = 0; change < 3; ++change)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        Message into;
        Origin origin;
        (void)decode_properties(bytes, into, origin).has_value();
    }
}

TEST(Options, ComeBackFromJsonAsTheyWere) {
    EntityOptions options;
    options.kind = EntityKind::subscription;
    options.lock_time = std::chrono::seconds(7);
    options.delivery_count_max = 3;
    options.requires_session = true;
    options.duplicate_window = std::chrono::minutes(3);
    options.time_to_live = std::chrono::hours(9);
    options.dead_letter_on_expiration = true;
    options.bytes_max = 1'000'000'000'000;
    options.forward_to = "a\"b";
    options.forward_dead_letters_to = "ü";
    for (const EntityOptions& one : {options, EntityOptions()}) {
        const auto back = options_from_json(options_to_json(one));
        ASSERT_TRUE(back);
        EXPECT_EQ(options_to_json(*back), options_to_json(one));
        EXPECT_EQ(back->lock_time, one.lock_time);
        EXPECT_EQ(back->duplicate_window, one.duplicate_window);
        EXPECT_EQ(back->bytes_max, one.bytes_max);
        EXPECT_EQ(back->forward_to, one.forward_to);
    }
}

TEST(Options, DamagedOptionsAreAnError) {
    for (const char* text : {"", "[]", "{\"lock_ms\":\"x\"}", "{", "{\"requires_session\":1}"}) {
        EXPECT_TRUE(options_from_json(text).has_error()) << text;
    }
}

TEST(Entity, ChecksNamesAndOptionsAgainstTheLimitsOfServiceBus) {
    EntityOptions queue;
    EntityOptions topic;
    topic.kind = EntityKind::topic;
    EntityOptions subscription;
    subscription.kind = EntityKind::subscription;
    const auto with = [](EntityOptions options, auto change) {
        change(options);
        return options;
    };
    struct Case {
        std::string name;
        EntityOptions options;
        bool good;
    };
    const Case cases[] = {
        {"orders", queue, true},
        {"a/b-c_d.E9", queue, true},
        {std::string(260, 'a'), queue, true},
        {std::string(261, 'a'), queue, false},
        {"", queue, false},
        {"/a", queue, false},
        {"a/", queue, false},
        {"a//b", queue, false},
        {"a b", queue, false},
        {"a/$DeadLetterQueue", queue, false},
        {"q\xc3\xa4", queue, false},
        {"t/Subscriptions/s", subscription, true},
        {"t/subscriptions/s", subscription, true},
        {"t/Subscriptions/s", queue, false},
        {"t", subscription, false},
        {"t/Subscriptions/s/x", subscription, false},
        {"t/Subscriptions/" + std::string(50, 's'), subscription, true},
        {"t/Subscriptions/" + std::string(51, 's'), subscription, false},
        {"t", topic, true},
        {"q", with(queue, [](auto& o) { o.lock_time = std::chrono::seconds(5); }), true},
        {"q", with(queue, [](auto& o) { o.lock_time = Duration(4999); }), false},
        {"q", with(queue, [](auto& o) { o.lock_time = std::chrono::minutes(5); }), true},
        {"q", with(queue, [](auto& o) { o.lock_time = Duration(300'001); }), false},
        {"q", with(queue, [](auto& o) { o.delivery_count_max = 0; }), false},
        {"q", with(queue, [](auto& o) { o.delivery_count_max = 2000; }), true},
        {"q", with(queue, [](auto& o) { o.delivery_count_max = 2001; }), false},
        {"q", with(queue, [](auto& o) { o.duplicate_window = std::chrono::seconds(19); }), false},
        {"q", with(queue, [](auto& o) { o.duplicate_window = std::chrono::hours(24 * 7); }), true},
        {"q", with(queue, [](auto& o) { o.duplicate_window = std::chrono::hours(24 * 7 + 1); }), false},
        {"q", with(queue, [](auto& o) { o.time_to_live = Duration(999); }), false},
        {"q", with(queue, [](auto& o) { o.forward_to = "Q"; }), false},
        {"q", with(queue, [](auto& o) { o.forward_dead_letters_to = "q"; }), false},
        {"q", with(queue, [](auto& o) { o.forward_to = "r", o.requires_session = true; }), false},
        {"t", with(topic, [](auto& o) { o.requires_session = true; }), false},
        {"t/Subscriptions/s",
         with(subscription, [](auto& o) { o.duplicate_window = std::chrono::minutes(1); }), false},
    };
    for (const Case& one : cases) {
        const auto checked = check_entity(one.name, one.options);
        EXPECT_EQ(checked.has_value(), one.good)
            << one.name << ": " << (checked ? "accepted" : checked.error().detail);
        EXPECT_TRUE(checked || checked.error().code == Errc::invalid_input);
    }
}

}  // namespace
}  // namespace millrace::broker
