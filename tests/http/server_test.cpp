#include "http/server.hpp"

#include "tests/http/live_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json/parse.hpp>

#include <random>

namespace millrace::http {
namespace {

/// Says what it was asked: method, path, size and first bytes of the body.
asio::awaitable<Response> describe(Request request) {
    co_return json_answer(200, request.method + " " + request.path + " " +
                                   std::to_string(request.body.size()) + " " + request.body.substr(0, 16));
}

std::string chunked(std::string_view path, std::string_view chunks) {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" +
           std::string(chunks);
}

void expect_problem(const std::string& answer, unsigned status, const std::string& about) {
    EXPECT_EQ(status_of(answer), status) << about << "\n" << answer;
    EXPECT_NE(answer.find("Content-Type: application/problem+json\r\n"), std::string::npos) << answer;
    boost::system::error_code error;
    const auto document = boost::json::parse(body_of(answer), error);
    ASSERT_FALSE(error) << about;
    EXPECT_EQ(document.at("status").to_number<unsigned>(), status) << about;
    EXPECT_FALSE(document.at("title").as_string().empty()) << about;
    EXPECT_FALSE(document.at("detail").as_string().empty()) << about;
}

TEST(Server, AnswersOnOneConnectionUntilToldToClose) {
    LiveServer server(describe);
    RawSocket client(server.port());
    for (int i = 0; i < 3; ++i) {
        client.send(post("/a%20b", "hi"));
        const std::string answer = client.read_answer();
        EXPECT_EQ(body_of(answer), "POST /a b 2 hi");
        EXPECT_EQ(answer.find("Connection:"), std::string::npos);
        EXPECT_NE(answer.find("\r\nDate: "), std::string::npos);
    }
    client.send(post("/", "", "Connection: close\r\n"));
    EXPECT_NE(client.read_answer().find("Connection: close\r\n"), std::string::npos);
    EXPECT_TRUE(client.is_closed());
}

TEST(Server, KeepsAnHttp10ConnectionOnlyIfAsked) {
    LiveServer server(describe);
    RawSocket plain(server.port());
    plain.send("GET /x HTTP/1.0\r\n\r\n");
    EXPECT_EQ(body_of(plain.read_to_end()), "GET /x 0 ");
    RawSocket kept(server.port());
    for (int i = 0; i < 2; ++i) {
        kept.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        EXPECT_NE(kept.read_answer().find("Connection: keep-alive\r\n"), std::string::npos);
    }
}

TEST(Server, TakesARequestByteByByte) {
    LiveServer server(describe);
    for (const std::string& request :
         {post("/one", "body"), chunked("/one", "2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nA: b\r\n\r\n")}) {
        RawSocket client(server.port());
        for (const char byte : request) ASSERT_TRUE(client.send({&byte, 1}));
        EXPECT_EQ(body_of(client.read_answer()), "POST /one 4 body");
    }
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
    LiveServer server(describe);
    RawSocket client(server.port());
    std::string requests = "\r\n";
    for (int i = 0; i < 50; ++i) {
        requests += post("/" + std::to_string(i), "x") + get("/g") + chunked("/c", "1\r\ny\r\n0\r\n\r\n");
    }
    std::thread writer([&] { client.send(requests); });
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(body_of(client.read_answer()), "POST /" + std::to_string(i) + " 1 x");
        EXPECT_EQ(body_of(client.read_answer()), "GET /g 0 ");
        EXPECT_EQ(body_of(client.read_answer()), "POST /c 1 y");
    }
    writer.join();
}

TEST(Server, AnswersHeadLikeGetWithoutABody) {
    LiveServer server(describe);
    RawSocket client(server.port());
    client.send("HEAD /x HTTP/1.1\r\nHost: t\r\n\r\n" + get("/y"));
    const std::string head = client.read_answer(false);
    EXPECT_NE(head.find("Content-Length: 9\r\n"), std::string::npos) << head;
    EXPECT_EQ(body_of(client.read_answer()), "GET /y 0 ");
}

TEST(Server, AnswersAClientThatHasFinishedSending) {
    LiveServer server(describe);
    RawSocket client(server.port());
    client.send(get("/half"));
    client.shutdown_send();
    EXPECT_EQ(body_of(client.read_to_end()), "GET /half 0 ");
}

TEST(Server, TakesABodyOfTheLimitAndRefusesALargerOne) {
    ServerOptions options;
    options.body_bytes_max = 1 << 20;
    LiveServer server(describe, options);
    const std::string full(options.body_bytes_max, 'x');
    RawSocket client(server.port());
    client.send(post("/", full));
    EXPECT_EQ(body_of(client.read_answer()), "POST / 1048576 xxxxxxxxxxxxxxxx");
    client.send(chunked("/", "100000\r\n" + full + "\r\n0\r\n\r\n"));
    EXPECT_EQ(body_of(client.read_answer()), "POST / 1048576 xxxxxxxxxxxxxxxx");
    client.send(post("/", full + "y"));
    expect_problem(client.read_answer(), 413, "Content-Length");
    EXPECT_TRUE(client.is_closed());
    RawSocket other(server.port());
    other.send(chunked("/", "100000\r\n" + full + "\r\n1\r\ny\r\n0\r\n\r\n"));
    expect_problem(other.read_answer(), 413, "chunked");
    EXPECT_TRUE(other.is_closed());
}

TEST(Server, TellsAClientThatSends33MiBBeforeItCloses) {
    LiveServer server(describe);
    RawSocket client(server.port());
    const std::string body(33 << 20, 'x');
    EXPECT_TRUE(client.send(post("/v1/documents", body)));
    expect_problem(client.read_to_end(), 413, "33 MiB");
    EXPECT_FALSE(client.was_reset());
}

TEST(Server, LetsAClientThatExpectsContinueGoOn) {
    LiveServer server(describe);
    RawSocket client(server.port());
    client.send("POST /e HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(client.read_answer(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok");
    EXPECT_EQ(body_of(client.read_answer()), "POST /e 2 ok");
    client.send("POST /e HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n");
    expect_problem(client.read_answer(), 413, "refused without the body");
}

struct BadCase {
    std::string name;
    std::string bytes;
    unsigned status;
};

TEST(Server, RefusesWhatIsNoRequest) {
    const std::string host = "Host: t\r\n";
    const BadCase cases[] = {
        {"no HTTP", "hello, world\r\n\r\n", 400},
        {"a TLS client", std::string("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 11) + "\r\n\r\n", 400},
        {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"HTTP/0.9", "GET /\r\n\r\n", 400},
        {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
        {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"a broken escape", "GET /%4 HTTP/1.1\r\n" + host + "\r\n", 400},
        {"a wrong escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
        {"a broken escape in the query", "GET /?a=%f HTTP/1.1\r\n" + host + "\r\n", 400},
        {"a zero byte", "GET /%00 HTTP/1.1\r\n" + host + "\r\n", 400},
        {"a line feed in the path", "GET /a%0Ab HTTP/1.1\r\n" + host + "\r\n", 400},
        {"no UTF-8", "GET /%FF%FE HTTP/1.1\r\n" + host + "\r\n", 400},
        {"an authority", "CONNECT example.org:443 HTTP/1.1\r\n" + host + "\r\n", 400},
        {"another coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
        {"codings in a row", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
         400},
        {"length and chunks",
         "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"chunks and length",
         "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
         400},
        {"a negative length", "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
        {"a huge length", "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999999\r\n\r\n",
         400},
        {"a bad chunk", chunked("/", "zz\r\n"), 400},
        {"a chunk without end", chunked("/", "1\r\nabc\r\n0\r\n\r\n"), 400},
        {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"another expectation", "POST / HTTP/1.1\r\n" + host + "Expect: a miracle\r\n\r\n", 417},
        {"a field without name", "GET / HTTP/1.1\r\n" + host + ": x\r\n\r\n", 400},
        {"a field without colon", "GET / HTTP/1.1\r\n" + host + "x\r\n\r\n", 400},
        {"a control byte in a field", "GET / HTTP/1.1\r\n" + host + "A: \x01\r\n\r\n", 400},
        {"a long target", "GET /" + std::string(70'000, 'a') + " HTTP/1.1\r\n" + host + "\r\n", 431},
        {"a long field", "GET / HTTP/1.1\r\n" + host + "A: " + std::string(70'000, 'a') + "\r\n\r\n", 431},
        {"an endless line", std::string(70'000, 'A'), 431},
        {"an endless chunk extension", chunked("/", "1;" + std::string(140'000, 'a')), 400},
    };
    LiveServer server(describe);
    for (const BadCase& bad : cases) {
        RawSocket client(server.port());
        client.send(bad.bytes);
        expect_problem(client.read_answer(), bad.status, bad.name);
        client.shutdown_send();
        EXPECT_TRUE(client.is_closed()) << bad.name;
    }
    std::string many = "GET / HTTP/1.1\r\nHost: t\r\n";
    for (int i = 0; i < 300; ++i) many += "A: b\r\n";
    RawSocket client(server.port());
    client.send(many + "\r\n");
    expect_problem(client.read_answer(), 431, "many fields");
}

TEST(Server, SurvivesRandomBytes) {
    LiveServer server(describe);
    const std::string seeds[] = {post("/a", "body"), chunked("/b", "3\r\nabc\r\n0\r\n\r\n"),
                                 get("/c?d=e&f=%20g")};
    std::mt19937 random(7);
    for (int round = 0; round < 400; ++round) {
        std::string bytes = seeds[random() % 3];
        for (unsigned k = random() % 6; k > 0; --k)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        RawSocket client(server.port());
        client.send(bytes);
        client.shutdown_send();
        client.read_to_end();
        ASSERT_FALSE(client.timed_out()) << bytes;
    }
    RawSocket client(server.port());
    client.send(get("/still-here"));
    EXPECT_EQ(body_of(client.read_answer()), "GET /still-here 0 ");
}

ServerOptions impatient() {
    ServerOptions options;
    options.header_time_max = Duration(80);
    options.body_time_max = Duration(80);
    return options;
}

TEST(Server, ClosesAnIdleConnectionWithoutAWord) {
    LiveServer server(describe, impatient());
    RawSocket fresh(server.port());
    EXPECT_EQ(fresh.read_to_end(), "");
    RawSocket used(server.port());
    used.send(get("/"));
    EXPECT_EQ(status_of(used.read_answer()), 200u);
    EXPECT_TRUE(used.is_closed());
}

TEST(Server, TellsASlowClientThatItsTimeIsUp) {
    LiveServer server(describe, impatient());
    for (const std::string& start : {std::string("GET / HTTP/1.1\r\nHo"), std::string("G"),
                                     std::string("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nab"),
                                     chunked("/", "5\r\nab")}) {
        RawSocket client(server.port());
        client.send(start);
        expect_problem(client.read_answer(), 408, start);
        client.shutdown_send();
        EXPECT_TRUE(client.is_closed());
    }
}

TEST(Server, EndsAHeaderThatTricklesForEver) {
    ServerOptions options = impatient();
    options.body_bytes_max = 1024;
    LiveServer server(describe, options);
    RawSocket client(server.port());
    client.send("GET / HTTP/1.1\r\n");
    // Each byte comes before the time is up, the whole never does.
    int fields = 0;
    while (fields < 1'000'000 && client.send("A: b\r\n")) ++fields;
    const std::string answer = client.read_to_end();
    EXPECT_TRUE(answer.empty() || status_of(answer) == 408 || status_of(answer) == 431) << answer;
    EXPECT_LT(fields, 1'000'000);
}

TEST(Server, EndsAClientThatDoesNotReadItsAnswer) {
    const auto large = [](Request) -> asio::awaitable<Response> {
        co_return json_answer(200, std::string(64 << 20, 'x'));
    };
    LiveServer server(large, impatient());
    RawSocket client(server.port());
    client.send(get("/"));
    while (server.connections() == 0) std::this_thread::yield();
    while (server.connections() > 0) std::this_thread::yield();
    EXPECT_LT(client.read_to_end().size(), 64u << 20);
}

TEST(Server, TurnsWhatAHandlerThrowsIntoAnAnswer) {
    std::vector<std::string> faults;
    ServerOptions options;
    options.on_fault = [&](std::string_view line) { faults.emplace_back(line); };
    const auto broken = [](Request request) -> asio::awaitable<Response> {
        if (request.path == "/full") throw MachineError("no space", true);
        if (request.path == "/away") throw Unreachable("no database");
        if (request.path == "/machine") throw MachineError("bad disk");
        if (request.path == "/int") throw 42;
        if (request.path == "/logic") throw std::logic_error("secret internals");
        co_return json_answer(200, "fine");
    };
    {
        LiveServer server(broken, options);
        RawSocket client(server.port());
        const std::pair<std::string, unsigned> cases[] = {
            {"/full", 507}, {"/away", 503}, {"/machine", 500}, {"/int", 500}, {"/logic", 500}};
        for (const auto& [path, status] : cases) {
            client.send(get(path));
            const std::string answer = client.read_answer();
            expect_problem(answer, status, path);
            EXPECT_EQ(answer.find("secret"), std::string::npos);
        }
        client.send(get("/"));
        EXPECT_EQ(body_of(client.read_answer()), "fine");
    }
    ASSERT_EQ(faults.size(), 5u);
    EXPECT_EQ(faults[4], "GET /logic: secret internals");
}

TEST(Server, KeepsAHeaderValueFromStartingAnotherHeader) {
    const auto reflect = [](Request request) -> asio::awaitable<Response> {
        Response response = json_answer(201, "{}");
        response.headers.emplace_back("Location", "/v1/" + request.body);
        co_return response;
    };
    LiveServer server(reflect);
    RawSocket client(server.port());
    client.send(post("/", "x\r\nSet-Cookie: a=b"));
    EXPECT_NE(client.read_answer().find("Location: /v1/x  Set-Cookie: a=b\r\n"), std::string::npos);
}

TEST(Server, TurnsConnectionsAboveItsLimitAway) {
    ServerOptions options;
    options.connections_max = 2;
    LiveServer server(describe, options);
    RawSocket first(server.port()), second(server.port());
    first.send(get("/"));
    second.send(get("/"));
    EXPECT_EQ(status_of(first.read_answer()), 200u);
    EXPECT_EQ(status_of(second.read_answer()), 200u);
    RawSocket third(server.port());
    expect_problem(third.read_to_end(), 503, "third");
    first.close();
    while (server.connections() == 2) std::this_thread::yield();
    RawSocket fourth(server.port());
    fourth.send(get("/"));
    EXPECT_EQ(status_of(fourth.read_answer()), 200u);
}

TEST(Server, DeliversBrokenOnPurpose) {
    const auto faulty = [](Request request) -> asio::awaitable<Response> {
        Response response = json_answer(200, "0123456789");
        if (request.path == "/slow") response.delivery = Delivery::slow, response.pause = Duration(1);
        if (request.path == "/cut") response.delivery = Delivery::cut;
        if (request.path == "/reset") response.delivery = Delivery::reset;
        if (request.path == "/never") response.delivery = Delivery::never;
        co_return response;
    };
    LiveServer server(faulty);
    RawSocket slow(server.port()), cut(server.port()), reset(server.port()), never(server.port());
    slow.send(get("/slow"));
    cut.send(get("/cut"));
    reset.send(get("/reset"));
    never.send(get("/never"));
    EXPECT_EQ(body_of(slow.read_answer()), "0123456789");
    EXPECT_EQ(body_of(cut.read_to_end()), "01234");
    EXPECT_EQ(reset.read_to_end(), "");
    EXPECT_TRUE(reset.was_reset());
    never.shutdown_send();
    EXPECT_EQ(never.read_to_end(), "");
    EXPECT_FALSE(never.was_reset());
}

/// A handler that waits for the test.
struct Gate {
    std::promise<void> entered;
    asio::steady_timer* closed = nullptr;

    asio::awaitable<Response> pass(Request) {
        asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        closed = &timer;
        entered.set_value();
        constexpr auto token = asio::as_tuple(asio::use_awaitable);
        auto [error] = co_await timer.async_wait(token);
        (void)error;
        co_return json_answer(200, "through");
    }
};

TEST(Server, LetsARequestUnderWayEndWhenItStops) {
    Gate gate;
    LiveServer server([&](Request request) { return gate.pass(std::move(request)); });
    RawSocket busy(server.port()), idle(server.port());
    busy.send(get("/") + get("/second"));
    gate.entered.get_future().get();
    auto stopped = server.begin_stop(std::chrono::seconds(10));
    EXPECT_TRUE(idle.is_closed());
    EXPECT_THROW(RawSocket(server.port()), boost::system::system_error);
    EXPECT_EQ(stopped.wait_for(Duration(0)), std::future_status::timeout);
    server.on_thread([&] { gate.closed->cancel(); });
    const std::string answer = busy.read_answer();
    EXPECT_EQ(body_of(answer), "through");
    EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
    EXPECT_TRUE(busy.is_closed());
    stopped.get();
    server.stop(Duration(0));
    EXPECT_EQ(server.connections(), 0u);
}

TEST(Server, CancelsARequestThatOutlivesTheDrain) {
    Gate gate;
    LiveServer server([&](Request request) { return gate.pass(std::move(request)); });
    RawSocket client(server.port());
    client.send(get("/"));
    gate.entered.get_future().get();
    server.stop(Duration(20));
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(server.connections(), 0u);
}

TEST(Server, ListensOnIpv6AndNamesWhatItCantListenOn) {
    ServerOptions options;
    options.address = "[::1]";
    LiveServer server(describe, options);
    RawSocket client(server.port(), "::1");
    client.send(get("/v6"));
    EXPECT_EQ(body_of(client.read_answer()), "GET /v6 0 ");

    asio::io_context io;
    ServerOptions taken;
    taken.port = server.port();
    taken.address = "::1";
    const auto second = Server::start(io.get_executor(), taken, describe);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::unavailable);
    EXPECT_NE(second.error().detail.find(std::to_string(taken.port)), std::string::npos);
    taken.address = "example.org";
    const auto named = Server::start(io.get_executor(), taken, describe);
    ASSERT_FALSE(named);
    EXPECT_EQ(named.error().code, Errc::invalid_input);
    taken.address = "192.0.2.1";
    const auto foreign = Server::start(io.get_executor(), taken, describe);
    ASSERT_FALSE(foreign);
    EXPECT_EQ(foreign.error().code, Errc::unavailable);
}

}  // namespace
}  // namespace millrace::http
