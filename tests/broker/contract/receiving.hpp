#pragma once

#include "tests/broker/contract/fixture.hpp"

namespace millrace::broker::test {

TEST_P(MessageSourceContract, HandsOutAtMostAsManyMessagesAsAskedFor) {
    create("q");
    send_texts("q", {"a", "b", "c"});
    EXPECT_THAT(bodies(receive("q", 2)), ElementsAre("a", "b"));
    EXPECT_THAT(bodies(receive("q", 2)), ElementsAre("c"));
    EXPECT_THAT(receive("q", 2), IsEmpty());
    EXPECT_THAT(receive("q", 0), IsEmpty());
}

TEST_P(MessageSourceContract, HandsOutNoMoreBytesThanAskedForButAlwaysOneMessage) {
    MILLRACE_NEEDS(answers_whole);
    create("q");
    const std::string large(1'000, 'x');
    send_texts("q", {large, large, large, "small"});
    ReceiveOptions options;
    options.messages_max = 100;
    options.bytes_max = 2'500;
    EXPECT_EQ(try_receive("q", options).value().size(), 2u);
    options.bytes_max = 10;
    EXPECT_THAT(bodies(try_receive("q", options).value()), ElementsAre(large));
    options.wait = minutes(1);
    EXPECT_THAT(bodies(try_receive("q", options).value()), ElementsAre("small"));
    auto waiting = loop.begin(source().receive("q", options));
    loop.settle();
    send_texts("q", {large, large});
    EXPECT_THAT(bodies(loop.finish(waiting).value()), ElementsAre(large));
}

TEST_P(MessageSourceContract, ALockedMessageIsNotHandedOutTwice) {
    create("q");
    send_texts("q", {"a"});
    const Delivery first = receive_one("q");
    EXPECT_THAT(receive("q"), IsEmpty());
    EXPECT_TRUE(complete(first));
    EXPECT_THAT(receive("q"), IsEmpty());
    EXPECT_THAT(left("q"), IsEmpty());
}

TEST_P(MessageSourceContract, AReceiverThatWaitsGetsTheNextMessage) {
    create("q");
    ReceiveOptions options;
    options.wait = minutes(1);
    auto waiting = loop.begin(source().receive("q", options));
    loop.settle();
    EXPECT_FALSE(waiting.done());
    send_texts("q", {"a"});
    const auto received = loop.finish(waiting);
    ASSERT_TRUE(received);
    EXPECT_THAT(bodies(*received), ElementsAre("a"));
}

TEST_P(MessageSourceContract, ServesWaitingReceiversInTheOrderOfTheirCalls) {
    create("q");
    ReceiveOptions options;
    options.wait = minutes(1);
    std::vector<Loop::Pending<Result<std::vector<Delivery>>>> waiting;
    for (int i = 0; i < 5; ++i) {
        waiting.push_back(loop.begin(source().receive("q", options)));
        loop.settle();
    }
    send_texts("q", {"0", "1", "2", "3", "4"});
    for (int i = 0; i < 5; ++i) {
        const auto received = loop.finish(waiting[static_cast<std::size_t>(i)]);
        ASSERT_TRUE(received);
        EXPECT_THAT(bodies(*received), ElementsAre(std::to_string(i)));
    }
}

TEST_P(MessageSourceContract, AReceiverThatWaitedInVainGetsNothing) {
    MILLRACE_NEEDS(keeps_time);
    create("q");
    ReceiveOptions options;
    options.wait = seconds(10);
    auto waiting = loop.begin(source().receive("q", options));
    loop.settle();
    pass(seconds(11));
    const auto received = loop.finish(waiting);
    ASSERT_TRUE(received);
    EXPECT_THAT(*received, IsEmpty());
    send_texts("q", {"a"});
    EXPECT_EQ(receive("q").size(), 1u) << "the wait that is over takes nothing";
}

TEST_P(MessageSourceContract, ACancelledWaitTakesNothing) {
    create("q");
    ReceiveOptions options;
    options.wait = minutes(1);
    auto waiting = loop.begin(source().receive("q", options));
    auto next = loop.begin(source().receive("q", options));
    loop.settle();
    waiting.cancel();
    loop.settle();
    EXPECT_TRUE(waiting.done());
    send_texts("q", {"a"});
    EXPECT_THAT(bodies(loop.finish(next).value()), ElementsAre("a"));
}

TEST_P(MessageSourceContract, AReceiverCancelledWhileItIsServedLosesNoMessage) {
    create("q");
    ReceiveOptions options;
    options.wait = minutes(1);
    auto waiting = loop.begin(source().receive("q", options));
    loop.settle();
    auto sending = loop.begin(source().send("q", {text_message("a")}));
    // Wherever the delivery stands when the cancellation comes, the message is there for somebody else
    // afterwards.
    EXPECT_TRUE(loop.finish(sending));
    waiting.cancel();
    bool got = false;
    try {
        const auto received = loop.finish(waiting);
        got = received && !received->empty();
    } catch (const boost::system::system_error&) {
    }
    if (got) GTEST_SKIP() << "it was served before";
    const auto received = loop.await(source().receive("q", options));
    ASSERT_TRUE(received);
    ASSERT_EQ(received->size(), 1u);
    EXPECT_EQ(received->at(0).delivery_count, 0) << "the delivery that nobody saw does not count";
}

TEST_P(MessageSourceContract, ReceiveAndDeleteLeavesNothingBehind) {
    create("q");
    send_texts("q", {"a", "b"});
    ReceiveOptions options;
    options.mode = ReceiveMode::receive_and_delete;
    options.wait = minutes(1);
    const auto received = try_receive("q", options);
    ASSERT_TRUE(received);
    EXPECT_THAT(bodies(*received), ElementsAre("a"));
    EXPECT_TRUE(received->at(0).lock_token.is_nil());
    EXPECT_THAT(left("q"), ElementsAre("b"));
}

TEST_P(MessageSourceContract, PeekShowsMessagesInAnyStateAndChangesNothing) {
    MILLRACE_NEEDS(numbers_messages);
    create("q");
    Message later = text_message("scheduled");
    later.scheduled_at = subject->clock().now() + minutes(10);
    auto numbers =
        send_numbered("q", {text_message("locked"), text_message("deferred"), text_message("ready")});
    numbers.push_back(send("q", std::vector<Message>{later}).at(0));
    const auto first = receive("q", 2);
    EXPECT_TRUE(defer(first[1]));
    const auto peeked = peek("q");
    EXPECT_THAT(bodies(peeked), ElementsAre("locked", "deferred", "ready", "scheduled"));
    EXPECT_EQ(peeked[0].state, State::active);
    EXPECT_EQ(peeked[1].state, State::deferred);
    EXPECT_EQ(peeked[2].state, State::active);
    EXPECT_EQ(peeked[3].state, State::scheduled);
    EXPECT_EQ(peeked[3].message.scheduled_at, later.scheduled_at);
    for (const auto& one : peeked) EXPECT_TRUE(one.lock_token.is_nil());
    EXPECT_THAT(bodies(peek("q", numbers[1], 2)), ElementsAre("deferred", "ready"));
    EXPECT_THAT(peek("q", numbers[3] + 1), IsEmpty());
    EXPECT_EQ(receive_one("q").delivery_count, 0);
}

TEST_P(MessageSourceContract, ManyReceiversShareAQueueWithoutOverlap) {
    MILLRACE_NEEDS(answers_whole);
    create("q");
    std::vector<std::string> all;
    for (int i = 0; i < 200; ++i) all.push_back(std::to_string(1000 + i));
    send_texts("q", all);
    std::vector<Loop::Pending<Result<std::vector<Delivery>>>> receivers;
    ReceiveOptions options;
    options.messages_max = 7;
    for (int i = 0; i < 40; ++i) receivers.push_back(loop.begin(source().receive("q", options)));
    std::vector<std::string> got;
    for (auto& one : receivers) {
        for (const auto& body : bodies(loop.finish(one).value())) got.push_back(body);
    }
    EXPECT_EQ(got, all);
}

}  // namespace millrace::broker::test
