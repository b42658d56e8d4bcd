// What a client may cost the server: before it is trusted, by what it asks for, and by what it leaves behind.
#include "amqp/server_connection.hpp"
#include "telemetry/log.hpp"
#include "tests/amqp/server_fixture.hpp"

#include <future>

namespace millrace::amqp::testing {

namespace {

using broker::EntityStatus;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// The lines that are logged while it lives.
class LogLines {
  public:
    LogLines() {
        telemetry::configure_log({telemetry::Level::warning, telemetry::Format::text,
                                  [this](std::string_view line) { lines.emplace_back(line); }});
    }
    ~LogLines() { telemetry::configure_log({}); }
    LogLines(const LogLines&) = delete;

    std::vector<std::string> lines;
};

class ServerLimitsTest : public ServerTest {
  protected:
    ServerLimitsTest() { put("q"); }

    std::string token(const std::string& key) {
        return make_sas_token("sb://test/", "root", key, embedded.clock.now() + minutes(20));
    }
    void ask_for_keys() {
        keys = std::make_shared<AccessKeys>(std::vector<AccessKey>{{"root", "k", {true, true, true}, ""}});
    }
    std::shared_ptr<ServerContext> new_context() {
        const auto io = loop.io().get_executor();
        return std::make_shared<ServerContext>(
            ServerContext{io, *embedded.broker, embedded.clock, keys, options, {}, 0, Signal(io), {}, {}});
    }
    static Attach numbered(const std::string& address, std::size_t number) {
        Attach attach = Client::sender_to(address);
        attach.name += std::to_string(number);
        return attach;
    }
    /// The writer of the database stands still until `gate` is set.
    broker::test::Loop::Pending<bool> hold_writer(std::promise<void>& gate) {
        auto wait = [opened = gate.get_future().share()](store::Connection&) {
            opened.wait();
            return true;
        };
        return loop.begin(embedded.database->write(std::move(wait)));
    }
};

/// Asks for the first message of a queue, whose answer is as large as the message.
Request peek_of_one() {
    Request request;
    request.properties.set("operation", std::string("com.microsoft:peek-message"));
    Map arguments;
    arguments.set("from-sequence-number", std::int64_t{0});
    arguments.set("message-count", std::int32_t{1});
    request.body = std::move(arguments);
    return request;
}

TEST_F(ServerLimitsTest, WhoHasShownNoValidTokenHasFewLinks) {
    ask_for_keys();
    auto one = client();
    const auto cbs = one->node("$cbs");
    EXPECT_EQ(one->put_token(cbs, token("wrong")), 401);
    for (std::size_t i = 2; i < limits::amqp_links_unproven_max; ++i)
        EXPECT_EQ(refusal_of(one->attach(numbered("$cbs", i))), "accepted");
    one->ask(numbered("$cbs", 100));
    const auto ended = one->next<event::SessionEnded>();
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "amqp:resource-limit-exceeded");
}

TEST_F(ServerLimitsTest, WhoHasShownNoValidTokenHoldsNoMoreThanTokensNeed) {
    ask_for_keys();
    auto one = client();
    const auto cbs = one->node("$cbs");
    const std::string large(300'000, 'x');
    one->side->send(cbs.requests, "t", kPlainFormat, large, true);
    one->flush();
    const auto ended = one->next<event::Closed>();
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "amqp:resource-limit-exceeded");
}

TEST_F(ServerLimitsTest, OneAnswerForEachOfManyLinksIsTooMuchAsWell) {
    store("q", std::string(900'000, 'x'));
    auto one = client();
    const LinkId requests = one->attach(Client::sender_to("q/$management")).link;
    ASSERT_TRUE(one->until([&] { return one->side->credit(requests) > 20; }));
    Request request = peek_of_one();
    for (std::uint64_t i = 0; i < 12; ++i) {
        Attach answers = Client::receiver_from("q/$management");
        answers.name += std::to_string(i);
        answers.target->address = "answers" + std::to_string(i);
        one->attach(std::move(answers));  // which gives no credit
        request.message_id = i;
        request.reply_to = "answers" + std::to_string(i);
        one->side->send(requests, std::to_string(i), kPlainFormat, write_request(request), true);
    }
    one->flush();
    const auto ended = one->next<event::LinkDetached>();
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "amqp:resource-limit-exceeded");
}

TEST_F(ServerLimitsTest, AValidTokenGivesTheLinksThatOthersHave) {
    ask_for_keys();
    auto one = client();
    const auto cbs = one->node("$cbs");
    ASSERT_EQ(one->put_token(cbs, token("k")), 202);
    for (std::size_t i = 0; i < 5 * limits::amqp_links_unproven_max; ++i)
        EXPECT_EQ(refusal_of(one->attach(numbered("q", i))), "accepted");
}

TEST_F(ServerLimitsTest, OfManyBadTokensAMinuteOneIsLogged) {
    ask_for_keys();
    auto one = client();
    const auto cbs = one->node("$cbs");
    const LogLines log;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(one->put_token(cbs, token("wrong")), 401);
    EXPECT_THAT(log.lines, ElementsAre(HasSubstr("signature does not match")));
    embedded.clock.advance(minutes(1));
    EXPECT_EQ(one->put_token(cbs, token("wrong")), 401);
    ASSERT_EQ(log.lines.size(), 2U);
    EXPECT_THAT(log.lines[1], HasSubstr("4 more were refused"));
    auto two = client();
    EXPECT_EQ(two->put_token(two->node("$cbs"), token("wrong")), 401);
    EXPECT_EQ(log.lines.size(), 3U) << "another client's has its own line";
}

TEST_F(ServerLimitsTest, ARangeOfRejectionsThatSayMuchIsCarriedOutBitByBit) {
    constexpr std::uint32_t kMessages = 300;
    for (std::uint32_t i = 0; i < kMessages; ++i) store("q", std::to_string(i));
    auto one = client();
    const LinkId link = one->attach(Client::receiver_from("q")).link;
    one->grant(link, kMessages);
    ASSERT_TRUE(one->until([&] { return one->side.count<event::Arrived>() == kMessages; }));
    const std::uint32_t first = one->side.take<event::Arrived>().delivery.id;
    Condition why{condition::kDeadLetter, "", {}};
    why.info.set_symbol("much", std::string(50'000, 'x'));
    Disposition told;
    told.receiver = true;
    told.first = first;
    told.last = first + kMessages - 1;
    told.state = Rejected{std::move(why)};
    std::promise<void> gate;
    auto held = hold_writer(gate);
    one->wire.write(frame_of(0, told));
    EXPECT_TRUE(one->until([&] { return server->stats().work_bytes > limits::amqp_storing_bytes_max; }));
    loop.settle();
    EXPECT_LT(server->stats().work_bytes, limits::amqp_storing_bytes_max + 256 * limits::kKiB);
    gate.set_value();
    EXPECT_TRUE(loop.finish(held));
    EXPECT_TRUE(one->until([&] { return counts("q").dead_lettered == kMessages; })) << "in the end all are";
    EXPECT_TRUE(one->until([&] { return server->stats().work_bytes == 0; }));
}

TEST_F(ServerLimitsTest, WhoHoldsTheLastBytesTooManyAsksForRelief) {
    const auto context = new_context();
    context->options.bytes_max = 1000;
    int asked = 0;
    context->relieve = [&] { asked += 1; };
    const auto one = std::make_shared<ServerConnection>(context, "peer");
    context->bytes.partial = 1000;  // of others
    one->kick();
    EXPECT_EQ(asked, 0);
    context->bytes.partial = 1001;
    one->kick();
    EXPECT_EQ(asked, 1);
    context->bytes.partial = 1000;
    one->kick();
    EXPECT_EQ(asked, 1);
}

TEST_F(ServerLimitsTest, WhatEndsWithAnExceptionIsNotUnderWayForEver) {
    const auto context = new_context();
    auto one = std::make_shared<ServerConnection>(context, "peer");
    auto two = std::make_shared<ServerConnection>(context, "other");
    one->storing(1000);
    two->storing(0);
    one.reset();
    EXPECT_EQ(context->bytes.storing, limits::amqp_work_bytes) << "what others do counts on";
    two->stored(0);
    EXPECT_EQ(context->bytes.storing, 0U);
}

TEST_F(ServerLimitsTest, AnswersThatNobodyTakesEndTheirLink) {
    store("q", std::string(900'000, 'x'));
    auto one = client();
    const LinkId requests = one->attach(Client::sender_to("q/$management")).link;
    Attach answers = Client::receiver_from("q/$management");
    answers.target->address = "answers";
    const LinkId waits = one->attach(std::move(answers)).link;  // which gives no credit
    ASSERT_TRUE(one->until([&] { return one->side->credit(requests) > 20; }));
    Request request = peek_of_one();
    request.reply_to = "answers";
    for (std::uint64_t i = 0; i < 12; ++i) {
        request.message_id = i;
        one->side->send(requests, std::to_string(i), kPlainFormat, write_request(request), true);
    }
    one->flush();
    const auto ended = one->next<event::LinkDetached>();
    EXPECT_EQ(ended.link, waits);
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "amqp:resource-limit-exceeded");
}

TEST_F(ServerLimitsTest, AnEntityThatIsDisabledUnderALinkIsNamedAsSuch) {
    auto one = client();
    const LinkId sends = one->attach(Client::sender_to("q")).link;
    const LinkId receives = one->attach(Client::receiver_from("q")).link;
    one->grant(receives, 1);
    EXPECT_TRUE(std::holds_alternative<Accepted>(one->send_text(sends, "x")));
    one->receive();
    one->grant(receives, 1);
    broker::EntityOptions off;
    off.status = EntityStatus::disabled;
    put("q", off);
    const auto ended = one->next<event::LinkDetached>();
    EXPECT_EQ(ended.link, receives);
    ASSERT_TRUE(ended.error);
    EXPECT_EQ(ended.error->name, "com.microsoft:entity-disabled");
    EXPECT_EQ(error_of(one->send_text(sends, "y")), "com.microsoft:entity-disabled");
    EXPECT_THAT(error_of(one->send(sends, "no sections")), "amqp:decode-error") << "other errors keep theirs";
}

TEST_F(ServerLimitsTest, ASessionThatEndsTakesItsLinksAlongAndNoOthers) {
    put_sessions("s");
    store("s", "1", "a");
    store("q", "1");
    auto one = client();
    const SessionId stays = one->session;
    const LinkId keeps = one->attach(Client::sender_to("q")).link;
    one->session = one->begin();
    one->attach(Client::sender_to("s"));
    const LinkId held = one->attach(Client::session_of("s", std::string("a"))).link;
    const LinkId waits = one->attach(Client::receiver_from("q/$DeadLetterQueue")).link;
    one->node("q/$management");
    one->ask(Client::session_of("s", Null{}, 60'000));  // which is not answered yet
    one->grant(held, 5);
    one->grant(waits, 5);
    one->receive();
    ASSERT_TRUE(until([&] { return server->stats().links == 7; }));
    one->side->end(one->session, std::nullopt);
    one->flush();
    EXPECT_TRUE(one->until([&] { return server->stats().links == 1; }));
    EXPECT_TRUE(one->until([&] { return counts("s").locked == 0; })) << "the session was given back";
    one->session = stays;
    EXPECT_TRUE(std::holds_alternative<Accepted>(one->send_text(keeps, "still")));
}

std::string opening(std::uint32_t window, Duration idle = {}) {
    Open open;
    open.container_id = "by hand";
    if (idle > Duration::zero()) open.idle_timeout_ms = static_cast<std::uint32_t>(idle.count());
    Begin begin;
    begin.incoming_window = window;
    return std::string(kHeader) + frame_of(0, open) + frame_of(0, begin);
}

TEST_F(ServerLimitsTest, ADrainBehindAClosedWindowIsAnsweredBehindWhatWaits) {
    store("q", "1");
    store("q", "2");
    serve();
    Wire wire(loop, server->port());
    Flow drain;
    drain.next_incoming_id = 0;
    drain.handle = 0;
    drain.delivery_count = 0;
    drain.link_credit = 5;
    drain.drain = true;
    wire.write(opening(0) + frame_of(0, Client::receiver_from("q")) + frame_of(0, drain));
    ASSERT_TRUE(until([&] { return server->stats().delivered_total == 2; }));
    loop.settle();
    std::string bytes = wire.take();
    EXPECT_EQ(all_of<Transfer>(bytes).size(), 0U);
    EXPECT_EQ(all_of<Flow>(bytes).size(), 0U) << "the drain is not over";
    Flow window;
    window.next_incoming_id = 0;
    window.incoming_window = 100;
    wire.write(frame_of(0, window));
    EXPECT_TRUE(until([&] {
        bytes += wire.take();
        return !all_of<Flow>(bytes).empty();
    }));
    EXPECT_EQ(all_of<Transfer>(bytes).size(), 2U);
    const Flow answer = all_of<Flow>(bytes).front();
    EXPECT_EQ(answer.delivery_count, 5U);
    EXPECT_EQ(answer.link_credit, 0U);
    EXPECT_TRUE(answer.drain);
}

TEST_F(ServerLimitsTest, HeartbeatsBeginWithTheOpenThatAsksForThem) {
    serve();
    Wire wire(loop, server->port());
    wire.write(opening(100, Duration(100)));
    const std::string heartbeat("\0\0\0\x08\x02\0\0\0", 8);
    std::string bytes;
    EXPECT_TRUE(until([&] {
        bytes += wire.take();
        return bytes.ends_with(heartbeat + heartbeat);
    }));
}

}  // namespace

}  // namespace millrace::amqp::testing
