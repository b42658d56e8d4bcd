#include "http/server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <gtest/gtest.h>

#include <thread>

namespace millrace::http {
namespace {

asio::awaitable<Response> echo(Request request) {
    co_return json_answer(200, request.method + " " + request.path + " " + request.body);
}

TEST(Server, AnswersARequest) {
    asio::io_context io;
    ServerOptions options;
    options.port = 0;
    auto server = Server::start(io.get_executor(), options, echo);
    ASSERT_TRUE(server) << server.error().detail;
    std::thread runner([&] { io.run_for(std::chrono::seconds(3)); });
    asio::io_context client_io;
    asio::ip::tcp::socket socket(client_io);
    socket.connect({asio::ip::address_v4::loopback(), (*server)->port()});
    asio::write(socket, asio::buffer(std::string("POST /a%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")));
    std::string answer;
    boost::system::error_code error;
    asio::read(socket, asio::dynamic_buffer(answer), error);
    EXPECT_NE(answer.find("POST /a b hi"), std::string::npos) << answer;
    io.stop();
    runner.join();
}

}  // namespace
}  // namespace millrace::http
