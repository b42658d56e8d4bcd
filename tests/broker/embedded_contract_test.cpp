#include "tests/broker/message_source_contract.hpp"

namespace millrace::broker::test {
namespace {

class Embedded final : public Subject {
  public:
    explicit Embedded(Broker::Options options) : broker_(options) {}
    Loop& loop() override { return broker_.loop; }
    MessageSource& source() override { return *broker_.broker; }
    Clock& clock() override { return broker_.clock; }
    void create(const std::string& name, const EntityOptions& options) override {
        broker_.put(name, options);
    }
    void pass(Duration time) override { broker_.pass(time); }

  private:
    EmbeddedBroker broker_;
};

std::unique_ptr<Subject> make_embedded() { return std::make_unique<Embedded>(Broker::Options{}); }

std::unique_ptr<Subject> make_strict() { return std::make_unique<Embedded>(Broker::Options{true}); }

const auto engines = testing::Values(make_embedded, make_strict);
std::string name_of(const testing::TestParamInfo<MakeSubject>& engine) {
    return engine.index == 0 ? "Plain" : "Strict";
}

INSTANTIATE_TEST_SUITE_P(Embedded, MessageSourceContract, engines, name_of);
INSTANTIATE_TEST_SUITE_P(Embedded, SessionContract, engines, name_of);
INSTANTIATE_TEST_SUITE_P(Embedded, RoutingContract, engines, name_of);

}  // namespace
}  // namespace millrace::broker::test
