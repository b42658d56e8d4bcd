// A broker and a caller of its "$management" operations.
#pragma once

#include "amqp/conditions.hpp"
#include "amqp/management.hpp"
#include "tests/broker/engine_fixture.hpp"

#include <map>

namespace millrace::amqp::test {

using broker::Delivery;
using broker::EntityOptions;
using broker::Message;
using broker::test::text_message;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ManagementTest : public broker::test::EmbeddedTest {
  protected:
    Rights rights{true, true, true};
    std::map<std::string, broker::SessionLock, std::less<>> held;  ///< sessions of the connection
    std::string link_asked;

    ManagementAnswer ask(const std::string& entity, const std::string& operation, Map arguments,
                         const std::string& link = "") {
        auto session_of = [this](std::string_view of, std::string_view id,
                                 std::string_view name) -> std::optional<broker::SessionLock> {
            link_asked = name;
            const auto found = held.find(id);
            if (found == held.end() || found->second.entity != of) return std::nullopt;
            return found->second;
        };
        ManagementContext context{broker(), under_test.clock, rights, session_of};
        ManagementRequest request{entity, "com.microsoft:" + operation, link, through_wire(arguments)};
        ManagementAnswer answer = loop.await(manage(std::move(context), std::move(request)));
        EXPECT_EQ(answer.condition.empty(), answer.status < 400) << answer.description;
        EXPECT_EQ(answer.description.find('\n'), std::string::npos);
        answer.body = through_wire(answer.body);
        return answer;
    }

    void hold_session(const std::string& entity, const std::string& id) {
        auto lock = loop.await(broker().accept_session(entity, id, Duration::zero()));
        ASSERT_TRUE(lock) << lock.error().detail;
        held[id] = *lock;
    }
    void put_sessions(const std::string& name) {
        EntityOptions options;
        options.requires_session = true;
        under_test.put(name, options);
    }
    void put_subscription(const std::string& topic, const std::string& name) {
        EntityOptions options;
        options.kind = broker::EntityKind::topic;
        under_test.put(topic, options);
        options.kind = broker::EntityKind::subscription;
        under_test.put(broker::subscription_path(topic, name), options);
    }

    Delivery defer_one(const std::string& queue, const std::string& body) {
        send_texts(queue, {body});
        Delivery one = receive_one(queue);
        EXPECT_TRUE(loop.await(broker().defer(broker::test::lock_of(one), {})));
        return one;
    }

    static Message of_session(std::string body, std::string session) {
        Message message = text_message(std::move(body));
        message.session_id = std::move(session);
        return message;
    }

    /// What is written can be read again: answers and arguments go over the wire.
    static Map through_wire(const Map& map) {
        auto decoded = decode(encode(map));
        EXPECT_TRUE(decoded) << decoded.error().detail;
        return decoded ? *decoded->as<Map>() : Map();
    }

    static Map with(std::initializer_list<std::pair<const char*, Value>> entries) {
        Map map;
        for (const auto& [name, value] : entries) map.set(name, value);
        return map;
    }
    static Array uuids(const std::vector<Delivery>& deliveries) {
        Array array{0x98, {}};
        for (const Delivery& one : deliveries) array.items.emplace_back(one.lock_token);
        return array;
    }
    static Array longs(const std::vector<std::int64_t>& numbers) {
        Array array{0x81, {}};
        for (const std::int64_t number : numbers) array.items.emplace_back(number);
        return array;
    }
    static std::vector<Value> items(const ManagementAnswer& answer, const char* name) {
        const Value* value = answer.body.find(name);
        if (value == nullptr) return {};
        if (const auto* array = value->as<Array>()) return array->items;
        const auto* list = value->as<List>();
        return list == nullptr ? std::vector<Value>() : list->items;
    }
    /// The messages of an answer.
    static std::vector<Delivery> messages(const ManagementAnswer& answer) {
        std::vector<Delivery> all;
        for (const Value& item : items(answer, "messages")) {
            const auto* bytes = item.as<Map>()->find("message")->as<Binary>();
            auto read = read_message(bytes->bytes);
            EXPECT_TRUE(read) << read.error().detail;
            if (read) all.push_back(std::move(*read));
        }
        return all;
    }
};

}  // namespace millrace::amqp::test
