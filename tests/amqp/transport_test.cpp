#include "amqp/transport.hpp"
#include "base/tls.hpp"
#include "tests/broker/harness.hpp"
#include "tests/support/certificate.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <fstream>

#include <gmock/gmock.h>

namespace millrace::amqp {
namespace {

using asio::ip::tcp;
using broker::test::Loop;
using testing::HasSubstr;
using Made = Result<std::unique_ptr<Transport>>;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

/// What the peers trust and show: "localhost" and 127.0.0.1, signed by an authority of its own.
struct Trust {
    test::TemporaryDirectory directory;
    std::shared_ptr<asio::ssl::context> server;
    std::shared_ptr<asio::ssl::context> client;

    explicit Trust(const std::string& names = "DNS:localhost,IP:127.0.0.1") {
        const auto authority = test::issue("authority", "", nullptr);
        const auto certificate = test::issue("server", names, authority.get());
        write("ca.pem", test::pem_of(authority->x509));
        write("server.pem", test::pem_of(certificate->x509));
        write("server.key", test::pem_of(certificate->key));
        server = make_server_tls(directory.path() / "server.pem", directory.path() / "server.key").value();
        client = make_client_tls(directory.path() / "ca.pem").value();
    }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(directory.path() / name) << text;
    }
};

struct Kind {
    const char* name;
    bool tls;
    bool websocket;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class TransportTest : public testing::TestWithParam<Kind> {
  protected:
    Loop loop;
    Trust trust;
    Pages pages = Pages::of_its_site;
    std::string room_ = std::string(100, 0);
    tcp::acceptor acceptor{loop.io(), tcp::endpoint(asio::ip::address_v4::loopback(), 0)};

    Endpoint endpoint(bool tls, bool websocket) const {
        Endpoint to;
        to.host = "localhost";
        to.port = acceptor.local_endpoint().port();
        to.tls = tls;
        to.websocket = websocket;
        return to;
    }
    asio::awaitable<Made> accept(bool tls) {
        auto [error, socket] = co_await acceptor.async_accept(kToken);
        auto accepting = accept_transport(std::move(socket), tls ? trust.server.get() : nullptr, pages);
        auto accepted = co_await std::move(accepting);
        co_return accepted;
    }
    auto connect(Endpoint to) {
        return connect_transport(loop.io().get_executor(), std::move(to), trust.client.get());
    }

    static asio::awaitable<Result<std::string>> read(Transport& from, std::size_t bytes) {
        std::string all;
        std::string part(64 * 1024, '\0');
        while (all.size() < bytes) {
            const auto room = asio::buffer(part);
            auto got = co_await from.read_some(room);
            if (!got) co_return got.error();
            all.append(part, 0, *got);
        }
        co_return all;
    }

    /// Both ends of one connection; the client has sent "AMQP", which the server has not read.
    struct Pair {
        std::unique_ptr<Transport> client;
        std::unique_ptr<Transport> server;
    };
    Pair open(bool tls, bool websocket) {
        auto accepting = loop.begin(accept(tls));
        Pair pair;
        auto connected = loop.await(connect(endpoint(tls, websocket)));
        EXPECT_TRUE(connected) << connected.error().detail;
        pair.client = std::move(*connected);
        EXPECT_TRUE(loop.await(pair.client->write("AMQP")));
        auto accepted = loop.finish(accepting);
        EXPECT_TRUE(accepted) << accepted.error().detail;
        pair.server = std::move(*accepted);
        return pair;
    }
    Pair open() { return open(GetParam().tls, GetParam().websocket); }

    /// What a server answers to `request` on a plain port.
    std::string answer_to(const std::string& request, std::string* why = nullptr) {
        auto accepting = loop.begin(accept(false));
        tcp::socket socket(loop.io());
        socket.connect(acceptor.local_endpoint());
        asio::write(socket, asio::buffer(request));
        auto accepted = loop.finish(accepting);
        EXPECT_TRUE(accepted.has_error());
        if (accepted.has_error() && why != nullptr) *why = accepted.error().detail;
        std::string answer;
        boost::system::error_code ignored;
        asio::read_until(socket, asio::dynamic_buffer(answer), "\r\n", ignored);
        return answer.substr(0, answer.find("\r\n"));
    }
};

TEST_P(TransportTest, BytesArriveAsTheyWereSentBothWays) {
    auto pair = open();
    EXPECT_EQ(loop.await(read(*pair.server, 4)).value(), "AMQP");
    std::string large(3'000'000, '\0');
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 + i / 977);
    auto up = loop.begin(pair.client->write(large));
    auto down = loop.begin(pair.server->write(large));
    auto at_server = loop.begin(read(*pair.server, large.size()));
    auto at_client = loop.begin(read(*pair.client, large.size()));
    EXPECT_TRUE(loop.finish(at_server).value() == large);
    EXPECT_TRUE(loop.finish(at_client).value() == large);
    EXPECT_TRUE(loop.finish(up));
    EXPECT_TRUE(loop.finish(down));
}

TEST_P(TransportTest, AfterTheShutDownOfOneSideItsEndIsSeenAndNothingIsLost) {
    auto pair = open();
    EXPECT_EQ(loop.await(read(*pair.server, 4)).value(), "AMQP");
    auto reading = loop.begin(read(*pair.client, 1));
    auto ending = loop.begin(read(*pair.server, 100));
    EXPECT_TRUE(loop.await(pair.client->write("bye")));
    loop.await(pair.client->shut_down());
    const auto ended = loop.finish(ending);
    ASSERT_TRUE(ended.has_error());
    EXPECT_EQ(ended.error().code, Errc::unavailable);
    pair.server->close();
    EXPECT_TRUE(loop.finish(reading).has_error());
}

TEST_P(TransportTest, CloseEndsAReadUnderWay) {
    auto pair = open();
    auto reading = loop.begin(read(*pair.client, 1));
    loop.settle();
    pair.client->close();
    const auto ended = loop.finish(reading);
    ASSERT_TRUE(ended.has_error());
    EXPECT_EQ(ended.error().code, Errc::unavailable);
    const auto later = loop.await(pair.client->write("x"));
    EXPECT_TRUE(later.has_error());
}

TEST_P(TransportTest, CancellingEndsAReadUnderWay) {
    auto pair = open();
    auto reading = loop.begin(read(*pair.client, 1));
    loop.settle();
    reading.cancel();
    try {
        EXPECT_TRUE(loop.finish(reading).has_error());
    } catch (const boost::system::system_error&) {
    }
}

TEST_P(TransportTest, ATransportMayGoWhileAReadIsUnderWay) {
    auto pair = open();
    auto reading = loop.begin(pair.client->read_some(asio::buffer(room_)));
    loop.settle();
    pair.client.reset();
    EXPECT_TRUE(loop.finish(reading).has_error());
}

TEST_P(TransportTest, CancellingEndsAnAcceptThatNobodyGoesOnWith) {
    auto accepting = loop.begin(accept(GetParam().tls));
    tcp::socket silent(loop.io());
    silent.connect(acceptor.local_endpoint());
    loop.settle();
    accepting.cancel();
    try {
        EXPECT_TRUE(loop.finish(accepting).has_error());
    } catch (const boost::system::system_error&) {
    }
}

TEST_P(TransportTest, CancellingEndsAConnectToAPeerThatIsSilent) {
    if (!GetParam().tls && !GetParam().websocket) GTEST_SKIP() << "nothing to wait for";
    auto connecting = loop.begin(connect(endpoint(GetParam().tls, GetParam().websocket)));
    tcp::socket silent(loop.io());
    loop.settle();
    acceptor.accept(silent);
    while (silent.available() == 0) loop.settle();
    EXPECT_FALSE(connecting.done());
    connecting.cancel();
    try {
        EXPECT_TRUE(loop.finish(connecting).has_error());
    } catch (const boost::system::system_error&) {
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TransportTest,
                         testing::Values(Kind{"Tcp", false, false}, Kind{"Tls", true, false},
                                         Kind{"WebSocket", false, true}, Kind{"WebSocketTls", true, true}),
                         [](const auto& kind) { return kind.param.name; });

using TransportErrorsTest = TransportTest;

TEST_F(TransportErrorsTest, ACertificateThatIsNotTrustedIsNamed) {
    trust.client = make_client_tls("").value();
    auto accepting = loop.begin(accept(true));
    const auto connected = loop.await(connect(endpoint(true, false)));
    ASSERT_TRUE(connected.has_error());
    EXPECT_EQ(connected.error().code, Errc::unavailable);
    EXPECT_THAT(connected.error().detail, HasSubstr("the certificate of localhost is not trusted"));
    EXPECT_TRUE(loop.finish(accepting).has_error());
}

TEST_F(TransportErrorsTest, ACertificateOfAnotherHostIsNotTaken) {
    const auto client = trust.client;
    Trust other("DNS:elsewhere.example");
    trust.server = other.server;
    trust.client = other.client;
    auto accepting = loop.begin(accept(true));
    const auto connected = loop.await(connect(endpoint(true, false)));
    ASSERT_TRUE(connected.has_error());
    EXPECT_THAT(connected.error().detail, HasSubstr("ostname mismatch"));
    EXPECT_TRUE(loop.finish(accepting).has_error());
}

TEST_F(TransportErrorsTest, NobodyThereIsUnavailable) {
    const Endpoint to = endpoint(false, false);
    acceptor.close();
    const auto connected = loop.await(connect(to));
    ASSERT_TRUE(connected.has_error());
    EXPECT_EQ(connected.error().code, Errc::unavailable);
    EXPECT_THAT(connected.error().detail, HasSubstr("can't connect to localhost"));
}

TEST_F(TransportErrorsTest, WhatIsNoWebSocketOfAmqpIsTurnedAway) {
    const std::string upgrade =
        "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const std::string protocol = "Sec-WebSocket-Protocol: AMQPWSB10\r\n";
    const std::string ours = "GET /$servicebus/websocket HTTP/1.1\r\n";
    EXPECT_EQ(answer_to("GET / HTTP/1.1\r\n" + upgrade + protocol + "\r\n"), "HTTP/1.1 404 Not Found");
    EXPECT_EQ(answer_to(ours + upgrade + "\r\n"), "HTTP/1.1 400 Bad Request");
    EXPECT_EQ(answer_to(ours + upgrade + "Sec-WebSocket-Protocol: mqtt\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    EXPECT_EQ(answer_to(ours + "Host: x\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    for (const std::string origin : {"https://elsewhere.example", "https://x.elsewhere.example", "null", "x"})
        EXPECT_EQ(answer_to(ours + upgrade + protocol + "Origin: " + origin + "\r\n\r\n"),
                  "HTTP/1.1 403 Forbidden")
            << "a page of another site";
    EXPECT_EQ(answer_to("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 404 Not Found");
    EXPECT_EQ(answer_to(ours + "X: " + std::string(20'000, 'x') + "\r\n\r\n"), "");
    EXPECT_EQ(answer_to("GARBAGE\r\n\r\n"), "");
}

TEST_F(TransportErrorsTest, APeerThatSpeaksSomethingElseIsNamed) {
    std::string why;
    EXPECT_EQ(answer_to(std::string("\x16\x03\x01", 3), &why), "");
    EXPECT_THAT(why, HasSubstr("speaks TLS"));
    EXPECT_EQ(answer_to(std::string("\0\0", 2), &why), "");
    EXPECT_THAT(why, HasSubstr("neither AMQP nor WebSocket"));
}

TEST_F(TransportErrorsTest, WithoutKeysAPageOfANameThatMayBeMadeToMeanThisMachineIsRefused) {
    const auto answer_to_page_of = [&](const std::string& host) {
        // It asks for another protocol: refused for that, it is not refused for its page.
        return answer_to("GET /$servicebus/websocket HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://" +
                         host +
                         "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    };
    pages = Pages::of_localhost_or_an_address;
    for (const std::string host : {"localhost", "LocalHost:5672", "127.0.0.1:5672", "10.0.0.7", "[::1]:5672"})
        EXPECT_EQ(answer_to_page_of(host), "HTTP/1.1 400 Bad Request") << host;
    for (const std::string host : {"evil.example:5672", "localhost.evil.example", "127.0.0.1.evil.example",
                                   "[evil.example]:5672", "[", "[]", "localhost."})
        EXPECT_EQ(answer_to_page_of(host), "HTTP/1.1 403 Forbidden") << host;
    pages = Pages::of_its_site;
    EXPECT_EQ(answer_to_page_of("millrace.example:5672"), "HTTP/1.1 400 Bad Request");
}

TEST_F(TransportErrorsTest, BothFormsOfTheWebSocketPathAreServed) {
    for (const std::string path :
         {"/$servicebus/websocket/", "/%24servicebus/websocket?sb-hc-action=connect"}) {
        auto accepting = loop.begin(accept(false));
        tcp::socket socket(loop.io());
        socket.connect(acceptor.local_endpoint());
        asio::write(socket,
                    asio::buffer("GET " + path +
                                 " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Origin: https://X\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                                 "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a, AMQPWSB10\r\n\r\n"));
        const auto accepted = loop.finish(accepting);
        EXPECT_TRUE(accepted) << path;
        std::string answer;
        asio::read_until(socket, asio::dynamic_buffer(answer), "\r\n\r\n");
        EXPECT_THAT(answer, HasSubstr("HTTP/1.1 101"));
        EXPECT_THAT(answer, HasSubstr("Sec-WebSocket-Protocol: AMQPWSB10"));
    }
}

}  // namespace
}  // namespace millrace::amqp
