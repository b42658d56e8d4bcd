// A server that plays prepared answers and ends connections where it is told to: what a real one never does
// on demand.
#pragma once

#include "base/async.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <string>
#include <vector>

namespace millrace::provider {

/// One exchange: the request is read (or not), `answer` written, and the connection kept or ended.
struct Play {
    enum class End { keep, close, reset, hang };
    std::string answer;
    End end = End::keep;
    bool reads = true;
};

/// Plays one after the other, across connections, in the order of the exchanges.
class ScriptedServer {
  public:
    ScriptedServer(asio::io_context& io, std::vector<Play> plays)
        : io_(io), acceptor_(io, {asio::ip::address_v4::loopback(), 0}), plays_(std::move(plays)) {
        spawn(io_.get_executor(), accept());
    }

    unsigned short port() const { return acceptor_.local_endpoint().port(); }
    std::string url(const std::string& path = "/v1") const {
        return "http://127.0.0.1:" + std::to_string(port()) + path;
    }

    std::vector<std::string> requests;   ///< as read, whole
    int connections = 0;

  private:
    static constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

    asio::awaitable<void> accept() {
        for (;;) {
            auto [error, socket] = co_await acceptor_.async_accept(kToken);
            if (error) co_return;
            ++connections;
            sockets_.push_back(std::make_shared<asio::ip::tcp::socket>(std::move(socket)));
            spawn(io_.get_executor(), serve(*sockets_.back()));
        }
    }

    asio::awaitable<void> serve(asio::ip::tcp::socket& socket) {
        std::string buffer;
        while (next_ < plays_.size()) {
            if (plays_[next_].reads) {
                const bool whole = co_await read_request(socket, buffer);
                if (!whole) co_return;
            }
            const Play play = plays_[next_++];
            auto [error, size] = co_await asio::async_write(socket, asio::buffer(play.answer), kToken);
            (void)error, (void)size;
            if (play.end == Play::End::hang) co_return;
            if (play.end == Play::End::reset) socket.set_option(asio::socket_base::linger(true, 0));
            if (play.end != Play::End::keep) {
                socket.close();
                co_return;
            }
        }
    }

    asio::awaitable<bool> read_request(asio::ip::tcp::socket& socket, std::string& buffer) {
        for (;;) {
            const std::size_t end = buffer.find("\r\n\r\n");
            if (end != std::string::npos) {
                const std::size_t length = buffer.find("Content-Length: ");
                const std::size_t size =
                    end + 4 + (length < end ? std::stoul(buffer.substr(length + 16)) : 0);
                if (buffer.size() >= size) {
                    requests.push_back(buffer.substr(0, size));
                    buffer.erase(0, size);
                    co_return true;
                }
            }
            char piece[4096];
            auto [error, size] = co_await socket.async_read_some(asio::buffer(piece), kToken);
            if (error) co_return false;
            buffer.append(piece, size);
        }
    }

    asio::io_context& io_;
    asio::ip::tcp::acceptor acceptor_;
    std::vector<Play> plays_;
    std::size_t next_ = 0;
    std::vector<std::shared_ptr<asio::ip::tcp::socket>> sockets_;
};

/// A whole HTTP answer.
inline std::string http_answer(int status, const std::string& body, const std::string& more_headers = "") {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           more_headers + "\r\n" + body;
}

}  // namespace millrace::provider
