#include "amqp/connection_string.hpp"

#include <gmock/gmock.h>

namespace millrace::amqp {
namespace {

using testing::HasSubstr;
using testing::Not;

ConnectionString parsed(std::string_view text) {
    auto result = parse_connection_string(text);
    EXPECT_TRUE(result) << result.error().detail;
    return result ? *result : ConnectionString();
}

TEST(ConnectionStringTest, NamesHostAndKeyOfAServiceBus) {
    const auto one =
        parsed("Endpoint=sb://Shop.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=a+b/c==");
    EXPECT_EQ(one.endpoint.host, "Shop.servicebus.windows.net");
    EXPECT_EQ(one.endpoint.port, 5671);
    EXPECT_TRUE(one.endpoint.tls);
    EXPECT_FALSE(one.endpoint.websocket);
    EXPECT_EQ(one.user, "Root");
    EXPECT_EQ(one.secret, "a+b/c==");
    EXPECT_EQ(one.entity_path, "");
}

TEST(ConnectionStringTest, TakesPartsInAnyOrderCaseAndSpacing) {
    const auto one = parsed(
        " entitypath = orders/new ; SHAREDACCESSKEY=k=;TransportType=AmqpWebSockets;;\n"
        "sharedAccessKeyName=n;endpoint=sb://h:8443 ");
    EXPECT_EQ(one.entity_path, "orders/new");
    EXPECT_EQ(one.secret, "k=");
    EXPECT_TRUE(one.endpoint.websocket);
    EXPECT_EQ(one.endpoint.port, 8443);
}

TEST(ConnectionStringTest, ChoosesThePortByTransport) {
    struct Case {
        const char* more;
        unsigned short port;
        bool tls;
    };
    const Case cases[] = {
        {"", 5671, true},
        {";UseDevelopmentEmulator=true", 5672, false},
        {";UseDevelopmentEmulator=false", 5671, true},
        {";TransportType=AmqpWebSockets", 443, true},
        {";TransportType=AmqpTcp", 5671, true},
        {";TransportType=AmqpWebSockets;UseDevelopmentEmulator=true", 80, false},
    };
    for (const Case& one : cases) {
        const auto got =
            parsed(std::string("Endpoint=sb://h;SharedAccessKeyName=n;SharedAccessKey=k") + one.more);
        EXPECT_EQ(got.endpoint.port, one.port) << one.more;
        EXPECT_EQ(got.endpoint.tls, one.tls) << one.more;
    }
}

TEST(ConnectionStringTest, ASignatureTakesThePlaceOfAKey) {
    const auto one =
        parsed("Endpoint=sb://h/;SharedAccessSignature=SharedAccessSignature sr=x&sig=y%3d&se=1&skn=n");
    EXPECT_EQ(one.signature, "SharedAccessSignature sr=x&sig=y%3d&se=1&skn=n");
    EXPECT_EQ(one.user, "");
}

TEST(ConnectionStringTest, NamesUserAndVirtualHostOfARabbitMq) {
    const auto one = parsed("amqp://gu%40st:p%3Aw@rabbit:5673/shop%2Feu");
    EXPECT_EQ(one.endpoint.host, "rabbit");
    EXPECT_EQ(one.endpoint.port, 5673);
    EXPECT_FALSE(one.endpoint.tls);
    EXPECT_EQ(one.user, "gu@st");
    EXPECT_EQ(one.secret, "p:w");
    EXPECT_EQ(one.virtual_host, "shop/eu");
    const auto plain = parsed("AMQPS://rabbit/");
    EXPECT_EQ(plain.endpoint.port, 5671);
    EXPECT_TRUE(plain.endpoint.tls);
    EXPECT_EQ(plain.virtual_host, "");
    EXPECT_EQ(parsed("amqp://[::1]").endpoint.host, "::1");
}

TEST(ConnectionStringTest, SaysWhatIsWrongInOneLineWithoutASecret) {
    struct Case {
        const char* text;
        const char* why;
    };
    const Case cases[] = {
        {"", "is empty"},
        {"SharedAccessKeyName=n;SharedAccessKey=SECRET", "has no Endpoint"},
        {"Endpoint=https://h;SharedAccessKeyName=n;SharedAccessKey=SECRET", "not of the form sb://HOST/"},
        {"Endpoint=sb://;SharedAccessKeyName=n;SharedAccessKey=SECRET", "names no host"},
        {"Endpoint=sb://h:99999;SharedAccessKeyName=n;SharedAccessKey=SECRET", "port"},
        {"Endpoint=sb://h;SharedAccessKey=SECRET", "together"},
        {"Endpoint=sb://h;SharedAccessKeyName=n", "together"},
        {"Endpoint=sb://h", "or SharedAccessSignature"},
        {"Endpoint=sb://h;SECRET", "without '='"},
        {"Endpoint=sb://h;Colour=SECRET", "\"colour\""},
        {"Endpoint=sb://h;UseDevelopmentEmulator=SECRET", "neither true nor false"},
        {"Endpoint=sb://h;TransportType=SECRET", "TransportType"},
        {"amqp://user:SECRET@:1", "names no host"},
        {"amqp://user:SECRET@h:0", "port"},
        {"amqp://user:SECRET@h h", "no URL"},
    };
    for (const Case& one : cases) {
        const auto result = parse_connection_string(one.text);
        ASSERT_TRUE(result.has_error()) << one.text;
        EXPECT_EQ(result.error().code, Errc::invalid_input);
        EXPECT_THAT(result.error().detail, HasSubstr(one.why)) << one.text;
        EXPECT_THAT(result.error().detail, Not(HasSubstr("SECRET")));
        EXPECT_THAT(result.error().detail, Not(HasSubstr("\n")));
    }
}

}  // namespace
}  // namespace millrace::amqp
