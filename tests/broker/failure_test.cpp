// A machine that fails in the middle: memory and disk must agree afterwards.
#include "tests/broker/engine_fixture.hpp"

namespace millrace::broker::test {
namespace {

class BrokenMachine : public EmbeddedTest {
  protected:
    void SetUp() override {
        under_test.put("q");
        under_test.put("other");
    }
    /// From now on no page can be added to the database.
    void fill() { set("PRAGMA max_page_count=1"); }
    void free() { set("PRAGMA max_page_count=1073741823"); }
    /// Every `what` (e.g. "UPDATE ON message") fails until `mend`.
    void break_every(const std::string& what) {
        set("CREATE TRIGGER broken BEFORE " + what + " BEGIN SELECT RAISE(FAIL, 'broken by the test'); END");
    }
    void mend() { set("DROP TRIGGER broken"); }
    void set(std::string sql) {
        auto work = [sql](store::Connection& connection) -> Result<void> {
            connection.execute(sql);
            return {};
        };
        EXPECT_TRUE(loop.await(under_test.database->write(std::move(work))));
    }
    /// A message that needs new pages: its properties do, wherever bodies are.
    static Message large(const std::string& id = {}) {
        Message message = text_message("large", id);
        message.properties.insert_or_assign("size", std::string(60'000, 'x'));
        return message;
    }

    void expect_memory_like_disk() {
        EXPECT_EQ(
            broker().counts("q")->bytes,
            static_cast<std::uint64_t>(stored("SELECT coalesce(sum(bytes),0) FROM message WHERE entity IN "
                                              "(SELECT id FROM entity WHERE name LIKE 'q%')")));
        const auto before = describe();
        under_test.crash();
        EXPECT_EQ(describe(), before);
    }
    std::vector<std::string> describe() {
        std::vector<std::string> lines;
        for (const std::string queue : {"q", "other", "q/$DeadLetterQueue"}) {
            for (const auto& one : peek(queue)) {
                lines.push_back(queue + " " + one.message.message_id + " " +
                                std::to_string(one.delivery_count) + " " +
                                std::to_string(static_cast<int>(one.state)));
            }
        }
        return lines;
    }
};

TEST_F(BrokenMachine, CompletionsThatComeTogetherFailTogetherAndAreElseAnsweredOneByOne) {
    send_texts("q", {"a", "b", "c"});
    const auto held = receive("q", 2);
    ASSERT_EQ(held.size(), 2u);
    LockRef stale = lock_of(held[0]);
    stale.token = Uuid{};
    const std::vector<LockRef> locks{lock_of(held[0]), stale, lock_of(held[1]), lock_of(held[0])};
    break_every("DELETE ON message");
    EXPECT_THROW(loop.await(broker().complete_each(locks)), MachineError);
    EXPECT_EQ(broker().counts("q")->locked, 2u);
    mend();
    const auto answers = loop.await(broker().complete_each(locks));
    ASSERT_EQ(answers.size(), 4u);
    EXPECT_TRUE(answers[0]);
    EXPECT_EQ(error_of(answers[1]), Errc::conflict);
    EXPECT_TRUE(answers[2]);
    EXPECT_EQ(error_of(answers[3]), Errc::conflict) << "the same lock twice";
    EXPECT_THAT(bodies(peek("q")), ElementsAre("c"));
}

TEST_F(BrokenMachine, AFailedSendLeavesNothingAndTheNextGoesOn) {
    send("q", {text_message("a", "a")});
    fill();
    EXPECT_THROW(loop.await(broker().send("q", {large("b"), large("c")})), MachineError);
    EXPECT_THAT(bodies(peek("q")), ElementsAre("a"));
    free();
    EXPECT_THAT(send("q", {text_message("d", "d")}), ElementsAre(2));
    expect_memory_like_disk();
}

TEST_F(BrokenMachine, AFailureReachesEveryCommandOfItsGroupAndEachIsUndone) {
    send("q", {text_message("a", "a"), text_message("b", "b"), text_message("c", "c")});
    const auto got = receive("q", 2);
    fill();
    auto sending = loop.begin(broker().send("q", {large()}));
    auto completing = loop.begin(broker().complete(lock_of(got[0])));
    auto burying = loop.begin(broker().dead_letter(lock_of(got[1]), "r", "d", Properties()));
    auto receiving = loop.begin(broker().receive("q", ReceiveOptions()));
    int failed = 0;
    const auto outcome = [&](auto& pending) {
        try {
            (void)loop.finish(pending);
        } catch (const MachineError& error) {
            EXPECT_TRUE(error.disk_full());
            ++failed;
        }
    };
    outcome(sending);
    EXPECT_EQ(failed, 1);
    outcome(completing);
    outcome(burying);
    outcome(receiving);
    free();
    for (const auto& one : got) (void)loop.await(broker().abandon(lock_of(one), Properties())).has_value();
    expect_memory_like_disk();
    send("q", {text_message("d", "d")});
    expect_memory_like_disk();
}

TEST_F(BrokenMachine, AMessageIdWhoseSendFailedIsNoDuplicate) {
    EntityOptions options;
    options.duplicate_window = minutes(1);
    under_test.put("unique", options);
    fill();
    auto first = loop.begin(broker().send("unique", {large("same")}));
    auto second = loop.begin(broker().send("unique", {text_message("small", "same")}));
    EXPECT_THROW(loop.finish(first), MachineError);
    const auto sent = loop.finish(second);
    ASSERT_TRUE(sent);
    EXPECT_NE(sent->at(0), 0) << "the first is not there, so the second is no duplicate";
    free();
    EXPECT_THAT(send("unique", {text_message("again", "same")}), ElementsAre(0));
}

TEST_F(BrokenMachine, WhatIsDueIsTriedAgain) {
    EntityOptions options;
    options.time_to_live = minutes(1);
    options.dead_letter_on_expiration = true;
    options.delivery_count_max = 1;
    under_test.put("q", options);
    Message later = text_message("later", "later");
    later.scheduled_at = now() + minutes(1);
    send("q", {text_message("exhausted", "exhausted"), text_message("expired", "expired"), later});
    receive_one("q");
    break_every("UPDATE ON message");
    under_test.pass(minutes(1));
    EXPECT_EQ(broker().counts("q")->dead_lettered, 0u);
    mend();
    under_test.pass(seconds(1));
    under_test.pass(seconds(1));
    EXPECT_EQ(broker().counts("q")->dead_lettered, 2u);
    EXPECT_EQ(broker().counts("q")->active, 1u);
    expect_memory_like_disk();
}

TEST_F(BrokenMachine, MessagesThatCouldNotBeDeletedWithTheirEntityAreDeletedAtTheNextStart) {
    send("q", {text_message("a"), text_message("b")});
    std::promise<void> gate;
    auto held = hold_writer(gate);
    auto sending = loop.begin(broker().send("q", {text_message("arrives when the entity has gone")}));
    auto removing = loop.begin(broker().remove_entity("q"));
    loop.settle();
    auto breaking = loop.begin(under_test.database->write([](store::Connection& connection) -> Result<void> {
        connection.execute(
            "CREATE TRIGGER broken BEFORE DELETE ON message BEGIN "
            "SELECT RAISE(FAIL, 'broken by the test'); END");
        return {};
    }));
    loop.settle();
    gate.set_value();
    EXPECT_TRUE(loop.finish(held));
    EXPECT_TRUE(loop.finish(breaking));
    EXPECT_TRUE(loop.finish(sending));
    EXPECT_TRUE(loop.finish(removing));
    EXPECT_EQ(error_of(broker().counts("q")), Errc::not_found);
    mend();
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 3);
    under_test.restart();
    EXPECT_EQ(stored("SELECT count(*) FROM message"), 0);
}

TEST_F(BrokenMachine, AnEntityThatCouldNotBeRemovedIsStillThere) {
    send("q", {text_message("a", "a")});
    break_every("DELETE ON entity");
    EXPECT_THROW(loop.await(broker().remove_entity("q")), MachineError);
    mend();
    break_every("INSERT ON entity");
    EXPECT_THROW(loop.await(broker().put_entity("new", EntityOptions())), MachineError);
    mend();
    EXPECT_THAT(bodies(receive("q")), ElementsAre("a"));
    under_test.put("new");
    expect_memory_like_disk();
}

}  // namespace
}  // namespace millrace::broker::test
