// What "$management" answers of entities that are closed, and of messages without their bodies.
#include "tests/amqp/management_fixture.hpp"

namespace millrace::amqp::test {
namespace {

using broker::EntityStatus;
using namespace std::string_literals;

class ManagementOfClosed : public ManagementTest {
  protected:
    void close(const std::string& name, EntityStatus status) {
        EntityOptions options;
        options.status = status;
        under_test.put(name, options);
    }
    ManagementAnswer schedule(const std::string& entity) {
        Message message = text_message("later");
        message.scheduled_at = now() + minutes(5);
        Map entry = with({{"message", Binary{write_message(message)}}});
        return ask(entity, "schedule-message", with({{"messages", List{{Value(std::move(entry))}}}}));
    }
    ManagementAnswer receive_deferred(const std::string& entity, std::int64_t sequence) {
        return ask(entity, "receive-by-sequence-number", with({{"sequence-numbers", longs({sequence})}}));
    }
    ManagementAnswer delete_all(const std::string& entity) {
        return ask(entity, "batch-delete-messages", with({{"message-count", 10}}));
    }
    static void expect_disabled(const ManagementAnswer& answer) {
        EXPECT_EQ(answer.status, 400);
        EXPECT_EQ(answer.condition, condition::kEntityDisabled) << answer.description;
        EXPECT_THAT(answer.description, HasSubstr("is disabled for"));
    }
};

TEST_F(ManagementOfClosed, WhatADisabledEntityRefusesSaysSo) {
    under_test.put("q");
    const Delivery deferred = defer_one("q", "a");
    close("q", EntityStatus::disabled);
    expect_disabled(schedule("q"));
    expect_disabled(receive_deferred("q", deferred.sequence));
    expect_disabled(delete_all("q"));
    EXPECT_THAT(bodies(peek("q")), ElementsAre("a"));
}

TEST_F(ManagementOfClosed, AnEntityMayBeClosedInOneDirection) {
    under_test.put("q");
    const Delivery deferred = defer_one("q", "a");
    close("q", EntityStatus::send_disabled);
    expect_disabled(schedule("q"));
    EXPECT_EQ(receive_deferred("q", deferred.sequence).status, 200);
    EXPECT_EQ(delete_all("q").status, 204);
    close("q", EntityStatus::receive_disabled);
    EXPECT_EQ(schedule("q").status, 200);
    expect_disabled(receive_deferred("q", deferred.sequence));
    expect_disabled(delete_all("q"));
}

TEST_F(ManagementOfClosed, ASubscriptionIsClosedWithItsTopic) {
    put_subscription("t", "s");
    EntityOptions options;
    options.kind = broker::EntityKind::topic;
    options.status = EntityStatus::disabled;
    under_test.put("t", options);
    expect_disabled(delete_all("t/Subscriptions/s"));
    expect_disabled(schedule("t"));
}

TEST_F(ManagementOfClosed, WhatIsWrongWithARequestIsSaidAsElsewhere) {
    close("q", EntityStatus::disabled);
    EXPECT_EQ(ask("q", "schedule-message", {}).condition, condition::kArgumentError);
    EXPECT_EQ(ask("q", "get-message-sessions", with({{"top", 9}})).condition, condition::kArgumentError);
    const Map bad = with({{"message", Binary{"no sections"}}});
    const Map arguments = with({{"messages", List{{Value(bad)}}}});
    EXPECT_EQ(ask("q", "schedule-message", arguments).condition, condition::kArgumentError);
}

class PeekWithoutBodies : public ManagementTest {
  protected:
    PeekWithoutBodies() { under_test.put("q"); }
    ManagementAnswer heads(int count = 1000) {
        return ask("q", "peek-message", with({{"message-count", count}, {"omit-message-body", true}}));
    }
};

TEST_F(PeekWithoutBodies, LeavesWhatStandsInFrontOfABodyAsItWas) {
    Message rich = text_message("");
    rich.body_format = broker::kAmqpSections;
    const std::string front =
        "\x00\x53\x70\xc0\x04\x02\x40\x50\x09"s      // priority 9
        "\x00\x53\x72\xc1\x05\x02\xa3\x01xA"s;  // an annotation
    rich.body = front + "\x00\x53\x77\xa1\x04much"s;
    rich.properties["kept"] = std::int64_t{7};
    send("q", {rich, text_message("plain")});
    auto whole = ask("q", "peek-message", with({{"message-count", 9}}));
    std::vector<std::string> expected;
    for (Delivery& one : messages(whole)) expected.push_back(write_delivery(one, true));
    std::vector<std::string> found;
    const auto answer = heads();
    for (const Value& item : items(answer, "messages"))
        found.push_back(item.as<Map>()->find("message")->as<Binary>()->bytes);
    EXPECT_EQ(found, expected);
    ASSERT_THAT(found, SizeIs(2));
    EXPECT_THAT(found[0], HasSubstr("\xa3\x01xA"s));
    EXPECT_THAT(found[0], testing::Not(HasSubstr("much")));
}

TEST_F(PeekWithoutBodies, AnswersAsManyAsOneLargeMessageHoldsHoweverLongTheirBodiesAre) {
    Message message = text_message(std::string(300'000, 'b'));
    message.properties["long"] = std::string(60'000, 'p');
    for (int i = 0; i < 20; ++i) send("q", {message});
    EXPECT_THAT(messages(heads()), SizeIs(limits::message_bytes_max / 61'000));
    EXPECT_EQ(loop.await(broker().purge("q")).value(), 20U);
    message.properties.clear();
    for (int i = 0; i < 20; ++i) send("q", {message});
    EXPECT_THAT(messages(heads()), SizeIs(20));
}

}  // namespace
}  // namespace millrace::amqp::test
