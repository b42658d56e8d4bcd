#include "base/sas.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

// The tokens were made with hmac of Python's standard library.
constexpr char kKey[] = "c2VjcmV0LWtleS1mb3ItdGVzdHMtMDEyMzQ1Njc4OWFiY2RlZg==";
constexpr char kJavaScript[] =
    "SharedAccessSignature sr=sb%3A%2F%2F127.0.0.1%3A5701%2Forders"
    "&sig=dnRRCpAs9WR%2BCd1Km2CWu26Ifk02lPGSSrmfzvKfMvY%3D&se=1800003600&skn=Root";
constexpr char kManagement[] =
    "SharedAccessSignature sig=gu3wxaehcMVtufJ9VDSxWgfVAAH1W%2BhGCSxXwYd4lSs%3D&se=1800003600&skn=Root"
    "&sr=sb%3A%2F%2F127.0.0.1%3A5701%2Forders%2F%24management";
constexpr char kLowerCaseHex[] =
    "SharedAccessSignature sr=sb%3a%2f%2fns.servicebus.windows.net%2forders%2f"
    "&sig=aCIud9wEg%2FqF3gUxA0rWIUHuT43U20P0tFbUA%2BM%2FQsM%3D&se=1800003600&skn=Root";
constexpr char kSubscription[] =
    "SharedAccessSignature sr=amqps%3A%2F%2Fns.servicebus.windows.net%2Forders%2FSubscriptions%2Fall"
    "&se=1800003600&sig=n2okLYbhT1BMs1j%2BbZUp3YOk%2F4v0E15AJwA8m702MNY%3D&skn=Root";
constexpr char kAdministration[] =
    "SharedAccessSignature sig=i5CCa6BtlfMwRpVJ6hcA7xC%2F%2ByoHfD0u9wb%2FImj6LdA%3D&se=1800003600&skn=Root"
    "&sr=https%3a%2f%2f127.0.0.1%3a8443%2forders%3fapi-version%3d2021-05";
constexpr char kEncodedTwice[] =
    "SharedAccessSignature sr=sb%3A%2F%2F127.0.0.1%2Fcosts%252Feurope"
    "&sig=Zcz2JyJQFCR%2BNbVab%2Bna7mMeqgex5QWdR8ZBVC6gR%2B4%3D&se=1800003600&skn=Root";
constexpr char kEverything[] =
    "SharedAccessSignature sr=http%3A%2F%2F127.0.0.1%2F"
    "&sig=BmgfGLSsQZJZ87RCnGg2d%2BD9BRFmOE3h5Q6prw%2FOhjA%3D&se=1800003600&skn=Root";
constexpr char kUtf8Key[] =
    "SharedAccessSignature sr=http%3A%2F%2F127.0.0.1%2Forders"
    "&sig=RCxqzlj2G83QEJ%2BEpZ0y6ityAJn2k2rBmp1uLL%2BTreI%3D&se=1800003600&skn=M%C3%BChle";

constexpr TimePoint kExpiry = from_millis(1'800'003'600'000);
constexpr TimePoint kNow = kExpiry - std::chrono::hours(1);

AccessKeys keys(std::string_view lines) { return AccessKeys::parse(lines).value(); }
std::string root_line(std::string_view rights) {
    return std::string("Root ").append(kKey).append(" ").append(rights).append("\n");
}
AccessKeys root_key() { return keys(root_line("Manage")); }

std::string replaced(std::string text, std::string_view old, std::string_view with) {
    const auto at = text.find(old);
    EXPECT_NE(at, std::string::npos) << old;
    return text.replace(at, old.size(), with);
}

TEST(SharedAccessSignature, TokensOfEveryClientLibraryAreVerifiedOverTheirOwnSpelling) {
    struct {
        std::string_view token, path;
    } cases[] = {
        {kJavaScript, "orders"},     {kManagement, "orders"},
        {kLowerCaseHex, "orders"},   {kSubscription, "orders/subscriptions/all"},
        {kAdministration, "orders"}, {kEncodedTwice, "costs/europe"},
        {kEverything, ""},
    };
    for (const auto& [token, path] : cases) {
        const auto grant = root_key().verify(token, kNow);
        ASSERT_TRUE(grant) << token << ": " << grant.error().detail;
        EXPECT_EQ(grant->path, path);
        EXPECT_EQ(grant->key_name, "Root");
        EXPECT_EQ(grant->expires_at, kExpiry);
        EXPECT_TRUE(grant->rights.send && grant->rights.listen && grant->rights.manage);
    }
    const auto grant = keys("Mühle schlüssel Listen").verify(kUtf8Key, kNow);
    ASSERT_TRUE(grant) << grant.error().detail;
    EXPECT_EQ(grant->rights, Rights{.listen = true});
}

TEST(SharedAccessSignature, TheProductsOwnTokenIsWhatAClientWouldMake) {
    const std::string made = make_sas_token("sb://127.0.0.1:5701/orders", "Root", kKey, kExpiry);
    EXPECT_EQ(made, kJavaScript);
    EXPECT_EQ(make_sas_token("http://127.0.0.1/orders", "Mühle", "schlüssel", kExpiry), kUtf8Key);
}

TEST(SharedAccessSignature, ATokenForABareHostIsGoodForEverythingThere) {
    struct {
        std::string_view audience, path;
    } cases[] = {
        {"127.0.0.1:8443", ""},     {"[::1]:8443/a/b", "a/b"},        {"ns.example:443/orders", "orders"},
        {"orders", "orders"},       {"orders/a.b", "orders/a.b"},     {"orders.new", "orders.new"},
        {"localhost", "localhost"}, {"Orders.New/1", "orders.new/1"},
    };
    for (const auto& [audience, path] : cases) {
        const auto grant = root_key().verify(make_sas_token(audience, "Root", kKey, kExpiry), kNow);
        ASSERT_TRUE(grant) << audience << ": " << grant.error().detail;
        EXPECT_EQ(grant->path, path) << audience;
    }
}

TEST(SharedAccessSignature, ABareHostWithoutAPortIsOneOnlyForWhoSaysSo) {
    const auto path = [](std::string_view audience, std::string_view host) {
        return root_key().verify(make_sas_token(audience, "Root", kKey, kExpiry), kNow, host)->path;
    };
    EXPECT_EQ(path("ns.example", "NS.example"), "");
    EXPECT_EQ(path("ns.example/orders", "ns.example"), "orders");
    EXPECT_EQ(path("ns.example", "other.example"), "ns.example");
    EXPECT_EQ(path("ns.example", ""), "ns.example");
}

TEST(SharedAccessSignature, WhatIsNoValidTokenIsRefusedWithoutTellingSecrets) {
    const std::string good = kJavaScript;
    struct {
        std::string token, says;
    } cases[] = {
        {"", "does not begin so"},
        {"Bearer x", "does not begin so"},
        {"SharedAccessSignature", "does not begin so"},
        {"SharedAccessSignature sr=a", "is missing"},
        {"SharedAccessSignature sr=a&sig", "has no value"},
        {good + "&se=1", "comes twice"},
        {good + std::string(9000, 'x'), "8 KiB"},
        {replaced(good, "se=1800003600", "se=18e8"), "seconds"},
        {replaced(good, "se=1800003600", "se=-1"), "seconds"},
        {replaced(good, "se=1800003600", "se=99999999999999999999"), "seconds"},
        {replaced(good, "se=1800003600", "se=1800003601"), "signature does not match"},
        {replaced(good, "orders", "orderz"), "signature does not match"},
        {replaced(good, "sig=dn", "sig=dN"), "signature does not match"},
        {replaced(good, "%3D&se", "&se"), "signature does not match"},
        {replaced(good, "skn=Root", "skn=Ro%0Aot"), "named \"Ro?ot\""},
    };
    for (const auto& [token, says] : cases) {
        const auto grant = root_key().verify(token, kNow);
        ASSERT_FALSE(grant) << token;
        EXPECT_EQ(grant.error().code, Errc::invalid_input);
        EXPECT_NE(grant.error().detail.find(says), std::string::npos) << grant.error().detail;
        EXPECT_EQ(grant.error().detail.find(kKey), std::string::npos);
        EXPECT_EQ(grant.error().detail.find('\n'), std::string::npos);
    }
}

TEST(SharedAccessSignature, ATokenIsGoodUntilItExpires) {
    EXPECT_TRUE(root_key().verify(kJavaScript, kExpiry - Duration(1)));
    const auto late = root_key().verify(kJavaScript, kExpiry);
    ASSERT_FALSE(late);
    EXPECT_NE(late.error().detail.find("expired"), std::string::npos);
}

TEST(SharedAccessSignature, AGrantCoversItsPathAndWhatIsBelow) {
    struct {
        std::string_view path, entity;
        bool covered;
    } cases[] = {
        {"", "anything", true},
        {"orders", "orders", true},
        {"orders", "/Orders/", true},
        {"orders", "amqps://host:5671/ORDERS", true},
        {"orders", "orders/$management", true},
        {"orders", "orders/$DeadLetterQueue/$management", true},
        {"orders", "orders/Subscriptions/all/Rules/$Default", true},
        {"orders", "orders2", false},
        {"orders", "order", false},
        {"orders", "", false},
        {"orders/subscriptions/all", "orders", false},
        {"orders/subscriptions/all", "orders/subscriptions/all/$management", true},
    };
    for (const auto& [path, entity, covered] : cases) {
        const Grant grant{.key_name = "k", .rights = {}, .path = std::string(path)};
        EXPECT_EQ(grant.covers(entity), covered) << path << " / " << entity;
    }
}

TEST(SharedAccessSignature, AudiencesAreReducedToTheirPath) {
    struct {
        std::string_view audience, path;
    } cases[] = {
        {"sb://host", ""},
        {"sb://host/", ""},
        {"sb://host:5671//Orders//", "orders"},
        {"https://host/a/b?api-version=2021-05#x", "a/b"},
        {"sb://host/orders/$Management/", "orders"},
        {"sb://host/$management", ""},
        {"orders%2Feurope", "orders/europe"},
        {"100%", "100%"},
        {"%4", "%4"},
        {"%zz", "%zz"},
        {"", ""},
        {"/", ""},
        {"://", ""},
    };
    for (const auto& [audience, path] : cases) EXPECT_EQ(audience_path(audience), path) << audience;
}

TEST(AccessKeys, AKeyOfOneEntityGrantsNoMoreThanThatEntity) {
    const AccessKeys one = keys(root_line("Send Orders"));
    const auto wide = one.verify(kEverything, kNow);
    ASSERT_TRUE(wide) << wide.error().detail;
    EXPECT_EQ(wide->path, "orders");
    EXPECT_EQ(wide->rights, Rights{.send = true});
    const auto narrow = one.verify(kSubscription, kNow);
    ASSERT_TRUE(narrow);
    EXPECT_EQ(narrow->path, "orders/subscriptions/all");
    const auto other = one.verify(kEncodedTwice, kNow);
    ASSERT_FALSE(other);
    EXPECT_NE(other.error().detail.find("not good for"), std::string::npos);
}

TEST(AccessKeys, ANameMayHaveAnOldAndANewKey) {
    const AccessKeys both = keys("Root another-key Send\n" + root_line("Listen"));
    const auto grant = both.verify(kJavaScript, kNow);
    ASSERT_TRUE(grant) << grant.error().detail;
    EXPECT_EQ(grant->rights, Rights{.listen = true});
}

TEST(AccessKeys, WithoutKeysEveryWellFormedTokenIsGoodForEverything) {
    const AccessKeys none;
    const auto grant = none.verify(kJavaScript, kExpiry + std::chrono::hours(1));
    ASSERT_TRUE(grant);
    EXPECT_EQ(grant->path, "");
    EXPECT_EQ(grant->expires_at, kNever);
    EXPECT_TRUE(grant->rights.manage);
    EXPECT_FALSE(none.verify("anything", kNow));
    EXPECT_TRUE(none.check_plain("any", "key"));
}

TEST(AccessKeys, AFileHasOneKeyALine) {
    const auto parsed = AccessKeys::parse(
        "# who may do what\n\nRoot k#1= Manage\r\n  app k2 send,LISTEN orders/Europe  # the app\n");
    ASSERT_TRUE(parsed) << parsed.error().detail;
    ASSERT_EQ(parsed->keys().size(), 2u);
    EXPECT_EQ(parsed->keys()[0].key, "k#1=");
    EXPECT_EQ(parsed->keys()[0].rights, (Rights{.send = true, .listen = true, .manage = true}));
    EXPECT_EQ(parsed->keys()[1].rights, (Rights{.send = true, .listen = true}));
    EXPECT_EQ(parsed->keys()[1].entity, "orders/europe");
    EXPECT_TRUE(AccessKeys::parse("")->empty());
}

TEST(AccessKeys, AWrongLineIsNamedWithoutItsKey) {
    const std::string long_word(600, 'x');
    struct {
        std::string text, says;
    } cases[] = {
        {"\nRoot topsecret\n", "line 2: it has 2 words"},
        {"Root topsecret Send a b", "line 1: it has 5 words"},
        {"Root topsecret Write", "line 1: the third word is not rights"},
        {"Root topsecret Send,", "line 1: the third word is not rights"},
        {"Root topsecret Send /", "line 1: the entity is empty"},
        {"Root " + long_word + " Send", "line 1: the key is longer"},
        {long_word + " topsecret Send", "line 1: the name is longer"},
    };
    for (const auto& [text, says] : cases) {
        const auto parsed = AccessKeys::parse(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_TRUE(parsed.error().detail.starts_with(says)) << parsed.error().detail;
        EXPECT_EQ(parsed.error().detail.find("topsecret"), std::string::npos);
    }
}

TEST(AccessKeys, TheKeyItselfIsGoodOnlyWithItsName) {
    const AccessKeys some = keys("Root topsecret Manage\napp other Send orders");
    const auto grant = some.check_plain("app", "other");
    ASSERT_TRUE(grant);
    EXPECT_EQ(grant->path, "orders");
    EXPECT_EQ(grant->expires_at, kNever);
    for (const auto& [name, key] : {std::pair{"app", "topsecret"}, {"Root", ""}, {"root", "topsecret"}})
        EXPECT_FALSE(some.check_plain(name, key)) << name;
}

}  // namespace
}  // namespace millrace
