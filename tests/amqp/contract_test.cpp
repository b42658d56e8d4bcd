// The contract of queue engines, kept by our client against our server, and against RabbitMQ as far as that
// goes: the part that every broker knows.
#include "tests/amqp/live_server.hpp"
#include "tests/amqp/rabbitmq_subject.hpp"
#include "tests/broker/message_source_contract.hpp"

namespace millrace::broker::test {
namespace {

class OverAmqp final : public Subject {
  public:
    OverAmqp() : client_(live_.client()) { live_.loop.be_patient(Duration(5)); }
    ~OverAmqp() override { live_.loop.await(client_->stop()); }

    Loop& loop() override { return live_.loop; }
    MessageSource& source() override { return *client_; }
    Clock& clock() override { return live_.clock; }
    void create(const std::string& name, const EntityOptions& options) override {
        live_.embedded.put(name, options);
    }
    void pass(Duration time) override { live_.pass(time); }

    Abilities abilities() const override {
        return {.numbers_every_send = false,
                .postpones_for_free = false,
                .knows_spelling = false,
                .send_bytes_max = limits::message_bytes_max};
    }

  private:
    amqp::test::LiveServer live_;
    std::unique_ptr<amqp::RemoteQueue> client_;
};

std::unique_ptr<Subject> make_over_amqp() { return std::make_unique<OverAmqp>(); }

std::unique_ptr<Subject> make_over_rabbitmq() { return std::make_unique<OverRabbitMq>(); }

/// Without RabbitMQ where it was not fetched, which RabbitMqTest says.
std::vector<MakeSubject> engines() {
    std::vector<MakeSubject> all{make_over_amqp};
    if (amqp::test::RabbitNode::is_installed()) all.push_back(make_over_rabbitmq);
    return all;
}
std::string name_of(const testing::TestParamInfo<MakeSubject>& engine) {
    return engine.index == 0 ? "OverAmqp" : "OverRabbitMq";
}

INSTANTIATE_TEST_SUITE_P(Amqp, MessageSourceContract, testing::ValuesIn(engines()), name_of);
INSTANTIATE_TEST_SUITE_P(Amqp, SessionContract, testing::ValuesIn(engines()), name_of);
INSTANTIATE_TEST_SUITE_P(Amqp, RoutingContract, testing::ValuesIn(engines()), name_of);

}  // namespace
}  // namespace millrace::broker::test
