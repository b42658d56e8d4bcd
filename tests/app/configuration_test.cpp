#include "app/configuration.hpp"
#include "app/configuration_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace millrace::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

std::string only_problem(const std::string& text, const Environment& environment = {}) {
    const auto loaded = parse_configuration(text, "millrace.toml", environment);
    EXPECT_LE(loaded.problems.size(), 1u) << text << testing::PrintToString(loaded.problems);
    return loaded.problems.empty() ? "" : loaded.problems.front();
}

TEST(Configuration, WithoutAFileIsTheEmbeddedDefault) {
    const auto loaded = parse_configuration("", "", {});
    EXPECT_THAT(loaded.problems, IsEmpty());
    EXPECT_EQ(loaded.configuration.server.listen, "127.0.0.1:8080");
    EXPECT_EQ(loaded.configuration.queue.engine, "embedded");
}

TEST(Configuration, EveryMistakeGetsALineThatSaysWhereWhatAndWhatToDo) {
    struct {
        const char* text;
        const char* message;
    } cases[] = {
        {"[server]\nlistne = \"x\"",
         "millrace.toml:2: server.listne: unknown key (did you mean \"listen\"?)"},
        {"[sever]\nlisten = \"x\"", "millrace.toml:1: unknown section [sever] (did you mean \"server\"?)"},
        {"[[queues]]\nname = \"embed-queue\"\nttl_seconds = 60",
         "queues.embed-queue: ttl_seconds would drop accepted documents"},
        {"[[queues]]\nname = \"Index-Queue\"\nrequires_session = true",
         "queues.Index-Queue: documents carry no session ids"},
        {"[[queues]]\nname = \"other\"\n[[queues]]\nname = \"chunk-queue\"\n"
         "forward_dead_letters_to = \"other\"",
         "queues.chunk-queue: documents would leave the pipeline"},
        {"listen = \"x\"", "\"listen\" stands outside a section"},
        {"[server]\nlisten = 8080",
         "millrace.toml:2: server.listen: expected text in quotes (host:port), found the "
         "number 8080"},
        {"[server]\ndrain_seconds = \"60s\"",
         "server.drain_seconds: expected a whole number of seconds, found the text "
         "\"60s\""},
        {"[server]\ndrain_seconds = -1", "must be from 0 to 3600 seconds, found the number -1"},
        {"[server]\ndrain_seconds = [1]", "found a list"},
        {"[server]\nlisten = \"8080\"", "\"8080\" is no address; write host:port, e.g. 127.0.0.1:8080"},
        {"[server]\nlisten = \"0.0.0.0:8080\"", "set server.api_keys_file"},
        {"[server]\nlisten = \"\"", "server.listen: \"\" is no address"},
        {"[server]\namqp_listen = \"0.0.0.0:5672\"",
         "server.amqp_listen: 0.0.0.0:5672 can be reached from other machines, so callers need a key: set "
         "server.access_keys_file"},
        {"[server]\namqp_listen = \"5672\"", "server.amqp_listen: \"5672\" is no address"},
        {"[server]\nhttps_listen = \"8443\"", "server.https_listen: \"8443\" is no address"},
        {"[server]\nhttps_listen = \"[::]:8443\"\ntls_certificate = \"c\"\ntls_key = \"k\"",
         "server.https_listen: [::]:8443 can be reached from other machines"},
        {"[server]\namqps_listen = \"[::]:5671\"\ntls_certificate = \"c\"\ntls_key = \"k\"",
         "server.amqps_listen: [::]:5671 can be reached from other machines"},
        {"[server]\ntls_certificate = \"c\"", "set server.tls_key too"},
        {"[server]\ntls_key = \"k\"", "set server.tls_certificate too"},
        {"[[queues]]\nname = \"a\"\nlock_seconds = 4", "queues.lock_seconds: must be from 5 to 300 seconds"},
        {"[[queues]]\nname = \"a\"\nmax_delivery_count = 0", "must be from 1 to 2000"},
        {"[[queues]]\nname = \"a\"\nduplicate_detection_seconds = 5",
         "must be 0 (off) or from 20 to 604800 seconds"},
        {"[[queues]]\nname = \"a\"\nrequires_session = \"yes\"",
         "expected true or false, found the text \"yes\""},
        {"[[queues]]\nlock_seconds = 60", "millrace.toml:1: queues needs a \"name\""},
        {"[[queues]]\nname = \"a\"\n[[queues]]\nname = \"a\"", "\"a\" is defined twice"},
        {"[queues]\nname = \"a\"", "queues is a list; write [[queues]]"},
        {"[[server]]\nlisten = \"127.0.0.1:1\"", "server is one section; write [server]"},
        {"[queue]\nengine = \"kafka\"", "\"kafka\" is none of the values"},
        {"[queue]\nconnection_string = \"x\"", "write connection_string_file = \"PATH\""},
        {"[queue]\nengine = \"embeded\"", "is none of the values (did you mean \"embedded\"?)"},
        {"[index]\nengine = \"azure-search\"", "\"azure-search\" is not in this version; use \"embedded\""},
        {"[index]\nendpoint = \"https://x\"", "index.endpoint: is not in this version"},
        {"[index]\nkeyword_weight = 2", "must be from 0 to 1"},
        {"[[subscriptions]]\ntopic = \"t\"\nname = \"s\"", "there is no topic \"t\""},
        {"[[workers]]\nqueue = \"q\"\nhandler = \"embed-index\"\ndeployment = \"x\"",
         "there is no deployment \"x\""},
        {"[[deployments]]\nname = \"a\"\nprovider = \"openai\"", "deployments.a: needs a model"},
        {"[[deployments]]\nname = \"a\"\nprovider = \"azure-openai\"\nmodel = \"m\"", "needs the endpoint"},
        {"[[deployments]]\nname = \"a\"\nendpoint = \"http://x\"", "provider \"local\" has no endpoint"},
        {"[server", "millrace.toml:1:"},
        {"[server]\nlisten = \"a\xff\"", "millrace.toml:2:"},
    };
    for (const auto& [text, message] : cases) EXPECT_THAT(only_problem(text), HasSubstr(message)) << text;
}

TEST(Configuration, EveryMistakeAboutTheStoreIsSaid) {
    const std::pair<const char*, const char*> cases[] = {
        {"[store]\nengine = \"postgres\"", "store: where is PostgreSQL? set the variable"},
        {"[store]\nengine = \"postgres\"\nconnection_string = \"host=h\"",
         "write connection_string_file = \"PATH\", or set the variable MILLRACE_STORE__CONNECTION_STRING"},
        {"[store]\nconnection_string_file = \"f\"", "is for engine = \"postgres\""},
        {"[store]\nengine = \"mysql\"", "\"mysql\" is none of the values"},
        {"[store]\nconnections = 1", "store.connections: must be from 2 to 64 connections"},
    };
    for (const auto& [text, message] : cases) EXPECT_THAT(only_problem(text), HasSubstr(message)) << text;
}

TEST(Configuration, TheConnectionStringOfPostgresqlIsCheckedAndNotRepeated) {
    const Environment right = {{"MILLRACE_STORE__ENGINE", "postgres"},
                               {"MILLRACE_STORE__CONNECTION_STRING", "postgresql://u:SECRET@h/d"}};
    const LoadedConfiguration good = parse_configuration("", "", right);
    EXPECT_THAT(good.problems, IsEmpty());
    EXPECT_EQ(good.configuration.store.connection_string, "postgresql://u:SECRET@h/d");
    EXPECT_THAT(print_toml(good.configuration), Not(HasSubstr("SECRET")));
    const Environment wrong = {{"MILLRACE_STORE__ENGINE", "postgres"},
                               {"MILLRACE_STORE__CONNECTION_STRING", "Server=h;Password=SECRET"}};
    const LoadedConfiguration bad = parse_configuration("", "", wrong);
    ASSERT_EQ(bad.problems.size(), 1u);
    EXPECT_THAT(
        bad.problems.front(),
        AllOf(HasSubstr("store.connection_string: this is no connection string"), Not(HasSubstr("SECRET"))));
}

TEST(Configuration, AnAddressThatIsNotServedNeedsNoKey) {
    for (const char* text : {"[server]\namqp_listen = \"\"", "[server]\namqps_listen = \"0.0.0.0:5671\"",
                             "[server]\nhttps_listen = \"0.0.0.0:8443\"",
                             "[server]\namqp_listen = \"0.0.0.0:5672\"\naccess_keys_file = \"keys\""})
        EXPECT_EQ(only_problem(text), "") << text;
}

TEST(Configuration, ASecretInTheFileIsRefusedAndNotRepeated) {
    const std::string problem = only_problem("[[deployments]]\nname = \"a\"\nkey = \"sk-123456\"");
    EXPECT_THAT(problem,
                AllOf(HasSubstr("millrace.toml:3: deployments.key"), HasSubstr("key_file"),
                      HasSubstr("MILLRACE_DEPLOYMENTS__NAME__KEY"), testing::Not(HasSubstr("sk-123456"))));
}

TEST(Configuration, TheEnvironmentOverridesTheFile) {
    const std::string text =
        "[server]\nlisten = \"127.0.0.1:1\"\n[[deployments]]\nname = \"my-model\"\n"
        "provider = \"openai\"\nmodel = \"m\"\n";
    const Environment environment = {{"MILLRACE_SERVER__LISTEN", "127.0.0.1:2"},
                                     {"MILLRACE_SERVER__DRAIN_SECONDS", "7"},
                                     {"MILLRACE_DEPLOYMENTS__MY_MODEL__KEY", "sk-1"},
                                     {"MILLRACE_DEPLOYMENTS__1__NAME", "second"},
                                     {"MILLRACE_WATCH__0__PATH", "/in"},
                                     {"MILLRACE_WATCH__0__RECURSIVE", "false"},
                                     {"MILLRACE_URL", "http://other"},
                                     {"PATH", "/bin"}};
    const auto loaded = parse_configuration(text, "millrace.toml", environment);
    ASSERT_THAT(loaded.problems, IsEmpty());
    const Configuration& got = loaded.configuration;
    EXPECT_EQ(got.server.listen, "127.0.0.1:2");
    EXPECT_EQ(got.server.drain_seconds, 7);
    ASSERT_EQ(got.deployments.size(), 2u);
    EXPECT_EQ(got.deployments[0].key, "sk-1");
    EXPECT_EQ(got.deployments[1].name, "second");
    ASSERT_EQ(got.watch.size(), 1u);
    EXPECT_FALSE(got.watch[0].recursive);
}

TEST(Configuration, WrongVariablesAreNamed) {
    struct {
        const char* name;
        const char* value;
        const char* message;
    } cases[] = {
        {"MILLRACE_SERVER__LISTNE", "x",
         "MILLRACE_SERVER__LISTNE: server.listne: unknown key (did you mean \"listen\"?)"},
        {"MILLRACE_SERVER__DRAIN_SECONDS", "soon",
         "expected a whole number of seconds, found the text \"soon\""},
        {"MILLRACE_DEPLOYMENTS__KEY", "k",
         "\"deployments\" is a list; write MILLRACE_DEPLOYMENTS__NAME__KEY"},
        {"MILLRACE_DEPLOYMENTS__GPT__KEY", "k", "no entry is called \"gpt\""},
        {"MILLRACE_DEPLOYMENTS__5__NAME", "k", "there are 0 entries"},
        {"MILLRACE_SEVER__LISTEN", "k", "unknown section [sever] (did you mean \"server\"?)"},
    };
    for (const auto& [name, value, message] : cases)
        EXPECT_THAT(only_problem("", {{name, value}}), HasSubstr(message)) << name;
}

TEST(Configuration, EntriesBecomeEntityOptions) {
    const auto loaded = parse_configuration(
        "[[queues]]\nname = \"a\"\nlock_seconds = 30\nduplicate_detection_seconds = 60\nttl_seconds = "
        "5\nmax_bytes = 9",
        "millrace.toml", {});
    ASSERT_EQ(loaded.configuration.queues.size(), 1u);
    const auto options = entity_options(loaded.configuration.queues[0]);
    EXPECT_EQ(options.lock_time, std::chrono::seconds(30));
    EXPECT_EQ(options.duplicate_window, std::chrono::seconds(60));
    EXPECT_EQ(options.time_to_live, std::chrono::seconds(5));
    EXPECT_EQ(options.bytes_max, 9u);
    EXPECT_EQ(options.delivery_count_max, 10);
}

constexpr const char* kRules = R"(
[[topics]]
name = "t"
[[subscriptions]]
topic = "t"
name = "s"
rules = [
  { name = "urgent", sql = "priority > 5", action = "SET sys.Label = 'urgent'" },
  { name = "orders", correlation = { subject = "order", to = "", properties = { size = 5, "a b" = true, r = 0.5 } } },
  { name = "all" },
]
)";

TEST(Configuration, SubscriptionsHaveRules) {
    const auto loaded = parse_configuration(kRules, "millrace.toml", {});
    ASSERT_THAT(loaded.problems, IsEmpty());
    const auto& rules = loaded.configuration.subscriptions.at(0).rules;
    ASSERT_TRUE(rules);
    ASSERT_EQ(rules->size(), 3u);
    EXPECT_EQ((*rules)[0].filter, broker::Filter(broker::SqlFilter{"priority > 5"}));
    EXPECT_EQ((*rules)[0].action, "SET sys.Label = 'urgent'");
    broker::CorrelationFilter correlation;
    correlation.subject = "order";
    correlation.to = "";
    correlation.properties = {{"size", std::int64_t{5}}, {"a b", true}, {"r", 0.5}};
    EXPECT_EQ((*rules)[1].filter, broker::Filter(correlation));
    EXPECT_EQ((*rules)[2].filter, broker::Filter(broker::TrueFilter{}));
    const auto printed = parse_configuration(print_toml(loaded.configuration), "printed.toml", {});
    ASSERT_THAT(printed.problems, IsEmpty());
    EXPECT_EQ(printed.configuration.subscriptions.at(0).rules, rules);
}

TEST(Configuration, WithoutRulesASubscriptionKeepsItsOwn) {
    const std::string start = "[[topics]]\nname = \"t\"\n[[subscriptions]]\ntopic = \"t\"\nname = \"s\"\n";
    for (const bool empty : {false, true}) {
        const std::string text = start + (empty ? "rules = []\n" : "");
        const auto loaded = parse_configuration(text, "millrace.toml", {});
        ASSERT_THAT(loaded.problems, IsEmpty());
        EXPECT_EQ(loaded.configuration.subscriptions.at(0).rules.has_value(), empty);
        const auto printed = parse_configuration(print_toml(loaded.configuration), "printed.toml", {});
        EXPECT_EQ(printed.configuration.subscriptions.at(0).rules.has_value(), empty);
    }
}

TEST(Configuration, WrongRulesAreNamed) {
    const std::pair<const char*, const char*> cases[] = {
        {"1", "millrace.toml:6: subscriptions.rules: expected a list of tables"},
        {"[1]", "expected a list of tables"},
        {"{ name = \"a\" }", "expected a list of tables"},
        {"[{ sql = \"1=1\" }]", "each rule needs a name"},
        {"[{ name = 1 }]", "name: expected text in quotes"},
        {"[{ name = \"a\", sql = \"b =\" }]",
         "rule \"a\": its filter: at byte 4: the expression ends too early; docs/topics.md shows"},
        {"[{ name = \"a\", action = \"b\" }]", "its action: at byte 1: expected SET or REMOVE"},
        {"[{ name = \"a\", sq = \"b\" }]", "unknown key \"sq\" (did you mean \"sql\"?)"},
        {"[{ name = \"a\", sql = \"1=1\", correlation = { to = \"x\" } }]", "both sql and correlation"},
        {"[{ name = \"a\", correlation = { } }]", "its correlation filter names nothing"},
        {"[{ name = \"a\", correlation = 1 }]", "correlation: expected a table"},
        {"[{ name = \"a\", correlation = { subjekt = \"x\" } }]",
         "unknown key \"correlation.subjekt\" (did you mean \"subject\"?)"},
        {"[{ name = \"a\", correlation = { properties = { p = [1] } } }]",
         "correlation.properties.p: expected"},
        {"[{ name = \"a\" }, { name = \"A\" }]", "\"A\" is defined twice"},
    };
    for (const auto& [rules, message] : cases) {
        const std::string text =
            "[[topics]]\nname = \"t\"\n[[subscriptions]]\ntopic = \"t\"\nname = "
            "\"s\"\nrules = " +
            std::string(rules) + "\n";
        EXPECT_THAT(only_problem(text, {}), HasSubstr(message)) << rules;
    }
}

TEST(Configuration, WhatIsPrintedReadsBackAsTheSame) {
    const std::string text =
        "[server]\nlisten = \"127.0.0.1:9\"\n[[queues]]\nname = \"say \\\"a\\\"\"\n"
        "[index]\nkeyword_weight = 0.25\n[[watch]]\npath = \"/in\"\n";
    const auto first = parse_configuration(text, "millrace.toml", {});
    const std::string printed = print_toml(first.configuration);
    const auto second = parse_configuration(printed, "printed.toml", {});
    EXPECT_EQ(testing::PrintToString(second.problems), testing::PrintToString(first.problems));
    EXPECT_EQ(print_json(second.configuration), print_json(first.configuration));
}

TEST(Configuration, SecretsAreNeverPrinted) {
    const auto loaded =
        parse_configuration("[[deployments]]\nname = \"a\"", "f", {{"MILLRACE_DEPLOYMENTS__A__KEY", "sk-1"}});
    EXPECT_THAT(print_toml(loaded.configuration), AllOf(HasSubstr("(set)"), testing::Not(HasSubstr("sk-1"))));
    EXPECT_THAT(print_json(loaded.configuration), AllOf(HasSubstr("(set)"), testing::Not(HasSubstr("sk-1"))));
}

TEST(Configuration, TheDocumentationHoldsTheTable) {
    std::ifstream file(MILLRACE_SOURCE_DIR "/docs/configuration.md");
    std::stringstream page;
    page << file.rdbuf();
    EXPECT_NE(page.str().find(print_reference()), std::string::npos)
        << "docs/configuration.md is behind the table of settings; its tables are what this prints:\n"
        << print_reference();
}

TEST(Configuration, AddressesAreHostAndPort) {
    struct {
        const char* text;
        const char* host;
        int port;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1", 8080},
        {"[::1]:1", "::1", 1},
        {"localhost:0", "localhost", 0},
        {"127.0.0.1", nullptr, 0},
        {":80", nullptr, 0},
        {"a:99999", nullptr, 0},
        {"::1:80", nullptr, 0},
        {"a:b", nullptr, 0},
    };
    for (const auto& [text, host, port] : cases) {
        const auto address = parse_address(text);
        ASSERT_EQ(address.has_value(), host != nullptr) << text;
        if (!address) continue;
        EXPECT_EQ(address->host, host);
        EXPECT_EQ(address->port, port);
    }
    EXPECT_TRUE(is_loopback("127.8.9.1"));
    EXPECT_FALSE(is_loopback("0.0.0.0"));
}

class KeyFile : public testing::Test {
  protected:
    std::filesystem::path write(const std::string& text) {
        const auto path = std::filesystem::path(testing::TempDir()) / "millrace_keys";
        std::ofstream(path) << text;
        using std::filesystem::perms;
        std::filesystem::permissions(path, perms::owner_read | perms::owner_write);
        return path;
    }
    std::vector<std::string> warnings_;
};

TEST_F(KeyFile, HoldsOneKeyPerLine) {
    const auto keys = read_api_keys(write("# ours\nalpha\r\n\nbeta  \n"), warnings_);
    ASSERT_TRUE(keys.has_value());
    EXPECT_THAT(*keys, testing::ElementsAre("alpha", "beta"));
    EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(KeyFile, ThatOthersCanReadIsWarnedAbout) {
    const auto path = write("alpha\n");
    std::filesystem::permissions(path, std::filesystem::perms::others_read,
                                 std::filesystem::perm_options::add);
    ASSERT_TRUE(read_api_keys(path, warnings_).has_value());
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_THAT(warnings_[0], HasSubstr("chmod 600"));
}

TEST_F(KeyFile, WithoutAKeyIsAnError) {
    EXPECT_THAT(read_api_keys(write("# none\n"), warnings_).error().detail, HasSubstr("holds no key"));
    EXPECT_THAT(read_api_keys("/nowhere/keys", warnings_).error().detail,
                HasSubstr("can't read /nowhere/keys"));
}

TEST_F(KeyFile, OfAccessKeysNamesItsWrongLine) {
    const auto keys = read_access_keys(write("Root secret Manage\n"), warnings_);
    ASSERT_TRUE(keys.has_value()) << keys.error().detail;
    EXPECT_EQ(keys->keys().size(), 1u);
    EXPECT_THAT(read_access_keys(write("Root secret\n"), warnings_).error().detail,
                AllOf(HasSubstr("server.access_keys_file: "), HasSubstr("line 1: it has 2 words"),
                      testing::Not(HasSubstr("secret"))));
    EXPECT_THAT(read_access_keys(write("\n"), warnings_).error().detail, HasSubstr("holds no key"));
    EXPECT_THAT(warnings_, IsEmpty());
    const auto path = write("Root secret Manage\n");
    std::filesystem::permissions(path, std::filesystem::perms::group_read,
                                 std::filesystem::perm_options::add);
    ASSERT_TRUE(read_access_keys(path, warnings_).has_value());
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_THAT(warnings_[0], HasSubstr("chmod 600"));
}

}  // namespace
}  // namespace millrace::app
