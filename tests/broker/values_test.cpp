// Large bodies, which lie in files of their own beside the database.
#include "store/value_log.hpp"
#include "tests/broker/engine_fixture.hpp"
#include "tests/support/disk_calls.hpp"

#include <filesystem>

namespace millrace::broker::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLarge = 900'000;
constexpr int kPerFile = 19;  // so many fill one

std::string body_of(char what, std::size_t bytes = kLarge) { return std::string(bytes, what); }

/// True as text that says what is different, without a megabyte of it.
testing::AssertionResult same(const std::string& got, const std::string& expected) {
    if (got == expected) return testing::AssertionSuccess();
    return testing::AssertionFailure() << got.size() << " bytes of '" << got.substr(0, 1) << "' instead of "
                                       << expected.size() << " of '" << expected.substr(0, 1) << "'";
}

class Values : public EmbeddedTest {
  protected:
    explicit Values(Broker::Options options = {}) : EmbeddedTest(options) {}
    void SetUp() override { under_test.put("q"); }

    fs::path folder() { return under_test.database->directory() / "values"; }
    std::uintmax_t bytes_on_disk() {
        std::uintmax_t sum = 0;
        for (const auto& entry : fs::directory_iterator(folder())) sum += entry.file_size();
        return sum;
    }
    std::int64_t in_files() { return stored("SELECT count(*) FROM message WHERE value_file IS NOT NULL"); }
    void sweep() { under_test.pass(minutes(1)); }
    void send_large(int count, char what = 'x') {
        for (int i = 0; i < count; ++i) ASSERT_EQ(send_texts("q", {body_of(what)}).size(), 1u);
    }
    /// Completes `count` messages.
    void drain(int count) {
        for (int i = 0; i < count; ++i) ASSERT_TRUE(complete(receive_one("q")));
    }
};

/// Both ways to end: in order, and in the middle of things.
class ValuesKept : public Values, public testing::WithParamInterface<bool> {
  protected:
    void restart() {
        if (GetParam())
            under_test.crash();
        else
            under_test.restart();
    }
};

TEST_P(ValuesKept, AreThereAfterARestartWhateverBecameOfTheirMessages) {
    std::vector<Message> messages;
    for (const char what : {'a', 'b', 'c', 'd'}) messages.push_back(text_message(body_of(what)));
    messages.back().scheduled_at = now() + minutes(5);
    const auto numbers = send("q", messages);
    EXPECT_EQ(in_files(), 4);
    const auto got = receive("q", 2);
    EXPECT_TRUE(dead_letter(got[0], "why"));
    EXPECT_TRUE(loop.await(broker().defer(lock_of(got[1]), Properties())));
    restart();
    EXPECT_TRUE(same(receive_one("q/$DeadLetterQueue").message.body, body_of('a')));
    auto deferred = loop.await(broker().receive_deferred("q", {numbers[1]}, ReceiveOptions())).value();
    EXPECT_TRUE(same(deferred.at(0).message.body, body_of('b')));
    EXPECT_TRUE(same(receive_one("q").message.body, body_of('c')));
    restart();
    under_test.pass(minutes(6));
    std::vector<std::string> left;
    for (const auto& one : receive("q")) left.push_back(one.message.body.substr(0, 1));
    EXPECT_THAT(left, testing::UnorderedElementsAre("c", "d"));
    DeadLetterFilter all;
    EXPECT_EQ(loop.await(broker().redrive("q", all, 0, false)).value().moved, 1u);
    EXPECT_TRUE(same(receive_one("q").message.body, body_of('a')));
}
INSTANTIATE_TEST_SUITE_P(All, ValuesKept, testing::Bool(),
                         [](const auto& info) { return info.param ? "AfterACrash" : "AfterAStop"; });

TEST_F(Values, OfOneLonelyMessageOfMiddlingSizeStayInItsRow) {
    send_texts("q", {body_of('m', 100'000)});
    EXPECT_EQ(in_files(), 0);
    send_texts("q", std::vector<std::string>(3, body_of('m', 100'000)));
    EXPECT_EQ(in_files(), 3) << "of those that come together";
    for (const auto& one : receive("q")) EXPECT_TRUE(same(one.message.body, body_of('m', 100'000)));
}

TEST_F(Values, OfMessagesThatAreSentAtTheSameTimeShareOneFlush) {
    std::promise<void> begun;
    std::promise<void> gate;
    auto wait_for_gate = [&begun, opened = gate.get_future().share()](store::Connection&) {
        begun.set_value();
        opened.wait();
        return true;
    };
    auto held = loop.begin(under_test.database->write(std::move(wait_for_gate)));
    loop.settle();
    begun.get_future().wait();  // what comes now is of the next transaction
    std::vector<Loop::Pending<Result<std::vector<std::int64_t>>>> sending;
    for (int i = 0; i < 10; ++i)
        sending.push_back(loop.begin(broker().send("q", {text_message(body_of('s', 8192))})));
    loop.settle();
    gate.set_value();
    loop.finish(std::move(held));
    for (auto& one : sending) EXPECT_TRUE(loop.finish(std::move(one)));
    EXPECT_EQ(in_files(), 10);
    under_test.crash();
    const auto received = receive("q");
    EXPECT_EQ(received.size(), 10u);
    for (const auto& one : received) EXPECT_TRUE(same(one.message.body, body_of('s', 8192)));
}

/// With a topic of two subscriptions.
class ValuesOfATopic : public Values {
  protected:
    explicit ValuesOfATopic(Broker::Options options = {}) : Values(options) {}
    void SetUp() override {
        Values::SetUp();
        EntityOptions topic;
        topic.kind = EntityKind::topic;
        under_test.put("t", topic);
        EntityOptions subscription;
        subscription.kind = EntityKind::subscription;
        for (const char* name : {kFirst, kSecond}) under_test.put(name, subscription);
    }
    static constexpr const char* kFirst = "t/Subscriptions/a";
    static constexpr const char* kSecond = "t/Subscriptions/b";
};

TEST_F(ValuesOfATopic, AreStoredOnce) {
    send("t", {text_message(body_of('x')), text_message(body_of('y'))});
    EXPECT_EQ(in_files(), 4);
    EXPECT_EQ(stored("SELECT count(DISTINCT value_offset) FROM message"), 2);
    EXPECT_LT(bytes_on_disk(), 3 * kLarge);
    for (const auto& one : receive("t/Subscriptions/a")) EXPECT_TRUE(complete(one));
    under_test.crash();
    const auto left = receive("t/Subscriptions/b");
    ASSERT_EQ(left.size(), 2u);
    EXPECT_TRUE(same(left[0].message.body, body_of('x')));
    EXPECT_TRUE(same(left[1].message.body, body_of('y')));
}

TEST_F(Values, TakeNoMoreRoomWhileMessagesComeAndGo) {
    for (int round = 0; round < 4; ++round) {
        send_large(2 * kPerFile);
        drain(2 * kPerFile);
        sweep();
    }
    EXPECT_LT(bytes_on_disk(), 4u * kPerFile * kLarge) << "the first files are used again";
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 0);
}

TEST_F(Values, AreUsedAgainAfterARestartAsWell) {
    for (int round = 0; round < 4; ++round) {
        send_large(2 * kPerFile);
        drain(2 * kPerFile);
        under_test.crash();
    }
    EXPECT_LT(bytes_on_disk(), 4u * kPerFile * kLarge);
}

TEST_F(Values, ThatStayDoNotKeepTheRoomOfThoseThatWent) {
    under_test.put("stays");
    constexpr int kFiles = 8;
    for (int file = 0; file < kFiles; ++file) {
        send_texts("stays", {body_of(static_cast<char>('a' + file))});
        send_large(kPerFile);
    }
    EXPECT_GE(stored("SELECT count(DISTINCT value_file) FROM message"), kFiles);
    drain(kFiles * kPerFile);
    sweep();
    EXPECT_LE(stored("SELECT count(DISTINCT value_file) FROM message"), 5)
        << "the room of four files beside twice their own";
    under_test.crash();
    const auto left = receive("stays");
    ASSERT_EQ(left.size(), static_cast<std::size_t>(kFiles));
    for (int file = 0; file < kFiles; ++file)
        EXPECT_TRUE(
            same(left[static_cast<std::size_t>(file)].message.body, body_of(static_cast<char>('a' + file))));
}

TEST_F(ValuesOfATopic, StayOneWhenTheyAreMoved) {
    constexpr int kFiles = 7;
    for (int file = 0; file < kFiles; ++file) {
        send("t", {text_message(body_of(static_cast<char>('a' + file)))});
        send_large(kPerFile);
    }
    drain(kFiles * kPerFile);
    const auto files_at_first = stored("SELECT count(DISTINCT value_file) FROM message");
    sweep();
    EXPECT_LT(stored("SELECT count(DISTINCT value_file) FROM message"), files_at_first);
    EXPECT_EQ(stored("SELECT count(DISTINCT value_file||'/'||value_offset) FROM message"), kFiles);
    for (const char* name : {"t/Subscriptions/a", "t/Subscriptions/b"}) {
        const auto left = receive(name);
        ASSERT_EQ(left.size(), static_cast<std::size_t>(kFiles));
        EXPECT_TRUE(same(left[0].message.body, body_of('a')));
    }
}

TEST_F(Values, ThatAreMissingKeepTheBrokerFromStarting) {
    send_large(1);
    const fs::path directory = under_test.database->directory();
    under_test.close();
    fs::remove(directory / "values" / "0000000001");
    auto database = store::Database::open(loop.io().get_executor(), {directory}).value();
    const auto opened = loop.await(Broker::open(*database, under_test.clock, Broker::Options()));
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().detail, testing::HasSubstr("values/0000000001 is missing"));
    EXPECT_THAT(opened.error().detail, testing::HasSubstr("backup"));
}

TEST_F(ValuesOfATopic, AreKeptForTheLastSubscriptionThatNeedsTheEndOfAFile) {
    send_large(kPerFile - 1);
    send("t", {text_message(body_of('z'))});
    send_large(1);
    ASSERT_EQ(stored("SELECT count(*) FROM message WHERE value_file=1"), kPerFile + 1) << "its end is shared";
    drain(kPerFile);
    ASSERT_TRUE(complete(receive_one(kFirst)));
    sweep();
    send_large(2 * kPerFile);
    EXPECT_TRUE(same(receive_one(kSecond).message.body, body_of('z')));
    under_test.restart();
    EXPECT_EQ(stored("SELECT count(*) FROM message WHERE value_file=1"), 1);
}

TEST_F(Values, ThatAreDamagedBecomeDeadLettersAndHoldNobodyUp) {
    for (const ReceiveMode mode : {ReceiveMode::peek_lock, ReceiveMode::receive_and_delete}) {
        send("q", {text_message(body_of('d'), "damaged"), text_message("small", "good")});
        auto damage = [](store::Connection& connection) -> Result<void> {
            connection.execute("UPDATE message SET value_bytes=value_bytes-1 WHERE message_id='damaged'");
            return {};
        };
        EXPECT_TRUE(loop.await(under_test.database->write(std::move(damage))));
        under_test.restart();
        ReceiveOptions options;
        options.mode = mode;
        options.messages_max = 10;
        const auto good = loop.await(broker().receive("q", options)).value();
        ASSERT_EQ(good.size(), 1u);
        EXPECT_EQ(good[0].message.message_id, "good");
        if (mode == ReceiveMode::peek_lock) {
            EXPECT_TRUE(complete(good[0]));
        }
        options.wait = minutes(1);
        const auto dead = loop.await(broker().receive(dead_letter_queue_of("q"), options)).value();
        ASSERT_EQ(dead.size(), 1u);
        EXPECT_EQ(dead[0].message.message_id, "damaged");
        EXPECT_EQ(dead[0].message.properties.at(kDeadLetterReason), Value("DamagedBody"));
        if (mode == ReceiveMode::peek_lock) {
            EXPECT_TRUE(complete(dead[0]));
        }
        EXPECT_EQ(stored("SELECT count(*) FROM message"), 0);
    }
}

/// One of the messages of a queue is damaged.
class ADamagedValue : public Values {
  protected:
    void damage() {
        auto work = [](store::Connection& connection) -> Result<void> {
            connection.execute("UPDATE message SET value_bytes=value_bytes-1 WHERE message_id='damaged'");
            return {};
        };
        EXPECT_TRUE(loop.await(under_test.database->write(std::move(work))));
    }
    std::vector<Message> with_a_damaged_one() {
        return {text_message(body_of('d'), "damaged"), text_message("small", "good")};
    }
    std::vector<std::string> ids(const std::string& queue) {
        std::vector<std::string> found;
        for (const auto& one : peek(queue)) found.push_back(one.message.message_id);
        return found;
    }
};

TEST_F(ADamagedValue, DoesNotStopAForwardingQueue) {
    under_test.put("target");
    send("q", with_a_damaged_one());
    damage();
    EntityOptions forwards;
    forwards.forward_to = "target";
    under_test.put("q", forwards);
    under_test.pass(seconds(5));
    EXPECT_THAT(ids("target"), ElementsAre("good"));
    EXPECT_THAT(ids(dead_letter_queue_of("q")), ElementsAre("damaged"));
}

TEST_F(ADamagedValue, DoesNotStopScheduledMessagesOfATopic) {
    under_test.put("target");
    auto messages = with_a_damaged_one();
    for (Message& message : messages) message.scheduled_at = now() + minutes(1);
    send("q", messages);
    damage();
    EntityOptions forwards;
    forwards.forward_to = "target";
    under_test.put("q", forwards);
    under_test.pass(minutes(2));
    EXPECT_THAT(ids("target"), ElementsAre("good"));
    EXPECT_THAT(ids(dead_letter_queue_of("q")), ElementsAre("damaged"));
}

TEST_F(ADamagedValue, StaysADeadLetterWhereDeadLettersAreForwarded) {
    under_test.put("letters");
    EntityOptions options;
    options.forward_dead_letters_to = "letters";
    options.delivery_count_max = 1;
    under_test.put("q", options);
    send("q", with_a_damaged_one());
    damage();
    under_test.restart();
    EXPECT_EQ(receive("q").size(), 1u);
    under_test.pass(seconds(5));
    under_test.restart();
    EXPECT_THAT(ids(dead_letter_queue_of("q")), ElementsAre("damaged"));
    EXPECT_THAT(ids("letters"), ElementsAre("good")) << "delivered as often as it may be";
}

TEST_F(ADamagedValue, DoesNotStopARedrive) {
    send("q", with_a_damaged_one());
    for (const auto& one : receive("q")) EXPECT_TRUE(dead_letter(one, "why"));
    damage();
    const auto result = loop.await(broker().redrive("q", DeadLetterFilter(), 0, false)).value();
    EXPECT_EQ(result.matched, 2u);
    EXPECT_EQ(result.moved, 1u);
    EXPECT_THAT(ids("q"), ElementsAre("good"));
    const auto left = peek(dead_letter_queue_of("q"));
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0].message.properties.at(kDeadLetterReason), Value("DamagedBody"))
        << "it does not look like an empty message";
}

TEST_F(Values, AFileThatWasFreedIsUsedAgainOnlyWhenThatIsSafeOnDisk) {
    send_large(kPerFile + 1);
    drain(kPerFile + 1);
    millrace::test::DiskCalls calls;
    sweep();
    EXPECT_THAT(calls.take(), testing::Contains("flush millrace.db-wal")) << "nothing else is flushed now";
    under_test.crash();
    EXPECT_THAT(calls.take(), testing::Contains("flush millrace.db-wal"))
        << "what a dead process had removed";
}

TEST_F(Values, AReaderOfAnOlderStateFindsThemUntilItHasEnded) {
    send_large(kPerFile + 1, 'r');
    std::promise<void> has_begun;
    std::promise<void> may_go_on;
    auto read = [&, go = may_go_on.get_future().share()](store::Connection& connection) {
        const std::int64_t rows = connection.integer("SELECT count(*) FROM message");
        has_begun.set_value();
        go.wait();
        auto& select = connection.prepare("SELECT value_file,value_offset,value_bytes FROM message");
        std::int64_t readable = 0;
        while (select.step()) {
            const auto value =
                connection.values()->read({select.integer(0), select.integer(1), select.integer(2)});
            if (value && *value == body_of('r')) readable += 1;
        }
        return readable == rows ? rows : -readable;
    };
    auto reading = loop.begin(under_test.database->read(std::move(read)));
    loop.settle();
    has_begun.get_future().wait();
    drain(kPerFile + 1);
    sweep();
    send_large(2 * kPerFile, 'n');
    EXPECT_GE(stored("SELECT max(value_file) FROM message"), 3);
    EXPECT_TRUE(fs::exists(folder() / "0000000001")) << "not used again yet";
    may_go_on.set_value();
    EXPECT_EQ(loop.finish(std::move(reading)), kPerFile + 1);
    send_large(2 * kPerFile, 'n');
    EXPECT_FALSE(fs::exists(folder() / "0000000001"));
}

/// Of messages that fill a file, or nearly.
class HugeValues : public ValuesOfATopic {
  protected:
    HugeValues() : ValuesOfATopic(huge()) {}
    static Broker::Options huge() {
        Broker::Options options;
        options.message_bytes_max = 100 * limits::kMiB;
        return options;
    }
};

TEST_F(HugeValues, AreKeptForTheLastSubscriptionAfterTheyWereMoved) {
    for (const char what : {'y', 'z'}) {
        send("t", {text_message(body_of(what, 8'500'000))});
        send_texts("q", {body_of('q', 95'000'000)});
    }
    send_texts("q", {body_of('q', 20'000'000)});
    drain(3);
    sweep();
    ASSERT_EQ(stored("SELECT min(value_file) FROM message"), 4) << "both fill a file of their own now";
    ASSERT_EQ(stored("SELECT max(value_file) FROM message"), 4);
    for (const auto& one : receive(kFirst)) ASSERT_TRUE(complete(one));
    ASSERT_TRUE(complete(receive_one(kSecond)));
    for (int i = 0; i < 4; ++i) {
        send_texts("q", {body_of('n', 17'000'000)});
        sweep();
    }
    EXPECT_TRUE(same(receive_one(kSecond).message.body, body_of('z', 8'500'000)));
}

TEST_F(HugeValues, LeaveNoHugeFilesBehind) {
    for (int i = 0; i < 3; ++i) send_texts("q", {body_of('h', 40'000'000)});
    for (int i = 0; i < 3; ++i) {
        const Delivery one = receive_one("q");
        EXPECT_TRUE(same(one.message.body, body_of('h', 40'000'000)));
        ASSERT_TRUE(complete(one));
    }
    under_test.pass(minutes(1));
    std::uintmax_t left = 0;
    for (const auto& entry : fs::directory_iterator(under_test.database->directory() / "values"))
        left += entry.file_size();
    EXPECT_LT(left, 50'000'000u) << "but for the file that is written to";
}

}  // namespace
}  // namespace millrace::broker::test
