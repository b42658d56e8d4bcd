#pragma once

#include "broker/entity.hpp"
#include "tests/broker/harness.hpp"

#include <gmock/gmock.h>

namespace millrace::broker::test {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// What not every engine can promise. The embedded one promises all of it.
struct Abilities {
    bool numbers_every_send = true;  ///< else `send` answers 0 for what is not scheduled
    bool postpones_for_free = true;  ///< else a postponed message spends its delivery
    bool knows_spelling = true;  ///< a delivery names its queue as its creator did, not as the receiver did
    std::size_t send_bytes_max = SIZE_MAX;  ///< of all messages of one send
    bool numbers_messages = true;  ///< and lets them be peeked at; else a message has no number
    bool keeps_rules = true;  ///< sizes, duplicates, spelling of names, unknown and full entities
    bool rewrites_messages = true;  ///< fills in ids, counts deliveries, merges what a settlement adds
    bool answers_whole = true;  ///< one receive answers all that is there; else some of it
    bool keeps_time = true;  ///< locks and messages run out, things are scheduled, by the test's clock
    bool defers = true;
    bool has_sessions = true;
    bool has_routes = true;  ///< topics and forwarding
};

/// Skips a test of what the engine does not promise.
#define MILLRACE_NEEDS(ability) \
    if (!subject->abilities().ability) GTEST_SKIP() << "this engine promises no " #ability

/// An engine under test.
class Subject {
  public:
    virtual ~Subject() = default;
    virtual Loop& loop() = 0;
    virtual MessageSource& source() = 0;
    virtual Clock& clock() = 0;
    /// Creates an entity; fails the test if the engine refuses.
    virtual void create(const std::string& name, const EntityOptions& options) = 0;
    /// Lets `time` go by, and the engine do what is due.
    virtual void pass(Duration time) = 0;
    virtual Abilities abilities() const { return {}; }
};

using MakeSubject = std::unique_ptr<Subject> (*)();

class MessageSourceContract : public testing::TestWithParam<MakeSubject> {
  protected:
    std::unique_ptr<Subject> subject = GetParam()();
    Loop& loop = subject->loop();

    MessageSource& source() { return subject->source(); }
    void create(const std::string& name, const EntityOptions& options = {}) {
        subject->create(name, options);
    }
    void pass(Duration time) { subject->pass(time); }

    Result<std::vector<std::int64_t>> try_send(const std::string& entity, std::vector<Message> messages) {
        return loop.await(source().send(entity, std::move(messages)));
    }
    std::vector<std::int64_t> send(const std::string& entity, std::vector<Message> messages) {
        auto sent = try_send(entity, std::move(messages));
        EXPECT_TRUE(sent) << sent.error().detail;
        return sent ? *sent : std::vector<std::int64_t>();
    }
    /// As `send`, where only the numbers of scheduled messages are told: those of the last messages there.
    std::vector<std::int64_t> send_numbered(const std::string& entity, std::vector<Message> messages) {
        auto numbers = send(entity, std::move(messages));
        if (subject->abilities().numbers_every_send || !subject->abilities().numbers_messages) return numbers;
        const auto all = peek(entity, 0, 1000);
        for (std::size_t i = 0; i < numbers.size() && i < all.size(); ++i)
            numbers[numbers.size() - 1 - i] = all[all.size() - 1 - i].sequence;
        return numbers;
    }
    std::vector<std::int64_t> send_texts(const std::string& entity, const std::vector<std::string>& bodies) {
        std::vector<Message> messages;
        for (const auto& body : bodies) messages.push_back(text_message(body));
        return send(entity, std::move(messages));
    }

    Result<std::vector<Delivery>> try_receive(const std::string& entity, ReceiveOptions options) {
        return loop.await(source().receive(entity, options));
    }
    std::vector<Delivery> receive(const std::string& entity, std::size_t count = 100, Uuid session = {}) {
        ReceiveOptions options;
        options.messages_max = count;
        options.session = session;
        if (!subject->abilities().answers_whole) return gather(entity, options);
        auto received = try_receive(entity, options);
        EXPECT_TRUE(received) << received.error().detail;
        return received ? std::move(*received) : std::vector<Delivery>();
    }
    /// As many receives as it takes.
    std::vector<Delivery> gather(const std::string& entity, ReceiveOptions options) {
        std::vector<Delivery> all;
        const std::size_t count = options.messages_max;
        options.wait = seconds(1);
        while (all.size() < count) {
            options.messages_max = count - all.size();
            auto some = try_receive(entity, options);
            EXPECT_TRUE(some) << some.error().detail;
            if (!some || some->empty()) break;
            for (Delivery& one : *some) all.push_back(std::move(one));
        }
        return all;
    }
    /// The bodies of what is there and, where that can't be seen otherwise, is locked by nobody.
    std::vector<std::string> left(const std::string& entity) {
        return bodies(subject->abilities().numbers_messages ? peek(entity) : receive(entity));
    }
    /// The one message that is there; fails the test if there is none.
    Delivery receive_one(const std::string& entity, Uuid session = {}) {
        auto received = receive(entity, 1, session);
        EXPECT_EQ(received.size(), 1u);
        return received.empty() ? Delivery() : std::move(received[0]);
    }
    std::vector<Delivery> peek(const std::string& entity, std::int64_t from = 0, std::size_t count = 100) {
        auto peeked = loop.await(source().peek(entity, from, count));
        EXPECT_TRUE(peeked) << peeked.error().detail;
        return peeked ? std::move(*peeked) : std::vector<Delivery>();
    }

    Result<void> complete(const Delivery& one) { return loop.await(source().complete(lock_of(one))); }
    Result<void> abandon(const Delivery& one, Properties changes = {}) {
        return loop.await(source().abandon(lock_of(one), std::move(changes)));
    }
    Result<void> defer(const Delivery& one, Properties changes = {}) {
        return loop.await(source().defer(lock_of(one), std::move(changes)));
    }
    Result<void> dead_letter(const Delivery& one, std::string reason, std::string description = {},
                             Properties changes = {}) {
        return loop.await(source().dead_letter(lock_of(one), std::move(reason), std::move(description),
                                               std::move(changes)));
    }
    Result<void> postpone(const Delivery& one, Duration delay, bool spends_delivery = false) {
        return loop.await(source().postpone(lock_of(one), delay, spends_delivery));
    }
    Result<TimePoint> renew(const Delivery& one) { return loop.await(source().renew(lock_of(one))); }
    Result<std::vector<Delivery>> receive_deferred(const std::string& entity,
                                                   std::vector<std::int64_t> numbers) {
        return loop.await(source().receive_deferred(entity, std::move(numbers), ReceiveOptions()));
    }
    Result<SessionLock> accept(const std::string& entity, std::optional<std::string> id = std::nullopt) {
        return loop.await(source().accept_session(entity, std::move(id), Duration::zero()));
    }

    static std::vector<std::string> bodies(const std::vector<Delivery>& deliveries) {
        std::vector<std::string> all;
        for (const auto& one : deliveries) all.push_back(one.message.body);
        return all;
    }
    template <class T>
    static Errc error_of(const Result<T>& result) {
        EXPECT_TRUE(result.has_error());
        if (!result.has_error()) return Errc{};
        EXPECT_FALSE(result.error().detail.empty());
        return result.error().code;
    }
    static std::string text(const Message& message, const std::string& property) {
        const auto found = message.properties.find(property);
        if (found == message.properties.end()) return "(none)";
        const auto* value = std::get_if<std::string>(&found->second);
        return value == nullptr ? "(not text)" : *value;
    }
    static std::string reason(const Delivery& one) { return text(one.message, kDeadLetterReason); }
};

inline Message session_message(std::string session, std::string body) {
    Message message = text_message(std::move(body));
    message.session_id = std::move(session);
    return message;
}

}  // namespace millrace::broker::test
