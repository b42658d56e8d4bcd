#include "tests/http/api_fixture.hpp"

namespace millrace::http {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kVersion[] = "?api-version=2021-05";

std::string entry(const std::string& description) {
    return "<entry xmlns=\"http://www.w3.org/2005/Atom\"><content type=\"application/xml\">" + description +
           "</content></entry>";
}

AccessKeys keys(const std::string& lines) { return AccessKeys::parse(lines).value(); }

class Administration : public ApiTest {
  protected:
    provider::HttpAnswer put(const std::string& path, const std::string& description,
                             provider::HttpFields headers = {}) {
        return send("PUT", path + kVersion, entry(description), std::move(headers));
    }
    provider::HttpAnswer update(const std::string& path, const std::string& description) {
        return put(path, description, {{"If-Match", "*"}});
    }
    provider::HttpAnswer ask(const std::string& path) { return get(path + kVersion); }
    provider::HttpAnswer remove(const std::string& path) { return send("DELETE", path + kVersion); }

    std::string token(const std::string& audience, const std::string& name, const std::string& key) {
        return make_sas_token(audience, name, key, clock_.now() + std::chrono::hours(1));
    }

    static void expect_refused(const provider::HttpAnswer& answer, int status, const std::string& words) {
        EXPECT_EQ(answer.status, status) << answer.body;
        EXPECT_THAT(provider::find_field(answer.headers, "Content-Type"), HasSubstr("application/xml"));
        EXPECT_THAT(answer.body, HasSubstr("<Error><Code>" + std::to_string(status) +
                                           "</Code><Detail>SubCode=" + std::to_string(status)));
        EXPECT_THAT(answer.body, HasSubstr(words));
        EXPECT_THAT(answer.body, HasSubstr("TrackingId:"));
    }
};

TEST_F(Administration, AQueueIsCreatedReadUpdatedAndRemoved) {
    const auto made = put("/a/b", "<QueueDescription><LockDuration>PT30S</LockDuration></QueueDescription>");
    EXPECT_EQ(made.status, 201) << made.body;
    EXPECT_THAT(made.body, HasSubstr("<title type=\"text\">a/b</title>"));
    EXPECT_THAT(made.body, HasSubstr("/a/b?api-version=2021-05</id>"));
    EXPECT_THAT(made.body, HasSubstr("<LockDuration>PT30S</LockDuration>"));
    expect_refused(put("/A/B", "<QueueDescription/>"), 409, "already exists");
    EXPECT_EQ(
        update("/a/b", "<QueueDescription><MaxDeliveryCount>3</MaxDeliveryCount></QueueDescription>").status,
        200);
    const auto got = ask("/A/b");
    EXPECT_THAT(got.body, HasSubstr("<MaxDeliveryCount>3</MaxDeliveryCount>"));
    EXPECT_THAT(got.body, HasSubstr("<LockDuration>PT1M</LockDuration>")) << "an update says all";
    EXPECT_EQ(remove("/a/b").status, 200);
    expect_refused(ask("/a/b"), 404, "could not be found");
    expect_refused(remove("/a/b"), 404, "could not be found");
    expect_refused(update("/a/b", "<QueueDescription/>"), 404, "could not be found");
}

TEST_F(Administration, WhatIsFixedIsNotUpdated) {
    ASSERT_EQ(put("/q", "<QueueDescription/>").status, 201);
    expect_refused(
        update("/q", "<QueueDescription><RequiresSession>true</RequiresSession></QueueDescription>"), 400,
        "cannot be changed");
    expect_refused(update("/q", "<TopicDescription/>"), 400, "another kind");
    expect_refused(put("/t/Subscriptions/s", "<QueueDescription/>"), 400, "another kind");
    expect_refused(put("/q2", "<SubscriptionDescription/>"), 400, "another kind");
    expect_refused(put("/q2", "text"), 400, "no Atom entry");
}

TEST_F(Administration, QueuesOfWorkersBelongToTheServer) {
    ApiOptions options;
    options.worked_queues = {"embed-queue"};
    restart(std::move(options));
    expect_refused(remove("/Embed-Queue"), 409, "belongs to workers");
    expect_refused(update("/embed-queue", "<QueueDescription/>"), 409, "belongs to workers");
    EXPECT_EQ(ask("/embed-queue").status, 200);
}

TEST_F(Administration, ListsComeInPages) {
    for (const char* name : {"/p/1", "/p/2", "/p/3"}) ASSERT_EQ(put(name, "<QueueDescription/>").status, 201);
    ASSERT_EQ(put("/t", "<TopicDescription/>").status, 201);
    const auto first = get("/$Resources/queues?api-version=2021-05&$skip=2&$top=2");
    EXPECT_THAT(first.body, HasSubstr(">p/1</title>"));
    EXPECT_THAT(first.body, HasSubstr(">p/2</title>"));
    EXPECT_THAT(first.body, Not(HasSubstr(">p/3</title>")));
    EXPECT_THAT(first.body, HasSubstr("rel=\"next\""));
    EXPECT_THAT(first.body, HasSubstr("&amp;$skip=4&amp;$top=2"));
    const auto last = get("/$resources/Queues?api-version=2021-05&%24skip=4&%24top=2");
    EXPECT_THAT(last.body, HasSubstr(">p/3</title>"));
    EXPECT_THAT(last.body, Not(HasSubstr("rel=\"next\"")));
    EXPECT_THAT(ask("/$Resources/topics").body, HasSubstr(">t</title>"));
    EXPECT_THAT(get("/$Resources/queues?api-version=x&$skip=99").body, Not(HasSubstr("<entry")));
    expect_refused(get("/$Resources/queues?api-version=x&$top=0"), 400, "$top");
}

TEST_F(Administration, SubscriptionsBelongToATopic) {
    expect_refused(put("/t/Subscriptions/s", "<SubscriptionDescription/>"), 404, "");
    ASSERT_EQ(put("/t", "<TopicDescription/>").status, 201);
    EXPECT_EQ(put("/t/subscriptions/s", "<SubscriptionDescription/>").status, 201);
    expect_refused(put("/t/Subscriptions/S", "<SubscriptionDescription/>"), 409, "already exists");
    EXPECT_THAT(ask("/t/Subscriptions").body, HasSubstr("/t/Subscriptions/s?api-version"));
    EXPECT_THAT(ask("/t").body, HasSubstr("<SubscriptionCount>1</SubscriptionCount>"));
    expect_refused(ask("/none/Subscriptions"), 404, "could not be found");
    EXPECT_EQ(remove("/t").status, 200);
    expect_refused(ask("/t/Subscriptions/s"), 404, "could not be found");
}

TEST_F(Administration, RulesOfASubscription) {
    ASSERT_EQ(put("/t", "<TopicDescription/>").status, 201);
    ASSERT_EQ(put("/t/Subscriptions/s", "<SubscriptionDescription/>").status, 201);
    const std::string rules = "/t/Subscriptions/s/Rules";
    const std::string red =
        "<RuleDescription xmlns:i=\"x\"><Filter i:type=\"SqlFilter\"><SqlExpression>color='red'"
        "</SqlExpression></Filter></RuleDescription>";
    EXPECT_THAT(ask(rules).body, HasSubstr("/Rules/$Default?"));
    EXPECT_EQ(put(rules + "/red", red).status, 201);
    expect_refused(put(rules + "/RED", red), 409, "");
    EXPECT_THAT(ask(rules + "/red").body, HasSubstr("<SqlExpression>color='red'</SqlExpression>"));
    EXPECT_EQ(update(rules + "/red",
                     "<RuleDescription xmlns:i=\"x\"><Filter i:type=\"FalseFilter\"/>"
                     "</RuleDescription>")
                  .status,
              200);
    EXPECT_THAT(ask(rules + "/red").body, HasSubstr("i:type=\"FalseFilter\""));
    expect_refused(update(rules + "/blue", red), 404, "could not be found");
    expect_refused(put(rules + "/bad", "<QueueDescription/>"), 400, "no RuleDescription");
    EXPECT_EQ(remove(rules + "/red").status, 200);
    expect_refused(remove(rules + "/red"), 404, "could not be found");
    expect_refused(ask("/t/Subscriptions/none/Rules"), 404, "could not be found");
}

TEST_F(Administration, AForwardingTargetMustBeThere) {
    expect_refused(put("/q", "<QueueDescription><ForwardTo>sb://h/none</ForwardTo></QueueDescription>"), 400,
                   "no queue or topic 'none'");
    ASSERT_EQ(put("/t", "<TopicDescription/>").status, 201);
    const auto made = put("/q", "<QueueDescription><ForwardTo>sb://h/t</ForwardTo></QueueDescription>");
    EXPECT_EQ(made.status, 201) << made.body;
    EXPECT_THAT(made.body,
                HasSubstr("<ForwardTo>sb://127.0.0.1:" + std::to_string(server_->port()) + "/t</ForwardTo>"));
}

TEST_F(Administration, TheNamespaceIsThisServer) {
    EXPECT_THAT(ask("/$namespaceinfo").body, HasSubstr("<Name>127.0.0.1</Name>"));
}

TEST_F(Administration, OnlyRequestsWithAVersionAreItsOwn) {
    expect_problem(get("/some-queue"), 404, "there is nothing at");
    EXPECT_EQ(get(std::string("/healthz") + kVersion).status, 200) << "a route of the product comes first";
    const auto posted = send("POST", std::string("/q") + kVersion);
    expect_refused(posted, 405, "GET, PUT, DELETE");
    EXPECT_EQ(provider::find_field(posted.headers, "Allow"), "GET, PUT, DELETE");
    expect_refused(ask("/$Resources/EventHubs"), 404, "names no queue");
}

TEST_F(Administration, WithoutKeysOnlyATokenThatIsNoneIsRefused) {
    const std::string path = std::string("/embed-queue") + kVersion;
    EXPECT_EQ(get(path).status, 200);
    const provider::HttpFields good = {{"Authorization", token("https://h/x", "any", "any")}};
    EXPECT_EQ(send("GET", path, "", good).status, 200);
    expect_refused(send("GET", path, "", {{"Authorization", "SharedAccessSignature sr=x"}}), 401,
                   "is missing");
}

TEST_F(Administration, TheKeyOfATokenNeedsManageForThePath) {
    ApiOptions options;
    options.access_keys = keys("root k1 Manage\napp k2 Send,Listen\nmine k3 Manage orders\n");
    restart(std::move(options));
    ASSERT_TRUE(test::run(io_, broker_->put_entity("orders", {})));
    const auto with = [&](const std::string& path, const std::string& authorization) {
        return send("GET", path + kVersion, "", {{"Authorization", authorization}});
    };
    EXPECT_EQ(with("/orders", token("https://h/", "root", "k1")).status, 200);
    EXPECT_EQ(with("/orders", token("https://h/Orders?api-version=2021-05", "root", "k1")).status, 200);
    EXPECT_EQ(with("/orders", token("https://h/orders", "mine", "k3")).status, 200);
    expect_refused(ask("/orders"), 401, "Send Authorization");
    expect_refused(with("/orders", "Bearer x"), 401, "Send Authorization");
    expect_refused(with("/orders", token("https://h/", "root", "k2")), 401, "signature does not match");
    expect_refused(with("/orders", token("https://h/", "app", "k2")), 401, "lacks the right Manage");
    expect_refused(with("/embed-queue", token("https://h/orders", "root", "k1")), 401, "not good for");
    expect_refused(with("/embed-queue", token("https://h/", "mine", "k3")), 401, "not good for");
    expect_refused(with("/$Resources/queues", token("https://h/orders", "mine", "k3")), 401, "not good for");
    expect_refused(with("/%6Frders2", token("https://h/orders", "root", "k1")), 401, "not good for");
}

TEST_F(Administration, ForwardingNeedsATokenForItsTargetToo) {
    ApiOptions options;
    options.access_keys = keys("root k1 Manage\nmine k3 Manage orders\n");
    restart(std::move(options));
    const std::string forwarding =
        "<QueueDescription><ForwardTo>sb://h/embed-queue</ForwardTo></QueueDescription>";
    const std::string mine = token("https://h/orders", "mine", "k3");
    expect_refused(put("/orders", forwarding, {{"Authorization", mine}}), 401, "may not forward");
    expect_refused(
        put("/orders", forwarding, {{"Authorization", mine}, {"ServiceBusSupplementaryAuthorization", mine}}),
        401, "may not forward");
    const std::string root = token("127.0.0.1:1", "root", "k1");
    EXPECT_EQ(
        put("/orders", forwarding, {{"Authorization", mine}, {"ServiceBusSupplementaryAuthorization", root}})
            .status,
        201);
}

TEST_F(Administration, AnApiKeyIsGoodForAll) {
    ApiOptions options;
    options.api_keys = {"secret"};
    restart(std::move(options));
    const std::string path = std::string("/embed-queue") + kVersion;
    EXPECT_EQ(send("GET", path, "", {{"api-key", "secret"}}).status, 200);
    EXPECT_EQ(send("GET", path, "", {{"Authorization", "Bearer secret"}}).status, 200);
    expect_refused(get(path), 401, "API key");
    const provider::HttpFields any = {{"Authorization", token("https://h/", "any", "any")}};
    expect_refused(send("GET", path, "", any), 401, "API key");
}

}  // namespace
}  // namespace millrace::http
