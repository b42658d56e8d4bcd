#include "provider/http_client.hpp"

#include "http/server.hpp"
#include "tests/provider/run.hpp"
#include "tests/provider/scripted_server.hpp"

#include <gtest/gtest.h>

namespace millrace::provider {
namespace {

using End = Play::End;

struct World {
    asio::io_context io;
    std::unique_ptr<HttpClient> client;
    int sent = 0;  ///< requests that were on their way

    explicit World(HttpClientOptions options = {}) {
        client = std::move(HttpClient::make(io.get_executor(), std::move(options)).value());
    }

    Result<HttpAnswer> send(const std::string& url, const std::string& body = "{}", bool repeatable = true,
                            Duration time_max = std::chrono::seconds(5)) {
        HttpRequest request;
        request.url = parse_url(url).value();
        request.headers = {{"Authorization", "Bearer top-secret"}};
        request.body = body;
        request.repeatable = repeatable;
        request.time_max = time_max;
        request.on_sent = [this] { ++sent; };
        return run(io, client->send(std::move(request)));
    }
};

TEST(HttpUrl, IsParsed) {
    struct Case {
        std::string text, origin, target;
    };
    const Case cases[] = {
        {"http://example.org", "http://example.org:80", "/"},
        {"https://example.org/v1?a=b#part", "https://example.org:443", "/v1?a=b"},
        {"HTTP://EXAMPLE.org:8080/a%20b", "http://EXAMPLE.org:8080", "/a%20b"},
        {"http://[::1]:1/x", "http://[::1]:1", "/x"},
        {"http://127.0.0.1:65535", "http://127.0.0.1:65535", "/"},
    };
    for (const Case& c : cases) {
        const auto url = parse_url(c.text);
        ASSERT_TRUE(url) << c.text;
        EXPECT_EQ(url->origin(), c.origin);
        EXPECT_EQ(url->target, c.target);
    }
}

TEST(HttpUrl, IsRefusedWithoutRepeatingIt) {
    for (const char* text :
         {"", "example.org", "/v1", "ftp://hunter2/", "http://", "http:///x", "http://hunter2:x/",
          "http://hunter2:99999/", "http://hunter2:0/", "http://user:hunter2@host/", "http://hunter2@host/",
          "http://a b/", "http://host/hunter2 x", "http://host/\r\nhunter2", "http://[::1/"}) {
        const auto url = parse_url(text);
        ASSERT_FALSE(url) << text;
        EXPECT_EQ(url.error().code, Errc::invalid_input);
        EXPECT_EQ(url.error().detail.find("hunter2"), std::string::npos) << url.error().detail;
    }
}

TEST(HttpClient, KeepsItsConnectionForTheNextRequest) {
    World world;
    ScriptedServer server(world.io,
                          {{http_answer(200, "one")}, {http_answer(404, "two")}, {http_answer(200, "")}});
    const auto one = world.send(server.url("/a?q=1"), "body");
    ASSERT_TRUE(one) << one.error().detail;
    EXPECT_EQ(one->status, 200);
    EXPECT_EQ(one->body, "one");
    EXPECT_EQ(find_field(one->headers, "content-type"), "application/json");
    EXPECT_EQ(world.client->idle_connections(), 1u);
    EXPECT_EQ(world.send(server.url())->status, 404);
    EXPECT_EQ(world.send(server.url())->body, "");
    EXPECT_EQ(server.connections, 1);
    const std::string& request = server.requests.front();
    EXPECT_TRUE(request.starts_with(
        "POST /a?q=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"))
        << request;
    EXPECT_NE(request.find("Authorization: Bearer top-secret\r\n"), std::string::npos);
    EXPECT_TRUE(request.ends_with("Content-Length: 4\r\nAuthorization: Bearer top-secret\r\n\r\nbody"))
        << request;
}

TEST(HttpClient, ReadsEveryFormOfABody) {
    const std::string chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: "
        "x\r\n\r\n";
    const std::string to_end = "HTTP/1.1 200 OK\r\n\r\nabcdefg";
    const std::string interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    World world;
    ScriptedServer server(world.io, {{chunked},
                                     {interim + http_answer(200, "abcdefg")},
                                     {http_answer(200, "abcdefg", "Connection: close\r\n")},
                                     {to_end, End::close},
                                     {"HTTP/1.1 204 No Content\r\n\r\n"},
                                     {"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg", End::close}});
    for (int i = 0; i < 4; ++i) EXPECT_EQ(world.send(server.url())->body, "abcdefg") << i;
    EXPECT_EQ(world.send(server.url())->status, 204);
    EXPECT_EQ(world.send(server.url())->body, "abcdefg");
    EXPECT_EQ(server.requests.size(), 6u);
}

TEST(HttpClient, ReplacesAKeptConnectionThatHasDied) {
    for (const End end : {End::close, End::reset}) {
        World world;
        // The second exchange dies after the request was read: the client can't have seen it coming.
        ScriptedServer server(world.io, {{http_answer(200, "1")}, {"", end}, {http_answer(200, "2")}});
        EXPECT_EQ(world.send(server.url())->body, "1");
        const auto second = world.send(server.url());
        ASSERT_TRUE(second) << second.error().detail;
        EXPECT_EQ(second->body, "2");
        EXPECT_EQ(server.requests.size(), 3u);
        EXPECT_EQ(world.sent, 3);
        EXPECT_EQ(server.connections, 2);
    }
}

TEST(HttpClient, SeesThatAnIdleConnectionWasClosed) {
    World world;
    ScriptedServer server(world.io, {{http_answer(200, "1"), End::close}, {http_answer(200, "2")}});
    EXPECT_EQ(world.send(server.url())->body, "1");
    world.io.restart();
    world.io.poll();
    EXPECT_EQ(world.send(server.url(), "{}", false)->body, "2");
    EXPECT_EQ(server.requests.size(), 2u);
}

TEST(HttpClient, NeverRepeatsWhatMayHaveBeenDone) {
    struct Case {
        std::string name;
        std::vector<Play> plays;
        bool repeatable;
    };
    const Case cases[] = {
        {"a fresh connection that ends", {{"", End::close}, {http_answer(200, "x")}}, true},
        {"an answer that has begun",
         {{http_answer(200, "1")}, {"HTTP/1.1 200 OK\r\nContent-Le", End::close}, {http_answer(200, "x")}},
         true},
        {"a request that isn't repeatable",
         {{http_answer(200, "1")}, {"", End::close}, {http_answer(200, "x")}},
         false},
        {"a second loss",
         {{http_answer(200, "1")}, {"", End::close}, {"", End::close}, {http_answer(200, "x")}},
         true},
    };
    for (const Case& c : cases) {
        World world;
        ScriptedServer server(world.io, c.plays);
        if (c.plays.front().end == End::keep) {
            EXPECT_EQ(world.send(server.url())->body, "1");
        }
        const auto answer = world.send(server.url(), "{}", c.repeatable);
        ASSERT_FALSE(answer) << c.name;
        EXPECT_EQ(answer.error().code, Errc::unavailable) << c.name;
        EXPECT_EQ(server.requests.size(), c.plays.size() - 1) << c.name;
    }
}

TEST(HttpClient, FailsWhereverTheAnswerBreaksOff) {
    const std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (std::size_t size = 0; size < answer.size(); ++size) {
        for (const End end : {End::close, End::reset}) {
            World world;
            ScriptedServer server(world.io, {{answer.substr(0, size), end}});
            const auto got = world.send(server.url());
            ASSERT_FALSE(got) << size;
            EXPECT_EQ(got.error().code, Errc::unavailable) << got.error().detail;
            EXPECT_EQ(world.client->idle_connections(), 0u);
        }
    }
}

TEST(HttpClient, GivesUpInTimeWhereverTheServerFallsSilent) {
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for (const std::size_t size :
         {std::size_t(0), std::size_t(5), answer.find("\r\n\r\n") + 4, answer.size() - 1}) {
        World world;
        ScriptedServer server(world.io, {{answer.substr(0, size), End::hang}});
        const auto got = world.send(server.url(), "{}", true, Duration(30));
        ASSERT_FALSE(got) << size;
        EXPECT_EQ(got.error().code, Errc::unavailable);
        EXPECT_NE(got.error().detail.find("no answer in time"), std::string::npos) << got.error().detail;
        EXPECT_EQ(server.requests.size(), 1u);
    }
}

TEST(HttpClient, GivesUpAServerThatDoesNotRead) {
    World world;
    asio::ip::tcp::acceptor acceptor(world.io, {asio::ip::address_v4::loopback(), 0});
    const std::string url = "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    const auto got = world.send(url, std::string(64 << 20, 'x'), true, Duration(50));
    ASSERT_FALSE(got);
    EXPECT_NE(got.error().detail.find("no answer in time"), std::string::npos) << got.error().detail;
}

TEST(HttpClient, RefusesAnswersThatAreNoHttpOrTooLarge) {
    HttpClientOptions options;
    options.answer_bytes_max = 100;
    const std::string cases[] = {
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 999999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x'),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x') +
            "\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'),
        "HTTP/1.1 200 OK\r\nA: " + std::string(100'000, 'x') + "\r\n\r\n",
    };
    for (const std::string& bytes : cases) {
        World world(options);
        ScriptedServer server(world.io, {{bytes, End::close}});
        const auto got = world.send(server.url());
        ASSERT_FALSE(got) << bytes.substr(0, 60);
        EXPECT_EQ(got.error().code, Errc::corrupt) << bytes.substr(0, 60) << got.error().detail;
    }
}

TEST(HttpClient, DoesNotReuseAConnectionWithMoreOnIt) {
    World world;
    ScriptedServer server(world.io,
                          {{http_answer(200, "1") + http_answer(200, "of nobody")}, {http_answer(200, "2")}});
    EXPECT_EQ(world.send(server.url())->body, "1");
    EXPECT_EQ(world.send(server.url())->body, "2");
    EXPECT_EQ(server.connections, 2);
}

TEST(HttpClient, HearsARefusalThatComesBeforeTheBodyIsRead) {
    World world;
    ScriptedServer server(world.io,
                          {{http_answer(413, "too much", "Connection: close\r\n"), End::hang, false}});
    const auto got = world.send(server.url(), std::string(1 << 20, 'x'));
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_EQ(got->status, 413);
}

TEST(HttpClient, TellsWhatItCouldNotReachAndNoSecret) {
    World world;
    asio::ip::tcp::acceptor acceptor(world.io, {asio::ip::address_v4::loopback(), 0});
    const std::string port = std::to_string(acceptor.local_endpoint().port());
    acceptor.close();
    const std::string urls[] = {"http://127.0.0.1:" + port + "/p?key=top-secret",
                                "http://no-such-host.invalid/?key=top-secret"};
    for (const std::string& url : urls) {
        const auto got = world.send(url);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, Errc::unavailable);
        EXPECT_NE(got.error().detail.find("can't connect"), std::string::npos) << got.error().detail;
        EXPECT_EQ(got.error().detail.find("top-secret"), std::string::npos) << got.error().detail;
    }
}

TEST(HttpClient, RefusesAHeaderThatWouldStartAnother) {
    World world;
    HttpRequest request;
    request.url = parse_url("http://127.0.0.1:1").value();
    request.headers = {{"X", "a\r\nY: top-secret"}};
    const auto got = run(world.io, world.client->send(std::move(request)));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::invalid_input);
    EXPECT_EQ(got.error().detail.find("top-secret"), std::string::npos);
}

/// Sends `count` requests at once and gives the bodies.
asio::awaitable<int> send_many(HttpClient& client, HttpUrl url, int count) {
    int done = 0, good = 0;
    Signal ended(co_await asio::this_coro::executor);
    const auto one = [&]() -> asio::awaitable<void> {
        HttpRequest request;
        request.url = url;
        const auto answer = co_await client.send(std::move(request));
        good += answer && answer->status == 200;
        ++done;
        ended.notify();
    };
    for (int i = 0; i < count; ++i) spawn(co_await asio::this_coro::executor, one());
    while (done < count) co_await ended.wait();
    co_return good;
}

TEST(HttpClient, HoldsItsLimitsOfConnections) {
    HttpClientOptions options;
    options.connections_per_origin_max = 3;
    options.idle_per_origin_max = 2;
    World world(options);
    int now = 0, most = 0;
    const auto handler = [&](http::Request) -> asio::awaitable<http::Response> {
        most = std::max(most, ++now);
        asio::steady_timer timer(co_await asio::this_coro::executor, Duration(1));
        co_await timer.async_wait(asio::use_awaitable);
        --now;
        co_return http::json_answer(200, "{}");
    };
    http::ServerOptions server_options;
    server_options.port = 0;
    auto server = std::move(http::Server::start(world.io.get_executor(), server_options, handler).value());
    const auto url = parse_url("http://127.0.0.1:" + std::to_string(server->port())).value();
    EXPECT_EQ(run(world.io, send_many(*world.client, url, 20)), 20);
    EXPECT_EQ(most, 3);
    EXPECT_EQ(world.client->idle_connections(), 2u);
}

TEST(HttpClient, ForgetsConnectionsThatHaveBeenIdleTooLong) {
    HttpClientOptions options;
    options.idle_time_max = Duration(20);
    World world(options);
    ScriptedServer server(world.io, {{http_answer(200, "1")}, {http_answer(200, "2")}});
    EXPECT_EQ(world.send(server.url())->body, "1");
    EXPECT_EQ(world.client->idle_connections(), 1u);
    world.io.restart();
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (world.client->idle_connections() > 0 && std::chrono::steady_clock::now() < give_up) {
        world.io.run_one_until(give_up);
    }
    EXPECT_EQ(world.client->idle_connections(), 0u);
}

TEST(HttpClient, ClosesTheConnectionOfARequestThatIsCancelled) {
    World world;
    ScriptedServer server(
        world.io, {{http_answer(200, "1")}, {"HTTP/1.1 200 OK\r\n", End::hang}, {http_answer(200, "2")}});
    EXPECT_EQ(world.send(server.url())->body, "1");
    const auto cancelled = [&]() -> asio::awaitable<bool> {
        const auto hang = [&]() -> asio::awaitable<void> {
            HttpRequest request;
            request.url = parse_url(server.url()).value();
            request.repeatable = true;
            co_await world.client->send(std::move(request));
        };
        auto hanging = hang();
        co_return co_await with_deadline(std::move(hanging), Duration(20));
    };
    EXPECT_FALSE(run(world.io, cancelled()));
    EXPECT_EQ(world.client->idle_connections(), 0u);
    EXPECT_EQ(world.send(server.url())->body, "2");
    EXPECT_EQ(server.connections, 2);
}

TEST(HttpClient, EndsItsRequestsWhenItStops) {
    World world;
    ScriptedServer server(world.io, {{"", End::hang}});
    const auto stop_once_asked = [&]() -> asio::awaitable<void> {
        while (server.requests.empty()) co_await asio::post(world.io, asio::use_awaitable);
        world.client->stop();
    };
    spawn(world.io.get_executor(), stop_once_asked());
    const auto got = world.send(server.url());
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::unavailable);
    world.client->stop();
    EXPECT_FALSE(world.send(server.url()));
}

}  // namespace
}  // namespace millrace::provider
