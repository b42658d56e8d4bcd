#include "http/admin_entity.hpp"
#include "http/admin_path.hpp"
#include "http/admin_rule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::http {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

TEST(AdminPath, NamesWhatItMeans) {
    struct {
        std::vector<std::string> segments;
        AdminPath path;
        std::string url;
    } cases[] = {
        {{"$namespaceinfo"}, {AdminResource::server, "", "", ""}, "$namespaceinfo"},
        {{"$Resources", "QUEUES"}, {AdminResource::queues, "", "", ""}, "$Resources/queues"},
        {{"$resources", "Topics"}, {AdminResource::topics, "", "", ""}, "$Resources/topics"},
        {{"orders"}, {AdminResource::entity, "orders", "", ""}, "orders"},
        {{"a", "b", ""}, {AdminResource::entity, "a/b", "", ""}, "a/b"},
        {{"a/b c"}, {AdminResource::entity, "a/b c", "", ""}, "a/b%20c"},
        {{"a", "b", "subscriptions"}, {AdminResource::subscriptions, "a/b", "", ""}, "a/b/Subscriptions"},
        {{"t", "Subscriptions", "s"}, {AdminResource::subscription, "t", "s", ""}, "t/Subscriptions/s"},
        {{"t", "Subscriptions", "s", "rules"},
         {AdminResource::rules, "t", "s", ""},
         "t/Subscriptions/s/Rules"},
        {{"t", "Subscriptions", "s", "Rules", "$Default"},
         {AdminResource::rule, "t", "s", "$Default"},
         "t/Subscriptions/s/Rules/$Default"},
    };
    for (const auto& [segments, path, url] : cases) {
        const auto parsed = parse_admin_path(segments);
        ASSERT_TRUE(parsed) << url;
        EXPECT_EQ(*parsed, path) << url;
        EXPECT_EQ(url_path(*parsed), url);
    }
    const std::vector<std::string> nothing[] = {{},
                                                {""},
                                                {"$Resources"},
                                                {"$Resources", "EventHubs"},
                                                {"$other"},
                                                {"t", "Subscriptions", "s", "Other"},
                                                {"t", "Subscriptions", "s", "Rules", "r", "x"}};
    for (const auto& segments : nothing) EXPECT_FALSE(parse_admin_path(segments));
}

TEST(AdminPath, ForwardingTargetsComeAsUrlsOrNames) {
    struct {
        const char* written;
        const char* name;
    } cases[] = {{"sb://host:5671/Orders/Europe", "Orders/Europe"},
                 {"https://host/a%2Fb/?x=1", "a/b"},
                 {"/orders/", "orders"},
                 {"orders", "orders"},
                 {"sb://host", ""},
                 {"", ""},
                 {"a%zz", "a%zz"}};
    for (const auto& [written, name] : cases) EXPECT_EQ(forward_name(written), name) << written;
}

TEST(IsoDuration, IsReadAndWritten) {
    struct {
        const char* text;
        Duration time;
        const char* written;
    } cases[] = {
        {"PT1M", 1min, "PT1M"},
        {"PT60S", 1min, "PT1M"},
        {"P1D", 24h, "P1D"},
        {"PT25H", 25h, "P1DT1H"},
        {"PT0S", 0ms, "PT0S"},
        {"PT0.5S", 500ms, "PT0.5S"},
        {"PT1H0.25S", 3600250ms, "PT1H0.250S"},
        {"P1Y", 365 * 24h, "P365D"},
        {"P1M", 30 * 24h, "P30D"},
        {"P1Y2M3DT4H5M6S", 428 * 24h + 4h + 5min + 6s, "P428DT4H5M6S"},
    };
    for (const auto& [text, time, written] : cases) {
        const auto read = parse_iso_duration(text);
        ASSERT_TRUE(read) << text;
        EXPECT_EQ(*read, time) << text;
        EXPECT_EQ(parse_iso_duration(iso_duration(*read)).value(), time) << written;
    }
    EXPECT_EQ(iso_duration(1min), "PT1M");
    EXPECT_EQ(iso_duration(25h), "P1DT1H");
    EXPECT_EQ(iso_duration(0ms), "PT0S");
}

TEST(IsoDuration, TheLongestOfDotNetIsForEver) {
    const char* longest = "P10675199DT2H48M5.4775807S";
    EXPECT_EQ(iso_duration(std::nullopt), longest);
    for (const char* text : {longest, "P10675199D", "P99999999999999999999D"}) {
        const auto read = parse_iso_duration(text);
        ASSERT_TRUE(read) << text;
        EXPECT_FALSE(read->has_value()) << text;
    }
}

TEST(IsoDuration, OtherTextIsRefused) {
    for (const char* text : {"", "P", "PT", "1M", "PT1", "PT1X", "P1H", "PT1D", "PT-1M", "-PT1M", "PT1S1M",
                             "P1DT", "PTT1M", "PT1e3S", "PTinfS", "PTnanS", "PT1M ", "pt1m", "P1D2H"})
        EXPECT_FALSE(parse_iso_duration(text)) << text;
}

TEST(AdminTime, IsReadWithAndWithoutAZone) {
    const auto time = parse_time("2026-01-02T03:04:05.678Z");
    ASSERT_TRUE(time);
    EXPECT_EQ(to_rfc3339(*time), "2026-01-02T03:04:05.678Z");
    EXPECT_EQ(parse_time("2026-01-02T03:04:05.6784321"), time);
    EXPECT_EQ(parse_time("2026-01-02T05:34:05.678+02:30"), time);
    for (const char* text :
         {"", "2026-01-02", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z", "2026-01-02T25:04:05Z",
          "2026-01-02T03:04:05X", "2026-01-02T03:04:05+0230", "yyyy-01-02T03:04:05Z"})
        EXPECT_FALSE(parse_time(text)) << text;
}

/// An entry around `description`, with the prefixes that Python's client writes if `prefixed`.
std::string entry(const std::string& description) {
    return "<entry xmlns=\"http://www.w3.org/2005/Atom\"><content type=\"application/xml\">" + description +
           "</content></entry>";
}

Result<EntityRequest> read(const std::string& description, const broker::EntityOptions* existing = nullptr) {
    const auto parsed = parse_entry(entry(description));
    if (!parsed) return parsed.error();
    return read_entity(parsed->element, existing);
}

TEST(AdminEntry, WhatIsNoneIsRefusedInOneLine) {
    std::string deep;
    for (int i = 0; i < 30'000; ++i) deep += "<a>";
    for (const std::string& body :
         {std::string(), std::string("<"), std::string("<entry/>"), std::string("text"),
          std::string("<entry><content/></entry>"), std::string("<feed/>"),
          std::string("<entry>\xff</entry>"), deep, std::string(300'000, ' '),
          std::string("<!DOCTYPE a [<!ENTITY b \"c\">]><entry>&b;</entry>")}) {
        const auto parsed = parse_entry(body);
        ASSERT_FALSE(parsed) << body.substr(0, 50);
        EXPECT_EQ(parsed.error().detail.find('\n'), std::string::npos);
    }
}

TEST(AdminEntity, NotNamedOptionsHaveTheDefaultsOfTheService) {
    const auto queue = read("<QueueDescription/>");
    ASSERT_TRUE(queue) << queue.error().detail;
    broker::EntityOptions expected;
    expected.bytes_max = 1024 * limits::kMiB;
    EXPECT_EQ(queue->options.bytes_max, expected.bytes_max);
    EXPECT_EQ(queue->options.lock_time, expected.lock_time);
    EXPECT_FALSE(queue->options.duplicate_window);
    EXPECT_EQ(read("<SubscriptionDescription/>")->options.bytes_max, 0u);
    EXPECT_EQ(read("<TopicDescription/>")->options.kind, broker::EntityKind::topic);
    const auto detecting = read(
        "<TopicDescription><RequiresDuplicateDetection>true</RequiresDuplicateDetection>"
        "</TopicDescription>");
    EXPECT_EQ(detecting->options.duplicate_window, 10min);
}

TEST(AdminEntity, WhatIsWrittenReadsBackAsTheSame) {
    broker::EntityCounts counts;
    counts.name = "orders";
    broker::EntityOptions& options = counts.options;
    options.lock_time = 45s;
    options.delivery_count_max = 7;
    options.requires_session = true;
    options.duplicate_window = 2min;
    options.time_to_live = 51h;
    options.dead_letter_on_expiration = true;
    options.bytes_max = 3 * limits::kMiB + 1;
    options.forward_to = "Other/Queue";
    options.forward_dead_letters_to = "graveyard";
    options.status = broker::EntityStatus::receive_disabled;
    options.delete_on_idle = 1h;
    options.user_metadata = "<&>\" \t'ü";
    for (const auto kind :
         {broker::EntityKind::queue, broker::EntityKind::topic, broker::EntityKind::subscription}) {
        options.kind = kind;
        const auto again = read(entity_xml(counts, "host:8443", 3, limits::message_bytes_max), &options);
        ASSERT_TRUE(again) << again.error().detail;
        const broker::EntityOptions& got = again->options;
        const bool topic = kind == broker::EntityKind::topic;
        EXPECT_EQ(got.kind, kind);
        EXPECT_EQ(got.time_to_live, options.time_to_live);
        EXPECT_EQ(got.status, options.status);
        EXPECT_EQ(got.delete_on_idle, options.delete_on_idle);
        EXPECT_EQ(got.user_metadata, options.user_metadata);
        if (kind != broker::EntityKind::subscription) {
            EXPECT_EQ(got.bytes_max, options.bytes_max);
            EXPECT_EQ(got.duplicate_window, options.duplicate_window);
        }
        EXPECT_EQ(got.lock_time, topic ? limits::lock_time_default : options.lock_time);
        EXPECT_EQ(got.forward_to, topic ? "" : options.forward_to);
        EXPECT_EQ(got.forward_dead_letters_to, topic ? "" : options.forward_dead_letters_to);
        EXPECT_EQ(got.delivery_count_max, topic ? 10 : 7);
    }
}

TEST(AdminEntity, AQueueWithoutAQuotaKeepsNone) {
    broker::EntityCounts counts;
    const std::string written = entity_xml(counts, "host", 0, limits::message_bytes_max);
    EXPECT_THAT(written, HasSubstr("<MaxSizeInMegabytes>2147483647</MaxSizeInMegabytes>"));
    EXPECT_EQ(read(written)->options.bytes_max, 0u);
}

TEST(AdminEntity, ElementsComeInTheOrderOfTheService) {
    broker::EntityCounts counts;
    counts.options.forward_to = "x";
    counts.options.user_metadata = "m";
    const std::string xml = entity_xml(counts, "host", 0, limits::message_bytes_max);
    std::size_t at = 0;
    for (const char* name : {"LockDuration",
                             "MaxSizeInMegabytes",
                             "RequiresDuplicateDetection",
                             "RequiresSession",
                             "DefaultMessageTimeToLive",
                             "DeadLetteringOnMessageExpiration",
                             "DuplicateDetectionHistoryTimeWindow",
                             "MaxDeliveryCount",
                             "EnableBatchedOperations",
                             "SizeInBytes",
                             "MessageCount",
                             "AuthorizationRules",
                             "Status",
                             "ForwardTo",
                             "UserMetadata",
                             "CreatedAt",
                             "UpdatedAt",
                             "AccessedAt",
                             "SupportOrdering",
                             "CountDetails",
                             "AutoDeleteOnIdle",
                             "EnablePartitioning",
                             "EntityAvailabilityStatus",
                             "EnableExpress"}) {
        const auto found = xml.find("<" + std::string(name), at);
        ASSERT_NE(found, std::string::npos) << name << " is missing or too early";
        at = found;
    }
    EXPECT_THAT(xml, HasSubstr("<ForwardTo>sb://host/x</ForwardTo>"));
}

TEST(AdminEntity, MessagesAreCountedAsTheServiceDoes) {
    broker::EntityCounts counts;
    counts.active = 1, counts.locked = 2, counts.deferred = 4, counts.scheduled = 8,
    counts.dead_lettered = 16;
    const std::string xml = entity_xml(counts, "host", 0, limits::message_bytes_max);
    EXPECT_THAT(xml, HasSubstr("<MessageCount>31</MessageCount>"));
    EXPECT_THAT(xml, HasSubstr("<d2p1:ActiveMessageCount>7</d2p1:ActiveMessageCount>"));
    EXPECT_THAT(xml, HasSubstr("<d2p1:ScheduledMessageCount>8</d2p1:ScheduledMessageCount>"));
    EXPECT_THAT(xml, HasSubstr("<d2p1:DeadLetterMessageCount>16</d2p1:DeadLetterMessageCount>"));
}

TEST(AdminEntity, NamespacePrefixesAreTheClientsChoice) {
    const auto parsed = parse_entry(
        "<ns0:entry xmlns:ns0=\"http://www.w3.org/2005/Atom\"><ns0:content type=\"application/xml\">"
        "<ns1:QueueDescription xmlns:ns1=\"x\"><ns1:LockDuration>PT30S</ns1:LockDuration>"
        "</ns1:QueueDescription></ns0:content></ns0:entry>");
    ASSERT_TRUE(parsed) << parsed.error().detail;
    EXPECT_EQ(read_entity(parsed->element, nullptr)->options.lock_time, 30s);
}

TEST(AdminEntity, WhatThisServerDoesNotDoIsRefusedAndNamed) {
    struct {
        const char* element;
        const char* says;
    } cases[] = {
        {"<EnablePartitioning>true</EnablePartitioning>", "EnablePartitioning: entities are not partitioned"},
        {"<EnableExpress>True</EnableExpress>", "EnableExpress: every message is stored"},
        {"<IsAnonymousAccessible>1</IsAnonymousAccessible>", "IsAnonymousAccessible: "},
        {"<AuthorizationRules><AuthorizationRule/></AuthorizationRules>", "access_keys_file"},
        {"<MaxMessageSizeInKilobytes>102401</MaxMessageSizeInKilobytes>", "from 1 to 102400"},
        {"<Novelty>on</Novelty>", "Novelty: this server knows no such option"},
        {"<DeadLetteringOnFilterEvaluationExceptions>true</DeadLetteringOnFilterEvaluationExceptions>",
         "DeadLetteringOnFilterEvaluationExceptions: this server knows no such option of it"},
        {"<LockDuration>soon</LockDuration>", "LockDuration: \"soon\" is no duration"},
        {"<LockDuration>P10675199DT2H48M5.4775807S</LockDuration>", "LockDuration: a lock ends"},
        {"<RequiresSession>maybe</RequiresSession>", "RequiresSession: \"maybe\" is neither"},
        {"<MaxDeliveryCount>0</MaxDeliveryCount>", "MaxDeliveryCount: \"0\" is no whole number"},
        {"<MaxSizeInMegabytes>-1</MaxSizeInMegabytes>", "MaxSizeInMegabytes: "},
        {"<Status>Asleep</Status>", "Status: \"Asleep\" is none of"},
    };
    for (const auto& [element, says] : cases) {
        const auto asked = read("<QueueDescription>" + std::string(element) + "</QueueDescription>");
        ASSERT_FALSE(asked) << element;
        EXPECT_THAT(asked.error().detail, HasSubstr(says));
    }
    EXPECT_FALSE(read("<EventHubDescription/>"));
    EXPECT_TRUE(
        read("<QueueDescription><EnablePartitioning>false</EnablePartitioning><Novelty/>"
             "<Other>false</Other><SupportOrdering>true</SupportOrdering></QueueDescription>"));
}

TEST(AdminEntity, AnUpdateKeepsFixedOptionsThatItDoesNotName) {
    broker::EntityOptions existing;
    existing.requires_session = true;
    existing.duplicate_window = 3min;
    const auto asked = read("<QueueDescription/>", &existing);
    EXPECT_TRUE(asked->options.requires_session);
    EXPECT_EQ(asked->options.duplicate_window, 3min);
    const auto off =
        read("<QueueDescription><RequiresSession>false</RequiresSession></QueueDescription>", &existing);
    EXPECT_FALSE(off->options.requires_session) << "for the broker to refuse";
}

Result<broker::Rule> rule(const std::string& inside) {
    const auto parsed = parse_entry(entry("<RuleDescription xmlns:i=\"x\">" + inside + "</RuleDescription>"));
    if (!parsed) return parsed.error();
    return read_rule(parsed->element, "otherwise");
}

TEST(AdminRule, WhatIsWrittenReadsBackAsTheSame) {
    broker::CorrelationFilter correlation;
    correlation.subject = "a<b";
    correlation.session_id = "s";
    correlation.properties = {{"text", std::string("t&")},
                              {"flag", true},
                              {"int", std::int64_t(-5)},
                              {"long", std::int64_t(1) << 40},
                              {"real", 2.5},
                              {"when", from_millis(1'767'323'045'678)},
                              {"id", random_uuid()}};
    const broker::Filter filters[] = {broker::TrueFilter{}, broker::FalseFilter{},
                                      broker::SqlFilter{"a > 5 AND b <> 'x'"}, correlation};
    for (const broker::Filter& filter : filters)
        for (const char* action : {"", "SET a = '<'"}) {
            broker::Rule one{"name", filter, action, {}};
            const auto parsed = parse_entry(entry(rule_xml(one)));
            ASSERT_TRUE(parsed) << parsed.error().detail;
            const auto again = read_rule(parsed->element, "x");
            ASSERT_TRUE(again) << again.error().detail;
            EXPECT_TRUE(*again == one) << rule_xml(one);
        }
}

TEST(AdminRule, TypesAreWrittenAsTheServiceDoes) {
    broker::CorrelationFilter filter;
    filter.properties = {{"n", broker::Encoded{std::string("\x54\x05", 2)}}};
    EXPECT_THAT(
        rule_xml({"r", filter, "", {}}),
        HasSubstr("<Value i:type=\"d6p1:int\" xmlns:d6p1=\"http://www.w3.org/2001/XMLSchema\">5</Value>"));
    filter.properties = {{"b", broker::Encoded{std::string("\xa0\x01x", 3)}}};
    EXPECT_THAT(rule_xml({"r", filter, "", {}}), HasSubstr("d6p1:base64Binary"));
}

TEST(AdminRule, WithoutANameOrFilterHasTheOneGiven) {
    const auto read = rule("");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, "otherwise");
    EXPECT_TRUE(std::holds_alternative<broker::TrueFilter>(read->filter));
}

TEST(AdminRule, WhatIsNotKnownIsRefusedAndNamed) {
    const std::string pair = "<KeyValueOfstringanyType><Key>k</Key><Value i:type=\"d:";
    const std::string end = "</Value></KeyValueOfstringanyType>";
    struct {
        std::string inside;
        const char* says;
    } cases[] = {
        {"<Filter i:type=\"Regex\"/>", "not \"Regex\""},
        {"<Filter/>", "a Filter has the type"},
        {"<Action i:type=\"Script\"/>", "not \"Script\""},
        {"<Filter i:type=\"SqlFilter\"><SqlExpression>a=@b</SqlExpression><Parameters>" + pair + "int\">1" +
             end + "</Parameters></Filter>",
         "SQL parameters are not supported"},
        {"<Filter i:type=\"CorrelationFilter\"><Properties>" + pair + "int\">x" + end +
             "</Properties></Filter>",
         "\"x\" is no int"},
        {"<Filter i:type=\"CorrelationFilter\"><Properties>" + pair + "duration\">x" + end +
             "</Properties></Filter>",
         "has the type \"duration\""},
        {"<Filter i:type=\"CorrelationFilter\"><Properties>" + pair + "int\">1" + end + pair + "int\">2" +
             end + "</Properties></Filter>",
         "comes twice"},
        {"<Filter i:type=\"CorrelationFilter\"><Properties><KeyValueOfstringanyType/></Properties></Filter>",
         "no Key"},
    };
    for (const auto& [inside, says] : cases) {
        const auto read = rule(inside);
        ASSERT_FALSE(read) << inside;
        EXPECT_THAT(read.error().detail, HasSubstr(says));
    }
}

TEST(AdminXml, TextNeverBreaksOutOfItsElement) {
    XmlWriter xml;
    xml.open("a", {{"b", "\"<&\n"}});
    xml.element("c", std::string("</a>]]>\x01\0", 9));
    xml.close();
    const std::string text = xml.take();
    EXPECT_EQ(text,
              "<a b=\"&quot;&lt;&amp;&#10;\"><c>&lt;/a&gt;]]&gt;?"
              "?</c></a>");
    EXPECT_EQ(error_xml(404, "no <x>"), "<Error><Code>404</Code><Detail>no &lt;x&gt;</Detail></Error>");
}

}  // namespace
}  // namespace millrace::http
