// The rules of the configuration and those of a broker.
#include "app/configuration_rules.hpp"
#include "tests/broker/engine_fixture.hpp"

namespace millrace::app {
namespace {

using broker::Rule;
using broker::SqlFilter;
using testing::ElementsAre;
using testing::IsEmpty;

class ApplyRules : public broker::test::EmbeddedTest {
  protected:
    ApplyRules() {
        broker::EntityOptions options;
        options.kind = broker::EntityKind::topic;
        under_test.put("t", options);
        options.kind = broker::EntityKind::subscription;
        under_test.put(kPath, options);
    }
    static Rule rule(std::string name, std::string filter) {
        Rule made;
        made.name = std::move(name);
        made.filter = SqlFilter{std::move(filter)};
        return made;
    }
    std::vector<std::string> apply(std::vector<Rule> wanted) {
        const auto applied = loop.await(apply_rules(broker(), kPath, std::move(wanted)));
        EXPECT_TRUE(applied) << applied.error().detail;
        std::vector<std::string> shown;
        for (const Rule& one : broker().rules(kPath).value()) {
            const auto* filter = std::get_if<SqlFilter>(&one.filter);
            shown.push_back(one.name + ": " + (filter == nullptr ? "all" : filter->expression));
        }
        return shown;
    }
    const std::string kPath = "t/Subscriptions/s";
};

TEST_F(ApplyRules, AddsReplacesAndRemovesUntilTheyMatch) {
    EXPECT_THAT(apply({rule("a", "1=1"), rule("b", "1=2")}), ElementsAre("a: 1=1", "b: 1=2"));
    const TimePoint made = now();
    under_test.pass(std::chrono::seconds(1));
    EXPECT_THAT(apply({rule("a", "1=1"), rule("B", "1=3"), rule("c", "1=4")}),
                ElementsAre("a: 1=1", "B: 1=3", "c: 1=4"));
    EXPECT_EQ(broker().rules(kPath).value()[0].created_at, made) << "what matches is left alone";
    EXPECT_THAT(apply({Rule()}), ElementsAre("$Default: all"));
    EXPECT_THAT(apply({}), IsEmpty());
}

}  // namespace
}  // namespace millrace::app
