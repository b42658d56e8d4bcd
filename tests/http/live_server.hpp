// A server on its own thread, and a plain socket to torment it with.
#pragma once

#include "http/server.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <future>
#include <memory>
#include <string>
#include <thread>

namespace millrace::http {

/// Runs a server until it goes. The handler runs on the server's thread.
class LiveServer {
  public:
    explicit LiveServer(Handler handler, ServerOptions options = {}) : work_(io_.get_executor()) {
        options.port = 0;
        auto started = Server::start(io_.get_executor(), std::move(options), std::move(handler));
        if (!started) throw std::runtime_error(started.error().detail);
        server_ = std::move(*started);
        port_ = server_->port();
        thread_ = std::thread([this] { io_.run(); });
    }
    ~LiveServer() {
        stop(Duration(0));
        work_.reset();
        thread_.join();
    }

    void stop(Duration drain) { begin_stop(drain).get(); }
    std::future<void> begin_stop(Duration drain) {
        return asio::co_spawn(io_, server_->stop(drain), asio::use_future);
    }
    unsigned short port() const { return port_; }
    asio::io_context& io() { return io_; }
    /// What `ask` gives when it runs on the server's thread.
    template <class F>
    auto on_thread(F ask) {
        std::packaged_task<decltype(ask())()> task(std::move(ask));
        auto result = task.get_future();
        asio::post(io_, [&task] { task(); });
        return result.get();
    }
    std::size_t connections() {
        return on_thread([this] { return server_->connections(); });
    }

  private:
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::unique_ptr<Server> server_;
    unsigned short port_ = 0;
    std::thread thread_;
};

/// A blocking connection; every read gives up after ten seconds.
class RawSocket {
  public:
    explicit RawSocket(unsigned short port, const char* address = "127.0.0.1") : socket_(io_) {
        socket_.connect({asio::ip::make_address(address), port});
        const timeval limit{10, 0};
        ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }

    /// False once the peer takes no more.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto size = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (size <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(size));
        }
        return true;
    }

    /// Everything until the peer closes; `was_reset` tells how it did.
    std::string read_to_end() {
        while (fill()) {
        }
        return std::exchange(buffer_, {});
    }

    /// One answer with its body, by Content-Length; what of it came if the connection ends before.
    std::string read_answer(bool with_body = true) {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
            if (!fill()) return std::exchange(buffer_, {});
        }
        std::size_t size = end + 4;
        const std::size_t length = buffer_.substr(0, end).find("Content-Length: ");
        if (with_body && length != std::string::npos) size += std::stoul(buffer_.substr(length + 16));
        while (buffer_.size() < size) {
            if (!fill()) return std::exchange(buffer_, {});
        }
        std::string answer = buffer_.substr(0, size);
        buffer_.erase(0, size);
        return answer;
    }

    /// The peer has closed and nothing is left to read.
    bool is_closed() { return buffer_.empty() && !fill(); }
    bool was_reset() const { return reset_; }
    bool timed_out() const { return timed_out_; }
    void shutdown_send() { socket_.shutdown(asio::ip::tcp::socket::shutdown_send); }
    void close() { socket_.close(); }

  private:
    bool fill() {
        char piece[65536];
        const auto size = ::recv(socket_.native_handle(), piece, sizeof piece, 0);
        if (size > 0) buffer_.append(piece, static_cast<std::size_t>(size));
        if (size < 0) reset_ = errno == ECONNRESET;
        if (size < 0) timed_out_ = errno == EAGAIN || errno == EWOULDBLOCK;
        return size > 0;
    }

    asio::io_context io_;
    asio::ip::tcp::socket socket_;
    std::string buffer_;
    bool reset_ = false;
    bool timed_out_ = false;
};

inline unsigned status_of(const std::string& answer) {
    return answer.size() > 12 ? static_cast<unsigned>(std::stoul(answer.substr(9, 3))) : 0;
}

inline std::string body_of(const std::string& answer) {
    const std::size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "" : answer.substr(end + 4);
}

inline std::string post(std::string_view path, std::string_view body, std::string_view more_headers = "") {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more_headers) +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

inline std::string get(std::string_view path) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n\r\n";
}

}  // namespace millrace::http
