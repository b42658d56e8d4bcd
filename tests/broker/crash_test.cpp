// A handler that ends its process must not do so for ever.
#include "tests/broker/engine_fixture.hpp"

#include <sys/wait.h>
#include <unistd.h>

namespace millrace::broker::test {
namespace {

constexpr int kDeliveries = 4;
constexpr int kPoisonHandled = 42;
constexpr int kGoodHandled = 43;
constexpr int kNothingThere = 44;

/// A process of its own that opens the queue and handles its first message: poison makes it abort.
int handle_one_in_a_process(const std::filesystem::path& directory) {
    const pid_t child = ::fork();
    if (child == 0) {
        Loop loop;
        SystemClock clock;
        auto database = store::Database::open(loop.io().get_executor(), {directory}).value();
        auto broker = loop.await(Broker::open(*database, clock, Broker::Options())).value();
        EntityOptions options;
        options.delivery_count_max = kDeliveries;
        (void)loop.await(broker->put_entity("q", options)).has_value();
        auto received = loop.await(broker->receive("q", ReceiveOptions())).value();
        if (received.empty()) ::_exit(kNothingThere);
        if (received[0].message.body == "poison") ::_exit(kPoisonHandled);
        (void)loop.await(broker->complete(lock_of(received[0]))).has_value();
        ::_exit(kGoodHandled);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Crash, AMessageThatEndsTheProcessIsDeadLetteredAfterItsDeliveries) {
    TemporaryDirectory directory;
    {
        Loop loop;
        SystemClock clock;
        auto database = store::Database::open(loop.io().get_executor(), {directory.path()}).value();
        auto broker = loop.await(Broker::open(*database, clock, Broker::Options())).value();
        ASSERT_TRUE(loop.await(broker->put_entity("q", EntityOptions())));
        ASSERT_TRUE(loop.await(broker->send("q", {text_message("poison", "p"), text_message("good", "g")})));
        loop.await(broker->stop());
    }
    for (int start = 0; start < kDeliveries; ++start) {
        EXPECT_EQ(handle_one_in_a_process(directory.path()), kPoisonHandled) << "start " << start;
    }
    EXPECT_EQ(handle_one_in_a_process(directory.path()), kGoodHandled);
    EXPECT_EQ(handle_one_in_a_process(directory.path()), kNothingThere);
    Loop loop;
    SystemClock clock;
    auto database = store::Database::open(loop.io().get_executor(), {directory.path()}).value();
    auto broker = loop.await(Broker::open(*database, clock, Broker::Options())).value();
    const auto dead = loop.await(broker->receive(dead_letter_queue_of("q"), ReceiveOptions())).value();
    ASSERT_EQ(dead.size(), 1u);
    EXPECT_EQ(dead[0].message.message_id, "p");
    EXPECT_EQ(dead[0].message.properties.at(kDeadLetterReason),
              Value(std::string("MaxDeliveryCountExceeded")));
    loop.await(broker->stop());
}

}  // namespace
}  // namespace millrace::broker::test
