#include "app/emulator_config.hpp"

#include "tests/app/server_fixture.hpp"

#include <fstream>

namespace millrace::app {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

/// As Microsoft documents the file, shortened.
constexpr char kConfig[] = R"({
  // comments are allowed
  "UserConfig": {
    "Namespaces": [{
      "Name": "sbemulatorns",
      "Queues": [{
        "Name": "queue.1",
        "Properties": {
          "DeadLetteringOnMessageExpiration": true, "DefaultMessageTimeToLive": "PT1H",
          "DuplicateDetectionHistoryTimeWindow": "PT20S", "ForwardDeadLetteredMessagesTo": "",
          "ForwardTo": "topic.1", "LockDuration": "PT30S", "MaxDeliveryCount": 3,
          "RequiresDuplicateDetection": true, "RequiresSession": false
        }
      }],
      "Topics": [{
        "Name": "topic.1",
        "Properties": {"DefaultMessageTimeToLive": "PT1H", "RequiresDuplicateDetection": false},
        "Subscriptions": [
          {"Name": "all", "Properties": {"MaxDeliveryCount": 5}},
          {"Name": "some", "Rules": [
            {"Name": "by-fields", "Properties": {"FilterType": "Correlation", "CorrelationFilter": {
              "ContentType": "application/text", "Label": "subject1", "Properties": {"n": 5, "t": "x"}}}},
            {"Name": "by-sql", "Properties": {"FilterType": "Sql",
              "SqlFilter": {"SqlExpression": "color = 'red'"}, "Action": {"SqlExpression": "SET a = 'b'"}}},
          ]},
        ],
      }],
    }],
    "Logging": {"Type": "File"}
  }
})";

TEST(EmulatorConfig, IsReadWithAllThatItSays) {
    const auto config = parse_emulator_config(kConfig);
    ASSERT_TRUE(config) << config.error().detail;
    EXPECT_THAT(config->notices, IsEmpty());
    std::vector<std::string> names;
    for (const EmulatorEntity& entity : config->entities) names.push_back(entity.name);
    EXPECT_THAT(names,
                ElementsAre("queue.1", "topic.1", "topic.1/Subscriptions/all", "topic.1/Subscriptions/some"));
    const broker::EntityOptions& queue = config->entities[0].options;
    EXPECT_EQ(queue.lock_time, 30s);
    EXPECT_EQ(queue.delivery_count_max, 3);
    EXPECT_EQ(queue.time_to_live, 1h);
    EXPECT_EQ(queue.duplicate_window, 20s);
    EXPECT_TRUE(queue.dead_letter_on_expiration);
    EXPECT_EQ(queue.forward_to, "topic.1");
    EXPECT_EQ(config->entities[2].options.delivery_count_max, 5);
    const auto& rules = config->entities[3].rules;
    ASSERT_EQ(rules.size(), 2u);
    const auto& correlation = std::get<broker::CorrelationFilter>(rules[0].filter);
    EXPECT_EQ(correlation.subject, "subject1");
    EXPECT_EQ(correlation.properties.at("n"), broker::Value(std::int64_t(5)));
    EXPECT_EQ(std::get<broker::SqlFilter>(rules[1].filter).expression, "color = 'red'");
    EXPECT_EQ(rules[1].action, "SET a = 'b'");
}

std::string with_queue(const std::string& queue) {
    return R"({"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [)" + queue + "]}]}}";
}
std::string with_rule(const std::string& rule) {
    return R"({"UserConfig": {"Namespaces": [{"Topics": [{"Name": "t", "Subscriptions": [{"Name": "s", "Rules": [)" +
           rule + "]}]}]}]}}";
}

TEST(EmulatorConfig, AMistakeIsNamedInOneLine) {
    struct {
        std::string text;
        const char* says;
    } cases[] = {
        {"", "it is no JSON"},
        {"{\n\"a\": }", "it is no JSON"},
        {std::string(1000, '['), "it is no JSON"},
        {"[]", "Config: an object"},
        {"{}", "there is no UserConfig"},
        {R"({"UserConfig": {"Namespaces": {}}})", "UserConfig.Namespaces: a list"},
        {with_queue("5"), "Queues: an object"},
        {with_queue("{}"), "Queues: an entry has no Name"},
        {with_queue(R"({"Name": "a b"})"), "Queues.a b: "},
        {with_queue(R"({"Name": "q", "Properties": 1})"), "Queues.q.Properties: an object"},
        {with_queue(R"({"Name": "q", "Properties": {"LockDuration": "soon"}})"),
         "Queues.q.Properties.LockDuration: \"soon\" is no duration"},
        {with_queue(R"({"Name": "q", "Properties": {"LockDuration": "PT10M"}})"), "Queues.q: "},
        {with_queue(R"({"Name": "q", "Properties": {"MaxDeliveryCount": 0}})"), "from 1 to 2000"},
        {with_queue(R"({"Name": "q", "Properties": {"RequiresSession": "yes"}})"), "true or false"},
        {with_queue(R"({"Name": "q"}, {"Name": "Q"})"), "Q: is defined twice"},
        {with_rule(R"({"Name": "r", "Properties": {"FilterType": "Regex"}})"),
         "Topics.t.Subscriptions.s.Rules.r.FilterType: \"Regex\" is neither"},
        {with_rule(R"({"Name": "r", "Properties": {"SqlFilter": {"SqlExpression": "a ="}}})"), "Rules.r: "},
        {with_rule(R"({"Name": "r", "Properties": {"CorrelationFilter": {"Properties": {"p": []}}}})"),
         "CorrelationFilter.Properties.p: a text"},
    };
    for (const auto& [text, says] : cases) {
        const auto config = parse_emulator_config(text);
        ASSERT_FALSE(config) << text;
        EXPECT_EQ(config.error().code, Errc::invalid_input);
        EXPECT_THAT(config.error().detail, AllOf(HasSubstr(says), testing::Not(HasSubstr("\n")))) << text;
    }
}

TEST(EmulatorConfig, WhatMeansNothingHereIsTold) {
    const auto config = parse_emulator_config(
        with_queue(R"({"Name": "q", "Properties": {"EnableWarp": true}, "Colour": "red"})"));
    ASSERT_TRUE(config) << config.error().detail;
    EXPECT_THAT(config->notices, ElementsAre(HasSubstr("Queues.q.Properties.EnableWarp means nothing"),
                                             HasSubstr("Queues.q.Colour means nothing")));
}

class EmulatorImport : public ServerTest {
  protected:
    Configuration with_file(const std::string& text) {
        const auto file = directory_.path() / "Config.json";
        std::ofstream(file) << text;
        Configuration configuration = test_configuration(data());
        configuration.queue.emulator_config = file;
        return configuration;
    }
};

TEST_F(EmulatorImport, ItsEntitiesAreThereAfterEveryStart) {
    const Configuration configuration = with_file(kConfig);
    for (int round = 0; round < 2; ++round) {
        start(configuration);
        EXPECT_EQ(get("/v1/queues/queue.1").status, 200);
        const auto rules = fetch(server_->url() + "/topic.1/Subscriptions/some/Rules?api-version=2021-05");
        EXPECT_THAT(rules.body, AllOf(HasSubstr(">by-fields</title>"), HasSubstr(">by-sql</title>"),
                                      testing::Not(HasSubstr("$Default"))));
        stop();
    }
}

TEST_F(EmulatorImport, AQueueOfTheServerIsNotTakenOver) {
    const auto started = try_start(with_file(with_queue(R"({"Name": "Embed-Queue"})")));
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail,
                AllOf(HasSubstr("queue.emulator_config: "), HasSubstr("embed-queue")));
}

TEST_F(EmulatorImport, AFileThatIsNotThereIsNamed) {
    Configuration configuration = test_configuration(data());
    configuration.queue.emulator_config = "/nowhere/Config.json";
    const auto started = try_start(configuration);
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail, HasSubstr("queue.emulator_config: can't read /nowhere/Config.json"));
}

}  // namespace
}  // namespace millrace::app
