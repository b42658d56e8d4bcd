#include "provider/http_client.hpp"

#include "base/async.hpp"
#include "tests/provider/run.hpp"
#include "tests/support/certificate.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace millrace::provider {
namespace {

using test::Certificate;
using test::issue;
using test::pem_of;

/// Answers every request over TLS with the server name that the client sent.
class TlsServer {
  public:
    TlsServer(asio::io_context& io, const Certificate& certificate)
        : io_(io),
          context_(asio::ssl::context::tls_server),
          acceptor_(io, {asio::ip::address_v4::loopback(), 0}) {
        SSL_CTX_use_certificate(context_.native_handle(), certificate.x509);
        SSL_CTX_use_PrivateKey(context_.native_handle(), certificate.key);
        spawn(io_.get_executor(), accept());
    }
    unsigned short port() const { return acceptor_.local_endpoint().port(); }
    int requests = 0;
    int connections = 0;
    bool cuts = false;   ///< ends the answer without telling TLS so

  private:
    using Stream = asio::ssl::stream<asio::ip::tcp::socket>;
    static constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

    asio::awaitable<void> accept() {
        for (;;) {
            auto [error, socket] = co_await acceptor_.async_accept(kToken);
            if (error) co_return;
            ++connections;
            streams_.push_back(std::make_shared<Stream>(std::move(socket), context_));
            spawn(io_.get_executor(), serve(*streams_.back()));
        }
    }

    asio::awaitable<void> serve(Stream& stream) {
        auto [refused] = co_await stream.async_handshake(asio::ssl::stream_base::server, kToken);
        std::string buffer;
        for (bool more = !refused; more;) {
            auto dynamic = asio::dynamic_buffer(buffer);
            auto [error, size] = co_await asio::async_read_until(stream, dynamic, "\r\n\r\n", kToken);
            if (error) co_return;
            buffer.erase(0, size);
            ++requests;
            const char* name = SSL_get_servername(stream.native_handle(), TLSEXT_NAMETYPE_host_name);
            const std::string body = name ? name : "none";
            const std::string head = "HTTP/1.1 200 OK\r\n";
            const std::string answer =
                cuts ? head + "\r\n" + body
                     : head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
            auto [failed, sent] = co_await asio::async_write(stream, asio::buffer(answer), kToken);
            (void)sent;
            more = !failed && !cuts;
        }
        boost::system::error_code ignored;
        stream.next_layer().close(ignored);
    }

    asio::io_context& io_;
    asio::ssl::context context_;
    asio::ip::tcp::acceptor acceptor_;
    std::vector<std::shared_ptr<Stream>> streams_;
};

class TlsTest : public testing::Test {
  protected:
    TlsTest()
        : authority(issue("Test Authority", "", nullptr)),
          ca_file(testing::TempDir() + "millrace-tls-test-ca.pem") {
        std::ofstream(ca_file) << pem_of(authority->x509);
    }
    ~TlsTest() override { std::filesystem::remove(ca_file); }

    std::unique_ptr<HttpClient> make_client(const std::string& authorities) {
        HttpClientOptions options;
        options.ca_file = authorities;
        return std::move(HttpClient::make(io.get_executor(), options).value());
    }

    Result<HttpAnswer> get(HttpClient& client, const std::string& host, unsigned short port) {
        HttpRequest request;
        request.method = "GET";
        request.url = parse_url("https://" + host + ":" + std::to_string(port) + "/").value();
        request.repeatable = true;
        request.time_max = std::chrono::seconds(5);
        return run(io, client.send(std::move(request)));
    }

    asio::io_context io;
    std::unique_ptr<Certificate> authority;
    std::string ca_file;
};

TEST_F(TlsTest, TrustsACertificateOfItsAuthorityForTheHost) {
    const auto certificate = issue("whatever", "DNS:localhost,IP:127.0.0.1", authority.get());
    TlsServer server(io, *certificate);
    auto client = make_client(ca_file);
    for (int i = 0; i < 3; ++i) {
        const auto answer = get(*client, "localhost", server.port());
        ASSERT_TRUE(answer) << answer.error().detail;
        EXPECT_EQ(answer->body, "localhost");
    }
    EXPECT_EQ(server.connections, 1);
    const auto by_address = get(*client, "127.0.0.1", server.port());
    ASSERT_TRUE(by_address) << by_address.error().detail;
    EXPECT_EQ(by_address->body, "none");
}

TEST_F(TlsTest, TrustsNoOtherCertificate) {
    struct Case {
        std::string name;
        std::unique_ptr<Certificate> certificate;
    };
    const auto stranger = issue("Another Authority", "", nullptr);
    Case cases[] = {
        {"another host", issue("localhost", "DNS:example.org", authority.get())},
        {"another address", issue("x", "IP:127.0.0.2", authority.get())},
        {"expired", issue("x", "DNS:localhost", authority.get(), -60)},
        {"an unknown authority", issue("x", "DNS:localhost", stranger.get())},
        {"self-signed", issue("x", "DNS:localhost", nullptr)},
    };
    std::vector<std::unique_ptr<TlsServer>> servers;   // as long as the context may run their coroutines
    for (const Case& c : cases) {
        servers.push_back(std::make_unique<TlsServer>(io, *c.certificate));
        TlsServer& server = *servers.back();
        auto client = make_client(ca_file);
        const auto answer = get(*client, "localhost", server.port());
        ASSERT_FALSE(answer) << c.name;
        EXPECT_EQ(answer.error().code, Errc::unavailable);
        EXPECT_NE(answer.error().detail.find("certificate"), std::string::npos) << answer.error().detail;
        EXPECT_EQ(server.requests, 0) << c.name;
    }
    const auto good = issue("x", "DNS:localhost", authority.get());
    TlsServer server(io, *good);
    auto by_system = make_client("");
    EXPECT_FALSE(get(*by_system, "localhost", server.port()));
    EXPECT_EQ(server.requests, 0);
}

TEST_F(TlsTest, TakesACutConnectionForNoEnd) {
    const auto certificate = issue("x", "DNS:localhost", authority.get());
    TlsServer server(io, *certificate);
    server.cuts = true;
    auto client = make_client(ca_file);
    const auto answer = get(*client, "localhost", server.port());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::unavailable);
}

TEST_F(TlsTest, FailsOnAServerWithoutTls) {
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    const auto plain = [&]() -> asio::awaitable<void> {
        auto socket = co_await acceptor.async_accept(asio::use_awaitable);
        const std::string answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
    };
    spawn(io.get_executor(), plain());
    auto client = make_client(ca_file);
    const auto answer = get(*client, "localhost", acceptor.local_endpoint().port());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::unavailable);
}

TEST_F(TlsTest, NeedsACaFileThatCanBeRead) {
    HttpClientOptions options;
    options.ca_file = "/no/such/file.pem";
    const auto client = HttpClient::make(io.get_executor(), options);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, Errc::invalid_input);
    EXPECT_NE(client.error().detail.find("/no/such/file.pem"), std::string::npos);
}

}  // namespace
}  // namespace millrace::provider
