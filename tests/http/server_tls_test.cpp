#include "base/tls.hpp"
#include "http/server.hpp"
#include "tests/http/live_server.hpp"
#include "tests/support/certificate.hpp"
#include "tests/support/temporary_directory.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include <fstream>

namespace millrace::http {
namespace {

asio::awaitable<Response> echo(Request request) {
    co_return json_answer(200, request.method + " " + request.path + " " + request.body);
}

/// A blocking client that trusts the test's certificate.
class TlsClient {
  public:
    TlsClient(unsigned short port, X509* trusted, int version_max = TLS1_3_VERSION)
        : context_(asio::ssl::context::tls_client), stream_(io_, context_) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.native_handle()), trusted);
        SSL_set_verify(stream_.native_handle(), SSL_VERIFY_PEER, nullptr);
        SSL_set_max_proto_version(stream_.native_handle(), version_max);
        stream_.lowest_layer().connect({asio::ip::address_v4::loopback(), port});
        const timeval limit{10, 0};
        const int socket = stream_.lowest_layer().native_handle();
        ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        stream_.handshake(asio::ssl::stream_base::client, failed_);
    }
    bool connected() const { return !failed_; }
    std::string protocol() { return SSL_get_version(stream_.native_handle()); }
    void send(const std::string& bytes) { asio::write(stream_, asio::buffer(bytes)); }
    /// Everything until the peer says that it has ended; `clean` tells whether it did so in TLS.
    std::string read_to_end() {
        std::string all;
        boost::system::error_code error;
        asio::read(stream_, asio::dynamic_buffer(all), error);
        clean = error == asio::error::eof;
        return all;
    }
    std::string read(std::size_t bytes) {
        std::string piece(bytes, '\0');
        piece.resize(stream_.read_some(asio::buffer(piece)));
        return piece;
    }
    bool clean = false;

  private:
    asio::io_context io_;
    asio::ssl::context context_;
    asio::ssl::stream<asio::ip::tcp::socket> stream_;
    boost::system::error_code failed_;
};

class ServerOverTls : public testing::Test {
  protected:
    ServerOverTls() {
        const auto certificate = directory_.path() / "cert.pem";
        const auto key = directory_.path() / "key.pem";
        std::ofstream(certificate) << test::pem_of(certificate_->x509);
        std::ofstream(key) << test::pem_of(certificate_->key);
        options_.tls = make_server_tls(certificate, key).value();
    }
    X509* trusted() const { return certificate_->x509; }

    test::TemporaryDirectory directory_;
    std::unique_ptr<test::Certificate> certificate_ = test::issue("localhost", "DNS:localhost", nullptr);
    ServerOptions options_;
};

TEST_F(ServerOverTls, AnswersOnOneConnectionAndEndsItInOrder) {
    LiveServer server(echo, options_);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsClient client(server.port(), trusted(), version);
        ASSERT_TRUE(client.connected());
        EXPECT_EQ(client.protocol(), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
        const std::string large(300'000, 'x');
        client.send(post("/one", large) + post("/two", "b", "Connection: close\r\n"));
        const std::string answers = client.read_to_end();
        EXPECT_NE(answers.find("POST /one " + large), std::string::npos);
        EXPECT_TRUE(answers.ends_with("POST /two b"));
        EXPECT_TRUE(client.clean);
    }
}

TEST_F(ServerOverTls, ARequestKnowsItsSchemeUnlessAProxySaysAnother) {
    const auto scheme = [](Request request) -> asio::awaitable<Response> {
        co_return json_answer(200, std::string(request.scheme()));
    };
    const auto last = [](const std::string& answer) { return answer.substr(answer.rfind('\n') + 1); };
    const std::string close = "Connection: close\r\n";
    LiveServer tls(scheme, options_), plain(scheme);
    const std::pair<std::string, bool> cases[] = {
        {"", true}, {"X-Forwarded-Proto: http\r\n", false}, {"X-Forwarded-Proto: gopher\r\n", true}};
    for (const auto& [proxy, secure] : cases) {
        TlsClient client(tls.port(), trusted());
        client.send(post("/", "", close + proxy));
        EXPECT_EQ(last(client.read_to_end()), secure ? "https" : "http") << proxy;
    }
    for (const std::string proxy : {"http", "https"}) {
        RawSocket client(plain.port());
        client.send(post("/", "", close + "X-Forwarded-Proto: " + proxy + "\r\n"));
        EXPECT_EQ(last(client.read_to_end()), proxy);
    }
    RawSocket client(plain.port());
    client.send(post("/", "", close));
    EXPECT_EQ(last(client.read_to_end()), "http");
}

TEST_F(ServerOverTls, RefusesOldProtocols) {
    LiveServer server(echo, options_);
    EXPECT_FALSE(TlsClient(server.port(), trusted(), TLS1_1_VERSION).connected());
}

TEST_F(ServerOverTls, TellsPlainHttpWhichSchemeToUse) {
    LiveServer server(echo, options_);
    RawSocket client(server.port());
    client.send(get("/x"));
    const std::string answer = client.read_to_end();
    EXPECT_EQ(status_of(answer), 400u);
    EXPECT_NE(answer.find("https://"), std::string::npos) << answer;
}

TEST_F(ServerOverTls, EndsAConnectionThatBringsGarbage) {
    LiveServer server(echo, options_);
    RawSocket client(server.port());
    client.send(std::string("\x16\x03\x01\x00\x05garbage", 12) + std::string(1000, '\xff'));
    client.read_to_end();
    EXPECT_FALSE(client.timed_out());
    TlsClient next(server.port(), trusted());
    EXPECT_TRUE(next.connected());
}

TEST_F(ServerOverTls, GivesAHandshakeNoMoreTimeThanARequestHeader) {
    options_.header_time_max = std::chrono::milliseconds(50);
    LiveServer server(echo, options_);
    RawSocket silent(server.port());
    RawSocket half(server.port());
    half.send(std::string_view("\x16\x03\x01\x02\x00\x01\x00", 7));
    silent.read_to_end();
    half.read_to_end();
    EXPECT_FALSE(silent.timed_out());
    EXPECT_FALSE(half.timed_out());
}

TEST_F(ServerOverTls, AnswersWhatItRefusesBeforeTheBodyHasCome) {
    options_.body_bytes_max = 1000;
    LiveServer server(echo, options_);
    TlsClient client(server.port(), trusted());
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n");
    EXPECT_EQ(status_of(client.read(4000)), 413u);
}

TEST_F(ServerOverTls, StopsWhileHandshakesAreUnderWay) {
    LiveServer server(echo, options_);
    RawSocket silent(server.port());
    TlsClient idle(server.port(), trusted());
    ASSERT_TRUE(idle.connected());
    server.stop(std::chrono::seconds(5));
    silent.read_to_end();
    EXPECT_FALSE(silent.timed_out());
}

}  // namespace
}  // namespace millrace::http
