// Outcomes that are stored only when the one who told them has gone.
#include "tests/amqp/server_fixture.hpp"

#include <future>

namespace millrace::amqp::testing {

namespace {

struct Outcome {
    const char* name;
    DeliveryState state;
};
void PrintTo(const Outcome& outcome, std::ostream* out) { *out << outcome.name; }

/// Abandoned with another property: that is stored, unlike a mere release.
Modified changed() {
    Modified modified;
    modified.annotations.set("seen", true);
    return modified;
}

/// A message is settled while the writer of the database stands still.
class LateSettlementTest : public ServerTest, public ::testing::WithParamInterface<Outcome> {
  protected:
    LateSettlementTest() {
        put("q");
        store("q", "a");
        one = client();
        link = one->attach(Client::receiver_from("q")).link;
        one->grant(link, 1);
        const auto delivery = one->next<event::Arrived>().delivery.id;
        auto wait = [opened = gate_.get_future().share()](store::Connection&) {
            opened.wait();
            return true;
        };
        held_ = loop.begin(embedded.database->write(std::move(wait)));
        one->side->tell(link, delivery, GetParam().state, false);
        one->flush();
        EXPECT_TRUE(until([&] { return server->stats().work_bytes > 0; }));
    }
    ~LateSettlementTest() override {
        if (held_) let_go();
    }
    void let_go() {
        gate_.set_value();
        EXPECT_TRUE(loop.finish(*held_));
        held_.reset();
        EXPECT_TRUE(until([&] { return server->stats().work_bytes == 0; }));
    }
    void expect_settled() {
        const broker::EntityCounts now = counts("q");
        EXPECT_EQ(now.locked, 0U);
        EXPECT_EQ(now.completed_total + now.dead_lettered + now.active + now.deferred, 1U);
        EXPECT_EQ(now.active, GetParam().name == std::string("abandoned") ? 1U : 0U);
    }
    /// The connection serves on and got no answer that belongs to nothing.
    void expect_no_answer() {
        put("other");
        store("other", "b");
        const LinkId next = one->attach(Client::receiver_from("other")).link;
        one->grant(next, 1);
        EXPECT_EQ(one->receive().message.body, "b");
        EXPECT_EQ(one->side.count<event::StateChanged>(), 0U);
        EXPECT_FALSE(one->side->closed());
    }

    std::unique_ptr<Client> one;
    LinkId link = 0;

  private:
    std::promise<void> gate_;
    std::optional<broker::test::Loop::Pending<bool>> held_;
};

TEST_P(LateSettlementTest, IsStoredThoughItsLinkHasEnded) {
    one->detach(link);
    EXPECT_EQ(server->stats().links, 0U);
    let_go();
    expect_settled();
    expect_no_answer();
}

TEST_P(LateSettlementTest, IsNoAnswerForALinkThatTookTheNameAndHandleOfItsOwn) {
    one->detach(link);
    const Attached again = one->attach(Client::receiver_from("q"));
    EXPECT_FALSE(again.refused);
    let_go();
    expect_settled();
    expect_no_answer();
}

TEST_P(LateSettlementTest, IsStoredThoughItsSessionHasEnded) {
    one->side->end(one->session, std::nullopt);
    one->flush();
    one->next<event::SessionEnded>();
    one->session = one->begin();
    let_go();
    expect_settled();
    expect_no_answer();
}

TEST_P(LateSettlementTest, IsStoredThoughItsConnectionWasCut) {
    one->wire.cut();
    EXPECT_TRUE(until([&] { return server->stats().connections == 0; }));
    let_go();
    expect_settled();
    one = client();
    expect_no_answer();
}

INSTANTIATE_TEST_SUITE_P(OfEveryKind, LateSettlementTest,
                         ::testing::Values(Outcome{"accepted", Accepted{}}, Outcome{"abandoned", changed()},
                                           Outcome{"rejected", Rejected{}},
                                           Outcome{"deferred", Modified{.undeliverable_here = true}}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace

}  // namespace millrace::amqp::testing
